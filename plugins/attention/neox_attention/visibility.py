"""Which keys a query may look at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Pattern = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(head, position of the query, position of the key), int64 tensors that broadcast -> whether the one may see the other."""


@dataclass(frozen=True, slots=True)
class Visibility:
    """What the queries of one call see: tokens up to their own, of their own document, in the window and in the pattern.

    Queries are the last ones of the keys.

    Args:
        positions: of the keys, [batch or 1, keys].
        documents: of the keys, [batch, keys]; None for one document.
        queries: their number.
        heads: number of query heads.
        window: tokens before its own that a token sees; None for all.
        pattern: a further restriction; it is asked about positions, so that it is the same wherever a document begins in a row.
        pattern_by_head: whether the pattern depends on the head; a mask that does not is so many times smaller.
    """

    positions: Tensor
    documents: Tensor | None
    queries: int
    heads: int
    window: int | None = None
    pattern: Pattern | None = None
    pattern_by_head: bool = True

    @property
    def keys(self) -> int:
        """Number of keys."""
        return self.positions.shape[1]

    @property
    def before(self) -> int:
        """Keys before the first query."""
        return self.keys - self.queries

    @property
    def is_causal(self) -> bool:
        """Whether all earlier tokens are seen, and the queries are all there is, or the last token."""
        everything = self.documents is None and self.pattern is None
        wide = self.window is None or self.window >= self.keys - 1
        return everything and wide and (self.before == 0 or self.queries == 1)

    @property
    def distinct_heads(self) -> int:
        """How many heads see different keys: all, or 1."""
        return self.heads if self.pattern is not None and self.pattern_by_head else 1

    def sees(self, batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        """Elementwise, for indices that broadcast: whether the query sees the key. It is the `mask_mod` of FlexAttention."""
        own = query + self.before
        seen = key <= own
        if self.window is not None:
            seen = seen & (own - key <= self.window)
        if self.documents is not None:
            seen = seen & (self.documents[batch, own] == self.documents[batch, key])
        if self.pattern is not None:
            row = batch if self.positions.shape[0] > 1 else torch.zeros_like(batch)
            seen = seen & self.pattern(head, self.positions[row, own], self.positions[row, key])
        return seen

    def mask(self) -> Tensor:
        """All of it, [batch or 1, heads or 1, queries, keys] bool."""
        batches = len(self.positions) if self.documents is None else len(self.documents)
        return self.sees(
            self._count(batches if self.pattern is not None or self.documents is not None else 1)[:, None, None, None],
            self._count(self.distinct_heads)[:, None, None],
            self._count(self.queries)[:, None],
            self._count(self.keys),
        )

    def distances(self) -> Tensor:
        """How many tokens each key is before each query, [queries, keys]; 0 for those that come after it."""
        return (self._count(self.queries)[:, None] + self.before - self._count(self.keys)).clamp(min=0)

    def _count(self, number: int) -> Tensor:
        return torch.arange(number, device=self.positions.device)
