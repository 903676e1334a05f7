"""Frames of any library in, polars inside, and the same library's out."""

from typing import Any

import narwhals as nw
import polars as pl

from motet.errors import InputError

Frame = Any
"""A polars or pandas frame, or another that narwhals reads, such as a pyarrow table."""


def is_frame(value: object) -> bool:
    """Whether it is a frame of a known library."""
    return isinstance(_native(value, where="rows"), nw.DataFrame | nw.LazyFrame)


def as_polars(frame: Frame, *, where: str) -> pl.DataFrame:
    """The frame in polars; what is none, or cannot be converted, is an `InputError`."""
    found = _native(frame, where=where)
    if isinstance(found, nw.LazyFrame):
        found = found.collect()
    if not isinstance(found, nw.DataFrame):
        fix = "give a polars or pandas frame"
        raise InputError(f"{type(frame).__name__} is no frame", where=where, fix=fix)
    if not all(isinstance(name, str) for name in found.columns):
        raise InputError("the names of columns should be text", where=where, fix="rename them")
    try:
        return found.to_polars()
    except ModuleNotFoundError as error:
        fix = f"pip install {error.name}, or give a polars frame"
        raise InputError(f"{error.name} is needed to read this frame", where=where, fix=fix) from None
    except (TypeError, ValueError, pl.exceptions.PolarsError) as error:
        first = str(error).strip().split("\n", 1)[0]
        raise InputError(f"a column has mixed types: {first}", where=where, fix="give each column one type") from None


def like(result: pl.DataFrame, frame: Frame) -> Frame:
    """The result in the library of that frame."""
    if isinstance(frame, pl.DataFrame | pl.LazyFrame):
        return result
    native = nw.from_native(frame).implementation
    if native.is_pandas():
        return result.to_pandas()
    return result.to_arrow() if native.is_pyarrow() else result


def _native(value: object, *, where: str) -> Any:
    try:
        return nw.from_native(value, pass_through=True)
    except nw.exceptions.DuplicateError:
        fix = "rename one of them"
        raise InputError("columns should have different names", where=where, fix=fix) from None
