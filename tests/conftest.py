"""Fixtures for all tests."""

from __future__ import annotations

import signal
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from prepared_corpus import Prepared, prepared_once
from whole_matrix import SEED, WHOLE, left_out

from neox_core.testing.distributed import Workers

# Whoever starts the tests in the background of a script has them, and all that they start, ignore Ctrl-C; nohup, a hang-up.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# No example fails for the time it took: a machine may be busy.
settings.register_profile("neox", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("neox")


def pytest_configure(config: Any) -> None:
    """With pytest-xdist, have all its processes draw the same cases."""
    if hasattr(config.option, "testrunuid"):
        config.option.testrunuid = str(SEED)


def pytest_report_header() -> str:
    return "all cases of every matrix" if WHOLE else f"cases of matrices drawn with NEOX_MATRIX_SEED={SEED}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is not drawn."""
    left = set(left_out(items))
    config.hook.pytest_deselected(items=list(left))
    items[:] = [item for item in items if item not in left]


@pytest.fixture(scope="session")
def prepared_stdlib(tmp_path_factory) -> Prepared:
    return prepared_once(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def workers():
    """`workers(2).run(function, ...)` calls a function on two ranks; the processes live as long as the session."""
    pools: dict[int, Workers] = {}

    def of_size(world_size: int) -> Workers:
        return pools.setdefault(world_size, Workers(world_size, limit=90))

    yield of_size
    for pool in pools.values():
        pool.close()
