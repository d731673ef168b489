"""Means over micro-batches and ranks of what an objective gives."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor

from neox_core.model import LossOutput
from neox_core.parallel import Axis
from neox_core.training.notice import NOTHING, Notice


class MetricNames:
    """The names of an objective's scalars, which only the last stage of a pipeline sees; the others are told when they change.

    Args:
        pipe: the stages of this rank's pipeline.
        device: where tensors are sent from.
    """

    def __init__(self, pipe: Axis, device: torch.device) -> None:
        self._pipe, self._device = pipe, device
        self.known: tuple[str, ...] = ()

    def see(self, names: tuple[str, ...]) -> bool:
        """Whether the others know other names than those of this rank, if it has any; without a pipeline nobody has to be told."""
        if self._pipe.size == 1:
            self.known = names
        return bool(names) and names != self.known

    def tell(self, names: tuple[str, ...]) -> None:
        """Let all stages have those of the last one; every rank has to call it."""
        told = [names]
        dist.broadcast_object_list(told, self._pipe.ranks[-1], group=self._pipe.group, device=self._device)
        self.known = told[0]


class Averages:
    """Means of the scalars that an objective gives over micro-batches and ranks, in one small collective.

    Args:
        device: where they are added.
        names: of the scalars; where several passes give the same, they need to be told only once.
    """

    def __init__(self, device: torch.device, names: MetricNames) -> None:
        self._device, self._names = device, names
        self._weight = torch.zeros((), dtype=torch.float64, device=device)
        self._sums: dict[str, Tensor] = {}

    def add(self, output: LossOutput, weight: Tensor | float) -> None:
        """One more micro-batch, and what it counts."""
        self._weight = self._weight + weight
        for name, value in {"loss": output.loss, **output.metrics}.items():
            self._sums[name] = self._sums.get(name, 0.0) + value.detach().double() * weight

    def over_ranks(self, notice: Notice = NOTHING) -> tuple[dict[str, float], Notice]:
        """The means over all ranks, and what they tell together."""
        own = tuple(self._sums)
        weight, news, *numbers = self._summed(notice, news=self._names.see(own))
        if news:
            self._names.tell(own)
            weight, _, *numbers = self._summed(notice, news=False)
        names = self._names.known
        means = [number / (weight or 1.0) for number in numbers]
        written, *signals = numbers[len(names) :]
        return dict(zip(names, means, strict=False)), Notice(int(max(signals)), written == len(signals))

    def _summed(self, notice: Notice, *, news: bool) -> list[float]:
        """The weight, how many ranks have other names than are known, the scalars, how many have written, the signal of each."""
        none = torch.zeros_like(self._weight)
        values = [self._sums.get(name, none).to(self._device) for name in self._names.known]
        sums = torch.stack([self._weight, none + news, *values])
        notices = torch.zeros(1 + dist.get_world_size(), dtype=sums.dtype, device=self._device)
        notices[0], notices[1 + dist.get_rank()] = notice.written, notice.signal
        together = torch.cat([sums, notices])
        dist.all_reduce(together)
        found: list[float] = together.tolist()
        return found
