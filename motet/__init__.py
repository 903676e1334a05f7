"""One recommender for all of a product's scenarios and all of its tasks; `motet.api` tells what can be called.

The functions are imported when they are asked for: torch and polars take a second. `train`, `evaluate` and `tune` are
packages as well as functions, so that functions, commands and folders have the same names: Python puts a package that
is imported in the place of the function, and here it is then made callable.

How long threads of one operation spin before they sleep is read when torch is loaded, so it is set here: decision 0022.
"""

import os
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from motet.version import VERSION as __version__

if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

if TYPE_CHECKING:
    from motet.api import (
        check,
        compare,
        evaluate,
        export,
        export_onnx,
        init,
        onnx_inputs,
        predict,
        predict_to,
        prepare,
        read,
        recommend,
        recommend_to,
        train,
        tune,
        tune_blend,
    )
    from motet.errors import InputError

__all__ = [
    "InputError",
    "__version__",
    "check",
    "compare",
    "evaluate",
    "export",
    "export_onnx",
    "init",
    "onnx_inputs",
    "predict",
    "predict_to",
    "prepare",
    "read",
    "recommend",
    "recommend_to",
    "train",
    "tune",
    "tune_blend",
]


class _Stage(ModuleType):
    """A package that is also the function of its name: `motet.train(…)`, `motet.train.loop`."""

    def __call__(self, *given: Any, **named: Any) -> Any:
        from motet import api

        return getattr(api, self.__name__.rpartition(".")[2])(*given, **named)


class _Motet(ModuleType):
    def __setattr__(self, name: str, value: object) -> None:
        if name in __all__ and isinstance(value, ModuleType):
            value.__class__ = _Stage
        super().__setattr__(name, value)


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'motet' has no attribute {name!r}")
    if name == "InputError":
        from motet.errors import InputError

        return InputError
    from motet import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted(__all__)


sys.modules[__name__].__class__ = _Motet
