"""What softmax attention remembers while generating."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Keys(NamedTuple):
    """All tokens that queries may look at.

    Args:
        keys: [batch, kv_heads, seq, head_dim], their positions in them.
        values: likewise.
        positions: [batch or 1, seq].
        documents: [batch, seq]; None where all are of one document.
    """

    keys: Tensor
    values: Tensor
    positions: Tensor
    documents: Tensor | None


class KeyValueCache:
    """Room for `length` tokens of `batch` sequences, filled from the left."""

    def __init__(self, batch: int, kv_heads: int, length: int, head_dim: int, like: Tensor) -> None:
        """An empty cache with dtype and device of `like`."""
        self.keys = like.new_empty(batch, kv_heads, length, head_dim)
        self.values = torch.empty_like(self.keys)
        self.positions = torch.zeros(batch, length, dtype=torch.int64, device=like.device)
        self.documents = torch.zeros_like(self.positions)
        self.filled, self.has_documents = 0, False

    def append(self, new: Keys) -> Keys:
        """Add tokens; gives all so far.

        Raises:
            ValueError: there is no room for them.
        """
        start, stop = self.filled, self.filled + new.keys.shape[2]
        if stop > self.keys.shape[2]:
            raise ValueError(f"the cache has room for {self.keys.shape[2]} tokens, not for {stop}")
        self.keys[:, :, start:stop], self.values[:, :, start:stop] = new.keys, new.values
        self.positions[:, start:stop] = new.positions
        if new.documents is not None:
            self.documents[:, start:stop], self.has_documents = new.documents, True
        self.filled = stop
        documents = self.documents[:, :stop] if self.has_documents else None
        return Keys(self.keys[:, :, :stop], self.values[:, :, :stop], self.positions[:, :stop], documents)
