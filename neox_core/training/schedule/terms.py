"""What a run's learning rate depends on, as plain values: two runs with the same ones have the same rates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from neox_core.config import Resolved, ScheduleSettings
from neox_core.config.deepspeed_json import one_bit_schedule
from neox_core.config.groups import CompatibilitySettings
from neox_core.config.groups.schedule import Semantics
from neox_core.config.schedule_rules import decay_end, has_one_bit_schedule, semantics_of


class ScheduleShape(NamedTuple):
    """What every schedule is made from, a plugin's too.

    Args:
        peak: rate at the end of the warm-up.
        minimum: lower bound of the decay; the warm-up begins below it.
        warmup: steps of warm-up, not necessarily whole; ours are none where they are less than one.
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


class ScheduleTerms(NamedTuple):
    """Everything that the rates depend on.

    Args:
        style: the schedule's name.
        shape: peak, bounds and lengths.
        semantics: the formulas of those schedules that GPT-NeoX has too.
        final: steps of the final decay of `wsd`, not necessarily whole.
        final_style: its form.
        scheduler: one of DeepSpeed's schedules, which takes the place of all of these; its `type` and `params`.
    """

    style: str
    shape: ScheduleShape
    semantics: Semantics = "clamped"
    final: float = 0.0
    final_style: str = "linear"
    scheduler: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, resolved: Resolved) -> ScheduleTerms:
        """Those of a run."""
        settings, compat = resolved[ScheduleSettings], resolved[CompatibilitySettings].compat
        return cls.made(settings, resolved.optimizer.name, resolved.optimizer.lr, resolved.train_iters, compat)

    @classmethod
    def made(
        cls, settings: ScheduleSettings, optimizer: str, lr: float, train_iters: int, compat: str | None
    ) -> ScheduleTerms:
        """Those of some settings.

        Args:
            settings: the group of the schedule.
            optimizer: name of the optimizer.
            lr: its rate, at the end of the warm-up.
            train_iters: steps in all.
            compat: the key of this name.
        """
        semantics = semantics_of(settings, compat)
        end = decay_end(train_iters, settings.lr_decay_iters, settings.lr_decay_fraction)
        warmup = settings.warmup * end
        if semantics == "clamped" and warmup < 1:
            warmup = 0.0  # it would shorten the decay, and end before the first step does
        scheduler = settings.scheduler
        if scheduler is None and has_one_bit_schedule(optimizer, compat):
            scheduler = one_bit_schedule(train_iters, settings.warmup, settings.lr_decay_iters, lr)
        return cls(
            style=settings.lr_decay_style.casefold(),
            shape=ScheduleShape(lr, settings.min_lr, warmup, end, clamped=semantics == "clamped"),
            semantics=semantics,
            final=settings.lr_wsd_decay_iters or settings.lr_wsd_decay_fraction * end,
            final_style=settings.lr_wsd_decay_style,
            scheduler=scheduler,
        )
