"""Rules that blocks of all kinds share in GPT-NeoX's naming."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from neox_converters.mapping import Rule, renamed, stacked
from neox_core.config import ModelSettings

_NORM_PARTS = {
    "rmsnorm": {"scale": "weight"},
    "scalenorm": {"g": "weight"},
    "non_parametric_layernorm": {},
    "te_rmsnorm": {"norm.weight": "weight"},
    "te_layernorm": {"norm.weight": "weight", "norm.bias": "bias"},
}
"""Parameters of a norm, theirs -> ours, where they are not weight and bias; those of Transformer Engine are within a module."""


def norm_rules(model: ModelSettings, theirs: str, ours: str) -> Iterator[Rule]:
    """The norm that the settings name."""
    parts = _NORM_PARTS.get(model.norm.casefold(), {"weight": "weight", "bias": "bias"})
    return (renamed(f"{theirs}.{their_part}", f"{ours}.{our_part}") for their_part, our_part in parts.items())


def linear_rules(theirs: str, ours: Sequence[str], bias: bool) -> Iterator[Rule]:
    """A linear layer that has the rows of all of ours, one below the other."""
    parts = ("weight", "bias") if bias else ("weight",)
    return (stacked(f"{theirs}.{part}", [f"{name}.{part}" for name in ours]) for part in parts)
