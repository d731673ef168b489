"""Groups of some ranks: each rank finds its own, and waits in it as long as in that of all."""

from __future__ import annotations

from datetime import timedelta

import kept_groups


def test_groups_wait_as_long_as_the_default_one(workers):
    long = timedelta(hours=3)
    for found in workers(4).run(kept_groups.limits, long):
        assert found == [long] * 4


def test_ranks_with_unlike_numbers_of_groups_meet(workers):
    assert workers(4).run(kept_groups.sum_over_pairs) == [2, 4, 2, 4]
