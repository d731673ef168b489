"""DeepSpeed's schedules against DeepSpeed's own classes, step by step."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings, strategies as st
from training_models import resolve
from whole_matrix import WHOLE

from neox_core.training.components import component_problems
from neox_core.training.schedule import make_schedule
from neox_core.training.schedule.deepspeed import SCHEDULERS, deepspeed_schedule

LR = 0.003
RATE = st.floats(1e-6, 1)
LENGTH = st.integers(1, 30)
WARMUP = {"warmup_num_steps": LENGTH, "warmup_type": st.sampled_from(["log", "linear"])}
PARAMETERS = {
    "WarmupLR": ({}, {"warmup_min_lr": RATE, "warmup_max_lr": RATE, **WARMUP}),
    "WarmupDecayLR": ({"total_num_steps": LENGTH}, {"warmup_min_lr": RATE, "warmup_max_lr": RATE, **WARMUP}),
    "WarmupCosineLR": (
        {"total_num_steps": LENGTH},
        {"warmup_min_ratio": st.floats(0, 1), "cos_min_ratio": st.floats(0, 1), **WARMUP},
    ),
    "OneCycle": (
        {"cycle_min_lr": RATE, "cycle_max_lr": RATE, "cycle_momentum": st.just(False), "cycle_first_step_size": LENGTH},
        {
            "cycle_second_step_size": st.integers(0, 30),
            "cycle_first_stair_count": st.integers(0, 5),
            "cycle_second_stair_count": st.integers(0, 5),
            "decay_lr_rate": st.floats(0, 2),
            "decay_step_size": st.integers(0, 10),
        },
    ),
    "LRRangeTest": (
        {},
        {
            "lr_range_test_min_lr": RATE,
            "lr_range_test_step_size": LENGTH,
            "lr_range_test_step_rate": st.floats(0, 5),
            "lr_range_test_staircase": st.booleans(),
        },
    ),
}


@st.composite
def scheduler(draw):
    name = draw(st.sampled_from(sorted(PARAMETERS)))
    required, optional = PARAMETERS[name]
    return {"type": name, "params": draw(st.fixed_dictionaries(required, optional=optional))}


@pytest.fixture(scope="module")
def of_deepspeed():
    """`of_deepspeed(scheduler, steps)`: the rates that DeepSpeed's class sets for the first so many steps."""
    from neox_core.training.deepspeed.making import import_deepspeed

    import_deepspeed("cpu")
    from deepspeed.runtime import lr_schedules

    def rates(scheduler, steps):
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=LR)
        made = getattr(lr_schedules, scheduler["type"])(optimizer, **scheduler.get("params", {}))
        found = []
        for _ in range(steps):
            found.append(optimizer.param_groups[0]["lr"])
            made.step()
        return found

    return rates


def ours(scheduler, **changes):
    optimizer = {"type": "adamw", "params": {"lr": LR}}
    return make_schedule(*resolve(**{"optimizer": optimizer, "scheduler": scheduler, **changes}))


def test_all_of_them_are_tried():
    assert set(SCHEDULERS) == set(PARAMETERS)


@settings(max_examples=2000 if WHOLE else 100, deadline=None)
@given(scheduler())
def test_rates_are_those_of_deepspeed(of_deepspeed, scheduler):
    rate = deepspeed_schedule(scheduler, LR)
    expected = of_deepspeed(scheduler, 70)
    assert [rate(steps) for steps in range(70)] == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("scheduler", [{"type": "WarmupLR"}, {"type": "LRRangeTest", "params": {}}])
def test_defaults_are_deepspeeds(of_deepspeed, scheduler):
    assert [ours(scheduler)(steps) for steps in range(50)] == pytest.approx(of_deepspeed(scheduler, 50), rel=1e-12)


def test_one_bit_adam_follows_deepspeeds_schedule_as_in_gpt_neox(of_deepspeed):
    one_bit = {"type": "OneBitAdam", "params": {"lr": LR, "freeze_step": 3}}
    given = {"optimizer": one_bit, "train_iters": 40, "warmup": 0.25, "lr_decay_iters": 30}
    rate = ours(None, **given, compat="gpt-neox")
    params = {"warmup_min_lr": 0, "warmup_max_lr": LR, "warmup_num_steps": 10, "total_num_steps": 30}
    expected = of_deepspeed({"type": "WarmupDecayLR", "params": params}, 40)
    assert [rate(steps) for steps in range(40)] == pytest.approx(expected, rel=1e-12)
    without = ours(None, **{**given, "optimizer": {**one_bit, "type": "adam"}})
    assert [ours(None, **given)(steps) for steps in range(40)] == [without(steps) for steps in range(40)]


@pytest.mark.parametrize(
    ("scheduler", "sentence"),
    [
        ({"type": "WarmupLr"}, "type: DeepSpeed has no schedule 'WarmupLr' (did you mean 'WarmupLR'?)"),
        ({"type": "WarmupDecayLR"}, "params.total_num_steps: must be given (it is a whole number)"),
        ({"type": "WarmupLR", "params": {"warmup_steps": 3}}, "WarmupLR has no such parameter"),
        (
            {"type": "WarmupLR", "params": {"warmup_num_steps": 0}},
            "params.warmup_num_steps: 0 is not a whole number > 0",
        ),
        ({"type": "WarmupLR", "params": {"warmup_type": "cubic"}}, "'cubic' is not one of log, linear"),
        ({"type": "WarmupLR", "params": {"warmup_max_lr": [0.1, 0.2]}}, "[0.1, 0.2] is not a number or null"),
        ({"type": "OneCycle", "params": {"cycle_min_lr": 0.1, "cycle_max_lr": 0.2}}, "add cycle_momentum: false"),
        ({"type": "WarmupLR", "params": []}, "is not of the form {type: NAME, params: {...}}"),
        (
            {"type": "LRRangeTest", "params": {"lr_range_test_min_lr": -1}},
            "lr_range_test_min_lr: -1 is not a number >= 0",
        ),
        ({"params": {}}, "is not of the form {type: NAME, params: {...}}"),
        ({"type": "WarmupLR", "warmup_num_steps": 3}, "is not of the form {type: NAME, params: {...}}"),
    ],
)
def test_what_cannot_be_followed_is_refused(scheduler, sentence):
    resolved, plugins = resolve(scheduler=scheduler)
    (problem,) = component_problems(resolved, plugins)
    assert problem.keys == ("scheduler",)
    assert sentence in str(problem)


def test_a_right_one_is_not():
    resolved, plugins = resolve(scheduler={"type": "WarmupLR"}, lr_decay_style="whatever")
    assert component_problems(resolved, plugins) == []
    assert resolved.deepspeed.get("scheduler") is None, "DeepSpeed would set the rates a second time"
