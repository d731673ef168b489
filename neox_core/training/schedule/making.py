"""Making the schedule that the settings describe: one of the core's, of DeepSpeed's, or a plugin's."""

from __future__ import annotations

from collections.abc import Callable

from neox_core.config import Resolved, ScheduleSettings
from neox_core.errors import UserError, did_you_mean
from neox_core.plugins import PluginManager
from neox_core.training.schedule.decays import DECAYS, rate
from neox_core.training.schedule.deepspeed import deepspeed_schedule
from neox_core.training.schedule.terms import ScheduleTerms

Schedule = Callable[[int], float]
"""From the number of steps taken so far to the rate of the next one."""


def make_schedule(resolved: Resolved, plugins: PluginManager) -> Schedule:
    """The schedule that the settings describe."""
    return schedule_of(ScheduleTerms.of(resolved), plugins)


def schedule_of(terms: ScheduleTerms, plugins: PluginManager) -> Schedule:
    """The schedule of some terms, which were checked."""
    if terms.scheduler is not None:
        return deepspeed_schedule(terms.scheduler, terms.shape.peak)
    if terms.style in DECAYS:
        return lambda steps: rate(terms, steps)
    schedule: Schedule = plugins.make("schedule", terms.style, terms.shape)
    return schedule


def check_schedule(resolved: Resolved, plugins: PluginManager) -> None:
    """Whether the schedule that the settings name can be had.

    Raises:
        UserError: it cannot.
    """
    name = resolved[ScheduleSettings].lr_decay_style
    if resolved[ScheduleSettings].scheduler is not None or name.casefold() in DECAYS:
        return
    if name.rpartition("/")[2].casefold() not in plugins.names("schedule"):
        message = did_you_mean(name, [*DECAYS, *plugins.names("schedule")])
        raise UserError(f"there is no schedule '{name}'; {message}")
    plugins.find("schedule", name)
