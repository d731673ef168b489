"""Averages over ranks that send one bit for each number, with what the compression loses put right in later ones.

Tang et al., "1-bit Adam", 2021: a rank sends signs and one size for each tensor, and adds what that leaves out to what it sends the
next time. So does the rank that answers for a piece of the average, when it tells the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

import torch
import torch.distributed as dist
from torch import Tensor


class SignAverage:
    """Averages tensors of given sizes over all ranks, as one flat vector.

    Args:
        sizes: number of elements of each tensor.
        like: a tensor of the wanted device.
    """

    def __init__(self, sizes: Sequence[int], like: Tensor) -> None:
        self.ranks, self.rank = dist.get_world_size(), dist.get_rank()
        count = sum(sizes)
        self.chunk = -(-count // (8 * self.ranks)) * 8  # whole bytes for each rank to answer for
        padding = self.chunk * self.ranks - count
        self.sizes = [*sizes, *([padding] if padding else [])]
        self.sent_error = torch.zeros(self.chunk * self.ranks, dtype=torch.float32, device=like.device)
        self.told_error = torch.zeros(self.chunk, dtype=torch.float32, device=like.device)

    @property
    def chunk_start(self) -> int:
        """First element that this rank answers for."""
        return self.rank * self.chunk

    def __call__(self, vectors: Sequence[Tensor]) -> list[Tensor]:
        """Each tensor's average over the ranks, about; flat, in float32."""
        flat = torch.zeros_like(self.sent_error)
        torch.cat([vector.reshape(-1).float() for vector in vectors], out=flat[: sum(map(Tensor.numel, vectors))])
        own = self._average_of_chunk(flat)
        whole = self._tell(own)
        return list(torch.split(whole, self.sizes))[: len(vectors)]

    def _average_of_chunk(self, flat: Tensor) -> Tensor:
        """Send each rank its chunk; the average of the chunk that this rank answers for."""
        signs, scales, self.sent_error = compress(flat.add_(self.sent_error), self.sizes)
        packed = pack(signs)
        received = torch.empty_like(packed)
        dist.all_to_all_single(received, packed)
        all_scales = torch.empty(self.ranks * len(self.sizes), dtype=scales.dtype, device=scales.device)
        dist.all_gather(list(all_scales.view(self.ranks, -1)), scales)
        pieces = self._pieces(self.rank)
        first, sizes = pieces[0][0], [size for _, size in pieces]
        total = torch.zeros_like(self.told_error)
        for bits, of_rank in zip(received.view(self.ranks, -1), all_scales.view(self.ranks, -1), strict=True):
            total += restore(unpack(bits), of_rank[first : first + len(sizes)], sizes)
        return total / self.ranks

    def _tell(self, own: Tensor) -> Tensor:
        """Tell the others the average of this rank's chunk, compressed as well; the whole average, which is the same everywhere."""
        pieces = [[size for _, size in self._pieces(rank)] for rank in range(self.ranks)]
        signs, scales, self.told_error = compress(own.add_(self.told_error), pieces[self.rank])
        packed, most = pack(signs), max(map(len, pieces))
        padded = torch.nn.functional.pad(scales, (0, most - len(scales)))
        all_bits = torch.empty(self.ranks * len(packed), dtype=packed.dtype, device=packed.device)
        all_scales = torch.empty(self.ranks * most, dtype=padded.dtype, device=padded.device)
        dist.all_gather(list(all_bits.view(self.ranks, -1)), packed)
        dist.all_gather(list(all_scales.view(self.ranks, -1)), padded)
        rows = zip(all_bits.view(self.ranks, -1), all_scales.view(self.ranks, -1), pieces, strict=True)
        return torch.cat([restore(unpack(bits), row[: len(sizes)], sizes) for bits, row, sizes in rows])

    def _pieces(self, rank: int) -> list[tuple[int, int]]:
        """What a rank's chunk consists of: (number of the tensor, elements of it)."""
        start, stop = rank * self.chunk, (rank + 1) * self.chunk
        ends = list(accumulate(self.sizes))
        found = []
        for index, (end, size) in enumerate(zip(ends, self.sizes, strict=True)):
            inside = min(end, stop) - max(end - size, start)
            if inside > 0:
                found.append((index, inside))
        return found

    def windows(self) -> Iterator[tuple[int, int, Tensor]]:
        """Of what this rank left out in telling: (number of the tensor, first element of it, those elements)."""
        starts = [end - size for end, size in zip(accumulate(self.sizes), self.sizes, strict=True)]
        place = 0
        for index, size in self._pieces(self.rank):
            yield index, self.chunk_start + place - starts[index], self.told_error[place : place + size]
            place += size


def compress(values: Tensor, sizes: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Flat values of tensors of these sizes -> whether each is >= 0, the mean size of each tensor's, and what that leaves out.

    The mean of the absolute values is the size that leaves out least.
    """
    norms = torch.stack(torch._foreach_norm(torch.split(values, list(sizes)), 1))
    scales = norms / torch.tensor(sizes, device=values.device)
    signs = values >= 0
    return signs, scales, values - restore(signs, scales, sizes)


def restore(signs: Tensor, scales: Tensor, sizes: Sequence[int]) -> Tensor:
    """The values that signs and sizes stand for."""
    spread = scales.repeat_interleave(torch.tensor(sizes, device=scales.device))
    return torch.where(signs, spread, -spread)


def pack(bits: Tensor) -> Tensor:
    """Eight truth values to a byte; their number must be a multiple of eight."""
    places = torch.tensor([1, 2, 4, 8, 16, 32, 64, 128], dtype=torch.uint8, device=bits.device)
    return (bits.view(-1, 8) * places).sum(-1, dtype=torch.uint8)


def unpack(packed: Tensor) -> Tensor:
    """The inverse of `pack`."""
    places = torch.tensor([1, 2, 4, 8, 16, 32, 64, 128], dtype=torch.uint8, device=packed.device)
    return (packed[:, None] & places).bool().view(-1)
