"""Fixtures for whole runs."""

from __future__ import annotations

import pytest
import training_runs as runs
from plugin_runs import write_data


@pytest.fixture
def data(tmp_path):
    """A directory with tokenized data."""
    write_data(tmp_path)
    return tmp_path


@pytest.fixture
def train(workers, data):
    """One run; what rank 0 saw of it."""
    return lambda ranks=1, **changes: workers(ranks).run(runs.run, data, **changes)[0]
