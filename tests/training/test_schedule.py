"""Learning rates against their closed forms."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st
from training_models import resolve

from neox_core.training.schedule import DECAYS, make_schedule

GOLDEN = Path(__file__).parents[1] / "golden"


def schedule(style="cosine", peak=0.01, minimum=0.0, warmup=0.0, end=100, **changes):
    resolved, manager = resolve(
        **{
            "lr_decay_style": style,
            "optimizer": {"type": "adamw", "params": {"lr": peak}},
            "min_lr": minimum,
            "warmup": warmup,
            "lr_decay_iters": end,
            "train_iters": 100,
            **changes,
        }
    )
    return make_schedule(resolved, manager)


def closed_form(style, steps, peak, minimum, warmup, end):
    """The rate, with the warm-up in steps and the decay's share clamped to 1."""
    if warmup >= 1 and steps <= warmup:
        return peak * max(1, steps) / warmup
    share = min(max(steps - warmup, 0) / (end - warmup), 1) if end > warmup else 1
    rate = {
        "constant": peak,
        "linear": peak * (1 - share),
        "exponential": peak * math.exp(-0.693 * share),
        "cosine": minimum + (peak - minimum) * (1 + math.cos(math.pi * share)) / 2,
    }[style]
    return max(rate, minimum)


SHAPES = {
    "style": st.sampled_from(sorted(DECAYS)),
    "peak": st.floats(1e-6, 1),
    "floor": st.floats(0, 1),
    "warmup": st.just(0.0) | st.floats(0, 1),
    "end": st.integers(1, 300),
}


def test_every_style_has_a_closed_form():
    assert set(DECAYS) == {"constant", "linear", "exponential", "cosine"}


@settings(max_examples=60)
@given(**SHAPES, steps=st.integers(0, 1000))
def test_rates_are_those_of_the_closed_form(style, peak, floor, warmup, end, steps):
    rate = schedule(style, peak, floor * peak, warmup, end)(steps)
    assert rate == pytest.approx(closed_form(style, steps, peak, floor * peak, warmup * end, end), rel=1e-12)


@settings(max_examples=60)
@given(**SHAPES)
def test_no_rate_is_above_the_peak_and_none_after_the_warm_up_below_the_minimum(style, peak, floor, warmup, end):
    minimum = floor * peak
    rate = schedule(style, peak, minimum, warmup, end)
    rates = [rate(steps) for steps in range(2 * end)]
    assert max(rates) <= peak * (1 + 1e-12)
    assert min(rates) > 0 or minimum == 0
    assert all(rate >= minimum for steps, rate in enumerate(rates) if steps > warmup * end)


@settings(max_examples=60)
@given(**SHAPES, later=st.integers(0, 500))
def test_the_rate_stays_after_the_end(style, peak, floor, warmup, end, later):
    rate = schedule(style, peak, floor * peak, warmup, end)
    assert rate(end + 1 + later) == rate(end + 1)


@settings(max_examples=60)
@given(st.floats(0.02, 1), st.integers(100, 300))
def test_the_warm_up_rises(warmup, end):
    rate = schedule(warmup=warmup, end=end)
    rates = [rate(steps) for steps in range(1, math.floor(warmup * end) + 1)]
    assert rates == sorted(rates)
    assert rate(0) == rates[0] > 0, "the first step is not wasted at rate 0"


@pytest.mark.parametrize("name", ["base", "pythia"])
def test_rates_are_those_that_gpt_neox_recorded(name):
    fixture = json.loads((GOLDEN / f"{name}.json").read_text())
    config = fixture["config"]
    keys = ("optimizer", "min_lr", "warmup", "lr_decay_iters", "lr_decay_style", "train_iters")
    rate = make_schedule(*resolve(**{key: config[key] for key in keys}))
    assert [rate(step + 1) for step in range(len(fixture["lrs"]))] == pytest.approx(fixture["lrs"], abs=1e-9)


def test_the_warm_up_begins_below_the_minimum_as_in_gpt_neox():
    rate = schedule(peak=0.005, minimum=0.0005, warmup=0.25, end=60)
    assert [rate(0), rate(1), rate(2)] == pytest.approx([0.005 / 15, 0.005 / 15, 0.01 / 15])


def test_a_fraction_of_the_run_can_be_given_instead_of_steps():
    rate = schedule("linear", end=None, lr_decay_fraction=0.5)
    assert rate(25) == pytest.approx(0.005)
    assert rate(50) == 0
    assert schedule("linear", end=None)(50) == pytest.approx(0.005)
    assert schedule("linear", end=50, lr_decay_fraction=1.0)(50) == 0, "steps win over the fraction"
