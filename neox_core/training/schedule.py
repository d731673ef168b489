"""The learning rate as a function of the number of steps taken: warm-up, then a named decay that stays above `min_lr`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from neox_core.config import Resolved, ScheduleSettings
from neox_core.errors import UserError, did_you_mean
from neox_core.plugins import PluginManager

Schedule = Callable[[int], float]
"""From the number of steps taken so far to the rate of the next one."""


class ScheduleShape(NamedTuple):
    """What every schedule is made from.

    Args:
        peak: rate at the end of the warm-up.
        minimum: lower bound of the decay; the warm-up begins below it.
        warmup: steps of warm-up, not necessarily whole.
        end: step at which the decay ends.
        clamped: whether the decay stays at its end.
    """

    peak: float
    minimum: float
    warmup: float
    end: int
    clamped: bool = True

    def progress(self, steps: int) -> float:
        """Share of the decay that is done, from 0 to 1; it stays 1 after the end, if it is clamped."""
        length = self.end - self.warmup
        if length <= 0:
            return 1.0
        done = max(steps - self.warmup, 0.0) / length
        return min(done, 1.0) if self.clamped else done


DECAYS: dict[str, Callable[[ScheduleShape, float], float]] = {
    "constant": lambda shape, progress: shape.peak,
    "linear": lambda shape, progress: shape.peak * (1 - progress),
    "cosine": lambda shape, progress: (
        shape.minimum + (shape.peak - shape.minimum) / 2 * (1 + math.cos(math.pi * progress))
    ),
    "exponential": lambda shape, progress: shape.peak * math.exp(-0.693 * progress),
}
"""Decay by name: from the share of the decay that is done to the rate."""


def make_schedule(resolved: Resolved, plugins: PluginManager) -> Schedule:
    """The schedule that the settings describe."""
    settings, shape = resolved[ScheduleSettings], shape_of(resolved)
    name = settings.lr_decay_style.casefold()
    if name not in DECAYS:
        schedule: Schedule = plugins.make("schedule", settings.lr_decay_style, shape)
        return schedule
    decay = DECAYS[name]
    least = 0 if resolved.reproduces("short-warmup") else 1  # a warm-up of less than one step is none

    def rate(steps: int) -> float:
        if steps <= shape.warmup and shape.warmup > 0 and shape.warmup >= least:
            return shape.peak * max(1, steps) / shape.warmup
        return max(decay(shape, shape.progress(steps)), shape.minimum)

    return rate


def check_schedule(resolved: Resolved, plugins: PluginManager) -> None:
    """Whether the schedule that the settings name can be had.

    Raises:
        UserError: it cannot.
    """
    name = resolved[ScheduleSettings].lr_decay_style
    if name.casefold() in DECAYS:
        return
    if name.rpartition("/")[2].casefold() not in plugins.names("schedule"):
        message = did_you_mean(name, [*DECAYS, *plugins.names("schedule")])
        raise UserError(f"there is no schedule '{name}'; {message}")
    plugins.find("schedule", name)


def shape_of(resolved: Resolved) -> ScheduleShape:
    """Peak, bounds and lengths from the settings."""
    settings, train_iters = resolved[ScheduleSettings], resolved.train_iters
    end = settings.lr_decay_iters or train_iters
    if settings.lr_decay_iters is None and settings.lr_decay_fraction is not None:
        end = max(1, math.floor(train_iters * settings.lr_decay_fraction))
    clamped = not resolved.reproduces("cosine-rebound")
    return ScheduleShape(resolved.optimizer.lr, settings.min_lr, settings.warmup * end, end, clamped)
