"""Rules about the learning rate over time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from neox_core.config.compatibility import reproduces
from neox_core.config.groups import ScheduleSettings
from neox_core.config.groups.schedule import Semantics
from neox_core.config.optimizer_choice import optimizer_name, plain_name
from neox_core.config.world import World
from neox_core.errors import Notice, Problem

if TYPE_CHECKING:
    from neox_core.config.args import NeoXArgs

STYLES_OF_GPT_NEOX = ("constant", "linear", "cosine", "exponential")
"""The schedules that GPT-NeoX has too."""

_OF_OUR_SCHEDULES = (
    *("lr_decay_style", "lr_decay_iters", "lr_decay_fraction", "min_lr", "warmup", "lr_semantics"),
    *("lr_wsd_decay_fraction", "lr_wsd_decay_iters", "lr_wsd_decay_style"),
)
"""Keys that DeepSpeed's schedules take the place of."""


def decay_end(train_iters: int | None, lr_decay_iters: int | None, lr_decay_fraction: float | None) -> int:
    """The step at which the rate has fallen; the warm-up is a share of this."""
    if lr_decay_iters is not None or lr_decay_fraction is None:
        return lr_decay_iters or train_iters or 0
    return max(1, math.floor((train_iters or 0) * lr_decay_fraction))


def semantics_of(settings: ScheduleSettings, compat: str | None) -> Semantics:
    """The formulas that are asked for; without a word, ours, or GPT-NeoX's of today where `compat` asks for its defects.

    Those of today have both defects: the cosine that rises again, and the short warm-up that begins above the peak.
    """
    if settings.lr_semantics is not None:
        return settings.lr_semantics
    if settings.lr_decay_style.casefold() == "wsd":
        return "clamped"
    return "neox" if reproduces(compat, "cosine-rebound") and reproduces(compat, "short-warmup") else "clamped"


def has_one_bit_schedule(optimizer: str, compat: str | None) -> bool:
    """Whether the rate follows DeepSpeed's schedule because the optimizer of this name is 1-bit Adam, as in GPT-NeoX."""
    return plain_name(optimizer) == "onebitadam" and reproduces(compat, "one-bit-schedule")


def one_schedule_is_followed(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """On resuming there are two schedules where they differ, and one of them is followed."""
    if args.override_lr_scheduler and args.use_checkpoint_lr_scheduler:
        yield Problem(
            keys=("override_lr_scheduler", "use_checkpoint_lr_scheduler"),
            message="both are true, and contradict each other",
            remedy="keep the first to follow these settings on resuming, the second to follow the checkpoint's schedule",
        )


def semantics_are_of_gpt_neox(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """GPT-NeoX's formulas are those of its four schedules."""
    style, semantics = args.lr_decay_style, args.lr_semantics
    if semantics in (None, "clamped") or style.casefold() in STYLES_OF_GPT_NEOX or args.scheduler is not None:
        return
    yield Problem(
        keys=("lr_semantics", "lr_decay_style"),
        message=f"{semantics} chooses among GPT-NeoX's formulas, and GPT-NeoX has no schedule {style!r}",
        remedy=f"remove lr_semantics, or set lr_decay_style to one of {', '.join(STYLES_OF_GPT_NEOX)}",
    )


def final_decay_has_room(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """The rate has risen before its final decay begins."""
    if args.lr_decay_style.casefold() != "wsd" or args.scheduler is not None:
        return
    end = decay_end(args.train_iters, args.lr_decay_iters, args.lr_decay_fraction)
    final = args.lr_wsd_decay_iters or args.lr_wsd_decay_fraction * end
    rise = args.warmup * end
    if final + rise > end * (1 + 1e-9):
        yield Problem(
            keys=("lr_wsd_decay_iters" if args.lr_wsd_decay_iters else "lr_wsd_decay_fraction", "warmup"),
            message=f"a warm-up of {rise:g} steps and a final decay of {final:g} do not fit into {end:g} steps",
            remedy="shorten one of them, or raise lr_decay_iters",
        )


SCHEDULE_RULES = (one_schedule_is_followed, semantics_are_of_gpt_neox, final_decay_has_room)


def decay_is_said_once(args: NeoXArgs, world: World) -> Iterator[Notice]:
    """A number of steps goes before a share of them."""
    for steps, share in (("lr_decay_iters", "lr_decay_fraction"), ("lr_wsd_decay_iters", "lr_wsd_decay_fraction")):
        if getattr(args, steps) is not None and share in args and getattr(args, share) is not None:
            yield Notice(keys=(share,), message=f"is not used: {steps} is {getattr(args, steps)}")


def deepspeeds_schedule_is_followed(args: NeoXArgs, world: World) -> Iterator[Notice]:
    """One of DeepSpeed's schedules leaves nothing to say to ours."""
    given = tuple(key for key in _OF_OUR_SCHEDULES if key in args)
    if args.scheduler is not None and given:
        have = "has" if len(given) == 1 else "have"
        yield Notice(keys=given, message=f"{have} no effect: the rate follows scheduler")


def final_decay_is_of_wsd(args: NeoXArgs, world: World) -> Iterator[Notice]:
    """Other schedules have no final decay."""
    given = tuple(key for key in _OF_OUR_SCHEDULES if key.startswith("lr_wsd") and key in args)
    if given and args.scheduler is None and args.lr_decay_style.casefold() != "wsd":
        have = "has" if len(given) == 1 else "have"
        yield Notice(keys=given, message=f"{have} no effect without lr_decay_style: wsd")


def short_warmup_begins_above_the_peak(args: NeoXArgs, world: World) -> Iterator[Notice]:
    """GPT-NeoX divides the peak by the length of the warm-up, which may be less than a step."""
    warmup = args.warmup * decay_end(args.train_iters, args.lr_decay_iters, args.lr_decay_fraction)
    settings = args.groups[ScheduleSettings]
    assert isinstance(settings, ScheduleSettings)
    style = settings.lr_decay_style.casefold()
    if args.scheduler is not None or has_one_bit_schedule(optimizer_name(args), args.compat):
        return
    if style in STYLES_OF_GPT_NEOX and semantics_of(settings, args.compat) == "neox" and 0 < warmup < 1:
        yield Notice(
            keys=("warmup",),
            message=f"comes to {warmup:.3g} steps: the first step has {1 / warmup:.3g} times the peak rate, as in GPT-NeoX; "
            "lr_semantics: clamped stays below it",
        )


SCHEDULE_NOTICES = (
    decay_is_said_once,
    deepspeeds_schedule_is_followed,
    final_decay_is_of_wsd,
    short_warmup_begins_above_the_peak,
)
