"""Which learning-rate schedule a resumed run follows where its settings and the checkpoint's say different ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from neox_core.config import Entry, NeoXArgs, Resolved, ScheduleSettings
from neox_core.config.optimizer_choice import DEFAULT_OPTIMIZER, optimizer_choice
from neox_core.config.presets import CHECKPOINT_SETTINGS
from neox_core.config.schedule_rules import STYLES_OF_GPT_NEOX
from neox_core.errors import Origin, UserError
from neox_core.training.schedule.comparison import END, differences, facts
from neox_core.training.schedule.terms import ScheduleTerms

CHOICES = frozenset({"override_lr_scheduler", "use_checkpoint_lr_scheduler"})
"""The keys that say which schedule to follow; the others of their group say what it is."""


def check_same_schedule(
    path: Path, saved: Mapping[str, Any], taken: int, resolved: Resolved, notice: Callable[[str], None]
) -> None:
    """Compare the schedule that a checkpoint was saved with, and the run's; what is followed where they differ is told. Before the
    first step none was followed yet.

    Args:
        path: the checkpoint.
        saved: the keys that were given when it was saved.
        taken: steps that were applied until then.
        resolved: the run.
        notice: is told which schedule is followed.

    Raises:
        UserError: they differ, and nothing says which to follow; all differences are named.
    """
    mine, theirs = ScheduleTerms.of(resolved), saved_terms(saved)
    found, settings = ", ".join(differences(theirs, mine, taken)), resolved[ScheduleSettings]
    if not found or (taken == 0 and not settings.use_checkpoint_lr_scheduler):
        return  # nothing was learned by the other one
    if settings.override_lr_scheduler:
        notice(f"override_lr_scheduler: the learning rate no longer follows the schedule of {path}: {found}")
    elif settings.use_checkpoint_lr_scheduler:
        notice(
            f"use_checkpoint_lr_scheduler: the learning rate follows the schedule of {path}, not these settings: {found}"
        )
    else:
        raise UserError(
            f"{path} was saved with another learning-rate schedule: {found}. Use the same settings{_about_the_end(theirs, mine)}, or "
            "say which schedule to follow: override_lr_scheduler: true takes that of your settings, "
            "use_checkpoint_lr_scheduler: true that of the checkpoint"
        )


def _about_the_end(saved: ScheduleTerms, mine: ScheduleTerms) -> str:
    """How to keep the end of the decay, which follows train_iters where nothing else says it."""
    before, now = facts(saved).get(END), facts(mine).get(END)
    if None in (before, now) or before == now:
        return ""
    return f" (lr_decay_iters: {before} keeps the decay as it was; without it the decay ends with train_iters)"


def saved_terms(saved: Mapping[str, Any]) -> ScheduleTerms:
    """The schedule that the keys of a checkpoint describe."""
    settings = saved_schedule(saved)
    optimizer, steps = optimizer_choice(saved), saved.get("train_iters") or 0
    return ScheduleTerms.made(settings, optimizer.name, optimizer.lr, steps, saved.get("compat"))


def saved_schedule(saved: Mapping[str, Any]) -> ScheduleSettings:
    """The group of the schedule as it was saved."""
    return ScheduleSettings.model_validate({key: saved[key] for key in ScheduleSettings.model_fields if key in saved})


def with_saved_schedule(args: NeoXArgs, path: Path, saved: Mapping[str, Any]) -> NeoXArgs:
    """These settings with the schedule of a checkpoint, said in full, so that it does not depend on the run's other settings.

    Args:
        args: the settings.
        path: the checkpoint.
        saved: the keys that were given when it was saved.
    """
    terms, origin = saved_terms(saved), Origin(source=str(path / CHECKPOINT_SETTINGS))
    optimizer = args.optimizer or {"type": DEFAULT_OPTIMIZER}
    taken = {
        "optimizer": {**optimizer, "params": {**optimizer.get("params", {}), "lr": terms.shape.peak}},
        **_in_full(saved_schedule(saved), terms),
    }
    replaced = {"optimizer", *ScheduleSettings.model_fields} - CHOICES
    kept = [entry for entry in args.entries if entry.key not in replaced]
    return NeoXArgs([*kept, *(Entry(key, value, origin) for key, value in taken.items())], args.plugins)


def _in_full(settings: ScheduleSettings, terms: ScheduleTerms) -> dict[str, Any]:
    """The keys that describe a schedule, whatever train_iters and compat are."""
    if terms.scheduler is not None:
        return {"scheduler": dict(terms.scheduler)}
    keys: dict[str, Any] = {
        "lr_decay_style": settings.lr_decay_style,
        "lr_decay_iters": terms.shape.end,
        "min_lr": settings.min_lr,
        "warmup": settings.warmup,
    }
    if terms.style in STYLES_OF_GPT_NEOX:
        keys["lr_semantics"] = terms.semantics
    if terms.style == "wsd":
        steps, share = settings.lr_wsd_decay_iters, settings.lr_wsd_decay_fraction
        keys |= {"lr_wsd_decay_fraction": share} if steps is None else {"lr_wsd_decay_iters": steps}
        keys["lr_wsd_decay_style"] = settings.lr_wsd_decay_style
    return keys
