"""Time mixing of RWKV 6."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from neox_attention.settings.rwkv import RWKVSettings
from neox_attention.wkv import Steps, wkv
from neox_core.errors import UserError
from neox_core.model import LayerContext, of_weights, tag, uniform, without_decay
from neox_core.parallel import Piece, cut, evenly, global_shape, with_partial_gradient

MIXED = 5
"""What a token is mixed with the one before it for: decay, key, value, receptance and gate, in this order."""
MIX_RANK, DECAY_RANK = 32, 64
"""Ranks of the products that make mixes and decays depend on the data."""
NORM_EPSILON = 64e-5
MOST_DECAY = 8.0
"""exp(-exp(8)) is 0, in float64 too; beyond it the gradient's exp would overflow."""


class TimeMix(nn.Module):
    """The recurrence of `wkv` over keys, values, receptances and decays of tokens mixed with the one before them.

    Each tensor-parallel rank has some of the heads. It mixes tokens with all weights for that, of whose gradients it has a part.

    Raises:
        UserError: its width cannot be cut into heads.
    """

    def __init__(self, context: LayerContext) -> None:
        super().__init__()
        heads, head_size = _heads(context)
        hidden, width = context.model.hidden_size, heads * head_size
        pieces = _channels(context, heads, head_size)
        self._init_mixes(hidden, context.layer, context.model.num_layers)
        self._init_decays(hidden, heads, head_size, context.layer / max(1, context.model.num_layers - 1), pieces[0])
        into = partial(
            context.linear, hidden, width, bias=False, role="input", cut="columns", pieces=pieces, inside=True
        )
        self.receptance, self.key, self.value, self.gate = (into() for _ in range(4))
        self.norm = nn.GroupNorm(len(self.bonus), self.bonus.numel(), eps=NORM_EPSILON)
        self.output = context.linear(width, hidden, bias=False, role="output", cut="rows", pieces=pieces)
        if context.tensor.is_on:
            self._cut(heads, width, pieces)

    def _cut(self, heads: int, width: int, pieces: Sequence[Piece]) -> None:
        size = width // heads
        cut(self.bonus, 0, heads, [Piece(piece.start // size, piece.stop // size) for piece in pieces])
        cut(self.decay_up, 1, width, pieces)
        for parameter in (self.decay, *self.norm.parameters()):
            cut(parameter, 0, width, pieces)
        for parameter in (self.mix, self.mixes, self.mix_down, self.mix_up, self.decay_down):
            with_partial_gradient(parameter)

    def _init_mixes(self, hidden: int, layer: int, layers: int) -> None:
        depth, left = layer / max(1, layers - 1), 1 - layer / layers
        steep, flat = falling(hidden, left), falling(hidden, left / 2)
        self.mix = nn.Parameter(steep.clone())
        self.mixes = without_decay(nn.Parameter(torch.stack((steep, steep, steep - 0.3 * depth, flat, flat))))
        self.mix_down = _small(hidden, MIXED * MIX_RANK, fan_in=0)
        self.mix_up = _small(MIXED, MIX_RANK, hidden, fan_in=1)

    def _init_decays(self, hidden: int, heads: int, head_size: int, depth: float, own: Piece) -> None:
        channel = torch.arange(heads * head_size)
        place = channel / max(1, heads * head_size - 1)
        self.decay = nn.Parameter((-6 + 5 * place ** (0.7 + 1.3 * depth))[own.start : own.stop].clone())
        self.decay_down = _small(hidden, DECAY_RANK, fan_in=0)
        self.decay_up = _small(DECAY_RANK, own.size, fan_in=0)
        bonus = depth * (1 - place) + 0.1 * ((channel + 1) % 3 - 1)
        self.bonus = without_decay(nn.Parameter(bonus[own.start : own.stop].view(-1, head_size).clone()))

    def forward(self, x: Tensor, previous: Tensor, state: Tensor, starts: Tensor | None) -> tuple[Tensor, Tensor]:
        """Mix all tokens.

        Args:
            x: tokens, which have entered the ranks' part of the work, [batch, seq, hidden].
            previous: those before them.
            state: of the recurrence.
            starts: [batch, seq], whether a token is the first of its document; None for no such token.

        Returns:
            What `output` is to be given, [batch, seq, width of this rank's heads], and the state after all tokens.
        """
        for_decay, for_key, for_value, for_receptance, for_gate = self.mixed(x, previous)
        rows = (self.receptance(for_receptance), self.key(for_key), self.value(for_value))
        steps = Steps(*(self._by_head(part) for part in (*rows, self.log_decay(for_decay, state.dtype))))
        output, state = wkv(steps, self.bonus, state, starts)
        normed = self.norm(output.flatten(0, 1).flatten(1).to(x.dtype)).view(*x.shape[:2], -1)
        return normed * functional.silu(self.gate(for_gate)), state

    def flops_per_token(self, length: int) -> float:
        """Operations of a forward and backward pass, of any length.

        5 for each number of the states: key times value, decay, sum, receptance times state, sum; 3 times as many with gradients.
        """
        heads, size = global_shape(self.bonus)
        return of_weights(self) + 3 * 5.0 * heads * size * size

    def mixed(self, x: Tensor, previous: Tensor) -> tuple[Tensor, ...]:
        """Tokens on their way to those before them, for each use; how far says a weight of each channel, and the data."""
        low = torch.tanh(torch.lerp(x, previous, self.mix) @ self.mix_down)
        by_data = torch.einsum("bsmr,mrh->mbsh", torch.unflatten(low, -1, (MIXED, MIX_RANK)), self.mix_up)
        return torch.lerp(x, previous, self.mixes[:, None, None] + by_data).unbind(0)

    def log_decay(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """Minus the exponential of a weight and what the data adds to it."""
        by_data = torch.tanh(x @ self.decay_down) @ self.decay_up
        return -(self.decay.to(dtype) + by_data.to(dtype)).clamp(max=MOST_DECAY).exp()

    def _by_head(self, x: Tensor) -> Tensor:
        return torch.unflatten(x, -1, self.bonus.shape)


def falling(hidden: int, power: float) -> Tensor:
    """Where mixes begin: from 1 at the first channel, the token before alone, down to almost 0."""
    return 1 - (torch.arange(hidden) / hidden) ** power


def _small(*shape: int, fan_in: int) -> nn.Parameter:
    return tag(nn.Parameter(torch.zeros(shape)), uniform(1e-4), fan_in=fan_in)


def _channels(context: LayerContext, heads: int, head_size: int) -> tuple[Piece, ...]:
    """Of all heads together, those of this tensor-parallel rank's."""
    (own,) = evenly(heads, context.tensor.axis)
    return (Piece(own.start * head_size, own.stop * head_size),)


def _heads(context: LayerContext) -> tuple[int, int]:
    """Number of heads and the width of each, as the settings say."""
    settings, heads = context.resolved[RWKVSettings], context.model.num_attention_heads
    width = settings.dim_att or context.model.hidden_size
    said = f"head_size: {settings.head_size}" if settings.head_size else f"num_attention_heads: {heads}"
    if width % (settings.head_size or heads):
        raise UserError(
            f"{said} must divide rwkv's width of time mixing, dim_att (none: hidden_size), which is {width}"
        )
    size = settings.head_size or width // heads
    return width // size, size
