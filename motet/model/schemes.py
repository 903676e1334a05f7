"""The expert schemes by name. A scheme is built for `Sizes` and answers what is `Seen` with `Voices`."""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from torch import nn

from motet.model.experts import Mixture, ProgressiveExtraction, Sizes
from motet.model.m3oe import ModuleExperts
from motet.model.own import OwnExperts
from motet.model.stem import StemExperts

ExpertScheme = Literal["shared-bottom", "mmoe", "ple", "own", "m3oe", "stem", "none"]
OWN_EMBEDDINGS = ("stem",)
"""Schemes in which every task has embeddings of its own beside the shared ones."""


def shared_bottom(sizes: Sizes) -> nn.Module:
    """Caruana (1997): one expert under all heads, which is a mixture of one."""
    return Mixture(replace(sizes, experts=1))


SCHEMES: dict[ExpertScheme, Callable[[Sizes], nn.Module]] = {
    "shared-bottom": shared_bottom,
    "mmoe": Mixture,
    "ple": ProgressiveExtraction,
    "own": OwnExperts,
    "m3oe": ModuleExperts,
    "stem": StemExperts,
}
"""All but `none`, which leaves the place of the experts to the tokens (`scenario = "token"`)."""
