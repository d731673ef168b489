"""Ranks that live between tests: results, errors, deaths and hangs of each rank are told apart."""

from __future__ import annotations

import pickle
import signal
from typing import Any

import pytest
import training_ranks as ranks
from launching import is_running

from neox_core.testing import distributed
from neox_core.testing.distributed import WorkerError, Workers


@pytest.fixture
def few_seconds_of_grace(monkeypatch):
    monkeypatch.setattr(distributed, "GRACE", 0.5)


def test_every_rank_answers_and_lives_on(workers):
    first, second = workers(2).run(ranks.place), workers(2).run("training_ranks:place")
    assert [(rank, size) for _, rank, size in first] == [(0, 2), (1, 2)]
    assert first == second


def test_ranks_reach_each_other(workers):
    assert workers(2).run(ranks.total, 5) == [15, 15]


def test_an_error_comes_back_with_rank_and_traceback(workers):
    before = workers(2).run(ranks.place)
    with pytest.raises(WorkerError, match=r"(?s)^rank 1 raised\nTraceback.*fail_on.*RuntimeError: the reactor is cold"):
        workers(2).run(ranks.fail_on, 1)
    assert workers(2).run(ranks.place) == before, "a failure that leaves nobody waiting must not cost a restart"


def test_a_result_that_cannot_be_sent_is_an_error_of_its_rank(workers):
    with pytest.raises(WorkerError, match=r"(?s)rank 0 raised.*rank 1 raised.*[Pp]ickle"):
        workers(2).run(ranks.unpicklable)


def test_a_function_that_no_module_has_is_refused_at_once(workers):
    with pytest.raises((pickle.PicklingError, AttributeError)):
        workers(2).run(lambda: None)


def test_failing_and_dying_ranks_are_named_and_all_are_replaced(few_seconds_of_grace):
    with Workers(2) as pool:
        pids = [pid for pid, _, _ in pool.run(ranks.place)]
        with pytest.raises(WorkerError, match=r"^rank 0 raised") as caught:
            pool.run(ranks.fail_on, 0, then_wait=True)
        assert "rank 1" not in str(caught.value), "to wait for a rank that failed is not a failure"
        assert not any(map(is_running, pids))
        with pytest.raises(WorkerError, match="rank 1 died with exit code 7"):
            pool.run(ranks.die_on, 1)


def test_a_rank_that_hangs_is_killed_and_named_and_another_ends_in_order():
    with Workers(1, limit=2) as pool:
        (process,) = (worker.process for worker in started(pool))
        with pytest.raises(WorkerError, match=r"^rank 0 did not answer within 2 s$"):
            pool.run(ranks.hang_on, 0)
        assert process.exitcode == -signal.SIGKILL
        (process,) = (worker.process for worker in started(pool))
    assert process.exitcode == 0


def started(pool: Workers) -> list[Any]:
    """The processes of a pool that has begun."""
    pool.run(ranks.place)
    return list(pool._workers)
