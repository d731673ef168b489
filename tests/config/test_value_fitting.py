"""Values that mean what a key takes without being spelt so."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from hypothesis import given, strategies as st
from pydantic import Field

from neox_core.config.fitting import fitted

Choice = Literal["gelu", "GeGLU"]


@pytest.mark.parametrize(
    ("value", "annotation", "expected"),
    [
        (1e5, int, 100_000),
        (1e5, int | None, 100_000),
        (1e5, Annotated[int, Field(gt=0)], 100_000),
        ("320_000", int, 320_000),
        ([1.0, 2.5], list[int] | None, [1, 2.5]),
        ("GELU", Choice, "gelu"),
        (" geglu ", Choice | None, "GeGLU"),
    ],
)
def test_what_means_the_same_is_made_the_same(value, annotation, expected):
    found = fitted(value, annotation)
    assert (type(found), found) == (type(expected), expected)


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (1.5, int),
        (1.0, float),
        (1.0, int | float),
        ("gel", Choice),
        ("GELU", str),
        ("320_000", str),
        ("1_", int),
        ("12", int),
        (True, int),
        (float("inf"), int),
    ],
)
def test_anything_else_is_left_alone(value, annotation):
    assert fitted(value, annotation) is value


@given(st.none() | st.booleans() | st.floats() | st.text() | st.lists(st.floats()))
def test_fitting_twice_changes_nothing_more(value):
    for annotation in (int, int | None, list[int], Choice):
        once = fitted(value, annotation)
        assert repr(fitted(once, annotation)) == repr(once)
