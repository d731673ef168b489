"""How a model knows the order of tokens: added to the embedding, or turned into queries and keys."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neox_core.config import ModelSettings
from neox_core.model.init import initialiser, tag


class Positions(nn.Module):
    """No positions; the base of all others, which override what they do. One object serves all layers."""

    def __init__(self, model: ModelSettings) -> None:
        super().__init__()

    def embed(self, positions: Tensor) -> Tensor | None:
        """What is added to the token embedding: [batch or 1, seq] -> [batch or 1, seq, hidden], or None."""
        return None

    def rotate(self, query: Tensor, key: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Queries and keys ([batch, heads, seq, head_dim]) with their positions ([batch or 1, seq]) in them."""
        return query, key


class LearnedPositions(Positions):
    """A table of one vector a position."""

    def __init__(self, model: ModelSettings) -> None:
        super().__init__(model)
        table = nn.Parameter(torch.empty(model.max_position_embeddings, model.hidden_size))
        self.weight = tag(table, initialiser(model, "input"))

    def embed(self, positions: Tensor) -> Tensor:
        """The rows of the positions."""
        return nn.functional.embedding(positions, self.weight)


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
        exponents = torch.arange(0, self.rotated, 2, dtype=torch.float32, device=device) / self.rotated
        return 1.0 / (self.base**exponents)

    def _turn(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        turned, passed = x[..., : self.rotated], x[..., self.rotated :]
        first, second = turned.chunk(2, -1)
        turned = turned * cos + torch.cat((-second, first), -1) * sin
        return turned if passed.shape[-1] == 0 else torch.cat((turned, passed), -1)
