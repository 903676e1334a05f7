"""A prepared folder that carries on an earlier one, so that a network trained on that can go on with newer logs.

What the network has learnt to read stays: fitted transforms, moments of labels and of running counts, the order of
scenarios and kinds, and every key of every vocab; new keys come behind the old ones. An id's count is what the earlier
folder counted and the train rows later than its last one, so the newer log may repeat the earlier one or not.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from motet.batch import SPLITS, UNKNOWN, Layout
from motet.data.arrays import Bools, Floats, Ids, Ints, Numbers, load_array
from motet.data.coded import Coded
from motet.data.features import FeatureSet, IdTransform, OwnerFeatures
from motet.data.layout import layout_from_dict
from motet.data.logged import Logged
from motet.data.manifest import Manifest, difference, read_manifest
from motet.data.numbers import Buckets
from motet.data.running import Moments, RunningFit
from motet.data.tags import Tags
from motet.data.transforms import load_features
from motet.data.vocab import FIRST_KEY
from motet.errors import InputError
from motet.schema import OWNERS, Schema
from motet.settings import plain

FIX = "a trained network cannot go on with that: set it back, or prepare and train anew without --from"
KEPT = ("running", "history")
"""Sections of the settings that decide what a network reads."""


@dataclass(frozen=True, slots=True, eq=False)
class Earlier:
    """The earlier folder: what stays of it."""

    manifest: Manifest
    layout: Layout
    features: FeatureSet
    running: RunningFit
    moments: Moments  # of its train labels
    counts_V: Numbers
    until: float  # the time of its last train row

    @classmethod
    def open(cls, folder: Path) -> "Earlier":
        manifest = read_manifest(folder)
        fitted: dict[str, Any] = json.loads((folder / "transforms.json").read_text(encoding="utf-8"))
        time_N, split_N = (load_array(folder / "impressions" / f"{name}.npy") for name in ("time", "split"))
        return cls(
            manifest,
            layout_from_dict(manifest["layout"]),
            load_features(fitted["features"], folder),
            RunningFit.from_dict(fitted["running"]),
            (tuple(fitted["labels"]["means"]), tuple(fitted["labels"]["scales"])),
            cast(Numbers, load_array(folder / "counts_V.npy")),
            float(time_N[split_N == SPLITS.index("train")].max()),
        )

    def check(self, schema: Schema, settings: object) -> None:
        """An `InputError` where tasks or the settings of what a network reads are others than the earlier ones."""
        names = ("name", "form", "after", "kinds", "scenarios")
        before, now = (
            [{n: getattr(t, n) for n in names} for t in tasks] for tasks in (self.layout.tasks, schema.tasks)
        )
        if before != now:
            changed = difference({"tasks": plain(before)}, {"tasks": plain(now)})
            raise InputError(f"the tasks are others than those of the earlier run: {changed}", where="tasks", fix=FIX)
        for section in KEPT:
            earlier, given = self.manifest["settings"][section], json.loads(json.dumps(plain(settings)))[section]
            if changed := difference({section: earlier}, {section: given}):
                raise InputError(f"the settings are others than those of the earlier run: {changed}", where=section,
                                 fix=FIX)  # fmt: skip

    def arranged(self, logged: Logged) -> Logged:
        """Scenarios and kinds in their earlier order; a new one is an `InputError`."""
        layout, named = self.layout, {scenario.name: scenario for scenario in logged.scenarios}
        scenario_P = _places("scenario", list(named), [scenario.name for scenario in layout.scenarios])
        for before in layout.scenarios:
            for key in ("input", "screen", "slate_size"):
                was, is_ = getattr(before, key), getattr(named.get(before.name, before), key)
                if was != is_:
                    what = f"{key} of scenario {before.name!r} was {was!r} and is {is_!r}"
                    raise InputError(what, where="scenarios", fix=FIX)
        kind_I = _places("kind", logged.kinds.names, layout.kinds)[logged.kinds.kind_I]
        kind_I[:FIRST_KEY] = 0
        return replace(
            logged,
            scenarios=tuple(named.get(scenario.name, scenario) for scenario in layout.scenarios),
            scenario_N=scenario_P[logged.scenario_N],
            kinds=replace(logged.kinds, names=layout.kinds, kind_I=kind_I),
        )

    def extended(self, fitted: FeatureSet) -> FeatureSet:
        """The earlier transforms with the keys of those that were fitted now behind their own."""
        first, parts = 1, []
        for owner in OWNERS:
            parts.append(_extended(getattr(self.features, owner), getattr(fitted, owner), first))
            first += sum(field.size for field in parts[-1].fields)
        return FeatureSet(*parts)

    def later(self, logged: Logged) -> Bools:
        """Train rows later than the earlier folder's last one."""
        later_N: Bools = logged.train_N & (logged.time_N > self.until)
        return later_N

    def counts(self, features: FeatureSet, all_V: Floats, later_V: Floats) -> Floats:
        """How often train has seen each row: what was counted, and rows since; of a new key all there are."""
        before_R, now_R = same_rows(self.features, features)
        counts_V = all_V.copy()
        counts_V[now_R] = self.counts_V[before_R] + later_V[now_R]
        return counts_V


def same_rows(before: FeatureSet, now: FeatureSet) -> tuple[Ints, Ints]:
    """Rows of two embedding tables that mean the same: padding, and in each field unknown, equal keys and buckets.

    Every row of the earlier table is one of them.
    """
    rows, again = [np.zeros(1, np.int64)], [np.zeros(1, np.int64)]
    for owner in OWNERS:
        was, is_ = getattr(before, owner), getattr(now, owner)
        for transform, offset, grown, place in zip(was.ids, was.offsets, is_.ids, is_.offsets, strict=True):
            rows.append(offset + np.arange(transform.size))
            again.append(place + _indices(transform, grown) - UNKNOWN)
    return np.concatenate(rows), np.concatenate(again)


def _indices(before: IdTransform, now: IdTransform) -> Ints:
    """Where each index of a field, from unknown on, stands in the extended field."""
    if isinstance(before, Buckets) or isinstance(now, Buckets):
        return UNKNOWN + np.arange(before.size)
    keys: Ids = now.vocab.indices(Coded.of(before.vocab.keys))
    buckets = FIRST_KEY + len(now.vocab.keys) + np.arange(before.vocab.buckets)
    return np.concatenate([[UNKNOWN], keys, buckets]).astype(np.int64)


def _extended(before: OwnerFeatures, now: OwnerFeatures, first: int) -> OwnerFeatures:
    where = f"features.{before.owner}"
    for was, is_ in ((_names(before), _names(now)), (before.number_names, now.number_names)):
        lacking, new = [name for name in was if name not in is_], [name for name in is_ if name not in was]
        new = [name for name in new if not name.endswith(" missing")]  # the earlier transform decides on that
        if lacking or new:
            found = ", ".join([f"no {name}" for name in lacking] + [f"{name} is new" for name in new])
            raise InputError(f"the features are others than those of the earlier run: {found}", where=where, fix=FIX)
    fields = {transform.name: transform for transform in now.ids}
    ids = tuple(_grown(transform, fields[transform.name], where) for transform in before.ids)
    return replace(before, first=first, ids=ids)


def _names(features: OwnerFeatures) -> list[str]:
    return [f"{type(transform).__name__.lower()} {transform.name!r}" for transform in features.ids]


def _grown(before: IdTransform, now: IdTransform, where: str) -> IdTransform:
    if isinstance(before, Buckets) or isinstance(now, Buckets):
        return before
    if isinstance(before, Tags) and isinstance(now, Tags) and before.separator != now.separator:
        what = f"tags of {before.name!r} are now cut at {now.separator!r}, and were at {before.separator!r}"
        raise InputError(what, where=f"{where}.{before.name}", fix=f"set separator = {before.separator!r}")
    if before.vocab.buckets != now.vocab.buckets:
        what = f"buckets of {before.name!r} were {before.vocab.buckets:,} and are {now.vocab.buckets:,}"
        raise InputError(what, where=f"{where}.{before.name}", fix=FIX)
    return replace(before, vocab=before.vocab.extended(now.vocab))


def _places(what: str, now: Sequence[str], before: Sequence[str]) -> Ids:
    """Where each name stood before."""
    for name in now:
        if name not in before:
            known = ", ".join(before)
            raise InputError(f"{what} {name!r} is new; the earlier run knows {known}", where=f"{what}s", fix=FIX)
    return np.array([before.index(name) for name in now], np.int32)
