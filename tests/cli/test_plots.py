"""Line plots: where lines are, what is written beside them, and that every terminal and reader gets what it can show."""

from __future__ import annotations

import io
import itertools
import math
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given, strategies as st

from neox_core.cli.plots import Plot, Series, for_stream, svg, terminal
from neox_core.cli.plots.axis import Axis, number

NAME = "{http://www.w3.org/2000/svg}"
FINITE = st.floats(-1e12, 1e12)
POSITIVE = st.floats(1e-12, 1e12)


def line(*ys, name="rate"):
    return Series(name, range(len(ys)), ys)


def plot(*series, **changes):
    return Plot("Learning rate", "step", "rate", series, **changes)


@given(st.lists(FINITE, min_size=1), st.integers(2, 12))
def test_ticks_are_round_numbers_within_the_axis(values, most):
    axis = Axis.around(values)
    ticks = axis.ticks(most)
    assert len(ticks) <= most
    assert all(-1e-6 <= tick.position <= 1 + 1e-6 for tick in ticks)
    steps = {float(f"{b.value - a.value:.3g}") for a, b in itertools.pairwise(ticks)}
    assert len(steps) <= 1
    assert all(f"{step:e}"[0] in "125" for step in steps)


@given(st.lists(POSITIVE, min_size=1), st.integers(2, 12))
def test_a_logarithmic_axis_has_ticks_that_are_round_too(values, most):
    axis = Axis.around(values, log=True)
    ticks = axis.ticks(most)
    assert len(ticks) <= most
    assert all(-1e-6 <= tick.position <= 1 + 1e-6 for tick in ticks)
    if axis.high / axis.low > 100:
        assert ticks
        assert all(f"{tick.value:.6e}"[0] in "125" for tick in ticks)


def test_ticks_are_where_their_numbers_are():
    labels = [(tick.label, round(tick.position, 3)) for tick in Axis.around([0, 320_000]).ticks(5)]
    assert labels == [("0", 0.0), ("100000", 0.312), ("200000", 0.625), ("300000", 0.938)]
    assert [tick.label for tick in Axis.around([64, 1024], log=True).ticks(8)] == ["100", "200", "500", "1000"]
    assert [tick.label for tick in Axis.around([1e-9, 1], log=True).ticks(5)] == [
        "1e-9",
        "1e-7",
        "1e-5",
        "0.001",
        "0.1",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (320000, "320000"),
        (6e-4, "0.0006"),
        (6e-5, "6e-5"),
        (0.1 + 0.2, "0.3"),
        (1.5e12, "1.5e12"),
        (-2.5, "-2.5"),
        (0, "0"),
    ],
)
def test_numbers_are_as_people_write_them(value, text):
    assert number(value) == text


def test_an_axis_begins_with_0_where_that_is_near():
    assert Axis.around([1, 10]) == (0, 10, False)
    assert Axis.around([9, 10]) == (9, 10, False)
    assert Axis.around([-3, 10]) == (-3, 10, False)
    assert Axis.around([5, 5]) == (0, 5, False)
    assert Axis.around([-5, -5]) == (-5, 0, False)


def test_a_rising_line_goes_from_the_lower_left_to_the_upper_right():
    rows = terminal(plot(line(0, 1, 2, 3)), width=40, height=15, ascii_only=True).splitlines()
    marked = [row.split(row.lstrip(" 0123456789.")[0], 1)[1] for row in rows[2:12]]
    columns = [row.index("*") for row in marked]
    assert columns == sorted(columns, reverse=True)
    assert columns[-1] == 0
    assert marked[0].rstrip().endswith("*")


def test_braille_is_twice_as_fine_across_and_four_times_down():
    text = terminal(plot(line(0, 1)), width=40, height=15)
    assert any(0x2800 < ord(letter) < 0x2900 for letter in text)
    assert "*" not in text


@pytest.mark.parametrize("ascii_only", [False, True])
@pytest.mark.parametrize(("width", "height"), [(80, 20), (40, 10), (160, 50)])
def test_a_plot_fits_into_its_room(ascii_only, width, height):
    text = terminal(plot(line(*range(500)), line(3, 2, 1, name="other")), width, height, ascii_only=ascii_only)
    assert len(text.splitlines()) == height
    assert max(map(len, text.splitlines())) <= width
    assert text.isascii() == ascii_only


def test_several_series_have_marks_of_their_own_and_a_legend():
    text = terminal(plot(line(1, 1, name="first"), line(2, 2, name="second")), 40, 12, ascii_only=True)
    assert [row.strip() for row in text.splitlines()[-2:]] == ["* first", "+ second"]
    assert text.count("*") > 20


def test_colours_are_left_out_unless_they_are_asked_for():
    both = plot(line(1, 1, name="first"), line(2, 2, name="second"))
    assert "\x1b" not in terminal(both)
    assert "\x1b[36m" in terminal(both, colour=True)
    assert "\x1b" not in terminal(plot(line(1, 2)), colour=True), "one line needs none"


@pytest.mark.parametrize(
    ("encoding", "ascii_only"), [("utf-8", False), ("ascii", True), ("latin-1", True), ("cp437", True)]
)
def test_a_stream_gets_the_letters_that_it_has(encoding, ascii_only):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    text = for_stream(plot(line(1, 2), line(2, 1)), stream)
    assert text.isascii() == ascii_only
    assert "\x1b" not in text
    print(text, file=stream)


@pytest.mark.parametrize("gap", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_makes_a_gap(gap):
    broken = plot(line(1, 2, gap, 4))
    assert [len(stroke) for stroke in broken.strokes(broken.series[0])] == [2, 1]
    assert broken.axes()[1] == (0, 4, False)
    path = ElementTree.fromstring(svg(broken)).find(f"{NAME}path").get("d")
    assert path.count("M") == 2
    assert path.endswith("h0"), "a single point is a dot"


def test_0_has_no_place_on_a_logarithmic_axis():
    logarithmic = plot(line(0, 10, 1000), log_y=True)
    ((first, last),) = logarithmic.strokes(logarithmic.series[0])
    assert (first[1], last[1]) == (0, 1)


def test_nothing_at_all_is_an_empty_plot():
    for empty in (plot(), plot(line()), plot(line(math.nan), log_x=True, log_y=True)):
        assert "step" in terminal(empty)
        ElementTree.fromstring(svg(empty))


def test_places_without_values_are_an_error():
    with pytest.raises(ValueError, match="zip"):
        svg(plot(Series("rate", [1, 2], [1])))


TITLE = 'Widths < 1024 & "more"'


def test_svg_is_well_formed_and_says_what_it_shows():
    root = ElementTree.fromstring(svg(Plot(TITLE, "width", "mean |x|", [line(1, 2, name="a<b"), line(2, 1, name="c")])))
    assert root.get("role") == "img"
    assert root.find(f"{NAME}title").text == TITLE
    assert root.find(f"{NAME}desc").text == "mean |x| over width: a<b, c"
    texts = [element.text for element in root.iter(f"{NAME}text")]
    assert {TITLE, "width", "mean |x|", "a<b", "c"} <= set(texts)
    assert "prefers-color-scheme: dark" in root.find(f"{NAME}style").text


def test_svg_draws_every_line_within_its_picture():
    root = ElementTree.fromstring(svg(plot(line(*range(100)), line(5, name="point"))))
    _, _, width, height = map(float, root.get("viewBox").split())
    drawn = [path.get("d") for path in root.iter(f"{NAME}path")]
    assert len(drawn) == 4, "two lines, and both again in the legend"
    points = [tuple(map(float, part.split())) for part in drawn[0].replace("M", "").split("L")]
    assert len(points) == 100
    assert points == sorted(points)
    assert all(0 <= x <= width and 0 <= y <= height for x, y in points)
    assert points[0][1] > points[-1][1], "up is up"
    assert len(list(root.iter(f"{NAME}circle"))) == 1, "few points are marked"
