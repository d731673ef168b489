"""Tables that GPT-NeoX computes from the settings and stores beside its weights. They mean nothing to ours, and a strict load there
asks for them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from neox_converters.mapping import Rule
from neox_core.config import ModelSettings


def buffer_rules(model: ModelSettings, layers: Iterable[int]) -> Iterator[Rule]:
    """Those of the layers that are transformer blocks, and of the embedding."""
    position, head_dim = model.pos_emb.casefold(), model.hidden_size // model.num_attention_heads
    if position == "sinusoidal":
        yield _constant("sequential.0.position_embeddings.inv_freq", _frequencies(model.hidden_size, 10000))
    for layer in layers:
        theirs = f"sequential.{layer + 2}.attention"
        if position == "alibi":
            yield _constant(f"{theirs}.alibi_embed.slopes", _slopes(model.num_attention_heads))
        if position == "rotary" and model.rotary_save_freqs_buffer:
            rotated = int(head_dim * model.rotary_pct)
            yield _constant(f"{theirs}.rotary_emb.inv_freq", _frequencies(rotated, model.rotary_emb_base))


def _constant(theirs: str, value: Tensor) -> Rule:
    return Rule((theirs,), (), write=lambda _: [value])


def _frequencies(width: int, base: int) -> Tensor:
    """Float32 [width / 2]."""
    return 1.0 / (base ** (torch.arange(0, width, 2).float() / width))


def _slopes(heads: int) -> Tensor:
    """Float32 [heads]: of the largest power of two first, then of those in between."""
    power = 2 ** math.floor(math.log2(heads))
    places = [head + 1 if head < power else head - power + 0.5 for head in range(heads)]
    return torch.tensor([2 ** (-8 * place / power) for place in places])
