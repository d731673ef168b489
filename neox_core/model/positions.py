"""How a model knows the order of tokens: added to the embedding, turned into queries and keys, or added to attention scores."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neox_core.config import ModelSettings
from neox_core.model.init import initialiser, tag


class Positions(nn.Module):
    """No positions; the base of all others, which override what they do. One object serves all layers."""

    has_bias = False
    """Whether `bias` is anything but zero."""

    in_layers = True
    """Whether layers ask for anything, and not the embedding alone."""

    longest: int | None = None
    """How many positions there are; None where any sequence has one for each token."""

    def __init__(self, model: ModelSettings) -> None:
        super().__init__()

    def embed(self, positions: Tensor) -> Tensor | None:
        """What is added to the token embedding: [batch or 1, seq] -> [batch or 1, seq, hidden], or None."""
        return None

    def rotate(self, query: Tensor, key: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Queries and keys ([batch, heads, seq, head_dim]) with their positions ([batch or 1, seq]) in them."""
        return query, key

    def bias(self, heads: Tensor, distances: Tensor) -> Tensor:
        """What is added to scaled attention scores.

        An elementwise formula, so that masks of any shape and kernels that compute scores one by one can use it.

        Args:
            heads: indices of query heads, int64.
            distances: how many tokens the key is before the query, int64, >= 0; of a shape that broadcasts with `heads`.

        Returns:
            A tensor of the shape that both broadcast to.
        """
        raise NotImplementedError


class LearnedPositions(Positions):
    """A table of one vector a position, of which the first `opt_pos_emb_offset` are not used (2 in OPT)."""

    in_layers = False

    def __init__(self, model: ModelSettings) -> None:
        super().__init__(model)
        table = nn.Parameter(torch.empty(model.max_position_embeddings, model.hidden_size))
        self.weight = tag(table, initialiser(model, "input"))
        self.offset = model.opt_pos_emb_offset
        self.longest = model.max_position_embeddings - self.offset

    def embed(self, positions: Tensor) -> Tensor:
        """The rows of the positions."""
        return nn.functional.embedding(positions + self.offset, self.weight)


class SinusoidalPositions(Positions):
    """Sines, then cosines of the position at geometrically falling frequencies (Vaswani et al., 2017; there they alternate)."""

    def __init__(self, model: ModelSettings) -> None:
        super().__init__(model)
        self.width = model.hidden_size

    def embed(self, positions: Tensor) -> Tensor:
        """Float32, whatever the model's dtype."""
        angles = positions[..., None].float() * frequencies(self.width, 10000, positions.device)
        return torch.cat((angles.sin(), angles.cos()), -1)


class RotaryPositions(Positions):
    """Rotation of the leading `rotary_pct` of each head, halves paired (Su et al., "RoFormer", 2021).

    Angles are float32; sines and cosines are cast to the dtype of the queries before they are applied, as GPT-NeoX does.
    """

    def __init__(self, model: ModelSettings) -> None:
        super().__init__(model)
        head_dim = model.hidden_size // model.num_attention_heads
        self.rotated = int(head_dim * model.rotary_pct)
        self.base = model.rotary_emb_base

    def rotate(self, query: Tensor, key: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Rotate queries and keys by the angles of their positions."""
        angles = positions[:, None, :, None].float() * self.frequencies(
            positions.device
        )  # [batch, 1, seq, rotated / 2]
        cos, sin = (torch.cat((wave, wave), -1).to(query.dtype) for wave in (angles.cos(), angles.sin()))
        return self._turn(query, cos, sin), self._turn(key, cos, sin)

    def frequencies(self, device: torch.device) -> Tensor:
        """Radians a position, [rotated / 2]. Not a buffer: a model cast to bfloat16 would round it, and far positions with it."""
        return frequencies(self.rotated, self.base, device)

    def _turn(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        turned, passed = x[..., : self.rotated], x[..., self.rotated :]
        first, second = turned.chunk(2, -1)
        turned = turned * cos + torch.cat((-second, first), -1) * sin
        return turned if passed.shape[-1] == 0 else torch.cat((turned, passed), -1)


def frequencies(width: int, base: float, device: torch.device) -> Tensor:
    """Radians a position for each pair of `width` dimensions, [width / 2] float32: 1 / base^(2i / width)."""
    exponents = torch.arange(0, width, 2, dtype=torch.float32, device=device) / width
    return 1.0 / (base**exponents)
