"""What a split may be written as; how documents are cut by it is tested with the data."""

from __future__ import annotations

import pytest

from neox_core.config.split import parse_split


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("969, 30, 1", (969, 30, 1)),
        ("969/30/1", (969, 30, 1)),
        ("0.9,0.1", (0.9, 0.1, 0)),
        ("1", (1, 0, 0)),
        ("1,1,1,-5", (1, 1, 1)),
    ],
)
def test_a_split_has_three_parts(text, parts):
    assert parse_split(text) == parts


@pytest.mark.parametrize("text", ["", "a,b,c", "0,0,0", "0,0,0,1", "-1,2,3", "nan,1", "inf,1", "9;1"])
def test_what_is_no_split_is_refused(text):
    with pytest.raises(ValueError, match="up to three numbers that are not negative and not all zero"):
        parse_split(text)
