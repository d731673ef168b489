"""Whether two runs have the same rates, and in what their schedules differ if they do not."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from neox_core.config.plain import shown
from neox_core.training.schedule.terms import ScheduleTerms

WARMUP, END = "steps of warm-up", "last step of the decay"


def facts(terms: ScheduleTerms) -> dict[str, Any]:
    """What the rates depend on, by keys where there are such; nothing that has no effect with this schedule."""
    shape = terms.shape
    if terms.scheduler is not None:
        return {"scheduler": dict(terms.scheduler), "optimizer.params.lr": shape.peak}
    found: dict[str, Any] = {
        "lr_decay_style": terms.style,
        "lr_semantics": terms.semantics,
        "optimizer.params.lr": shape.peak,
        WARMUP: shape.warmup,
    }
    if terms.style != "constant":
        found |= {"min_lr": shape.minimum, END: shape.end}
    if terms.style == "wsd":
        found |= {"steps of the final decay": terms.final, "lr_wsd_decay_style": terms.final_style}
    return found


def differences(saved: ScheduleTerms, mine: ScheduleTerms, taken: int = 0) -> list[str]:
    """Each fact that makes two schedules differ, in words: what it was and what it is now.

    Args:
        saved: the one that was followed.
        mine: the one to be followed.
        taken: steps that were applied with it; of a constant rate the warm-up does not matter once it is over in both.
    """
    return list(_in_words(saved, mine, taken))


def _in_words(saved: ScheduleTerms, mine: ScheduleTerms, taken: int) -> Iterator[str]:
    before, now = facts(saved), facts(mine)
    both = [name for name in before if name in now]
    differing = [name for name in both if before[name] != now[name]]
    if "scheduler" in before.keys() ^ now.keys():
        yield f"scheduler {_value(before.get('scheduler'))} (now {_value(now.get('scheduler'))})"
    for name in differing:
        if name == WARMUP and END in differing and _same_share(saved, mine):
            continue  # it follows from the other one
        if name == WARMUP and saved.style == mine.style == "constant" and max(before[name], now[name]) < taken:
            continue
        yield f"{name} {_value(before[name])} (now {_value(now[name])})"


def _same_share(saved: ScheduleTerms, mine: ScheduleTerms) -> bool:
    """Whether the warm-up is the same share of the decay's steps."""
    return math.isclose(saved.shape.warmup * mine.shape.end, mine.shape.warmup * saved.shape.end, rel_tol=1e-12)


def _value(value: Any) -> str:
    return value if isinstance(value, str) else shown(value)
