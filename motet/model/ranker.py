"""The network: one forward, read from top to bottom; each slot is chosen in `[model]` of the settings.

Shapes: B requests, C candidates, S scenarios, T tasks, D width; see `motet.batch` for the rest.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from motet.batch import Batch, CellOutput, Layout
from motet.errors import InputError
from motet.model.dropout import Dropout
from motet.model.experts import Seen, Sizes, SplitLinear, Voices
from motet.model.fusion import VOICES, AttentionFusion, CellFusion, ConcatFusion, NoFusion, WeightedFusion
from motet.model.heads import Debias, Heads
from motet.model.history import (
    AttentionHistory,
    Encoder,
    HistoryEncoder,
    KindFusion,
    LstmHistory,
    MeanHistory,
    NoHistory,
)
from motet.model.inputs import InputLayer
from motet.model.interaction import Interaction
from motet.model.layer_gate import LayerGates
from motet.model.mixing import TOKENS, CrossMixing, FeatureMixing, TokenMixing
from motet.model.numbers import NumberForm
from motet.model.position import PositionHead
from motet.model.presets import presets, slots
from motet.model.scenario import InputGates, Prior, ScenarioConditioning
from motet.model.schemes import OWN_EMBEDDINGS, SCHEMES, ExpertScheme
from motet.model.star import Auxiliary, StarInputs, StarLayers
from motet.model.tiles import in_tiles
from motet.model.tokens import TokenLayers
from motet.settings import nearest, parse, settings


@settings
class Model:
    """The slots of the network and their sizes; a preset sets some of them, `[model]` overrides the preset."""

    preset: str = "motet"
    dim: int = 16  # width of an id's embedding
    evidence: float = 100.0  # an id seen n times in train has the say n / (n + evidence); 0: every id full say
    numbers: NumberForm = "plain"  # piecewise, periodic: every number gets an embedding beside itself
    number_width: int = 4  # of those embeddings
    history: HistoryEncoder = "attention"
    history_width: int = 16
    history_layers: int = 1
    history_heads: int = 2
    kind_fusion: KindFusion = "none"  # weighted: a whole network per kind of event, then their weights in every cell
    interaction: int = 32  # width of the products of user and candidate; 0: none
    mixing: FeatureMixing = "none"  # columns of user and candidate meet before the experts: cross, or tokens
    mixing_width: int = 32  # columns that the mixing adds
    scenario: ScenarioConditioning = "gate"
    experts: ExpertScheme = "mmoe"
    expert_count: int = 4
    expert_widths: tuple[int, int] = (64, 32)
    fusion: CellFusion = "weighted"
    cell_rank: int = 16
    head_width: int = 16
    wide: bool = True  # logits also get a linear part of all inputs (Wide & Deep)
    entire_space: bool = True  # a chained task is its parent's probability times its own (ESMM)
    debias: Debias = "none"  # also learn that own one as if all had been through the parent, by ips or dr (ESCM2)
    transfer: bool = False  # the head of a chained task also hears its parent's head (AITM)
    position: bool = False  # learn what the logged place in the slate adds, and leave it out when asked for scores
    dropout: float = 0.3
    id_dropout: float = 0.0  # an id is dropped whole with this probability × (1 − its say): the rarer the likelier


def resolve(given: dict[str, Any]) -> Model:
    """Preset and overrides as one complete `Model`."""
    name = given.get("preset", "motet")
    if name == "solo":
        fix = "train any other preset: `motet evaluate` then trains solo models beside it, as controls"
        raise InputError("solo is not one network but one for every cell", where="model.preset", fix=fix)
    if name not in presets():
        raise InputError(f"unknown preset {name!r}", where="model.preset", fix=nearest(str(name), presets()))
    model = parse(Model, slots(name) | given, prefix=("model",))
    _check(model)
    return model


def _check(model: Model) -> None:
    """Slots that exclude each other and sizes that are none."""
    if (model.scenario == "token") != (model.experts == "none"):
        what = f"scenario = {model.scenario!r} does not go with experts = {model.experts!r}"
        fix = 'the tokens take the place of the experts: set experts = "none" with scenario = "token", and only with it'
        raise InputError(what, where="model.experts", fix=fix)
    if model.mixing != "none" and model.experts in OWN_EMBEDDINGS:
        what = f"mixing = {model.mixing!r} does not go with experts = {model.experts!r}"
        fix = 'every task has embeddings of its own there, which nothing may mix: set mixing = "none"'
        raise InputError(what, where="model.mixing", fix=fix)
    if model.mixing == "tokens" and model.mixing_width % TOKENS:
        what = f"{model.mixing_width} cannot be shared among {TOKENS} tokens"
        raise InputError(what, where="model.mixing_width", fix=f"a multiple of {TOKENS}")
    if not 0 <= model.id_dropout < 1:
        raise InputError(f"{model.id_dropout} is no share", where="model.id_dropout", fix="at least 0 and below 1")
    if model.debias != "none" and not model.entire_space:
        fix = 'set entire_space = true, or debias = "none"'
        raise InputError("what is not multiplied has no probability of its own", where="model.debias", fix=fix)
    for key in (
        "number_width",
        "mixing_width",
        "dim",
        "history_width",
        "history_heads",
        "expert_count",
        "cell_rank",
        "head_width",
    ):
        if getattr(model, key) < 1:
            raise InputError(f"{getattr(model, key)} is too small", where=f"model.{key}", fix="at least 1")
    if min(model.expert_widths) < 1:
        raise InputError(f"{min(model.expert_widths)} is too small", where="model.expert_widths", fix="at least 1 each")
    if not 0 <= model.dropout < 1:
        raise InputError(f"{model.dropout} is no share", where="model.dropout", fix="at least 0 and below 1")
    for key, width, used in (
        ("history_width", model.history_width, model.history == "attention"),
        ("expert_widths", model.expert_widths[1], model.scenario == "token"),
    ):
        if used and width % model.history_heads:
            what = f"{width} cannot be shared among {model.history_heads} heads"
            raise InputError(what, where=f"model.{key}", fix=f"a multiple of {model.history_heads}, or fewer heads")


class Network(nn.Module):
    """The multi-scenario multi-task ranker; `tasks` restricts it to some tasks of the layout (solo models)."""

    voices: tuple[str, ...] = VOICES
    """What `alpha_STV` weights."""

    def __init__(self, layout: Layout, counts_V: Tensor, model: Model, tasks: Sequence[int] | None = None) -> None:
        super().__init__()
        self.task_index = torch.tensor(range(len(layout.tasks)) if tasks is None else tasks)
        self.layout = restrict(layout, self.task_index.tolist())
        self.name, scenarios, count = model.preset, len(layout.scenarios), len(self.layout.tasks)
        own = count if model.experts in OWN_EMBEDDINGS else 0
        self.inputs = InputLayer(
            layout, counts_V, model.dim, model.evidence, own, model.numbers, model.number_width, model.id_dropout
        )
        self.history = _history(layout, self.inputs.view_width, model)
        self.prior = Prior(layout)
        widths = self.inputs.user_width + self.history.user_width, self.inputs.view_width
        self.interaction = Interaction(*widths, model.interaction) if model.interaction else None
        sizes = _sizes(self.inputs, self.history, self.prior, scenarios, count, model)
        self.mixing = _mixing(sizes, model)
        self.condition = _condition(sizes, model)
        self.experts = _experts(sizes, model)
        self.layers = _layers(sizes, self.experts, model)
        self.auxiliary = Auxiliary(sizes) if _is_star(sizes, model) else None
        self.fusion = _fusion(scenarios, count, self.prior.width, model)
        self.heads = Heads(
            self.layout, model.expert_widths[1], model.head_width, model.dropout, chained=model.entire_space,
            transfer=model.transfer, imputed=model.debias == "dr",
        )  # fmt: skip
        self.debias = model.debias
        self.position = PositionHead(scenarios, count) if model.position else None
        self.wide = zero(SplitLinear(sizes.user, sizes.candidate, count)) if model.wide else None

    def forward(self, batch: Batch) -> CellOutput:
        """Logits of the marginal probability for every candidate and task, [B, C, T]."""
        given_BCT = self.given_parents(batch)
        if self.position is not None and self.training and batch.position_BC is not None:
            given_BCT = given_BCT + self.position(batch.scenario_B, batch.position_BC)
        return CellOutput(self.heads.marginal(given_BCT), given_BCT if self.training else None)

    def given_parents(self, batch: Batch) -> Tensor:
        """Logits of each task given its parent, before chains are multiplied, [B, C, T].

        What is of a request or of an item alone is computed once; what is of both, without a gradient, tile by tile.
        """
        inputs = self.inputs(batch)
        user_BD, found_BCD = self.history(inputs.items, inputs.packing, batch.history)
        user_BX = torch.cat([inputs.user_BX, user_BD], -1)
        met = [] if self.interaction is None else [self.interaction(user_BX, inputs.items)]
        if inputs.own:
            user_BX = torch.cat([user_BX, inputs.own[0]], -1)
        return in_tiles(self.cells, user_BX, [*inputs.candidate, found_BCD, *met, *inputs.own[1:]], batch.scenario_B)

    def cells(self, user_BX: Tensor, candidate: Sequence[Tensor], scenario_B: Tensor) -> Tensor:
        """What is known of requests and, in parts [B, C, …], of their candidates, as logits of the tasks, [B, C, T]."""
        candidate_BCY, prior_SP = torch.cat(list(candidate), -1), self.prior()
        if self.mixing is not None:
            candidate_BCY = torch.cat([candidate_BCY, self.mixing(user_BX, candidate_BCY)], -1)
        seen = Seen(user_BX, candidate_BCY, prior_SP.index_select(0, scenario_B), scenario_B)
        seen = self.layers(self.condition(seen))
        voices: Voices = self.experts(seen)
        fused_BCTD = self.fusion(voices, scenario_B, prior_SP)
        added_BCT = None if self.wide is None else self.wide(seen.user_BX, seen.candidate_BCY)
        if self.auxiliary is not None:
            aside_BCT = self.auxiliary(user_BX, candidate_BCY, seen.prior_BP)
            added_BCT = aside_BCT if added_BCT is None else added_BCT + aside_BCT
        return self.heads(fused_BCTD, scenario_B, added_BCT)

    @torch.inference_mode()
    def score(self, batch: Batch) -> CellOutput:
        """The ranker protocol: logits without gradient or dropout."""
        if not self.training:
            return self(batch)  # saying so to every part takes as long as a small batch
        self.train(False)
        output = self(batch)
        self.train(True)
        return output

    @torch.inference_mode()
    def alpha_STV(self) -> Tensor | None:
        """The fusion weights of every cell over `voices`; None when the fusion has none."""
        return self.fusion.alpha_STV(self.prior()) if isinstance(self.fusion, WeightedFusion) else None

    def dense_parameters(self) -> dict[str, nn.Parameter]:
        """What training changes beside the embedding table."""
        return {name: parameter for name, parameter in self.named_parameters() if parameter.requires_grad}

    def parameter_count(self) -> int:
        """All trained numbers, the embedding table included."""
        return sum(parameter.numel() for parameter in self.parameters())


def restrict(layout: Layout, tasks: Sequence[int]) -> Layout:
    """The layout of some of the tasks; a task whose parent is left out stands alone."""
    names = {layout.tasks[t].name for t in tasks}
    kept = [layout.tasks[t] for t in tasks]
    return replace(
        layout,
        tasks=tuple(task if task.after in names else replace(task, after=None) for task in kept),
        base_rates=tuple(tuple(row[t] for t in tasks) for row in layout.base_rates),
        label_scales=tuple(layout.label_scales[t] for t in tasks),
    )


def zero(layer: SplitLinear) -> SplitLinear:
    """A layer that starts by saying nothing."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def _history(layout: Layout, item_width: int, model: Model) -> Any:
    width = model.history_width
    match model.history:
        case "attention":
            sizes = {"width": width, "layers": model.history_layers, "heads": model.history_heads}
            return AttentionHistory(layout, item_width, dropout=model.dropout, **sizes)
        case "lstm":
            return LstmHistory(layout, item_width, width=width)
        case "mean":
            return MeanHistory(layout, item_width, width=width)
        case "none":
            return NoHistory()


def _sizes(inputs: InputLayer, history: Encoder, prior: Prior, scenarios: int, tasks: int, model: Model) -> Sizes:
    """What experts and conditioning are built for: the columns of `cells`."""
    embedded_XY = (len(inputs.user) + len(inputs.context)) * model.dim, inputs.view_width
    user, candidate = inputs.user_width + history.user_width, inputs.candidate_width + history.candidate_width
    own = tasks if model.experts in OWN_EMBEDDINGS else 0
    mixed = model.mixing_width if model.mixing != "none" else 0
    return Sizes(
        user=user + own * embedded_XY[0], candidate=candidate + model.interaction + mixed + own * embedded_XY[1],
        prior=prior.width, scenarios=scenarios, tasks=tasks, experts=model.expert_count, widths=model.expert_widths,
        dropout=model.dropout, fused=model.fusion != "none", dim=model.dim, embedded_XY=embedded_XY,
        groups_XY=(
            (inputs.user_width - embedded_XY[0], history.user_width),
            (inputs.candidate_width - embedded_XY[1], history.candidate_width, model.interaction, mixed),
        ),
    )  # fmt: skip


def _is_star(sizes: Sizes, model: Model) -> bool:
    return model.scenario == "star" and sizes.scenarios > 1


def _mixing(sizes: Sizes, model: Model) -> nn.Module | None:
    """Over all columns but those it adds itself."""
    widths = sizes.user, sizes.candidate - model.mixing_width, model.mixing_width
    match model.mixing:
        case "cross":
            return CrossMixing(*widths)
        case "tokens":
            return TokenMixing(*widths, Dropout(model.dropout))
        case "none":
            return None


def _condition(sizes: Sizes, model: Model) -> nn.Module:
    if model.scenario in ("gate", "layer-gate"):
        return InputGates(sizes.prior, sizes.user, sizes.candidate)
    return StarInputs(sizes) if _is_star(sizes, model) else nn.Identity()


def _experts(sizes: Sizes, model: Model) -> nn.Module:
    if model.scenario == "token":
        return TokenLayers(sizes, model.history_heads)
    return SCHEMES[model.experts](sizes)


def _layers(sizes: Sizes, experts: Any, model: Model) -> nn.Module:
    if model.scenario == "layer-gate":
        return LayerGates(sizes, experts.bank.units)
    return StarLayers(sizes.scenarios, experts.bank.units) if _is_star(sizes, model) else nn.Identity()


def _fusion(scenarios: int, tasks: int, prior_width: int, model: Model) -> nn.Module:
    width = model.expert_widths[1]
    match model.fusion:
        case "weighted":
            return WeightedFusion(scenarios, tasks, width, model.cell_rank, prior_width)
        case "concat":
            return ConcatFusion(scenarios, tasks, width, model.cell_rank, prior_width)
        case "attention":
            return AttentionFusion(scenarios, tasks, width, model.cell_rank, prior_width)
        case "none":
            return NoFusion()
