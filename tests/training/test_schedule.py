"""Learning rates against closed forms, and against what GPT-NeoX recorded."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st
from training_models import plugins, resolve
from whole_matrix import WHOLE

from neox_core.config import ScheduleSettings
from neox_core.training.schedule import DECAYS, ScheduleTerms, make_schedule, schedule_of

GOLDEN = Path(__file__).parents[1] / "golden"
SETTINGS = settings(max_examples=10_000 if WHOLE else 200)
SIMPLE = ("constant", "linear", "cosine", "exponential")


def schedule(style="cosine", peak=0.01, minimum=0.0, warmup=0.0, end=100, train_iters=100, compat=None, **changes):
    keys = {"lr_decay_style": style, "min_lr": minimum, "warmup": warmup, "lr_decay_iters": end, **changes}
    return schedule_of(ScheduleTerms.made(ScheduleSettings(**keys), "adamw", peak, train_iters, compat), plugins())


# Closed forms, each of the shares of the decay that are done (`x`) and of what is left of a final decay


def decayed(style, x, peak, minimum):
    falling = {
        "constant": peak,
        "linear": peak - peak * x,
        "cosine": minimum + (peak - minimum) * math.cos(math.pi * x / 2) ** 2,
        "exponential": peak * math.e ** (-0.693 * x),
    }
    return max(falling[style], minimum)


def rate_of_neox(style, n, peak, minimum, warmup, end, first):
    """GPT-NeoX's rate after n steps since September 2023; `first` is what step 0 of the warm-up counts."""
    if warmup and n <= warmup:
        return peak / warmup * (n or first)
    return decayed(style, (n - warmup) / (end - warmup), peak, minimum)


def rate_of_2021(style, n, peak, minimum, warmup, end):
    """GPT-NeoX's rate after n steps until August 2023, whose count stops at `end - warmup`."""
    n, rises = min(n, end - warmup), warmup and n <= warmup
    if rises:
        return peak / warmup * n
    x = (n - warmup) / end
    return max(decayed(style, x, peak, 0.0) if style == "cosine" else decayed(style, x, peak, -math.inf), minimum)


def rate_of_ours(style, n, peak, minimum, warmup, end):
    """A warm-up of less than one step is none, and nothing happens after the end."""
    warmup = warmup if warmup >= 1 else 0.0
    if warmup and n <= warmup:
        return peak / warmup * max(n, 1)
    x = 1.0 if end <= warmup else min(max(n - warmup, 0.0) / (end - warmup), 1.0)
    return decayed(style, x, peak, minimum)


def rate_of_wsd(form, n, peak, minimum, warmup, end, final):
    """The same warm-up, then the peak, then a fall over the last `final` steps."""
    if warmup >= 1 and n <= warmup:
        return peak / warmup * max(n, 1)
    x = min(max(n - (end - final), 0.0) / final, 1.0)
    left = {"linear": 1 - x, "cosine": math.cos(math.pi * x / 2) ** 2, "1-sqrt": 1 - x**0.5}[form]
    return left * peak + (1 - left) * minimum


SHAPES = {
    "peak": st.floats(1e-6, 1),
    "floor": st.floats(0, 1),
    "warmup": st.just(0.0) | st.floats(0, 1),
    "end": st.integers(1, 300),
}
STEPS = st.integers(0, 1000)


def test_every_style_has_a_closed_form():
    assert set(DECAYS) == {*SIMPLE, "wsd"}


@SETTINGS
@given(**SHAPES, style=st.sampled_from(SIMPLE), steps=STEPS)
def test_our_rates_are_those_of_the_closed_form(style, peak, floor, warmup, end, steps):
    rate = schedule(style, peak, floor * peak, warmup, end)(steps)
    expected = rate_of_ours(style, steps, peak, floor * peak, warmup * end, end)
    assert rate == pytest.approx(expected, rel=1e-11, abs=peak * 1e-12)


@SETTINGS
@given(
    **{**SHAPES, "warmup": st.floats(0, 0.5)},
    share=st.floats(0.01, 0.5),
    form=st.sampled_from(["linear", "cosine", "1-sqrt"]),
    steps=STEPS,
)
def test_the_final_decay_is_that_of_the_closed_form(peak, floor, warmup, end, share, form, steps):
    rate = schedule(
        "wsd", peak, floor * peak, warmup, end, lr_wsd_decay_fraction=share, lr_wsd_decay_style=form, train_iters=end
    )
    expected = rate_of_wsd(form, steps, peak, floor * peak, warmup * end, end, share * end)
    assert rate(steps) == pytest.approx(expected, rel=1e-9, abs=peak * 1e-7)


@SETTINGS
@given(
    **{**SHAPES, "warmup": st.just(0.0) | st.floats(1e-6, 0.9)},
    style=st.sampled_from(SIMPLE),
    steps=STEPS,
    semantics=st.sampled_from(["neox", "neox_2023", "neox_2021"]),
)
def test_older_rates_are_those_of_their_closed_forms(style, peak, floor, warmup, end, steps, semantics):
    rate = schedule(style, peak, floor * peak, warmup, end, lr_semantics=semantics)(steps)
    numbers = (style, steps, peak, floor * peak, warmup * end, end)
    if semantics == "neox_2021":
        expected = rate_of_2021(*numbers)
    else:
        expected = rate_of_neox(*numbers, first=1 if semantics == "neox" else 0)
    assert rate == pytest.approx(expected, rel=1e-9, abs=peak * 1e-12)


@SETTINGS
@given(**SHAPES, style=st.sampled_from(sorted(DECAYS)))
def test_no_rate_is_above_the_peak_and_none_after_the_warm_up_below_the_minimum(style, peak, floor, warmup, end):
    minimum = floor * peak
    rate = schedule(style, peak, minimum, warmup * 0.9, end)
    rates = [rate(steps) for steps in range(2 * end)]
    assert max(rates) <= peak * (1 + 1e-12)
    assert min(rates) > 0 or minimum == 0
    assert all(rate >= minimum * (1 - 1e-12) for steps, rate in enumerate(rates) if steps > warmup * 0.9 * end)


@SETTINGS
@given(**SHAPES, style=st.sampled_from(sorted(DECAYS)), later=st.integers(0, 500))
def test_the_rate_stays_after_the_end(style, peak, floor, warmup, end, later):
    rate = schedule(style, peak, floor * peak, warmup * 0.9, end)
    assert rate(end + 1 + later) == rate(end + 1)


@SETTINGS
@given(
    peak=st.floats(1e-6, 1),
    floor=st.floats(0, 1),
    warmup=st.integers(1, 150),
    style=st.sampled_from(sorted(DECAYS)),
    semantics=st.sampled_from(["clamped", "neox", "neox_2023"]),
)
def test_the_rate_does_not_jump_at_the_end_of_the_warm_up(peak, floor, warmup, style, semantics):
    chosen = {} if style == "wsd" else {"lr_semantics": semantics}
    rate = schedule(style, peak, floor * peak, warmup / 300, 300, **chosen)
    whole = round(warmup / 300 * 300)
    assert rate(whole) == pytest.approx(peak, rel=1e-9)
    assert rate(whole + 1) == pytest.approx(peak, rel=0.02)
    assert rate(whole - 1) <= peak


@SETTINGS
@given(st.floats(0.02, 1), st.integers(100, 300))
def test_the_warm_up_rises(warmup, end):
    rate = schedule(warmup=warmup, end=end)
    rates = [rate(steps) for steps in range(1, math.floor(warmup * end) + 1)]
    assert rates == sorted(rates)
    assert rate(0) == rates[0] > 0, "the first step is not wasted at rate 0"


@pytest.mark.parametrize("name", ["base", "pythia", "lr_constant", "lr_exp", "lr_linear", "min_lr_hi"])
@pytest.mark.parametrize("semantics", ["clamped", "neox", "neox_2023"])
def test_rates_are_those_that_gpt_neox_recorded(name, semantics):
    fixture = json.loads((GOLDEN / f"{name}.json").read_text())
    config = fixture["config"]
    keys = ("optimizer", "min_lr", "warmup", "lr_decay_iters", "lr_decay_style", "train_iters")
    given = {key: config[key] for key in keys if key in config}
    rate = make_schedule(*resolve(**given, lr_semantics=semantics))
    assert [rate(step + 1) for step in range(len(fixture["lrs"]))] == pytest.approx(fixture["lrs"], abs=1e-9)


PUBLISHED = {"peak": 6e-4, "minimum": 6e-5, "warmup": 0.01, "end": 320_000}
"""A run of which the rates of each time are known; its warm-up has 3200 steps."""


@pytest.mark.parametrize(
    ("semantics", "rates"),
    [
        ("clamped", {0: 6e-4 / 3200, 1: 6e-4 / 3200, 3200: 6e-4, 320_000: 6e-5, 400_000: 6e-5}),
        ("neox", {0: 6e-4 / 3200, 1: 6e-4 / 3200, 3200: 6e-4, 320_000: 6e-5, 636_800: 6e-4}),
        ("neox_2023", {0: 0.0, 1: 6e-4 / 3200, 3200: 6e-4, 320_000: 6e-5, 636_800: 6e-4}),
        # 3200 steps of 320000 are 1 %: the count stops at 316800, which is 98 % of the cosine's way to 0
        ("neox_2021", {0: 0.0, 1: 6e-4 / 3200, 3200: 6e-4, 163_200: 3e-4, 320_000: 6e-5, 400_000: 6e-5}),
    ],
)
def test_the_rates_of_each_time(semantics, rates):
    rate = schedule("cosine", **PUBLISHED, lr_semantics=semantics)
    assert {step: rate(step) for step in rates} == pytest.approx(rates, rel=1e-9)


def test_the_cosine_until_2023_stops_before_its_end():
    rate = schedule("cosine", **{**PUBLISHED, "minimum": 0.0}, lr_semantics="neox_2021")
    assert rate(316_800) == rate(320_000) == rate(400_000) == pytest.approx(3e-4 * (1 + math.cos(0.98 * math.pi)))


def test_compat_means_the_formulas_of_today_unless_others_are_named():
    assert schedule(compat="gpt-neox")(150) == schedule(lr_semantics="neox")(150) != schedule()(150)
    assert schedule(compat="gpt-neox", lr_semantics="clamped")(150) == schedule()(150)
    assert schedule("wsd", compat="gpt-neox")(150) == schedule("wsd")(150)


def test_the_warm_up_begins_below_the_minimum_as_in_gpt_neox():
    rate = schedule(peak=0.005, minimum=0.0005, warmup=0.25, end=60)
    assert [rate(0), rate(1), rate(2)] == pytest.approx([0.005 / 15, 0.005 / 15, 0.01 / 15])


def test_a_fraction_of_the_run_can_be_given_instead_of_steps():
    rate = schedule("linear", end=None, lr_decay_fraction=0.5)
    assert rate(25) == pytest.approx(0.005)
    assert rate(50) == 0
    assert schedule("linear", end=None)(50) == pytest.approx(0.005)
    assert schedule("linear", end=50, lr_decay_fraction=1.0)(50) == 0, "steps win over the fraction"


def test_the_final_decay_can_be_given_in_steps():
    rate = schedule("WSD", lr_wsd_decay_iters=20)
    assert [rate(80), rate(90), rate(100)] == pytest.approx([0.01, 0.005, 0.0])
