"""The parts that keys of running counts are made of, of logged rows and of requests alike."""

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from motet.batch import Field
from motet.data.known import Key, Parts
from motet.data.running import Running
from motet.errors import InputError
from motet.schema import OWNERS, Owner
from motet.settings import nearest

ROLES = ("user", "item", "scenario", "kind")


def key_parts(
    keys: Iterable[Key],
    fields: tuple[Field, ...],
    roles: Parts,
    ids: Mapping[str, NDArray[np.integer]],
) -> dict[str, NDArray[np.integer]]:
    """The four roles, and the packed ids of every field that a key names; `ids` holds [..., K] of each owner."""
    parts = {role: roles[role] for role in ROLES}
    for name in {part for key in keys for part in key} - set(ROLES):
        owner, place = packed_place(name, fields)
        parts[name] = ids[owner][..., place]
    return parts


def packed_place(name: str, fields: tuple[Field, ...]) -> tuple[Owner, int]:
    """Whose packed ids a field's are, and in which column."""
    field = _field(name, fields)
    before = [f.columns for f in fields if f.owner == field.owner and f.offset < field.offset]
    return field.owner, sum(before)


def useful_keys(chosen: Running, fields: tuple[Field, ...], *, scenarios: int, kinds: int) -> Running:
    """The same keys without parts that have one value only, and without keys that then stand there twice."""
    constant = {name for name, count in (("scenario", scenarios), ("kind", kinds)) if count < 2}
    for part in {part for key in chosen.keys for part in key} - set(ROLES):
        _field(part, fields)
    shorter = (tuple(part for part in key if part not in constant) for key in chosen.keys)
    return Running(keys=tuple(dict.fromkeys(key for key in shorter if key)), prior=chosen.prior)


def _field(name: str, fields: tuple[Field, ...]) -> Field:
    """The single-valued field of that name, of the user's, else the item's, else the context's."""
    found = {(f.owner, f.name): f for f in fields if not f.is_bag}
    for owner in OWNERS:
        if (owner, name) in found:
            return found[owner, name]
    known = [*ROLES, *(f.name for f in fields if not f.is_bag)]
    raise InputError(f"no categorical field is called {name!r}", where="running.keys", fix=nearest(name, known))
