"""GPT-NeoX's names of gMLP and aMLP blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor

from neox_converters.gpt_neox_parts import linear_rules, norm_rules
from neox_converters.mapping import Rule
from neox_core.config import ModelSettings, Resolved


def gmlp_block(resolved: Resolved, theirs: str, ours: str) -> Iterator[Rule]:
    """A block without attention."""
    model, ours = resolved[ModelSettings], f"{ours}.mixer"
    yield from norm_rules(model, f"{theirs}.norm", f"{ours}.norm")
    yield _without_bias(f"{theirs}.input_linear", f"{ours}.up")
    yield from norm_rules(model, f"{theirs}.sgu.norm", f"{ours}.gate_norm")
    yield from linear_rules(f"{theirs}.sgu.proj", [f"{ours}.spatial"], bias=True)
    yield _without_bias(f"{theirs}.output_linear", f"{ours}.down")


def amlp_block(resolved: Resolved, theirs: str, ours: str) -> Iterator[Rule]:
    """A block with attention, unless `gmlp_attn_dim` says that it has none."""
    yield from gmlp_block(resolved, theirs, ours)
    if resolved.all_values()["gmlp_attn_dim"] is not None:
        yield from linear_rules(f"{theirs}.sgu.attn.proj_qkv", [f"{ours}.mixer.attention.query_key_value"], bias=True)
        yield from linear_rules(f"{theirs}.sgu.attn.proj_ffn", [f"{ours}.mixer.attention.output"], bias=True)


def _without_bias(theirs: str, ours: str) -> Rule:
    """A layer that has a bias in GPT-NeoX, which never adds it: ours has none, and theirs comes out as zeros."""

    def with_zeros(tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        return [tensors[0], tensors[0].new_zeros(len(tensors[0]))]

    return Rule((f"{theirs}.weight", f"{theirs}.bias"), (f"{ours}.weight",), lambda tensors: tensors[:1], with_zeros)
