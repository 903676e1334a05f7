"""A prepared folder opened: rows by split, batches by one gather per table, requests, catalogues.

Shapes: N impressions, B rows or requests, C candidates, K packed ids, T tasks, I item rows.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from motet.batch import PADDING, SPLITS, Batch, Layout, Split
from motet.data.arrays import Floats, Ints, Numbers, load_array
from motet.data.clock import moment
from motet.data.context import Common, Contexts
from motet.data.context import read as read_context
from motet.data.features import FeatureSet, Packed
from motet.data.friends import friend_kinds, own_items
from motet.data.history import Events
from motet.data.inline import InlineHistory, inline_history
from motet.data.keys import Keys
from motet.data.known import Log
from motet.data.layout import layout_from_dict
from motet.data.manifest import Manifest, read_manifest
from motet.data.parts import key_parts
from motet.data.requests import RequestTables, build_request
from motet.data.running import RunningFit, RunningLog, RunningState
from motet.data.shown import Shown
from motet.data.transforms import load_features
from motet.data.windows import ItemTable, StoredEvents, gather_history
from motet.errors import InputError
from motet.schema import Reference, Schema
from motet.settings import parse


@dataclass(frozen=True, slots=True)
class LogRows:
    """Who was shown what, where and when: the columns of the impressions that requests are answered from."""

    user: Tensor  # int32 rows of the users table
    item: Tensor  # int32 rows of the items table
    scenario: Tensor  # int32
    time: Tensor  # float64 seconds, or an order index
    context_ids: Tensor  # [N, K] int32


@dataclass(frozen=True, slots=True)
class Impressions:
    """Columns of the impressions in time order, one row per impression."""

    user: Tensor  # int32 rows of the users table
    item: Tensor  # int32 rows of the items table
    scenario: Tensor  # int32
    split: Tensor  # int8 index into SPLITS
    time: Tensor  # float64 seconds, or an order index
    row: Tensor  # int64 place in the files that were read, from 0
    labels: Tensor  # [N, T] float32
    context_ids: Tensor  # [N, K] int32
    context_numbers: Tensor
    pair_numbers: Tensor
    history_start: Tensor  # int64 the first event a row may see
    history_end: Tensor  # int64 one behind the last event it may see
    request: Tensor | None = None  # int32, equal in one request, -1 without
    position: Tensor | None = None  # float32
    propensity: Tensor | None = None  # float32
    references: Tensor | None = None  # [N, R, T] float32


class Dataset:
    """What training, evaluation and serving need of the data; `open` it."""

    def __init__(self, folder: Path, manifest: Manifest, plain: dict[str, Any]) -> None:
        self.folder, self.manifest = folder, manifest
        self.schema: Schema = parse(Schema, manifest["schema"])
        self.layout: Layout = layout_from_dict(manifest["layout"])
        self.features: FeatureSet = load_features(plain["features"], folder)
        self.log_rows = LogRows(**_tensors(folder / "impressions", LogRows))
        self.user_ids_UK, self.user_numbers_UN = (
            _tensor(folder / "users/ids.npy"),
            _tensor(folder / "users/numbers.npy"),
        )
        self.items = ItemTable(*(_tensor(folder / f"items/{name}.npy") for name in ("ids", "numbers", "kind")))
        self.counts_V: Tensor = _tensor(folder / "counts_V.npy")
        self.events = Events.load(folder / "events", plain["history"]["scenarios"])
        self.stored_events = StoredEvents(
            *(torch.from_numpy(getattr(self.events, name)) for name in ("item_E", "scenario_E", "action_ET", "time_E"))
        )
        self._running, self.label_means = plain["running"], tuple(plain["labels"]["means"])  # [T], of train
        self.user_names, self.item_names = Keys(folder / "users.parquet"), Keys(folder / "items.parquet")
        self.state = lru_cache(maxsize=8)(self._state)

    @classmethod
    def open(cls, folder: Path) -> "Dataset":
        """The folder that `motet prepare` wrote; arrays stay on the disk until they are read."""
        manifest = read_manifest(folder)
        return cls(folder, manifest, json.loads((folder / "transforms.json").read_text(encoding="utf-8")))

    def rows(self, split: Split, scenario: int | None = None) -> Ints:
        """Row numbers of a split, in time order; of one scenario when it is given."""
        chosen = self.impressions.split == SPLITS.index(split)
        if scenario is not None:
            chosen &= self.impressions.scenario == scenario
        return cast(Ints, torch.nonzero(chosen)[:, 0].numpy())

    def batch(self, rows: Ints | Tensor) -> Batch:
        """Those rows with one candidate each: one `index_select` per packed column group."""
        at = torch.as_tensor(rows, dtype=torch.int64)
        im, layout = self.impressions, self.layout
        user_B, item_B = im.user.index_select(0, at).long(), im.item.index_select(0, at).long()
        start_B, end_B = im.history_start.index_select(0, at), im.history_end.index_select(0, at)
        time_B = im.time.index_select(0, at)
        return Batch(
            user_B=user_B,
            scenario_B=im.scenario.index_select(0, at).long(),
            user_ids_BK=self.user_ids_UK.index_select(0, user_B),
            user_numbers_BN=self.user_numbers_UN.index_select(0, user_B),
            context_ids_BK=im.context_ids.index_select(0, at),
            context_numbers_BN=im.context_numbers.index_select(0, at),
            item_BC=item_B[:, None],
            kind_BC=self.items.kind_I.index_select(0, item_B).long()[:, None],
            item_ids_BCK=self.items.ids_IK.index_select(0, item_B)[:, None],
            item_numbers_BCN=self.items.numbers_IN.index_select(0, item_B)[:, None],
            pair_numbers_BCN=im.pair_numbers.index_select(0, at)[:, None],
            history=gather_history(self.stored_events, self.items, start_B, end_B, time_B, layout.history_length),
            labels_BCT=im.labels.index_select(0, at)[:, None],
            position_BC=None if im.position is None else im.position.index_select(0, at)[:, None],
        )

    def request(
        self,
        users: Ints,
        scenarios: Ints,
        items: Ints,
        *,
        time: float | None = None,
        history: InlineHistory | None = None,
        context: Mapping[str, Any] | Packed | None = None,
        keys: Sequence[str | None] | None = None,
        state: RunningState | None = None,
        counted: Ints | None = None,
    ) -> Batch:
        """B users (rows, 1 unknown), each in its scenario, × C shared items, as of `time` (default: end of the data).

        With their `keys` users who are no row may still be ids that train knew, or in a bucket. `state` holds running
        counts that have gone on since the log, as of its own time, and `counted` is who the users are in them.
        `history` stands for the users' own; `context` holds context columns, a value or one per request, and what it
        leaves out counts as missing (a position column as 1); or it comes from `logged_context`.
        """
        told = {} if context is None else context
        if state is None:
            state = self.state(self.end if time is None else float(time))
        return build_request(self._request_tables, state, users, scenarios, items, history, told, keys, counted)

    def logged_context(self, rows: Ints) -> Packed:
        """The context in which those rows were shown, as far as it is their request's and not their item's."""
        im = self.impressions
        logged = Packed(im.context_ids.numpy()[rows], im.context_numbers.numpy()[rows])
        untold, scenarios = self.untold_context, self.scenarios(rows)
        missing = Packed(untold.ids_RK[scenarios], untold.numbers_RN[scenarios])
        return self._common_context.of_rows(logged, missing)

    def read_context(self, told: Mapping[str, str]) -> dict[str, Any]:
        """Context as a person writes it, checked."""
        return read_context(self.schema, self.features.context, told)

    def counts(self, rows: Ints) -> Tensor:
        """How often those rows show each row of the embedding table, [V]; `counts_V` is that of train."""
        user, item, at = self.users(rows), self.item_rows(rows), torch.from_numpy(rows)
        shown = (self.user_ids_UK[user], self.items.ids_IK[item], self.impressions.context_ids[at])
        ids = torch.cat([part.flatten() for part in shown]).long()
        counts_V = torch.bincount(ids, minlength=self.layout.table_rows).to(self.counts_V.dtype)
        counts_V[PADDING] = 0
        return counts_V

    def labels(self, rows: Ints) -> Numbers:
        """Labels, nan where unobserved. [N, T]"""
        return cast(Numbers, self.impressions.labels.numpy()[rows])

    def scenarios(self, rows: Ints) -> Ints:
        """Index into layout.scenarios of each row."""
        return self.impressions.scenario.numpy()[rows].astype(np.int64)

    def users(self, rows: Ints) -> Ints:
        """Row of the users table of each row."""
        return self.impressions.user.numpy()[rows].astype(np.int64)

    def item_rows(self, rows: Ints) -> Ints:
        """Row of the items table of each row."""
        return self.impressions.item.numpy()[rows].astype(np.int64)

    def times(self, rows: Ints) -> Floats:
        """Seconds since 1970 of each row, or its order index."""
        return cast(Floats, self.impressions.time.numpy()[rows])

    def references(self, rows: Ints) -> list[tuple[Reference, Numbers]]:
        """Predictions that came with the data, each [N, T], nan where they say nothing."""
        if self.impressions.references is None:
            return []
        found = self.impressions.references.numpy()[rows]
        return [(reference, found[:, place]) for place, reference in enumerate(self.schema.references)]

    @cached_property
    def impressions(self) -> Impressions:
        """All columns of the impressions; a bundle has only those of `log_rows`."""
        found = _tensors(self.folder / "impressions", Impressions)
        for field in fields(Impressions):
            if field.name not in found and field.default is MISSING:
                fix = "a bundle only answers requests: name the run itself; or motet prepare --force"
                where = self.folder / "impressions" / f"{field.name}.npy"
                raise InputError("this file is missing", where=str(where), fix=fix)
        return Impressions(**found)

    @cached_property
    def end(self) -> float:
        """Just after the last impression, and after the snapshot where the schema tells it."""
        last, snapshot = float(self.log_rows.time[-1]), self.schema.tables.snapshot
        if snapshot is not None:
            last = max(last, moment(snapshot, where="tables.snapshot"))
        return float(np.nextafter(last, np.inf))

    def catalogue(self, scenario: int, kind: int | None = None, before: float | None = None) -> Ints:
        """Items that have been shown in the scenario (strictly before a time), ascending; of one kind if given."""
        items, first = self.shown.in_scenario(scenario)
        if before is not None:
            items = items[first < before]
        return items if kind is None else items[self.items.kind_I.numpy()[items] == kind]

    def seen(self, user: int, before: float = np.inf) -> Ints:
        """Items that a user has been shown (strictly before a time), ascending."""
        return np.unique(self.shown.to(np.array([user]), np.array([before]))[1])

    def oneself(self, users: Ints) -> tuple[Ints, Ints]:
        """(request, item) of the users who are items themselves (friends), by request."""
        if not friend_kinds(self.schema):
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        item_B = self._own_items_U[users]
        return np.flatnonzero(item_B), item_B[item_B > 0]

    def user_row(self, key: str) -> int:
        """Row of a user by key, 1 if unknown."""
        return self.user_names.row(key)

    def item_row(self, key: str) -> int:
        """Row of an item by key, 1 if unknown."""
        return self.item_names.row(key)

    def user_keys(self, users: Ints) -> list[str]:
        """Keys of known users (rows from 2 on)."""
        return self.user_names.keys(users)

    def item_keys(self, items: Ints) -> list[str]:
        """Keys of known items (rows from 2 on)."""
        return self.item_names.keys(items)

    def item_texts(self, items: Ints) -> list[str] | list[None]:
        """The first text feature of known items, None where there is none."""
        return self.item_names.texts(items)

    def item_profiles(self, items: Ints) -> Numbers | None:
        """What items have in common, for diversity: a column per value that their categorical features and tags have.

        None when the items have no features but their id.
        """
        columns = self.layout.of("item")[0].columns
        ids_CK = self.items.ids_IK.numpy()[items, columns:]
        if not ids_CK.shape[1]:
            return None
        values, place_CK = np.unique(ids_CK, return_inverse=True)
        profiles = np.zeros((len(items), len(values)), np.float32)
        profiles[np.arange(len(items))[:, None], place_CK.reshape(ids_CK.shape)] = 1
        return profiles[:, values != PADDING]

    def vectors(self, owner: str, name: str) -> Numbers:
        """A vector feature of "user" or "item", one row per row of its table, zero where missing."""
        return cast(Numbers, load_array(self.folder / f"{owner}s" / f"vector.{name}.npy"))

    def events_of(self, history: Sequence[Mapping[str, Any]]) -> InlineHistory:
        """Events of a request, oldest first: {"item": key, "scenario": name, task: value, "time": seconds}."""
        return inline_history(history, self.layout, self.label_means, self.item_row)

    @cached_property
    def running(self) -> RunningLog:
        """The running counts with the log they are made from."""
        fit, im = RunningFit.from_dict(self._running), self.log_rows
        user, item = im.user.numpy(), im.item.numpy()
        kind = self.items.kind_I.numpy()[item]
        roles = {"user": user, "item": item, "scenario": im.scenario.numpy(), "kind": kind}
        ids = {
            "user": self.user_ids_UK.numpy()[user],
            "item": self.items.ids_IK.numpy()[item],
            "context": im.context_ids.numpy(),
        }
        parts = key_parts(fit.settings.keys, self.layout.fields, roles, ids)
        labels, known_at = (load_array(self.folder / "log" / f"{name}.npy") for name in ("labels", "known_at"))
        log = Log(cast(Floats, im.time.numpy()), parts, tuple(cast(Numbers, labels).T), tuple(cast(Floats, known_at).T))
        return RunningLog(fit, log)

    def _state(self, as_of: float) -> RunningState:
        return self.running.state(as_of)

    @cached_property
    def _request_tables(self) -> RequestTables:
        return RequestTables(
            self.layout,
            self.features,
            Contexts(self.schema, self.features.context, [scenario.name for scenario in self.layout.scenarios]),
            self.user_ids_UK,
            self.user_numbers_UN,
            self.items,
            self.events,
            self.stored_events,
        )

    @cached_property
    def _own_items_U(self) -> Ints:
        (kind,) = friend_kinds(self.schema)
        of_friends_I = self.items.kind_I.numpy() == self.layout.kinds.index(kind)
        return own_items(self.user_names, self.item_names, of_friends_I)

    @cached_property
    def untold_context(self) -> Packed:
        """Of a request in each scenario of which nothing is told."""
        return self._request_tables.contexts.of(np.arange(len(self.layout.scenarios)), self.end, {})

    @cached_property
    def _common_context(self) -> Common:
        im, rows = self.impressions, self.rows("train")
        names = ("user", "scenario", "time") if im.request is None else ("user", "request")
        keys = [cast(Ints, getattr(im, name).numpy()[rows]) for name in names]
        if im.request is not None:
            rows, keys = rows[keys[1] >= 0], [key[keys[1] >= 0] for key in keys]
        packed = Packed(im.context_ids.numpy()[rows], im.context_numbers.numpy()[rows])
        return Common.of(self.schema.columns, self.features.context, packed, tuple(keys))

    @cached_property
    def shown(self) -> Shown:
        """What has been shown where and to whom."""
        im = self.log_rows
        return Shown(im.user.numpy(), im.item.numpy(), im.scenario.numpy(), cast(Floats, im.time.numpy()))


def _tensor(path: Path) -> Tensor:
    return torch.from_numpy(load_array(path))


def _tensors(folder: Path, cls: type[Any]) -> dict[str, Tensor]:
    """The arrays of a folder that a dataclass names; an optional one may lack."""
    paths = {field.name: folder / f"{field.name}.npy" for field in fields(cls)}
    return {name: _tensor(path) for name, path in paths.items() if path.exists()}
