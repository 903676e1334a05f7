"""Three worlds beside the embedded market, for the examples: a shop, a social network, voice services."""

from collections.abc import Callable
from pathlib import Path

import polars as pl

from motet.data.sources.worlds import ecommerce, social, voice
from motet.data.sources.worlds.world import Size, World
from motet.errors import InputError
from motet.settings import atomic_file, nearest

__all__ = ["WORLDS", "Size", "World", "generate", "write"]

WORLDS: dict[str, Callable[[Size], dict[str, pl.DataFrame]]] = {
    "ecommerce": ecommerce.generate,
    "social": social.generate,
    "voice": voice.generate,
}


def generate(name: str, size: Size) -> dict[str, pl.DataFrame]:
    """The tables of that world by name: the same for the same size."""
    if name not in WORLDS:
        raise InputError(f"there is no world {name!r}", where="worlds", fix=nearest(name, list(WORLDS)))
    return WORLDS[name](size)


def write(name: str, folder: Path, size: Size | None = None) -> None:
    """The tables as Parquet files of that folder, the impressions last; they are left alone if they are there."""
    if (folder / "impressions.parquet").exists():
        return
    tables = generate(name, size or Size())
    for table in sorted(tables, key=lambda table: table == "impressions"):
        with atomic_file(folder / f"{table}.parquet") as file:
            tables[table].write_parquet(file)
