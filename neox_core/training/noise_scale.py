"""The noise scale of the gradient: the batch size beyond which larger batches are of little use."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.distributed as dist
from torch import Tensor

from neox_core.parallel import Fragment, Range
from neox_core.training.parameter_sums import sum_of_squares

DECAY = 0.99
"""Of the moving averages: what a group of batches still counts after the next one."""


class NoiseScale:
    """Estimates tr(covariance of a sample's gradient) / |mean gradient|^2, in samples.

    McCandlish et al., "An Empirical Model of Large-Batch Training" (2018), appendix A. The gradient g of a batch of B samples has the
    mean G and the covariance C / B, so E|g|^2 = |G|^2 + tr(C) / B. The gradients of n steps are n such, and their mean is the
    gradient of one batch of n B samples. The squared norms of the small batches, in the mean, and of the big one give estimates

        |G|^2 = (n big - small) / (n - 1)        tr(C) = B n (small - big) / (n - 1)

    without bias as long as the weights hardly move in n steps. Each alone is far off, so moving averages of them are kept.

    Args:
        batch: samples of a step, B.
        batches: steps of a group, n, at least 2.
        device: where sums over ranks are made.
        buffers: where this rank's sum of gradients is kept; None: where the gradients are.
    """

    def __init__(self, batch: int, batches: int, device: torch.device, buffers: torch.device | None = None) -> None:
        self._batch, self._batches, self._device, self._buffers = batch, batches, device, buffers
        # Moving averages of tr(C) and |G|^2; in the beginning both are too small, by the same factor.
        self._noise = self._signal = 0.0
        self._begin_group()

    def _begin_group(self) -> None:
        self._steps = 0
        self._squares = torch.zeros((), dtype=torch.float64, device=self._device)
        self._sums: dict[tuple[str, Range], Tensor] = {}

    @property
    def value(self) -> float | None:
        """The noise scale in samples; None before the first group's end, and while |G|^2 cannot be told from 0."""
        return self._noise / self._signal if self._signal > 0 else None

    def add(self, gradient: Fragment) -> None:
        """Look at a part of a step's gradient."""
        self._squares += sum_of_squares(gradient.tensor).to(self._device)
        key = (gradient.name, gradient.range)
        if key in self._sums:
            self._sums[key] += gradient.tensor.to(self._sums[key].device)
        else:
            self._sums[key] = gradient.tensor.to(self._buffers or gradient.tensor.device, copy=True)

    def end_step(self) -> None:
        """All parts of the gradient of a step were looked at; every rank has to call it."""
        self._steps += 1
        if self._steps < self._batches:
            return
        small, big = self._squared_norms()
        n = self._batches
        self._average((n * big - small) / (n - 1), self._batch * n * (small - big) / (n - 1))
        self._begin_group()

    def _squared_norms(self) -> tuple[float, float]:
        """Of the batches of one step, their mean, and of the batch of all steps."""
        norms = torch.stack([self._squares, *(sum_of_squares(part).to(self._device) for part in self._sums.values())])
        totals = torch.stack([norms[0], norms[1:].sum()])
        dist.all_reduce(totals)
        small, big = totals.tolist()
        return small / self._batches, big / self._batches**2

    def _average(self, signal: float, noise: float) -> None:
        self._signal = DECAY * self._signal + (1 - DECAY) * signal
        self._noise = DECAY * self._noise + (1 - DECAY) * noise

    def state(self) -> dict[str, float]:
        """Plain numbers for a checkpoint. A group that is not complete is not among them: it is begun anew."""
        return {"noise": self._noise, "signal": self._signal}

    def load(self, state: Mapping[str, float]) -> None:
        """Go on from such a state."""
        self._noise, self._signal = float(state["noise"]), float(state["signal"])
        self._begin_group()
