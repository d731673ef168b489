"""A rank's place along one axis of a topology, and the collectives along it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.distributed as dist
from torch import Tensor

# By their new names where torch has them; it warns of the old ones then.
_all_gather = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor
_reduce_scatter = getattr(dist, "reduce_scatter_single", None) or dist.reduce_scatter_tensor


@dataclass(frozen=True, slots=True)
class Axis:
    """The ranks that differ from this one along an axis, or along several.

    With a single rank all collectives give their input. So they do where there are several and no group, for a model whose sizes alone
    are of interest.

    Args:
        rank: this rank's place among them.
        size: their number.
        group: in which they communicate; None for one rank, or where there are none but in name.
        ranks: their global numbers, in order.
    """

    rank: int = 0
    size: int = 1
    group: dist.ProcessGroup | None = field(default=None, compare=False)
    ranks: tuple[int, ...] = (0,)

    @property
    def is_first(self) -> bool:
        """Whether this rank is the first of them."""
        return self.rank == 0

    @property
    def is_last(self) -> bool:
        """Whether it is the last one."""
        return self.rank == self.size - 1

    def sum(self, tensor: Tensor, *, wide: bool = False) -> Tensor:
        """The sum over the ranks, in place where that is possible.

        Args:
            tensor: of one shape on all ranks.
            wide: whether to add in float32 at least.
        """
        if self.group is None:
            return tensor
        carried = _carried(tensor, wide)
        dist.all_reduce(carried, group=self.group)
        return carried.to(tensor.dtype)

    def start_sum(self, tensor: Tensor, *, wide: bool = False) -> Pending:
        """Begin a sum; other work may be done until it is waited for."""
        if self.group is None:
            return Pending(tensor, tensor.dtype)
        carried = _carried(tensor, wide)
        return Pending(carried, tensor.dtype, dist.all_reduce(carried, group=self.group, async_op=True))

    def largest(self, tensor: Tensor) -> Tensor:
        """The largest of each element over the ranks, in place."""
        if self.group is not None:
            dist.all_reduce(tensor, dist.ReduceOp.MAX, group=self.group)
        return tensor

    def gather(self, tensor: Tensor, dim: int) -> Tensor:
        """The tensors of all ranks, one after the other along `dim`; all have one shape."""
        return self.start_gather(tensor, dim).wait()

    def gather_uneven(self, tensor: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
        """Those of ranks whose sizes along `dim` differ, and are known."""
        if len(set(sizes)) == 1:
            return self.gather(tensor, dim)
        room = list(tensor.shape)
        room[dim] = max(sizes)
        padded = tensor.new_zeros(room)
        padded.narrow(dim, 0, tensor.shape[dim]).copy_(tensor)
        parts = torch.split(self.gather(padded, dim), max(sizes), dim)
        return torch.cat([part.narrow(dim, 0, size) for part, size in zip(parts, sizes, strict=True)], dim)

    def start_gather(self, tensor: Tensor, dim: int) -> Pending:
        """Begin to gather."""
        if self.size == 1:
            return Pending(tensor, tensor.dtype)
        if self.group is None:
            return Pending(torch.cat([tensor] * self.size, dim), tensor.dtype)
        own = tensor.contiguous()
        parts = own.new_empty(self.size * own.numel())
        work = _all_gather(parts, own.view(-1), group=self.group, async_op=True)
        return Pending(parts.view(self.size, *own.shape), tensor.dtype, work, dim)

    def scatter_sum(self, tensor: Tensor, dim: int, *, wide: bool = False) -> Tensor:
        """This rank's piece, along `dim`, of the sum over the ranks; the pieces are of one size."""
        return self.start_scatter_sum(tensor, dim, wide=wide).wait()

    def start_scatter_sum(self, tensor: Tensor, dim: int, *, wide: bool = False) -> Pending:
        """Begin such a sum."""
        if self.group is None:
            return Pending(self.piece(tensor, dim), tensor.dtype)
        pieces = torch.stack(tensor.chunk(self.size, dim))
        pieces = pieces.float() if wide and pieces.dtype.itemsize < 4 else pieces
        own = torch.empty_like(pieces[0])
        work = _reduce_scatter(own.view(-1), pieces.view(-1), group=self.group, async_op=True)
        return Pending(own, tensor.dtype, work)

    def all_to_all(self, tensor: Tensor, cut: int, join: int) -> Tensor:
        """The i-th piece along `cut` goes to rank i; gives the pieces that come in, one after the other along `join`.

        The pieces are of one size. Each rank sends (n - 1) / n of its tensor, for n ranks.
        """
        if self.size == 1:
            return tensor
        if self.group is None:
            return torch.cat(tensor.chunk(self.size, cut), join)
        pieces = torch.stack(tensor.chunk(self.size, cut))
        received = torch.empty_like(pieces)
        dist.all_to_all_single(received, pieces, group=self.group)
        return torch.cat(received.unbind(), join)

    def start_shift(self, tensor: Tensor) -> Shift:
        """Begin to pass tensors around: the next rank gets this one's, and this one that of the rank before it."""
        if self.group is None:
            return Shift(tensor)
        own = tensor.contiguous()
        received = torch.empty_like(own)
        after, before = (self.ranks[(self.rank + step) % self.size] for step in (1, -1))
        send, receive = (
            dist.P2POp(dist.isend, own, after, self.group),
            dist.P2POp(dist.irecv, received, before, self.group),
        )
        return Shift(received, own, dist.batch_isend_irecv([send, receive]))

    def piece(self, tensor: Tensor, dim: int) -> Tensor:
        """This rank's piece of what all ranks hold alike."""
        return tensor if self.size == 1 else tensor.chunk(self.size, dim)[self.rank].contiguous()


@dataclass(slots=True)
class Pending:
    """A tensor that a collective may still be filling."""

    _tensor: Tensor
    _dtype: torch.dtype
    _work: dist.Work | None = None
    _dim: int | None = None  # along which gathered parts are joined

    def wait(self) -> Tensor:
        """The tensor, once it is filled."""
        if self._work is not None:
            self._work.wait()
        if self._dim is not None:
            return torch.cat(self._tensor.unbind(), self._dim)
        return self._tensor.to(self._dtype)


@dataclass(slots=True)
class Shift:
    """A tensor that may still be coming in, and the one that goes out meanwhile."""

    _received: Tensor
    _sent: Tensor | None = None
    _works: Sequence[dist.Work] = ()

    def wait(self) -> Tensor:
        """What came in."""
        for work in self._works:
            work.wait()
        self._sent = None
        return self._received


def _carried(tensor: Tensor, wide: bool) -> Tensor:
    """What travels: the tensor itself where it is contiguous and wide enough."""
    tensor = tensor.float() if wide and tensor.dtype.itemsize < 4 else tensor
    return tensor.contiguous()
