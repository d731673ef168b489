"""Sums over the elements of each parameter, of which every rank may hold a part."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor

from neox_core.parallel import Fragment


class ParameterSums:
    """Collects sums over this rank's fragments by measure and parameter, and adds those of all ranks in one small collective.

    Args:
        names: canonical names of parameters, in the same order on all ranks.
        device: where sums over ranks are made.
    """

    def __init__(self, names: Sequence[str], device: torch.device) -> None:
        self._names, self._device = list(names), device
        self._sums: dict[tuple[str, str], Tensor] = {}
        self._sizes: dict[tuple[str, str], int] = {}

    def add(self, measure: str, fragment: Fragment, value: Tensor) -> None:
        """Count what was computed of a fragment, one number in float64, to a measure of its parameter."""
        key = (measure, fragment.name)
        self._sums[key] = self._sums[key] + value if key in self._sums else value
        self._sizes[key] = self._sizes.get(key, 0) + fragment.tensor.numel()

    def take(self) -> dict[tuple[str, str], tuple[float, int]]:
        """Forget what was collected, and give it: (measure, parameter) -> sum, number of elements; every rank has to call it.

        A measure may be of some parameters alone, and ranks need not have met the same measures.
        """
        keys = [(measure, name) for measure in self._measures_of_all_ranks() for name in self._names]
        table = self._table(keys)
        dist.all_reduce(table)
        self._sums, self._sizes = {}, {}
        return {key: (total, int(size)) for key, (total, size) in zip(keys, table.T.tolist(), strict=True) if size}

    def _measures_of_all_ranks(self) -> list[str]:
        own = {measure for measure, _ in self._sums}
        answers: list[set[str]] = [own] * dist.get_world_size()
        dist.all_gather_object(answers, own)
        return sorted(set().union(*answers))

    def _table(self, keys: Sequence[tuple[str, str]]) -> Tensor:
        """[2, number of keys]: sums and sizes of this rank, 0 where it has no part."""
        places = {key: place for place, key in enumerate(keys)}
        table = torch.zeros(2, len(keys), dtype=torch.float64, device=self._device)
        if self._sums:
            met = torch.tensor([places[key] for key in self._sums], device=self._device)
            table[0, met] = torch.stack(list(self._sums.values())).to(self._device)
            table[1, met] = torch.tensor(list(self._sizes.values()), dtype=torch.float64, device=self._device)
        return table


def sum_of_squares(values: Tensor) -> Tensor:
    """One number in float64, whatever the number format and the size of the values."""
    norm: Tensor = torch.linalg.vector_norm(values, dtype=torch.float64)
    return norm.square()
