"""Presets: each a TOML file in this folder that sets slots of the network. To name them loads nothing heavy."""

import tomllib
from importlib.resources import files
from typing import Any


def presets() -> list[str]:
    """Their names, the default first."""
    names = sorted(file.name.removesuffix(".toml") for file in files(__name__).iterdir() if file.name.endswith(".toml"))
    return ["motet", *(name for name in names if name != "motet")]


def slots(name: str) -> dict[str, Any]:
    """What a preset sets."""
    return tomllib.loads(files(__name__).joinpath(f"{name}.toml").read_text(encoding="utf-8"))
