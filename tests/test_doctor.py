"""The doctor finds what is missing, says what to do, and needs nothing of what it looks for."""

import importlib.metadata
import importlib.util
import shutil
from pathlib import Path
from typing import Any

import pytest
from command import in_process, motet

from motet import doctor
from motet.doctor import examine, ready


def found(name: str) -> doctor.Finding:
    return next(finding for finding in examine() if finding.name == name)


def test_a_missing_package_is_named_with_its_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    known = importlib.metadata.version

    def version(name: str) -> str:
        if name == "polars":
            raise importlib.metadata.PackageNotFoundError
        return known(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert found("polars") == doctor.Finding("polars", "missing", False, fix="pip install motet")
    assert motet("doctor").code == 1
    answer = motet("doctor", "--json")
    assert (answer.code, answer.json["ok"]) == (1, False)
    assert "bad  polars: missing  → pip install motet" in motet("doctor").out


def test_a_missing_extra_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    known = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "lightgbm" else known(name))
    finding = found("extra bench")
    assert (finding.ok, finding.needed, finding.fix) == (False, False, "pip install 'motet[bench]'")
    assert ready(examine())
    answer = motet("doctor", "--json")
    assert (answer.code, answer.json["ok"]) == (0, True)


def test_a_gpu_is_named_and_none_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert found("gpu").found == "none, training is on the CPU"
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "Tensor Oven 9000")
    assert found("gpu").found == "Tensor Oven 9000"
    assert ready([found("gpu")])


def test_a_full_disk_is_noticed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    usage: Any = type("Usage", (), {"free": 4e8})
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert found("disk") == doctor.Finding("disk", "0.4 GB free", False, fix="free at least 1 GB")


def test_it_works_where_torch_is_not() -> None:
    hide = "import importlib.abc\nclass Hidden(importlib.abc.MetaPathFinder):\n"
    hide += "    def find_spec(self, name, *_):\n"
    hide += "        if name.partition('.')[0] in {'torch', 'polars', 'numpy'}: raise ModuleNotFoundError(name)\n"
    hide += "import importlib.util\nknown = importlib.util.find_spec\n"
    hide += "importlib.util.find_spec = lambda name: None if name == 'torch' else known(name)\n"
    answer = in_process(hide + "sys.meta_path.insert(0, Hidden())", "doctor")
    assert "disk: " in answer.stdout, answer.stderr
    assert "GFLOP/s" not in answer.stdout
    assert "Traceback" not in answer.stderr
