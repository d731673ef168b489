"""What mixers that look at all earlier tokens remember while generating."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Tokens(NamedTuple):
    """Some vectors of each token, such as keys and values, with what says which tokens belong together.

    Args:
        vectors: each [batch, ..., seq, its width].
        positions: [batch or 1, seq].
        documents: [batch, seq]; None where all are of one document.
    """

    vectors: tuple[Tensor, ...]
    positions: Tensor
    documents: Tensor | None


class TokenCache:
    """Room for `length` tokens of `batch` sequences, filled from the left."""

    def __init__(self, batch: int, length: int, widths: Sequence[tuple[int, ...]], like: Tensor) -> None:
        """An empty cache for vectors of these widths, (..., width), with dtype and device of `like`."""
        self.vectors = tuple(like.new_empty(batch, *heads, length, width) for *heads, width in widths)
        self.positions = torch.zeros(batch, length, dtype=torch.int64, device=like.device)
        self.documents = torch.zeros_like(self.positions)
        self.length, self.filled, self.has_documents = length, 0, False

    def append(self, new: Tokens) -> Tokens:
        """Add tokens; gives all so far.

        Raises:
            ValueError: there is no room for them.
        """
        start, stop = self.filled, self.filled + new.positions.shape[1]
        if stop > self.length:
            raise ValueError(f"the cache has room for {self.length} tokens, not for {stop}")
        for held, vectors in zip(self.vectors, new.vectors, strict=True):
            held[..., start:stop, :] = vectors
        self.positions[:, start:stop] = new.positions
        if new.documents is not None:
            self.documents[:, start:stop], self.has_documents = new.documents, True
        self.filled = stop
        documents = self.documents[:, :stop] if self.has_documents else None
        return Tokens(tuple(held[..., :stop, :] for held in self.vectors), self.positions[:, :stop], documents)
