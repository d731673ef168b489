"""GPT-NeoX's names of RWKV 6 blocks."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from neox_converters.mapping import Rule, renamed
from neox_core.config import Resolved

_SAME = {
    "ln1.weight": "time_norm.weight",
    "ln1.bias": "time_norm.bias",
    "att.time_maa_w1": "time_mix.mix_down",
    "att.time_maa_w2": "time_mix.mix_up",
    "att.time_decay_w1": "time_mix.decay_down",
    "att.time_decay_w2": "time_mix.decay_up",
    "att.time_faaaa": "time_mix.bonus",
    "att.receptance.weight": "time_mix.receptance.weight",
    "att.key.weight": "time_mix.key.weight",
    "att.value.weight": "time_mix.value.weight",
    "att.gate.weight": "time_mix.gate.weight",
    "att.output.weight": "time_mix.output.weight",
    "att.ln_x.weight": "time_mix.norm.weight",
    "att.ln_x.bias": "time_mix.norm.bias",
    "ln2.weight": "channel_norm.weight",
    "ln2.bias": "channel_norm.bias",
    "ffn.key.weight": "channel_mix.key.weight",
    "ffn.receptance.weight": "channel_mix.receptance.weight",
    "ffn.value.weight": "channel_mix.value.weight",
}
"""Theirs -> ours."""

_VECTORS = {
    "att.time_maa_x": "time_mix.mix",
    "att.time_decay": "time_mix.decay",
    "ffn.time_maa_k": "channel_mix.mix_key",
    "ffn.time_maa_r": "channel_mix.mix_receptance",
}
"""The same of vectors, which are [1, 1, width] in theirs."""

_MIXES = tuple(f"att.time_maa_{use}" for use in "wkvrg")
"""[1, 1, width] in theirs, rows of one matrix in ours."""


def rwkv_block(resolved: Resolved, theirs: str, ours: str) -> Iterator[Rule]:
    """Time mixing and channel mixing."""
    ours = f"{ours}.mixer"
    yield from (renamed(f"{theirs}.{their_part}", f"{ours}.{our_part}") for their_part, our_part in _SAME.items())
    for their_part, our_part in _VECTORS.items():
        yield Rule(
            (f"{theirs}.{their_part}",),
            (f"{ours}.{our_part}",),
            lambda tensors: [tensors[0].flatten()],
            lambda tensors: [tensors[0].view(1, 1, -1)],
        )
    yield Rule(
        tuple(f"{theirs}.{name}" for name in _MIXES),
        (f"{ours}.time_mix.mixes",),
        lambda tensors: [torch.cat(list(tensors)).squeeze(1)],
        lambda tensors: [row.view(1, 1, -1) for row in tensors[0]],
    )
