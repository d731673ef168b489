"""What loggers derive from losses and times."""

from __future__ import annotations

import math
from collections import deque
from statistics import median_high
from typing import TYPE_CHECKING

from neox_core.config import MeasureSettings

if TYPE_CHECKING:
    from neox_core.config import Resolved


def perplexity(loss: float) -> float:
    """`exp(loss)` of a loss in nats a token; infinity where that overflows."""
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf


def stated_peak(resolved: Resolved) -> float | None:
    """The FLOP/s of all ranks together by `peak_theoretical_tflops`; None where that is not set."""
    tflops = resolved[MeasureSettings].peak_theoretical_tflops
    return None if tflops is None else tflops * 1e12 * resolved.world.size


def peak_name(resolved: Resolved) -> str:
    """What the speed that a run's own is a share of is called."""
    return "measured matmul peak" if stated_peak(resolved) is None else "theoretical peak"


class Pace:
    """The speed of recent steps: medians, so that a slow first step or a hiccup hardly counts.

    Args:
        window: number of steps that count as recent.
    """

    def __init__(self, window: int = 50) -> None:
        self._steps_per_second: deque[float] = deque(maxlen=window)
        self._tokens_per_second: deque[float] = deque(maxlen=window)

    def add(self, *, tokens: int, seconds: float) -> None:
        """Count one more step."""
        self._steps_per_second.append(1 / seconds)
        self._tokens_per_second.append(tokens / seconds)

    @property
    def tokens_per_second(self) -> float:
        """Tokens of all ranks a second; nan before the first step."""
        return _typical(self._tokens_per_second)

    def seconds_for(self, steps: int) -> float:
        """How long `steps` more steps will take; nan before the first step."""
        return steps / _typical(self._steps_per_second)


def _typical(rates: deque[float]) -> float:
    return median_high(rates) if rates else math.nan  # of two, the faster: the first step is the slow one
