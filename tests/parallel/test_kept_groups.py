"""Groups of some ranks wait for each other as long as all do."""

from __future__ import annotations

from datetime import timedelta

import patient_groups


def test_groups_wait_as_long_as_the_default_one(workers):
    long = timedelta(hours=3)
    for found in workers(4).run(patient_groups.limits, long):
        assert found == [long] * 4
