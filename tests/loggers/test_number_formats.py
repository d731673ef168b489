"""Numbers are short, rounded before they are scaled, and never an exception."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, strategies as st
from neox_loggers import formats
from neox_loggers.measures import Pace, perplexity


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (512, "512"),
        (3.14159, "3.14"),
        (999.6, "1.00k"),
        (12_345, "12.3k"),
        (999_999, "1.00M"),
        (70e9, "70.0B"),
        (1e12, "1.00T"),
        (1e16, "10,000T"),
        (math.nan, "nan"),
        (math.inf, "inf"),
    ],
)
def test_counts_have_three_digits_and_a_suffix(value, text):
    assert formats.count(value) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (95.3e9, "FLOP/s", "95.3 GFLOP/s"),
        (9.9e14, "FLOP/s", "990 TFLOP/s"),
        (12, "B", "12 B"),
        (2e21, "FLOP/s", "2,000 EFLOP/s"),
        (math.nan, "B", "nan B"),
    ],
)
def test_amounts_have_a_decimal_prefix(value, unit, text):
    assert formats.amount(value, unit) == text


@given(st.floats(min_value=1, max_value=1e17))
def test_a_count_reads_back_within_half_of_its_last_digit(value):
    text = formats.count(value).replace(",", "")
    powers = {"k": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}
    read = float(text[:-1]) * powers[text[-1]] if text[-1] in powers else float(text)
    assert read == pytest.approx(value, rel=0.0051)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (4.56789, "4.5679"),
        (0, "0.0000"),
        (3.2e-8, "3.200e-08"),
        (1e12, "1.000e+12"),
        (-0.5, "-0.5000"),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
    ],
)
def test_losses_have_four_decimals_or_an_exponent(value, text):
    assert formats.real(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0:00"),
        (7.4, "0:07"),
        (59.6, "1:00"),
        (3599.7, "1:00:00"),
        (5025, "1:23:45"),
        (3 * 86400 + 4 * 3600 + 306, "3d 04:05:06"),
        (math.nan, "?"),
        (math.inf, "?"),
    ],
)
def test_durations_grow_hours_and_days(seconds, text):
    assert formats.duration(seconds) == text


@pytest.mark.parametrize(("share", "text"), [(0.414, "41%"), (1.2, "120%"), (math.nan, "?"), (math.inf, "?")])
def test_percentages_are_whole(share, text):
    assert formats.percentage(share) == text


def test_perplexity_of_a_diverged_loss_is_infinite():
    assert perplexity(math.log(50)) == pytest.approx(50)
    assert perplexity(1e6) == math.inf
    assert math.isnan(perplexity(math.nan))


def test_a_slow_first_step_does_not_spoil_the_pace():
    pace = Pace()
    assert math.isnan(pace.tokens_per_second)
    assert math.isnan(pace.seconds_for(10))
    pace.add(tokens=100, seconds=60.0)
    assert pace.seconds_for(10) == pytest.approx(600)
    pace.add(tokens=100, seconds=0.5)
    assert pace.tokens_per_second == pytest.approx(200)
    assert pace.seconds_for(10) == pytest.approx(5)


def test_the_pace_follows_a_lasting_change():
    pace = Pace(window=4)
    for seconds in (1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0):
        pace.add(tokens=100, seconds=seconds)
    assert pace.tokens_per_second == pytest.approx(50)
