"""Which heads a tensor-parallel rank has, and what that makes of the rows of projections."""

from __future__ import annotations

from dataclasses import dataclass

from neox_core.parallel import Axis, Piece


@dataclass(frozen=True, slots=True)
class Heads:
    """Query heads and the key/value heads that they share, of all ranks and of this one.

    Where there are fewer key/value heads than ranks, neighbours have the same one, each with some of its queries.

    Args:
        queries: query heads of all ranks; a multiple of their number.
        shared: key/value heads of all ranks; a multiple or a divisor of their number.
        width: of a head.
        axis: the ranks.
    """

    queries: int
    shared: int
    width: int
    axis: Axis

    @property
    def own_queries(self) -> int:
        """Query heads of this rank."""
        return self.queries // self.axis.size

    @property
    def own_shared(self) -> int:
        """Key/value heads of this rank."""
        return max(self.shared // self.axis.size, 1)

    @property
    def holders(self) -> int:
        """Ranks that have the same key/value head."""
        return max(self.axis.size // self.shared, 1)

    @property
    def first_query(self) -> int:
        """Number of the first query head of this rank."""
        return self.axis.rank * self.own_queries

    @property
    def group(self) -> int:
        """Query heads of this rank that share a key/value head."""
        return self.own_queries // self.own_shared

    def query_pieces(self) -> tuple[Piece, ...]:
        """Query heads of this rank."""
        return (Piece(self.first_query, self.first_query + self.own_queries),)

    def input_pieces(self) -> tuple[Piece, ...]:
        """Inputs of the output projection."""
        return (Piece(self.first_query * self.width, (self.first_query + self.own_queries) * self.width),)

    def row_pieces(self) -> tuple[Piece, ...]:
        """Rows of the fused weight: for each key/value head its queries, its key and its value."""
        together = self.queries // self.shared  # query heads of a key/value head
        stride = (together + 2) * self.width
        if self.holders == 1:
            first = self.axis.rank * self.own_shared
            return (Piece(first * stride, (first + self.own_shared) * stride),)
        begin = self.axis.rank // self.holders * stride
        replica = self.axis.rank % self.holders
        queries = begin + replica * self.group * self.width
        shared = begin + together * self.width
        return (
            Piece(queries, queries + self.group * self.width),
            Piece(shared, shared + 2 * self.width, replica, self.holders),
        )
