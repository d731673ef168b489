from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from neox_core.data.samples.sample_index import Epochs
from neox_core.data.splits import SampleCounts, split_boundaries
from neox_core.errors import UserError


@pytest.mark.parametrize(
    ("split", "documents", "boundaries"),
    [
        ("969, 30, 1", 1017, (0, 985, 1016, 1017)),
        ("900,60,40", 80, (0, 72, 77, 80)),
        ("969/30/1", 1017, (0, 985, 1016, 1017)),
        ("1", 10, (0, 10, 10, 10)),
        ("3,1", 8, (0, 6, 8, 8)),
        ("1,1,1,5", 9, (0, 3, 6, 9)),
        ("1,1,1", 10, (0, 4, 7, 10)),
        ("0,1,1", 3, (0, 0, 1, 3)),
    ],
)
def test_split_is_rounded_as_gpt_neox_rounds(split, documents, boundaries):
    assert split_boundaries(split, documents) == boundaries


@given(
    parts=st.lists(st.integers(0, 1000), min_size=1, max_size=3).filter(any),
    separator=st.sampled_from([",", ", ", "/"]),
    documents=st.integers(0, 10**7),
)
def test_boundaries_ascend_from_none_to_all(parts, separator, documents):
    boundaries = split_boundaries(separator.join(map(str, parts)), documents)
    assert boundaries[0] == 0
    assert boundaries[-1] == documents
    assert list(boundaries) == sorted(boundaries)


@pytest.mark.parametrize("split", ["", "a,b", "90,,10", "0,0,0", "9,-1,1", "nan", "inf,1", "9;1"])
def test_what_is_no_split_is_refused(split):
    with pytest.raises(UserError, match=rf"^split: {split!r} is no split; .*969, 30, 1"):
        split_boundaries(split, 10)


def test_counts_of_a_run():
    counts = SampleCounts.of_run(train_iters=2500, eval_interval=1000, eval_iters=10, batch_size=4)
    assert counts == SampleCounts(train=10000, valid=3 * 10 * 4, test=40)


def test_a_run_of_epochs_indexes_one():
    assert SampleCounts.of_one_epoch() == SampleCounts(train=Epochs(1), valid=Epochs(1), test=Epochs(1))
