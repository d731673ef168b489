"""Keys and values remembered while generating."""

from __future__ import annotations

import torch
from torch import Tensor


class KeyValueCache:
    """Room for the keys and values of `length` tokens; filled from the left, by [batch, kv_heads, seq, head_dim] pieces."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        self.keys, self.values = keys, values
        self.filled = 0

    @classmethod
    def empty(cls, batch: int, kv_heads: int, length: int, head_dim: int, like: Tensor) -> KeyValueCache:
        """An empty cache with dtype and device of `like`."""
        keys, values = (
            torch.empty(batch, kv_heads, length, head_dim, dtype=like.dtype, device=like.device) for _ in range(2)
        )
        return cls(keys, values)

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Add a piece; gives all keys and values so far.

        Raises:
            ValueError: there is no room for it.
        """
        start, stop = self.filled, self.filled + keys.shape[2]
        if stop > self.keys.shape[2]:
            raise ValueError(f"the cache has room for {self.keys.shape[2]} tokens, not for {stop}")
        self.keys[:, :, start:stop], self.values[:, :, start:stop] = keys, values
        self.filled = stop
        return self.keys[:, :, :stop], self.values[:, :, :stop]
