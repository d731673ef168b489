"""gMLP and aMLP (Liu et al., "Pay Attention to MLPs", 2021): a gated MLP whose gate mixes along the sequence is the whole block."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from neox_attention.settings.gmlp import GMLPSettings
from neox_attention.tiny_attention import TinyAttention
from neox_attention.token_cache import TokenCache, Tokens
from neox_attention.visibility import Visibility
from neox_core.errors import UserError
from neox_core.model import Gated, LayerContext, dropped, of_weights
from neox_core.parallel import Piece, evenly, with_partial_gradient

EXPANSION = 4
"""Width of value and gate as a multiple of hidden_size, whatever the MLPs of other layers have."""


class GMLP(nn.Module):
    """x + down(value * mixed(norm(gate))), where value and gate are the halves of activation(up(norm(x))).

    Each tensor-parallel rank has some of the channels of either half, and all weights by position.
    """

    attends = False

    def __init__(self, context: LayerContext) -> None:
        super().__init__()
        model, width = context.model, EXPANSION * context.model.hidden_size
        as_upstream = context.resolved.reproduces("gmlp-without-residual")
        self.residual, self.rate = not as_upstream, 0.0 if as_upstream else model.hidden_dropout
        self.dropout = context.dropout
        self.norm = context.norm(model.hidden_size)
        halves = _halves(width, context)
        self.up = context.linear(model.hidden_size, 2 * width, bias=False, role="input", cut="columns", pieces=halves)
        self.activation = _activation(context)
        self.gate_norm = context.channel_norm(width)
        self.channels = halves[0].size
        self.spatial = SpatialMix(model.seq_length)
        dim = context.resolved[GMLPSettings].gmlp_attn_dim if self.attends else None
        rate = 0.0 if as_upstream else model.attention_dropout
        self.attention = (
            None if dim is None else TinyAttention(context, 2 * width, dim, width, dropout=rate, pieces=halves)
        )
        self.down = context.linear(width, model.hidden_size, bias=False, role="output", cut="rows")

    def forward(self, x: Tensor, *, positions: Tensor, documents: Tensor | None, cache: TokenCache | None) -> Tensor:
        """[batch, this rank's or all tokens, hidden] -> the same shape.

        Raises:
            UserError: it is longer than `seq_length`.
        """
        self.spatial.check(positions.shape[1])
        factors = self.dropout.draw(x, self.rate if self.training else 0.0)
        both = self.activation(self.up(self.norm(x)))
        value, gate = both.chunk(2, -1)
        gate = self.gate_norm(gate)
        vectors = (gate,) if self.attention is None else (gate, self.attention.query_key_value(both))
        known = Tokens(vectors, positions, documents)
        if cache is not None:
            known = cache.append(known)
        sight = Visibility(known.positions, known.documents, positions.shape[1], heads=1)
        gate = self.spatial(known.vectors[0], sight)
        if self.attention is not None:
            gate = gate + self.attention(known.vectors[1], sight)
        out = dropped(self.down(value * gate), factors)
        return x + out if self.residual else out

    def flops_per_token(self, length: int) -> float:
        """Operations of a forward and backward pass: a weight by position multiplies once a sequence, not once a token."""
        width = EXPANSION * self.down.out_features + 2 * (
            0 if self.attention is None else self.attention.output.in_features
        )
        return of_weights(self) - of_weights(self.spatial) + 6.0 * width * length

    def new_cache(self, batch: int, length: int) -> TokenCache:
        """An empty cache for `length` tokens of `batch` sequences.

        Raises:
            UserError: they would be longer than `seq_length`.
        """
        self.spatial.check(length)
        widths = [(self.channels,)]
        if self.attention is not None:
            widths.append((self.attention.query_key_value.out_features,))
        return TokenCache(batch, length, widths, self.down.weight)


class AMLP(GMLP):
    """A gMLP with an attention of one small head (`gmlp_attn_dim`) beside the weights by position."""

    attends = True


class SpatialMix(nn.Module):
    """Adds up the gates of all tokens so far, each times a weight for the token's position and its own, and a bias.

    Weights begin at 0 and biases at 1: at first nothing is gated. Each pair of `length` positions has a weight, those after the
    token's own too, which do nothing.
    """

    def __init__(self, length: int) -> None:
        super().__init__()
        self.length = length
        self.weight = with_partial_gradient(nn.Parameter(torch.zeros(length, length)))
        self.bias = with_partial_gradient(nn.Parameter(torch.ones(length)))

    def check(self, length: int) -> None:
        """Refuse what is longer than there are weights for."""
        if length > self.length:
            raise UserError(
                f"seq_length: {self.length}: gmlp and amlp have a weight for each pair of so many positions, and none for a "
                f"sequence of {length} tokens; shorten it, or generate fewer tokens"
            )

    def forward(self, gates: Tensor, sight: Visibility) -> Tensor:
        """Gates of all tokens so far, [batch, keys, width] -> [batch, queries, width]."""
        own = sight.positions[:, sight.before :]
        rows = functional.embedding(own, self.weight)  # [batch or 1, queries, length]
        weights = rows.gather(2, sight.positions[:, None].expand(-1, sight.queries, -1))
        weights = weights.masked_fill(~sight.mask().view(-1, sight.queries, sight.keys), 0.0)
        mixed: Tensor = weights @ gates + self.bias[own][..., None]
        return mixed


def _halves(width: int, context: LayerContext) -> tuple[Piece, Piece]:
    """This tensor-parallel rank's channels of the value, and those of the gate, which come after all of the value's."""
    (own,) = evenly(width, context.tensor.axis)
    return own, Piece(width + own.start, width + own.stop)


def _activation(context: LayerContext) -> Any:
    """The function that the settings name; of a gated activation its function, since the block has a gate of its own."""
    made = context.activation()
    return made.function if isinstance(made, Gated) else made
