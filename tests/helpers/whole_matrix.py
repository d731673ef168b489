"""Cases of a matrix that only `make test-all` runs whole."""

from __future__ import annotations

import os

import pytest

WHOLE = "NEOX_TEST_ALL" in os.environ


def in_whole(*values: object) -> object:
    """A case that is less than another one, which always runs: it is left to the whole run."""
    return pytest.param(
        *values, marks=pytest.mark.skipif(not WHOLE, reason="less than another case; NEOX_TEST_ALL=1 runs it")
    )
