"""Types as a user would say them."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest

from neox_core.config.type_words import type_in_words


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (int | None, "a whole number or null"),
        (Literal["a", "b"], "one of a, b"),
        (list[float], "a list of numbers"),
        (tuple[float, float], "2 numbers"),
        (tuple[Annotated[float, "decay"], Annotated[float, "decay"]], "2 numbers"),
        (tuple[int, ...], "a list of whole numbers"),
        (tuple[int, str], "[a whole number, text]"),
        (tuple[float], "[a number]"),
        (dict[str, int], "a mapping"),
    ],
)
def test_a_type_in_words(annotation, words):
    assert type_in_words(annotation) == words
