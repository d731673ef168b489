"""Mamba blocks in GPT-NeoX's naming, which within the mixer is that of the paper's code and of everybody after it."""

from __future__ import annotations

from collections.abc import Iterator

from neox_converters.gpt_neox_parts import linear_rules, norm_rules
from neox_converters.mapping import Rule, renamed
from neox_core.config import ModelSettings, Resolved


def mamba_block(resolved: Resolved, theirs: str, ours: str) -> Iterator[Rule]:
    """The norm, which is part of our mixer, and the mixer."""
    yield from norm_rules(resolved[ModelSettings], f"{theirs}.norm", f"{ours}.mixer.norm")
    yield from mixer_rules(resolved, f"{theirs}.mixer", f"{ours}.mixer")


def mixer_rules(resolved: Resolved, theirs: str, ours: str) -> Iterator[Rule]:
    """The mixer alone; their `in_proj` has our rows of `in_proj`, then those of `gate_proj`."""
    values = resolved.all_values()
    bias = values["mamba_use_bias_in_linears"]
    yield from linear_rules(f"{theirs}.in_proj", [f"{ours}.in_proj", f"{ours}.gate_proj"], bias)
    yield from linear_rules(f"{theirs}.conv1d", [f"{ours}.conv1d"], values["mamba_use_bias_in_conv"])
    yield from linear_rules(f"{theirs}.x_proj", [f"{ours}.x_proj"], bias)
    yield from linear_rules(f"{theirs}.dt_proj", [f"{ours}.dt_proj"], True)
    yield renamed(f"{theirs}.A_log", f"{ours}.A_log")
    yield renamed(f"{theirs}.D", f"{ours}.D")
    yield from linear_rules(f"{theirs}.out_proj", [f"{ours}.out_proj"], bias)
