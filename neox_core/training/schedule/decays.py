"""The schedules of the core: how the rate rises, and how it falls, by our formulas and by GPT-NeoX's older ones."""

from __future__ import annotations

import math
from collections.abc import Callable

from neox_core.training.schedule.terms import ScheduleTerms

HALF = 0.693
"""GPT-NeoX's ln 2: an exponential decay ends at about half of the peak."""


def constant(terms: ScheduleTerms, steps: int) -> float:
    """The peak."""
    return terms.shape.peak


def linear(terms: ScheduleTerms, steps: int) -> float:
    """From the peak straight to 0, which `min_lr` cuts off."""
    return terms.shape.peak * (1 - terms.shape.progress(steps))


def cosine(terms: ScheduleTerms, steps: int) -> float:
    """Half a period of a cosine from the peak to `min_lr` (Loshchilov and Hutter, "SGDR", 2017)."""
    peak, minimum = terms.shape.peak, terms.shape.minimum
    return minimum + (peak - minimum) / 2 * (1 + math.cos(math.pi * terms.shape.progress(steps)))


def exponential(terms: ScheduleTerms, steps: int) -> float:
    """Half of the peak at the end."""
    return terms.shape.peak * math.exp(-HALF * terms.shape.progress(steps))


def wsd(terms: ScheduleTerms, steps: int) -> float:
    """Warm-up, stable, decay: the peak until the final decay to `min_lr` (Hu et al., "MiniCPM", 2024)."""
    peak, minimum, _, end, _ = terms.shape
    begin = end - terms.final
    if steps <= begin:
        return peak
    left = FINAL_DECAYS[terms.final_style](min((steps - begin) / terms.final, 1.0))
    return minimum + (peak - minimum) * left


DECAYS: dict[str, Callable[[ScheduleTerms, int], float]] = {
    "constant": constant,
    "linear": linear,
    "cosine": cosine,
    "exponential": exponential,
    "wsd": wsd,
}
"""From the steps taken, which are more than those of the warm-up, to the rate, by name of the schedule."""

FINAL_DECAYS: dict[str, Callable[[float], float]] = {
    "linear": lambda share: 1 - share,
    "cosine": lambda share: (1 + math.cos(math.pi * share)) / 2,
    "1-sqrt": lambda share: 1 - math.sqrt(share),
}
"""From the share of a final decay that is done to what is left of the rate: those that Hägele et al. compare (2024)."""


def rate(terms: ScheduleTerms, steps: int) -> float:
    """The rate of the step after so many, by the formulas that the terms ask for."""
    if terms.semantics == "neox_2021":
        return rate_until_2023(terms, steps)
    peak, minimum, warmup, *_ = terms.shape
    if steps <= warmup and warmup > 0:
        first = 0 if terms.semantics == "neox_2023" else 1
        return peak * max(first, steps) / warmup
    return max(DECAYS[terms.style](terms, steps), minimum)


def rate_until_2023(terms: ScheduleTerms, steps: int) -> float:
    """GPT-NeoX's rate until August 2023.

    The decay is spread over all steps, those of the warm-up too, and stops as many steps before its end as the warm-up has. The
    cosine falls towards 0, not towards `min_lr`, which only cuts it off.
    """
    peak, minimum, warmup, end, _ = terms.shape
    counted = min(steps, end - warmup)
    if warmup > 0 and steps <= warmup:
        return peak * counted / warmup
    done = (counted - warmup) / end
    left = {
        "constant": 1.0,
        "linear": 1 - done,
        "cosine": (1 + math.cos(math.pi * done)) / 2,
        "exponential": math.exp(-HALF * done),
    }
    return max(peak * left[terms.style], minimum)
