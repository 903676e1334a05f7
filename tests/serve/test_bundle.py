"""The bundle: it answers alone, it is whole or refused, and it holds nothing that could run."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from command import contents, done, refused

import motet
from motet import experiment as stages
from motet.errors import InputError
from motet.serve.bundle import load
from motet.serve.pipeline import recommend
from motet.serve.popular import Popular
from motet.train.run import load_run


@pytest.fixture(scope="module")
def bundle(good: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of the small log; its run and prepared folder are gone."""
    folder = tmp_path_factory.mktemp("bundle")
    shutil.copytree(good, folder / "shop", ignore=shutil.ignore_patterns(".controls"))
    done("export", folder / "shop" / "run", "-o", folder / "bundle")
    shutil.rmtree(folder / "shop")
    return folder / "bundle"


@pytest.fixture
def broken(bundle: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    shutil.copytree(bundle, tmp_path / "copy")
    return tmp_path / "copy"


def test_it_answers_as_the_run_does_when_run_and_prepared_folder_are_gone(bundle: Path, good: Path) -> None:
    opened, run = load(bundle), load_run(good / "run")
    blend = stages.blend_of(run.data, stages.settings_of(run.folder))
    assert opened.blend == blend
    for user in ("u1", "u5", "stranger", None):
        for scenario in ("web", "app"):
            mine = recommend(opened.run, opened.blend, user=user, scenario=scenario, n=24)
            assert mine == recommend(run, blend, user=user, scenario=scenario, n=24)


def test_it_says_what_it_is(bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    assert (manifest["format"], manifest["motet"]) == ("motet-bundle/1", motet.__version__)
    assert (manifest["tasks"], manifest["users"], manifest["items"]) == (["click", "stars"], 12, 24)
    assert set(manifest["files"]) == set(contents(bundle)) - {"manifest.json"}
    suffixes = {Path(name).suffix for name in manifest["files"]}
    assert suffixes == {".json", ".toml", ".npy", ".parquet", ".safetensors"}


def test_it_only_answers_requests(bundle: Path) -> None:
    """What is evaluated is the run: the bundle does not hold what that needs."""
    assert "a bundle only answers requests" in refused("evaluate", bundle / "run").replace("\n", " ")
    assert "no finished run here" in refused("evaluate", bundle)


def test_one_that_is_there_is_replaced_only_with_force(bundle: Path, good: Path, tmp_path: Path) -> None:
    output = tmp_path / "b"
    first = done("export", good / "run", "-o", output)
    assert first.out.endswith(f"next: motet serve {output}\n")
    before = contents(output)
    assert "this bundle exists" in refused("export", good / "run", "-o", output)
    assert contents(output) == before
    told = done("export", good / "run", "-o", output, "--force", "--set", "blend.click=3", "--json").json
    assert told["manifest"]["fingerprint"] == load(output).fingerprint
    assert load(output).blend.weights == ((3.0, 1.0), (3.0, 1.0))
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_what_is_no_bundle_is_never_replaced(good: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
    assert "something else is here" in refused("export", good / "run", "-o", tmp_path, "--force")
    assert (tmp_path / "thesis.txt").exists()
    assert "something else is here" in refused("export", good / "run", "-o", tmp_path / "thesis.txt", "--force")


def test_an_export_that_fails_leaves_nothing(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Popular, "save", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left", "x")))
    assert "the disk is full" in refused("export", good / "run", "-o", tmp_path / "b")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["run/model.safetensors", "prepared/log/labels.npy", "blend.json", "run/config.toml"])
def test_a_flipped_byte_is_told_with_its_file(broken: Path, name: str) -> None:
    content = bytearray((broken / name).read_bytes())
    content[len(content) // 2] ^= 1
    (broken / name).write_bytes(content)
    with pytest.raises(InputError, match=r"changed or damaged") as caught:
        load(broken)
    assert caught.value.where == str(broken / name)
    assert "export the bundle again" in caught.value.fix


def test_every_byte_of_the_manifest_that_says_something_counts(broken: Path) -> None:
    path = broken / "manifest.json"
    content = path.read_bytes()
    said = [place for place, byte in enumerate(content) if byte not in b" \n"]
    for place in said[:: len(said) // 60]:
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(InputError) as caught:
            load(broken)
        assert str(broken) in caught.value.where
        assert caught.value.fix


def test_a_missing_file_and_one_too_many_are_told(broken: Path) -> None:
    (broken / "extra.pkl").write_bytes(b"\x80\x04.")
    with pytest.raises(InputError, match="no part of the bundle") as caught:
        load(broken)
    assert caught.value.where == str(broken / "extra.pkl")
    (broken / "extra.pkl").unlink()
    (broken / "prepared" / "counts_V.npy").unlink()
    with pytest.raises(InputError, match="missing") as caught:
        load(broken)
    assert caught.value.where == str(broken / "prepared" / "counts_V.npy")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"format": "motet-bundle/9"}, "the format is 'motet-bundle/9'"),
        ({"motet": "0.0.1"}, "written by motet 0.0.1"),
        ({"users": 5}, "it has been changed"),
    ],
)
def test_another_format_or_version_is_told(broken: Path, change: dict[str, Any], told: str) -> None:
    path = broken / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(manifest | change), encoding="utf-8")
    with pytest.raises(InputError, match=told):
        load(broken)
    assert told in refused("serve", broken)


def test_what_is_no_bundle_is_told(tmp_path: Path, good: Path) -> None:
    assert "this is no bundle" in refused("serve", tmp_path)
    assert "this is no bundle" in refused("serve", tmp_path / "none")
    assert "the format is 'motet-prepared/1'" in refused("serve", good / "prepared")


def test_popular_items_are_those_on_which_the_relevant_task_happened_most(good: Path) -> None:
    data = load_run(good / "run").data
    popular = Popular.of(data, [0, 0])
    rows = data.rows("train", 0)
    clicked = data.item_rows(rows[data.labels(rows)[:, 0] > 0]).tolist()
    for k in range(2):
        counts = [clicked.count(item) for item in popular.items[0, k].tolist()]
        assert counts == sorted(counts, reverse=True)
        assert sorted(popular.items[0, k]) == data.catalogue(0, k).tolist()
    first, second, third = popular.items[0, 0][:3]
    assert popular.first(0, 0, 2, [first]).tolist() == [second, third]
    assert popular.first(0, 0, 5, [], data.catalogue(0, 0)[:0]).tolist() == []
