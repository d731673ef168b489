"""What only `make test-all` runs whole, and what `make test` draws of it."""

from __future__ import annotations

import os
import random

import pytest

WHOLE = "NEOX_TEST_ALL" in os.environ

SEED = int(os.environ.get("NEOX_MATRIX_SEED", os.environ.get("PYTEST_XDIST_TESTRUNUID", random.randrange(2**32))))
"""Of one run of the tests, whose processes all draw the same. Its first lines say it; NEOX_MATRIX_SEED draws the same again."""


def in_whole(*values: object) -> object:
    """A case that is less than another one, which always runs: it is left to the whole run."""
    return pytest.param(
        *values, marks=pytest.mark.skipif(not WHOLE, reason="less than another case; NEOX_TEST_ALL=1 runs it")
    )


def left_out(items: list[pytest.Item]) -> list[pytest.Item]:
    """Of tests with `@pytest.mark.drawn(count)` the cases that are not drawn; a test of which fewer are asked for runs whole."""
    if WHOLE:
        return []
    cases: dict[str, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("drawn") and not any(mark.args[0] for mark in item.iter_markers("skipif")):
            cases.setdefault(item.nodeid.partition("[")[0], []).append(item)
    return [case for name, group in cases.items() for case in _not_drawn(name, group)]


def _not_drawn(name: str, group: list[pytest.Item]) -> list[pytest.Item]:
    (count,) = next(group[0].iter_markers("drawn")).args
    return random.Random(f"{SEED} {name}").sample(group, max(len(group) - count, 0))
