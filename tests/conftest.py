"""Fixtures for all tests."""

from __future__ import annotations

import pytest

from neox_core.testing.distributed import Workers


@pytest.fixture(scope="session")
def workers():
    """`workers(2).run(function, ...)` calls a function on two ranks; the processes live as long as the session."""
    pools: dict[int, Workers] = {}

    def of_size(world_size: int) -> Workers:
        return pools.setdefault(world_size, Workers(world_size, limit=90))

    yield of_size
    for pool in pools.values():
        pool.close()
