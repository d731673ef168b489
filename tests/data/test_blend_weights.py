from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from neox_core.data.samples.blend_weights import normalised_weights, samples_of_each, weights_by_num_documents
from neox_core.errors import UserError


def test_shares_are_rounded_up_with_half_a_per_cent_to_spare():
    assert samples_of_each([0.25, 0.75], 32) == [9, 25]
    assert samples_of_each([1.0], 4) == [5]
    assert samples_of_each([1e-12, 0.0], 10) == [1, 0]


def test_weights_are_normalised():
    assert normalised_weights([1.0, 3.0], 2) == [0.25, 0.75]
    assert normalised_weights([1e-9, 1e9], 2) == [1e-18, 1.0]
    assert len(normalised_weights([1.0] * 5000, 5000)) == 5000


@pytest.mark.parametrize(
    "weights", [[1.0], [1.0, 1.0, 1.0], [0.0, 0.0], [2.0, -1.0], [float("nan"), 1.0], [float("inf"), 1.0]]
)
def test_weights_that_do_not_fit_are_refused(weights):
    with pytest.raises(UserError, match="weights"):
        normalised_weights(weights, 2)


def test_weights_by_documents_as_gpt_neox_has_them():
    # 80 and 40 documents, 32 and 4 samples, alpha 0.3: the counts in the names of the index files that were recorded.
    weights = weights_by_num_documents([80, 40], 0.3, compat=True)
    assert samples_of_each(weights, 32) == [13, 20]
    assert samples_of_each(weights, 4) == [2, 3]
    assert weights == pytest.approx([2**0.3 / (2**0.3 + 2), 2 / (2**0.3 + 2)])


def test_weights_by_documents_follow_the_power_of_the_shares():
    assert weights_by_num_documents([80, 40], 0.3) == pytest.approx([2**0.3 / (1 + 2**0.3), 1 / (1 + 2**0.3)])
    assert weights_by_num_documents([30, 10], 1.0) == [0.75, 0.25]
    assert weights_by_num_documents([30, 10], 0.0) == [0.5, 0.5]


@pytest.mark.parametrize("compat", [False, True])
def test_a_single_dataset_has_all_the_weight(compat):
    assert weights_by_num_documents([7], 0.3, compat=compat) == [1.0]


@given(counts=st.lists(st.integers(1, 10**9), min_size=2, max_size=20), alpha=st.floats(0, 1), compat=st.booleans())
def test_weights_by_documents_have_sum_1(counts, alpha, compat):
    weights = weights_by_num_documents(counts, alpha, compat=compat)
    assert sum(weights) == pytest.approx(1.0)
    assert min(weights) > 0


def test_datasets_without_documents_are_refused():
    with pytest.raises(UserError, match="weight_by_num_documents"):
        weights_by_num_documents([0, 0], 0.3)
