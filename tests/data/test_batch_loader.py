from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from neox_core.data.loader import BatchLoader, next_token_batch
from neox_core.errors import UserError


class Numbered:
    """Sample i is [10 i, 10 i + 1, ... 10 i + 4]."""

    def __init__(self, size):
        self.size = size

    def __len__(self):
        return self.size

    def __getitem__(self, i):
        if not 0 <= i < self.size:
            raise IndexError(i)
        return 10 * i + np.arange(5)


def numbers(batch):
    return (batch["tokens"][:, 0] // 10).tolist()


def test_shapes_and_types():
    batch = next(BatchLoader(Numbered(10), 3))
    assert {name: (tuple(field.shape), field.dtype) for name, field in batch.items()} == {
        "tokens": ((3, 4), torch.int64),
        "labels": ((3, 4), torch.int64),
        "loss_mask": ((3, 4), torch.float32),
    }
    assert batch["tokens"][1].tolist() == [10, 11, 12, 13]
    assert batch["labels"][1].tolist() == [11, 12, 13, 14]


def test_ranks_take_neighbouring_slices():
    loaders = [BatchLoader(Numbered(100), 2, rank=rank, world_size=3) for rank in range(3)]
    assert [numbers(next(loader)) for loader in loaders] == [[0, 1], [2, 3], [4, 5]]
    assert [numbers(next(loader)) for loader in loaders] == [[6, 7], [8, 9], [10, 11]]
    assert {loader.position for loader in loaders} == {12}


def test_end_of_the_data_starts_again_without_the_incomplete_batch():
    loader = BatchLoader(Numbered(7), 2)
    assert [numbers(next(loader)) for _ in range(5)] == [[0, 1], [2, 3], [4, 5], [0, 1], [2, 3]]
    assert loader.position == 10


def test_data_smaller_than_a_batch_is_repeated_within_it():
    assert numbers(next(BatchLoader(Numbered(3), 5))) == [0, 1, 2, 0, 1]


@given(
    size=st.integers(1, 40),
    micro_batch=st.integers(1, 4),
    world_size=st.integers(1, 3),
    steps=st.integers(0, 30),
    data=st.data(),
)
def test_a_loader_continues_where_another_stopped(size, micro_batch, world_size, steps, data):
    rank = data.draw(st.integers(0, world_size - 1))
    options = {"rank": rank, "world_size": world_size}
    first = BatchLoader(Numbered(size), micro_batch, **options)
    for _ in range(steps):
        next(first)
    second = BatchLoader(Numbered(size), micro_batch, consumed_samples=first.position, **options)
    assert first.position == steps * micro_batch * world_size
    for _ in range(3):
        assert numbers(next(first)) == numbers(next(second))


def test_the_same_samples_at_any_number_of_ranks():
    alone = BatchLoader(Numbered(64), 4)
    ranks = [BatchLoader(Numbered(64), 1, rank=rank, world_size=4) for rank in range(4)]
    for _ in range(20):
        assert numbers(next(alone)) == [number for loader in ranks for number in numbers(next(loader))]


def test_far_position_is_reached_without_reading_what_lies_before():
    loader = BatchLoader(Numbered(10**6), 2, consumed_samples=10**12 + 4)
    assert numbers(next(loader)) == [4, 5]
    loader.position = 20
    assert numbers(next(loader)) == [20, 21]


def test_no_batch_is_kept():
    loader = BatchLoader(Numbered(4), 2)
    kept = [weakref.ref(next(loader)["tokens"]) for _ in range(6)]
    gc.collect()
    assert [reference() for reference in kept] == [None] * 6


def test_negative_labels_are_masked_and_become_zero():
    batch = next_token_batch(torch.tensor([[3, -100, 5, -1]]))
    assert batch["labels"].tolist() == [[0, 5, 0]]
    assert batch["loss_mask"].tolist() == [[0.0, 1.0, 0.0]]


def test_end_of_document_is_masked_as_an_input_only_when_asked():
    samples = torch.tensor([[3, 0, 5, 0]])
    assert next_token_batch(samples)["loss_mask"].tolist() == [[1.0, 1.0, 1.0]]
    assert next_token_batch(samples, eod_token=0)["loss_mask"].tolist() == [[1.0, 0.0, 1.0]]


def test_only_the_wanted_fields_are_given():
    batch = next(BatchLoader(Numbered(4), 2, fields=("labels", "tokens")))
    assert set(batch) == {"tokens", "labels"}


def test_unknown_field_is_refused():
    with pytest.raises(UserError, match=r"rewards.*tokens, labels, loss_mask"):
        BatchLoader(Numbered(4), 2, fields=("tokens", "rewards"))


def test_empty_dataset_is_refused():
    with pytest.raises(UserError, match="too few tokens"):
        BatchLoader(Numbered(0), 2)
