"""A hash of keys that is the same in every process, on every machine and in every version: it is written down here.

FNV-1a with 64 bits over the UTF-8 bytes of a key (the first 1,024; of a longer one its length counts too), then the
finaliser of SplitMix64, so that all bits depend on all bytes, then the remainder by the number of buckets. Columns are
hashed as a whole, byte by byte of all keys.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from motet.data.arrays import Ints

Hashes = NDArray[np.uint64]
_START, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
_MIX = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
_LONGEST = 1024
_AT_ONCE = 1_000_000  # keys


def buckets_of(keys: pl.Series, buckets: int) -> Ints:
    """The bucket of each key, 0 … buckets - 1; keys are strings without nulls."""
    parts = [_hashed(some.to_series()) for some in keys.to_frame().iter_slices(_AT_ONCE)]
    hashes = np.concatenate([np.zeros(0, np.uint64), *parts])
    return (hashes % np.uint64(buckets)).astype(np.int64)


def _hashed(keys: pl.Series) -> Hashes:
    text = np.frombuffer(str(keys.str.join("").item()).encode(), np.uint8)
    sizes = keys.str.len_bytes().to_numpy().astype(np.int64)
    start = np.cumsum(sizes) - sizes
    order = np.argsort(-sizes, kind="stable")  # the longest first, so that those with one more byte stand in front
    sizes, start = sizes[order], start[order]
    hashes = np.full(len(keys), _START)
    longest = int(sizes.max(initial=0))
    for place in range(min(longest, _LONGEST)):
        front = int(np.searchsorted(-sizes, -place))
        hashes[:front] = (hashes[:front] ^ text[start[:front] + place]) * _PRIME
    if longest > _LONGEST:
        front = int(np.searchsorted(-sizes, -_LONGEST))
        hashes[:front] = (hashes[:front] ^ sizes[:front].astype(np.uint64)) * _PRIME
    for shift, factor in _MIX:
        hashes = (hashes ^ (hashes >> np.uint64(shift))) * np.uint64(factor)
    found = np.empty_like(hashes)
    found[order] = hashes ^ (hashes >> np.uint64(31))
    return found
