"""A large Parquet file written part by part: what is done is kept beside it, so that a run that was killed goes on."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from motet.errors import InputError
from motet.settings import atomic_file, fingerprint, write_json


def check_output(output: Path, *, force: bool) -> None:
    """An `InputError` where the output has another format, or is there and `force` does not let it be replaced."""
    if output.suffix != ".parquet":
        raise InputError("it is written as Parquet", where=str(output), fix=f"name it {output.stem}.parquet")
    if output.exists() and not force:
        fix = "name another --output, or --force to replace it"
        raise InputError("this file exists", where=str(output), fix=fix)


class Parts:
    """The parts of one output, in a folder beside it until the block ends well and joins them."""

    def __init__(self, output: Path, work: object) -> None:
        """Of exactly that work: what another one left there goes."""
        self.output, self.folder, self.work = output, output.with_name(f"{output.name}.parts"), fingerprint(work)

    def __enter__(self) -> "Parts":
        marker = self.folder / "work.json"
        if not marker.exists() or _read(marker).get("work") != self.work:
            shutil.rmtree(self.folder, ignore_errors=True)
            write_json(marker, {"work": self.work})
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        """All parts in their order as the output; the folder goes, unless it has parts to go on with."""
        parts = sorted(self.folder.glob("*.parquet"))
        if error is None:
            with atomic_file(self.output) as whole:
                pl.scan_parquet(parts, glob=False).sink_parquet(whole)
        if error is None or not parts:
            shutil.rmtree(self.folder, ignore_errors=True)

    def facts(self, number: int) -> dict[str, Any] | None:
        """What was told of a part; None before it is there."""
        path = self._facts(number)
        return _read(path) if path.exists() else None

    def put(self, number: int, frame: pl.DataFrame, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Write a part; its facts come last, so that a part with facts is whole."""
        with atomic_file(self.folder / f"{number:06}.parquet") as whole:
            frame.write_parquet(whole)
        write_json(self._facts(number), dict(facts))
        return dict(facts)

    def _facts(self, number: int) -> Path:
        return self.folder / f"{number:06}.json"


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
