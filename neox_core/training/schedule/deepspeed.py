"""DeepSpeed's own schedules (`scheduler: {type, params}`) as functions of the steps taken; DeepSpeed itself is given none of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from neox_core.config import Resolved, ScheduleSettings, allowed
from neox_core.config.plain import shown
from neox_core.errors import Problem, did_you_mean


class DeepSpeedSchedule(BaseModel):
    """The parameters of one of them, by DeepSpeed's names and with its defaults."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, defer_build=True)

    def rate(self, steps: int, lr: float) -> float:
        """The rate of the step after `steps` applied ones; `lr` is the optimizer's."""
        raise NotImplementedError


class _Warmup(DeepSpeedSchedule):
    """A rise to 1, by the logarithm of the steps or evenly."""

    warmup_num_steps: int = Field(1000, gt=0)
    warmup_type: Literal["log", "linear"] = "log"

    @property
    def length(self) -> int:
        """Steps of the rise; a single one has no logarithm to divide by."""
        return max(2, self.warmup_num_steps)

    def risen(self, steps: int) -> float | None:
        """How far the rise is; None when it is over."""
        if steps > self.length:
            return None
        if steps == 0:
            return 0.0
        return (1 / math.log(self.length)) * math.log(steps) if self.warmup_type == "log" else (steps - 1) / self.length


class WarmupLR(_Warmup):
    """A rise from one rate to another, which then stays."""

    warmup_min_lr: float = 0.0
    warmup_max_lr: float | None = None

    def fallen(self, steps: int) -> float:
        """What is left of the rate after the rise."""
        return 1.0

    def rate(self, steps: int, lr: float) -> float:
        """The rate of the step after `steps` applied ones."""
        low, high = self.warmup_min_lr, lr if self.warmup_max_lr is None else self.warmup_max_lr
        risen = self.risen(steps)
        return low + (high - low) * (self.fallen(steps) if risen is None else risen)


class WarmupDecayLR(WarmupLR):
    """The same with an even fall to the lower rate."""

    total_num_steps: int
    warmup_max_lr: float | None = 0.001

    def fallen(self, steps: int) -> float:
        """What is left of the rate after the rise."""
        return max(0.0, (self.total_num_steps - steps + 1) / max(1.0, self.total_num_steps - self.length))


class WarmupCosineLR(_Warmup):
    """A rise to the optimizer's rate, then half a period of a cosine to a share of it."""

    total_num_steps: int
    warmup_min_ratio: float = 0.0
    cos_min_ratio: float = 0.0001

    def rate(self, steps: int, lr: float) -> float:
        """The rate of the step after `steps` applied ones."""
        if steps == 0:
            return 0.0
        risen = self.risen(steps)
        if risen is not None:
            return lr * (self.warmup_min_ratio + risen * (1 - self.warmup_min_ratio))
        done = min(1.0, (steps - self.length) / max(1, self.total_num_steps - self.length))
        return lr * max(0.0, self.cos_min_ratio + (1 - self.cos_min_ratio) * (1 + math.cos(math.pi * done)) / 2)


class OneCycle(DeepSpeedSchedule):
    """Up and down once, evenly or in stairs, then down further (Smith, "A disciplined approach", 2018)."""

    cycle_min_lr: float
    cycle_max_lr: float
    decay_lr_rate: float = 0.0
    cycle_first_step_size: int = Field(2000, gt=0)
    cycle_second_step_size: int | None = Field(None, ge=0)
    cycle_first_stair_count: int = Field(0, ge=0)
    cycle_second_stair_count: int | None = Field(None, ge=0)
    decay_step_size: int = Field(0, ge=0)
    cycle_momentum: bool = True
    cycle_min_mom: float = 0.8
    cycle_max_mom: float = 0.9
    decay_mom_rate: float = 0.0

    @model_validator(mode="after")
    def _momentum_stays(self) -> OneCycle:
        if self.cycle_momentum:
            raise ValueError(
                "OneCycle also moves the optimizer's momentum unless it says otherwise, which neox cannot do; "
                "add cycle_momentum: false"
            )
        return self

    def rate(self, steps: int, lr: float) -> float:
        """The rate of the step after `steps` applied ones."""
        second = self.cycle_first_step_size if self.cycle_second_step_size is None else self.cycle_second_step_size
        total = self.cycle_first_step_size + second
        if steps <= total:
            return self.cycle_min_lr + (self.cycle_max_lr - self.cycle_min_lr) * self._height(steps % total, second)
        if not self.decay_step_size:
            return self.cycle_min_lr
        return self.cycle_min_lr / (1 + self.decay_lr_rate * ((steps - total) / self.decay_step_size))

    def _height(self, place: int, second: int) -> float:
        """Where between its bounds the rate is, at a step of the cycle."""
        rises = place <= self.cycle_first_step_size
        stairs = self.cycle_first_stair_count
        if not rises and self.cycle_second_stair_count is not None:
            stairs = self.cycle_second_stair_count
        left, length = (
            (place, self.cycle_first_step_size) if rises else (place - self.cycle_first_step_size - second, -second)
        )
        return math.floor(left * stairs / length) / stairs if stairs else left / length


class LRRangeTest(DeepSpeedSchedule):
    """A rate that rises without end, evenly or in stairs, to find where training fails."""

    lr_range_test_min_lr: float = Field(1e-3, ge=0)
    lr_range_test_step_size: int = Field(2000, gt=0)
    lr_range_test_step_rate: float = 1.0
    lr_range_test_staircase: bool = False

    def rate(self, steps: int, lr: float) -> float:
        """The rate of the step after `steps` applied ones."""
        intervals = steps / self.lr_range_test_step_size
        passed = math.floor(intervals) if self.lr_range_test_staircase else intervals
        return self.lr_range_test_min_lr * (1 + self.lr_range_test_step_rate * passed)


SCHEDULERS: dict[str, type[DeepSpeedSchedule]] = {
    made.__name__: made for made in (WarmupLR, WarmupDecayLR, WarmupCosineLR, OneCycle, LRRangeTest)
}
"""By DeepSpeed's names."""


def deepspeed_schedule(scheduler: Mapping[str, Any], lr: float) -> Callable[[int], float]:
    """The rates of `scheduler`, which was checked."""
    made = _checked(scheduler)
    return lambda steps: made.rate(steps, lr)


def scheduler_options(scheduler: Mapping[str, Any]) -> dict[str, Any]:
    """All options of `scheduler`, which was checked, with the defaults of those that are not given."""
    return _checked(scheduler).model_dump()


def _checked(scheduler: Mapping[str, Any]) -> DeepSpeedSchedule:
    return SCHEDULERS[scheduler["type"]].model_validate(scheduler.get("params") or {})


def scheduler_problems(resolved: Resolved) -> Iterator[Problem]:
    """What is wrong with the key `scheduler`."""
    given = resolved[ScheduleSettings].scheduler
    if given is None:
        return
    name, params = given.get("type"), given.get("params", {})
    if not isinstance(name, str) or not isinstance(params, dict) or set(given) - {"type", "params"}:
        yield _problem(resolved, "", f"{shown(given)} is not of the form {{type: NAME, params: {{...}}}}", None)
    elif name not in SCHEDULERS:
        message = f"type: DeepSpeed has no schedule {name!r}"
        yield _problem(resolved, "type", message, did_you_mean(name, list(SCHEDULERS)))
    else:
        try:
            SCHEDULERS[name].model_validate(params)
        except ValidationError as error:
            yield from (_of_parameter(resolved, SCHEDULERS[name], params, detail) for detail in error.errors())


def _of_parameter(
    resolved: Resolved, model: type[DeepSpeedSchedule], params: Mapping[str, Any], detail: Any
) -> Problem:
    """What is wrong with one parameter, or with all of them together."""
    name, remedy = str(detail["loc"][0]) if detail["loc"] else "", None
    if not name:
        return _problem(resolved, "params", str(detail["ctx"]["error"]), None)
    if detail["type"] == "extra_forbidden":
        complaint, remedy = f"{model.__name__} has no such parameter", did_you_mean(name, list(model.model_fields))
    elif detail["type"] == "missing":
        complaint, remedy = "must be given", f"it is {allowed(model, name)}"
    else:
        complaint = f"{shown(params[name])} is not {allowed(model, name)}"
    return _problem(resolved, f"params.{name}", f"params.{name}: {complaint}", remedy)


def _problem(resolved: Resolved, path: str, message: str, remedy: str | None) -> Problem:
    origin = resolved.origin(f"scheduler.{path}" if path else "scheduler")
    return Problem(keys=("scheduler",), message=message, remedy=remedy, origin=origin, path=path)
