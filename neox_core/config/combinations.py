"""Which ways of training exclude each other, as data: settings are checked by this table, and the docs and tests read it too."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from neox_core.config.plain import shown
from neox_core.config.precision import precisions_asked_for
from neox_core.config.world import World
from neox_core.errors import Problem

if TYPE_CHECKING:
    from neox_core.config.args import NeoXArgs


class Way(NamedTuple):
    """Something that settings may ask for.

    Args:
        keys: the settings that ask for it, the first of which is shown with its value.
        asked: whether they do.
        without: what to write to train without it.
        part: where the first key is a mapping, its entry that is shown.
    """

    keys: tuple[str, ...]
    asked: Callable[[NeoXArgs], bool]
    without: str
    part: str | None = None

    def said(self, args: NeoXArgs) -> str:
        """What asks for it, as settings have it."""
        value = getattr(args, self.keys[0])
        if self.part is None:
            return f"{self.keys[0]} {shown(value)}"
        return f"{self.keys[0]}.{self.part} {shown(value[self.part])}"


def _stage(args: NeoXArgs) -> object:
    return (args.zero_optimization or {}).get("stage", 0)


WAYS: Mapping[str, Way] = {
    "data parallelism": Way((), lambda args: True, ""),
    "tensor parallelism": Way(
        ("model_parallel_size",), lambda args: args.model_parallel_size > 1, "model_parallel_size: 1"
    ),
    "sequence parallelism": Way(
        ("sequence_parallel",),
        lambda args: args.sequence_parallel and args.model_parallel_size > 1,
        "sequence_parallel: false",
    ),
    "pipeline parallelism": Way(
        ("pipe_parallel_size",), lambda args: args.pipe_parallel_size > 1, "pipe_parallel_size: 1"
    ),
    "context parallelism": Way(
        ("context_parallel_size",), lambda args: args.context_parallel_size > 1, "context_parallel_size: 1"
    ),
    "ZeRO 1": Way(("zero_optimization",), lambda args: _stage(args) == 1, "stage: 0 in zero_optimization", "stage"),
    "ZeRO 2": Way(("zero_optimization",), lambda args: _stage(args) == 2, "stage: 1 in zero_optimization", "stage"),
    "ZeRO 3": Way(("zero_optimization",), lambda args: _stage(args) == 3, "stage: 1 in zero_optimization", "stage"),
    "bf16": Way(("precision", "bf16"), lambda args: "bf16" in precisions_asked_for(args), "precision: fp32"),
    "fp16": Way(("precision", "fp16"), lambda args: "fp16" in precisions_asked_for(args), "precision: bfloat16"),
    "activation checkpointing": Way(
        ("checkpoint_activations",), lambda args: args.checkpoint_activations, "checkpoint_activations: false"
    ),
    "tied embeddings": Way(("no_weight_tying",), lambda args: not args.no_weight_tying, "no_weight_tying: true"),
    "mixture of experts": Way(("moe_num_experts",), lambda args: args.moe_num_experts > 1, "moe_num_experts: 1"),
    "soft prompt": Way(
        ("soft_prompt_tuning",),
        lambda args: bool((args.soft_prompt_tuning or {}).get("enabled")),
        "enabled: false in soft_prompt_tuning",
        "enabled",
    ),
    "muP": Way(("use_mup",), lambda args: args.use_mup, "use_mup: false"),
}
"""By the names that the docs have for them."""


class Exclusion(NamedTuple):
    """Two ways that do not go together.

    Args:
        one: name of the first.
        other: name of the second.
        reason: why.
    """

    one: str
    other: str
    reason: str


EXCLUSIONS = (
    Exclusion(
        "pipeline parallelism",
        "ZeRO 2",
        "the stages of DeepSpeed's pipeline add up the gradients of all micro-batches before they reduce them, which leaves "
        "nothing for stage 2 to cut",
    ),
    Exclusion(
        "pipeline parallelism",
        "ZeRO 3",
        "every micro-batch would gather the weights of a stage anew, and DeepSpeed's pipeline does not",
    ),
    Exclusion(
        "context parallelism",
        "mixture of experts",
        "the balance of experts is measured over the tokens of a rank, and would be another than over whole samples",
    ),
    Exclusion(
        "context parallelism", "soft prompt", "the prompt would be put before each rank's tokens instead of the sample"
    ),
)


def ways_go_together(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """No two of the ways that settings ask for exclude each other."""
    for one, other, reason in EXCLUSIONS:
        first, second = WAYS[one], WAYS[other]
        if first.asked(args) and second.asked(args):
            keys = (first.keys[0], second.keys[0])
            asked = f"{first.said(args)} with {second.said(args)}"
            yield Problem(keys=keys, message=f"{asked}: {reason}", remedy=f"set {first.without}, or {second.without}")
