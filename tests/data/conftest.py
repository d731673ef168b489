"""Fixtures shared by the tests of the data package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from neox_core.data.token_files import TokenFileWriter, open_tokens

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture
def golden_directory():
    return GOLDEN


@pytest.fixture
def golden_tokens():
    """The token file that the recorded runs were trained on."""
    return open_tokens(GOLDEN / "tokens_a")


@pytest.fixture
def make_token_file(tmp_path):
    """Write documents of these sizes, the ids counting up through the whole file."""

    def make(sizes, name="tokens", dtype="int32"):
        prefix = tmp_path / name
        first = 0
        with TokenFileWriter(prefix, dtype) as writer:
            for size in sizes:
                writer.add(np.arange(first, first + size))
                first += size
        return open_tokens(prefix)

    return make
