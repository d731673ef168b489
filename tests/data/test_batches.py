"""From samples to the fields of a batch."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from hypothesis import given, strategies as st

from neox_core.data.batches import fields_of, make_batch


def sample(**arrays):
    return {name: np.array(values) for name, values in arrays.items()}


def test_text_predicts_its_next_token():
    batch = make_batch([sample(text=[1, 2, 3]), sample(text=[4, 5, 6])])
    assert {name: field.tolist() for name, field in batch.items()} == {
        "tokens": [[1, 2], [4, 5]],
        "labels": [[2, 3], [5, 6]],
        "loss_mask": [[1.0, 1.0], [1.0, 1.0]],
    }


def test_negative_labels_are_masked_and_become_zero():
    batch = make_batch([sample(text=[3, 4, 5, 6], label=[-100, -100, 5, -1])])
    assert batch["tokens"].tolist() == [[3, 4, 5]]
    assert batch["labels"].tolist() == [[0, 5, 0]]
    assert batch["loss_mask"].tolist() == [[0.0, 1.0, 0.0]]


def test_end_of_document_is_masked_as_an_input_only_when_asked():
    samples = [sample(text=[3, 0, 5, 0])]
    assert make_batch(samples)["loss_mask"].tolist() == [[1.0, 1.0, 1.0]]
    assert make_batch(samples, eod_token=0)["loss_mask"].tolist() == [[1.0, 0.0, 1.0]]


def test_rewards_and_log_probabilities_are_those_of_the_inputs():
    batch = make_batch([sample(text=[1, 2, 3], reward=np.float32([0.5, 0.5, 2]), ref=np.float32([-1, -2, -3]))])
    assert batch["rewards"].tolist() == [[0.5, 0.5]]
    assert batch["reference"].tolist() == [[-1.0, -2.0]]


def test_one_reward_of_a_sample_stays_one():
    batch = make_batch([sample(text=[1, 2, 3], reward=np.float32([0.5]), raw_reward=np.float32([7]))])
    assert (batch["rewards"].tolist(), batch["raw_rewards"].tolist()) == ([[0.5]], [[7.0]])


def test_bad_answers_come_after_all_good_ones():
    pair = {"pos_label": [-100, 2, 3], "neg_label": [-100, -100, 9], "pos_ref": [1, 2, 3], "neg_ref": [4, 5, 6]}
    batch = make_batch([sample(pos=[1, 2, 3], neg=[7, 8, 9], **pair), sample(pos=[4, 5, 6], neg=[6, 5, 4], **pair)])
    assert batch["tokens"].tolist() == [[1, 2], [4, 5], [7, 8], [6, 5]]
    assert batch["labels"].tolist() == [[2, 3], [2, 3], [0, 9], [0, 9]]
    assert batch["loss_mask"].tolist() == [[1, 1], [1, 1], [0, 1], [0, 1]]
    assert batch["reference"].tolist() == [[1, 2], [1, 2], [4, 5], [4, 5]]


@given(documents=st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=6), min_size=1, max_size=3))
def test_positions_begin_anew_with_each_document(documents):
    width = max(map(sum, documents))
    rows = [np.repeat(np.arange(len(lengths)), lengths) for lengths in documents]
    rows = [np.concatenate((row, np.full(width + 1 - len(row), 9))) for row in rows]
    batch = make_batch([{"text": np.zeros(width + 1, np.int64), "document": row} for row in rows])
    for row, positions, numbers in zip(rows, batch["positions"], batch["documents"], strict=True):
        expected = [0]
        for before, here in pairwise(row[:-1]):
            expected.append(expected[-1] + 1 if before == here else 0)
        assert positions.tolist() == expected
        assert numbers.tolist() == row[:-1].tolist()


def test_documents_of_pairs_are_in_the_same_order_as_their_tokens():
    sample = {name: np.array(ids) for name, ids in (("pos", [1, 2, 3]), ("neg", [4, 5, 6]))}
    sample |= {"pos_document": np.array([0, 0, 1]), "neg_document": np.array([0, 1, 1])}
    batch = make_batch([sample])
    assert batch["documents"].tolist() == [[0, 0], [0, 1]]
    assert batch["positions"].tolist() == [[0, 1], [0, 0]]


def test_fields_are_told_by_the_arrays_of_samples():
    assert fields_of({"text"}) == ("tokens", "labels", "loss_mask")
    assert fields_of({"pos", "neg", "pos_ref", "neg_ref"}) == ("tokens", "labels", "loss_mask", "reference")
    assert fields_of({"text", "document"})[3:] == ("documents", "positions")


def test_fields_do_not_alias_each_other():
    batch = make_batch([sample(text=[1, 2, 3])])
    batch["labels"][:] = 9
    assert batch["tokens"].tolist() == [[1, 2]]
    assert all(isinstance(field, torch.Tensor) and field.is_contiguous() for field in batch.values())
