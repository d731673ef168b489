"""An axis of a plot: which values it spans, where they lie on it, and round numbers along it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import NamedTuple


class Tick(NamedTuple):
    """A round number on an axis.

    Args:
        value: the number.
        position: from 0 at the lower end of the axis to 1 at the upper one.
    """

    value: float
    position: float

    @property
    def label(self) -> str:
        """The number as text."""
        return number(self.value)


class Axis(NamedTuple):
    """The values from `low` to `high`, evenly spaced, or evenly by their logarithm."""

    low: float
    high: float
    log: bool = False

    @classmethod
    def around(cls, values: Iterable[float], *, log: bool = False) -> Axis:
        """An axis with room for all values that can be on it; a linear one begins with 0 where that is not far away."""
        shown = [value for value in values if math.isfinite(value) and (value > 0 or not log)]
        if not shown:
            return cls(1, 10, log) if log else cls(0, 1)
        low, high = min(shown), max(shown)
        if log:
            return cls(low, high, log) if low < high else cls(low / 2, high * 2, log)
        if 0 <= low <= high / 2 or low == high > 0:
            low = 0.0
        return cls(low, high if low < high else max(0.0, low + 1))

    def position(self, value: float) -> float | None:
        """From 0 at `low` to 1 at `high`; None for what cannot be on the axis: NaN, infinity, and on a logarithmic one 0 and less."""
        if not math.isfinite(value) or (self.log and value <= 0):
            return None
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self, most: int) -> list[Tick]:
        """Round numbers within the axis, not more than `most`, which is at least 2."""
        values = self._powers(most) if self.log else self._multiples(most)
        return [Tick(value, position) for value in values if (position := self.position(value)) is not None]

    def _multiples(self, most: int) -> list[float]:
        """Multiples of 1, 2 or 5 times a power of ten."""
        exponent = math.floor(math.log10((self.high - self.low) / most))
        steps = (factor * 10.0**power for power in (exponent, exponent + 1, exponent + 2) for factor in (1, 2, 5))
        for step in steps:
            first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
            if last - first < most:
                break
        return [_rounded(count * step, step) for count in range(first, last + 1)]

    def _powers(self, most: int) -> list[float]:
        """1, 2 and 5 times powers of ten; powers of ten alone, or some of them, where those are too many."""
        exponents = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        several = self._within([factor * 10.0**exponent for exponent in exponents for factor in (1, 2, 5)])
        if len(several) < 2:
            return self._multiples(most)
        if len(several) <= most:
            return several
        tens = self._within([10.0**exponent for exponent in exponents])
        return tens[:: math.ceil(len(tens) / most)]

    def _within(self, values: list[float]) -> list[float]:
        slack = 1e-9
        return [value for value in values if self.low * (1 - slack) <= value <= self.high * (1 + slack)]


def _rounded(value: float, step: float) -> float:
    """A multiple of a step without the traces of its computation."""
    return round(value, max(0, 1 - math.floor(math.log10(step))))


def number(value: float) -> str:
    """A number as people write it: `320000`, `0.0006`, `6e-5`."""
    text = format(value, ".10g" if float(value).is_integer() else ".6g")
    return re.sub(r"e([+-])0*", lambda found: "e-" if found[1] == "-" else "e", text)
