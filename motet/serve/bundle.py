"""The bundle: one immutable folder that answers requests when the run and the prepared folder are gone.

`manifest.json` (what it is and the sha256 of every other file), `run/` (weights, settings, calibration), `prepared/`
(of the prepared folder what requests are answered from: tables, vocabularies, transforms, histories, who was shown
what, and the labels that running counts are made from), `blend.json` and `popular/`. The arrays and files are those of
the run and the prepared folder, so that the objects that train and evaluate open them; nothing is unpickled.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from motet.errors import InputError
from motet.scoring.blend import Blend
from motet.serve.popular import Popular
from motet.settings import sync, write_json
from motet.train.run import Run, fingerprint_of, load_run
from motet.version import VERSION

FORMAT = "motet-bundle/1"
MANIFEST = "manifest.json"
_RUN = ("run.json", "config.toml", "calibration.json", "model.safetensors")
_PREPARED = (
    "manifest.json", "transforms.json", "counts_V.npy", "users.parquet", "items.parquet", "vocab/*.parquet",
    "users/ids.npy", "users/numbers.npy", "items/ids.npy", "items/numbers.npy", "items/kind.npy", "events/*.npy",
    "log/labels.npy", "log/known_at.npy", "impressions/user.npy", "impressions/item.npy", "impressions/scenario.npy",
    "impressions/time.npy", "impressions/context_ids.npy",
)  # fmt: skip
_CHUNK = 1 << 22


@dataclass(frozen=True)
class Bundle:
    """An opened bundle."""

    folder: Path
    run: Run
    blend: Blend
    popular: Popular
    manifest: dict[str, Any]

    @property
    def fingerprint(self) -> str:
        """Another one for every content."""
        return str(self.manifest["fingerprint"])


def export(run: Run, blend: Blend, popular: Popular, output: Path, *, force: bool = False) -> Bundle:
    """Write the bundle, whole or not at all, and open it; one that is there is replaced only with `force`."""
    _check_free(output, force)
    output.parent.mkdir(parents=True, exist_ok=True)
    building = output.with_name(f".{output.name}.building")
    shutil.rmtree(building, ignore_errors=True)
    try:
        _write(run, blend, popular, building)
        _put(building, output)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return load(output)


def load(folder: Path) -> Bundle:
    """The bundle of that folder, after every file's hash has been compared; an `InputError` where one differs."""
    manifest = _read_manifest(folder)
    _verify(folder, manifest)
    run = load_run(folder / "run")
    blend = Blend.from_dict(json.loads((folder / "blend.json").read_text(encoding="utf-8")))
    return Bundle(folder, run, blend, Popular.load(folder, run.data), manifest)


def _write(run: Run, blend: Blend, popular: Popular, building: Path) -> None:
    data = run.data
    for name in _RUN:
        _copy(run.folder / name, building / "run" / name)
    for pattern in _PREPARED:
        for path in data.folder.glob(pattern):
            _copy(path, building / "prepared" / path.relative_to(data.folder))
    prepared = {"folder": "../prepared", "fingerprint": data.manifest["fingerprint"]}
    write_json(building / "run" / "prepared.json", prepared)
    write_json(building / "blend.json", blend.to_dict())
    popular.save(building)
    files = {str(path.relative_to(building).as_posix()): _described(path) for path in _files(building)}
    manifest = {
        "format": FORMAT,
        "motet": VERSION,
        "run": run.name,
        "run_fingerprint": fingerprint_of(run.folder),
        "scenarios": [scenario.name for scenario in data.layout.scenarios],
        "tasks": [task.name for task in data.layout.tasks],
        "kinds": list(data.layout.kinds),
        "users": len(data.user_ids_UK) - 2,
        "items": len(data.items.ids_IK) - 2,
        "files": files,
    }
    write_json(building / MANIFEST, manifest | {"fingerprint": _fingerprint(manifest)})
    for path in [*_files(building), *(path for path in building.rglob("*") if path.is_dir()), building]:
        sync(path)


def _put(building: Path, output: Path) -> None:
    """The finished folder in its place; one that was there goes afterwards."""
    earlier = output.with_name(f".{output.name}.earlier")
    shutil.rmtree(earlier, ignore_errors=True)
    if output.exists():
        os.replace(output, earlier)
    os.replace(building, output)
    sync(output.parent)
    shutil.rmtree(earlier, ignore_errors=True)


def _check_free(output: Path, force: bool) -> None:
    if not output.exists():
        return
    if not (output / MANIFEST).is_file() and (not output.is_dir() or any(output.iterdir())):
        fix = "name another folder; only a bundle is ever replaced"
        raise InputError("something else is here", where=str(output), fix=fix)
    if not force and output.is_dir() and any(output.iterdir()):
        fix = "name another --output, or --force to replace it"
        raise InputError("this bundle exists", where=str(output), fix=fix)


def _read_manifest(folder: Path) -> dict[str, Any]:
    path, again = folder / MANIFEST, "export the bundle again: motet export RUN -o FOLDER"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise InputError("this is no bundle", where=str(folder), fix="motet export RUN -o FOLDER writes one") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"it cannot be read: {error}", where=str(path), fix=again) from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        found = manifest.get("format") if isinstance(manifest, dict) else None
        raise InputError(f"the format is {found!r}, not {FORMAT!r}", where=str(path), fix=again)
    if manifest.get("motet") != VERSION:
        message = f"it was written by motet {manifest.get('motet')}, and this is {VERSION}"
        raise InputError(message, where=str(path), fix=again)
    told = manifest.pop("fingerprint", None)
    if told != _fingerprint(manifest):
        raise InputError("it has been changed since it was written", where=str(path), fix=again)
    return manifest | {"fingerprint": told}


def _verify(folder: Path, manifest: dict[str, Any]) -> None:
    """Every file is there, none is more, and each has the hash that it was written with."""
    again = "export the bundle again, or copy it again from where it is whole"
    there = {path.relative_to(folder).as_posix(): path for path in _files(folder)}
    del there[MANIFEST]
    for name in sorted(manifest["files"].keys() - there.keys()):
        raise InputError("this file of the bundle is missing", where=str(folder / name), fix=again)
    for name in sorted(there.keys() - manifest["files"].keys()):
        raise InputError("this file is no part of the bundle", where=str(folder / name), fix="move it elsewhere")
    for name, path in there.items():
        if _described(path) != manifest["files"][name]:
            raise InputError("this file has been changed or damaged", where=str(path), fix=again)


def _described(path: Path) -> dict[str, Any]:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return {"bytes": path.stat().st_size, "sha256": digest.hexdigest()}


def _fingerprint(manifest: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if not path.is_dir())


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
