"""Fitted transforms to JSON and vocab files, and back."""

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

from motet.data.features import FeatureSet, IdTransform, OwnerFeatures
from motet.data.numbers import Buckets, Number
from motet.data.tags import Categorical, Tags
from motet.data.vocab import Vocab
from motet.schema import OWNERS, Owner


def save_features(features: FeatureSet, folder: Path) -> dict[str, Any]:
    """Writes the vocabs to `folder`/vocab/ and gives back the rest as plain JSON values."""
    return {owner: _owner_to_dict(getattr(features, owner), folder) for owner in OWNERS}


def load_features(plain: dict[str, Any], folder: Path) -> FeatureSet:
    """The very transforms that `save_features` saved."""
    return FeatureSet(*(_owner_from_dict(owner, plain[owner], folder) for owner in OWNERS))


def _owner_to_dict(part: OwnerFeatures, folder: Path) -> dict[str, Any]:
    files = [f"vocab/{part.owner}.{place}.{_plain(t.name)}.parquet" for place, t in enumerate(part.ids)]
    ids = [_id_to_dict(transform, file, folder) for transform, file in zip(part.ids, files, strict=True)]
    numbers = [asdict(number) for number in part.numbers]
    return {"first": part.first, "clock": part.clock, "ids": ids, "numbers": numbers}


def _owner_from_dict(owner: Owner, plain: dict[str, Any], folder: Path) -> OwnerFeatures:
    ids = tuple(_id_from_dict(transform, folder) for transform in plain["ids"])
    numbers = tuple(Number(**{**number, "knots": _knots(number["knots"])}) for number in plain["numbers"])
    return OwnerFeatures(owner, plain["first"], ids, numbers, plain["clock"])


def _id_to_dict(transform: IdTransform, file: str, folder: Path) -> dict[str, Any]:
    match transform:
        case Buckets():
            return {"form": "buckets", **asdict(transform)}
        case Categorical(name, column, vocab):
            vocab.save(folder / file)
            return {"form": "categorical", "name": name, "column": column, "vocab": file, "buckets": vocab.buckets}
        case Tags(name, column, separator, width, vocab):
            vocab.save(folder / file)
            rest = {"separator": separator, "width": width, "vocab": file, "buckets": vocab.buckets}
            return {"form": "tags", "name": name, "column": column, **rest}


def _id_from_dict(plain: dict[str, Any], folder: Path) -> IdTransform:
    if plain["form"] == "buckets":
        return Buckets(plain["column"], tuple(plain["edges"]))
    vocab = Vocab.load(folder / plain["vocab"], plain.get("buckets", 0))
    if plain["form"] == "categorical":
        return Categorical(plain["name"], plain["column"], vocab)
    return Tags(plain["name"], plain["column"], plain["separator"], plain["width"], vocab)


def _knots(plain: list[list[float]] | None) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    return None if plain is None else (tuple(plain[0]), tuple(plain[1]))


def _plain(name: str) -> str:
    return re.sub(r"\W+", "_", name)
