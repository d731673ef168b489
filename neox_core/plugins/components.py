"""Descriptors: what a plugin says about each part that it offers, without importing the part.

A descriptor is cheap data. References are strings, "module:attribute", resolved only when the part is used, so that listing plugins
never imports torch. A new kind of component is one subclass of `Component`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, Literal

from neox_core.plugins.reference import check_form

Status = Literal["stable", "beta", "provisional", "deprecated"]

StateShape = Literal["element", "axis", "scalar"]
"""What an optimizer remembers one number for: each element of a parameter, each index along one axis, or all of it."""

HeadKind = Literal["logits", "reward"]
"""What a model gives at each position: a logit for each token, or one score."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")


class Feature(StrEnum):
    """What a component may say that it supports; the conformance suites test each claim."""

    TP = "tp"
    """Tensor parallelism: each rank computes some of the heads or channels, together they compute what one rank does."""
    SP = "sp"
    """Sequence parallelism within the tensor-parallel group."""
    CP = "cp"
    """Context parallelism."""
    PP = "pp"
    """Pipeline parallelism: a layer knows nothing of other layers but what it is given."""
    KV_CACHE = "kv_cache"
    """Incremental decoding with a cache (or a state)."""
    SLIDING_WINDOW = "sliding_window"
    """Attention to so many tokens only."""
    ALIBI = "alibi"
    """Biases of attention scores that fall with the distance."""
    RPE = "rpe"
    """Learned biases of attention scores by distance."""
    ROPE = "rope"
    """Rotary positions."""
    GQA = "gqa"
    """Fewer key/value heads than query heads."""
    DROPOUT = "dropout"
    """`attention_dropout`; and `hidden_dropout`, of mixers that replace the block."""
    VARLEN = "varlen"
    """Several documents in one row, without attention between them."""
    COMPILE = "compile"
    """`torch.compile` without graph breaks."""
    DETERMINISTIC = "deterministic"
    """The same bits from the same inputs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One named part of some kind.

    Args:
        name: lower-case name that users write.
        summary: one line for listings.
        factory: reference to what makes the part; each subclass says with which arguments.
        settings: references to the settings groups that the part reads.
        params: reference to the model of the part's nested dictionary (such as `optimizer.params`), where it has one.
        supports: features that the part claims.
        extra: requirement group of the same distribution that the part needs; checked in the metadata, before any import.
        probe: reference to a function of no arguments that gives the reason why the part cannot run on this machine, or None.
        kernels: names of the kernels that the part uses.
        status: how far it can be relied on.
    """

    kind: ClassVar[str] = ""

    name: str
    summary: str
    factory: str
    settings: tuple[str, ...] = ()
    params: str | None = None
    supports: frozenset[Feature] = frozenset()
    extra: str | None = None
    probe: str | None = None
    kernels: tuple[str, ...] = ()
    status: Status = "stable"

    def __post_init__(self) -> None:
        if not self.kind:
            raise ValueError(f"component '{self.name}' has no kind: use a subclass of Component, such as Attention")
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"{self.kind} name {self.name!r} is not lower-case letters, digits, '_', '-' and '.'")
        for reference in self.references():
            if reference is not None:
                check_form(reference)

    def references(self) -> tuple[str | None, ...]:
        """All references, each of which must have the right form."""
        return (self.factory, *self.settings, self.params, self.probe)

    @property
    def key(self) -> str:
        """`kind.name`, by which switches and messages name the component."""
        return f"{self.kind}.{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention(Component):
    """A sequence mixer. `factory(context: neox_core.model.LayerContext) -> neox_core.model.Mixer`.

    Args:
        replaces: "core" for the attention of a transformer block; "block" for a part that takes the whole block's place.
    """

    kind: ClassVar[str] = "attention"
    replaces: Literal["core", "block"] = "core"


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimizer(Component):
    """`factory(groups: list[dict[str, Any]], params: <params model>) -> torch.optim.Optimizer`.

    A group has "params", "names" (the canonical name of each), "weight_decay", and where rates differ "lr_scale", a factor of the
    rate. The optimizer may cut groups further; in each step every group's "lr" is the schedule's rate times its "lr_scale".

    Args:
        zero: stages of ZeRO at which a test proved that it computes the same as without; at other stages a run has to ask for it
            by `zero_allow_untested_optimizer`.
        state: what it remembers of a parameter, by name in torch's `state`: something of each element, of each index along one
            axis, or one number. Checkpoints keep all of it.
        whole: whether it has to see a parameter as a whole. ZeRO cuts parameters into flat pieces, which do for an optimizer that
            treats each element by itself; one that does not is given whole parameters, gathered where they are cut.
        local: whether it averages over ranks itself, in steps before which its property `gradients_stay_local` is true: gradients then
            come as each rank computed them. It is for runs without ZeRO. Its method `rank_fragments` gives what a rank remembers
            for itself, as `neox_core.parallel.Fragment`s of roles "rank.NAME", which begin at zero with another number of ranks.
        mup: by which rules muP scales its learning rates: those of Adam, those of SGD, or none, so that it is refused with muP.
    """

    kind: ClassVar[str] = "optimizer"
    zero: frozenset[int] = frozenset()
    state: Mapping[str, StateShape] = field(default_factory=dict, hash=False)
    whole: bool = False
    local: bool = False
    mup: Literal["adam", "sgd"] | None = None


class MoE(Component):
    """A mixture of experts in the place of an MLP. `factory(context: neox_core.model.LayerContext) -> torch.nn.Module`.

    The module maps [batch, seq, hidden] to (the same shape, auxiliary loss as a scalar tensor). With TP, SP, PP in `supports` it may
    be cut, as `neox_core.model.Mixer` says of mixers; the auxiliary loss is then the same on all tensor-parallel ranks. Provisional.
    """

    __slots__ = ()
    kind: ClassVar[str] = "moe"


class Launcher(Component):
    """`factory(resolved: neox_core.config.Resolved) -> neox_core.launch.Launcher`."""

    __slots__ = ()
    kind: ClassVar[str] = "launcher"


@dataclass(frozen=True, slots=True, kw_only=True)
class Logger(Component):
    """`factory(resolved: neox_core.config.Resolved, run_dir: Path) -> object` with some of the lifecycle hooks as methods.

    Args:
        enabled_by: a key; a true value of it switches the logger on.
        default: whether the logger is on unless the key `loggers` says otherwise.
    """

    kind: ClassVar[str] = "logger"
    enabled_by: str | None = None
    default: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective(Component):
    """`factory(resolved: neox_core.config.Resolved) -> neox_core.model.Objective`. Provisional.

    Args:
        head: what the model must end with: "logits" of the next token, or a "reward", one score at each position.
        data: the kinds of data that it takes, by `dataset_impl`.
    """

    kind: ClassVar[str] = "objective"
    head: HeadKind = "logits"
    data: tuple[str, ...] = ("gpt2", "online")


@dataclass(frozen=True, slots=True, kw_only=True)
class Converter(Component):
    """A family of foreign checkpoints. `factory(resolved: neox_core.config.Resolved) -> neox_core.model.WeightConverter`.

    Args:
        directories: reference to what makes a `neox_core.checkpoint.Family`, without arguments: what can be done with its checkpoints
            on disk; None: weights are converted in memory alone.
    """

    kind: ClassVar[str] = "converter"
    directories: str | None = None

    def references(self) -> tuple[str | None, ...]:
        """With that of its directories."""
        return (*Component.references(self), self.directories)


@dataclass(frozen=True, slots=True, kw_only=True)
class Store(Component):
    """Where checkpoints can be copied to. `factory(url: str, options: StoreOptions) -> Store`, both of `neox_core.checkpoint.remote`.

    Args:
        schemes: what the URLs begin with that it takes (`s3`, before `://`); none: all that no other store names.
    """

    kind: ClassVar[str] = "store"
    schemes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Companion(Component):
    """What goes along with a run: `factory(resolved: neox_core.config.Resolved, plugins: PluginManager) -> object`.

    The object has some of the lifecycle hooks as methods. Unlike a logger it is there whenever its key asks for it.

    Args:
        enabled_by: a key; a true value of it takes the companion along.
    """

    kind: ClassVar[str] = "companion"
    enabled_by: str


class Norm(Component):
    """An addition to the core's table of norms. `factory(size, model: ModelSettings) -> torch.nn.Module`.

    `size` is a width, or (heads, head_dim) for queries and keys (`use_qk_layernorm`). One that norms each head by itself, with weights
    of shape `size` or of one for all, may say TP in `supports`: a tensor-parallel rank then has one for its heads.
    """

    __slots__ = ()
    kind: ClassVar[str] = "norm"


class Position(Component):
    """An addition to the core's table of positions. `factory(model: ModelSettings) -> neox_core.model.Positions`."""

    __slots__ = ()
    kind: ClassVar[str] = "position"


class Activation(Component):
    """An addition to the core's table of MLP activations. `factory() -> Callable[[Tensor], Tensor] | Gated`.

    `neox_core.model.Gated(function)` is one that multiplies a value by a function of a gate. Value and gate have all of
    `intermediate_size`; with the core's own gated ones, as in GPT-NeoX, a third of it.
    """

    __slots__ = ()
    kind: ClassVar[str] = "activation"


class Schedule(Component):
    """An addition to the core's table of learning-rate schedules. `factory(shape: ScheduleShape) -> Callable[[int], float]`."""

    __slots__ = ()
    kind: ClassVar[str] = "schedule"


class Recipe(Component):
    """A run under a name. `factory(**arguments) -> neox_core.config.nodes.Node`: what `neox train NAME` begins with."""

    __slots__ = ()
    kind: ClassVar[str] = "recipe"
