from __future__ import annotations

import gc
import threading
import time
import weakref

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from neox_core.data.loader import BatchLoader
from neox_core.errors import UserError


class Numbered:
    """Sample i is [10 i, 10 i + 1, ... 10 i + 4]."""

    names = frozenset({"text"})

    def __init__(self, size):
        self.size = self.windows = size

    def sources(self, i):
        return {}

    def __len__(self):
        return self.size

    def __getitem__(self, i):
        if not 0 <= i < self.size:
            raise IndexError(i)
        return {"text": 10 * i + np.arange(5)}


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


def test_only_the_wanted_fields_are_given():
    batch = next(BatchLoader(Numbered(4), 2, fields=("labels", "tokens")))
    assert set(batch) == {"tokens", "labels"}


def test_unknown_field_is_refused():
    with pytest.raises(UserError, match=r"no field rewards; they give tokens, labels, loss_mask"):
        BatchLoader(Numbered(4), 2, fields=("tokens", "rewards"))


def test_empty_dataset_is_refused():
    with pytest.raises(UserError, match="too few tokens"):
        BatchLoader(Numbered(0), 2)


@given(
    size=st.integers(1, 60),
    ways=st.lists(
        st.sampled_from([(12, 1, 1), (1, 12, 1), (3, 2, 2), (1, 3, 4), (2, 1, 6), (4, 3, 1)]), min_size=2, max_size=4
    ),
    steps=st.integers(1, 6),
    workers=st.sampled_from([0, 2]),
)
def test_dividing_a_step_in_another_way_leaves_the_stream_as_it_is(size, ways, steps, workers):
    """Resumed with another micro-batch, accumulation or number of ranks, a run goes on with the very next sample."""
    whole = 12
    dataset, position, found = Numbered(size), 0, []
    for micro_batch, accumulation, world_size in ways:
        loaders = [
            BatchLoader(
                dataset,
                micro_batch,
                rank=rank,
                world_size=world_size,
                consumed_samples=position,
                epoch_multiple=whole,
                num_workers=workers,
            )
            for rank in range(world_size)
        ]
        for _ in range(steps * accumulation):
            found += [number for loader in loaders for number in numbers(next(loader))]
        position = loaders[0].position
    epoch = size // whole * whole or size
    assert found == [i % epoch for i in range(len(ways) * steps * whole)]


@pytest.mark.parametrize("workers", [1, 3])
def test_threads_that_read_ahead_change_nothing(workers):
    alone, ahead = BatchLoader(Numbered(50), 4), BatchLoader(Numbered(50), 4, num_workers=workers)
    for position in (0, None, None, 36, None, 4, None, None):
        if position is not None:
            alone.position = ahead.position = position
        for _ in range(5):
            assert numbers(next(alone)) == numbers(next(ahead))
        assert alone.position == ahead.position


class Watched(Numbered):
    """Notes what is read, and by whom."""

    def __init__(self, size):
        super().__init__(size)
        self.read, self.readers = set(), set()

    def __getitem__(self, i):
        self.readers.add(threading.current_thread().name)
        self.read.add(i)
        return super().__getitem__(i)


def test_batches_are_read_while_the_caller_does_something_else():
    dataset = Watched(1000)
    loader = BatchLoader(dataset, 5, num_workers=2)
    next(loader)
    end = time.monotonic() + 30
    while len(dataset.read) < 25 and time.monotonic() < end:
        time.sleep(0.01)
    assert dataset.read == set(range(25))  # the batch, and two ahead for each thread
    assert threading.current_thread().name not in dataset.readers


def test_a_closed_loader_reads_nothing_more():
    dataset, opened = Watched(1000), threading.Event()
    gate, read = threading.Event(), dataset.__class__.__getitem__

    class Gated(Watched):
        def __getitem__(self, i):
            if i >= 5:
                opened.set()
                gate.wait(30)
            return read(self, i)

    dataset = Gated(1000)
    loader = BatchLoader(dataset, 5, num_workers=1)
    next(loader)
    assert opened.wait(30)
    loader.close()
    gate.set()
    for thread in threading.enumerate():
        if thread.name.startswith("batches"):
            thread.join(30)
    assert dataset.read <= set(range(10))  # what was being read, and nothing that was to follow


class Broken(Numbered):
    def __getitem__(self, i):
        raise UserError(f"sample {i} cannot be read")


@pytest.mark.parametrize("workers", [0, 2])
def test_what_cannot_be_read_is_told_where_it_is_asked_for(workers):
    with pytest.raises(UserError, match="sample 0 cannot be read"):
        next(BatchLoader(Broken(10), 2, num_workers=workers))
