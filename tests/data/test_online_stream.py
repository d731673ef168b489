from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, strategies as st

from neox_core.data.online.answers import answer_message, ids_that_follow, read_answer
from neox_core.data.online.dataset import OnlineDataset
from neox_core.data.online.groups import Group
from neox_core.data.online.messages import read_line
from neox_core.data.online.stream import SampleStream, redistributed
from neox_core.errors import UserError

SEQ_LENGTH = 6
VOCAB_SIZE = 50

ids = st.lists(st.integers(0, VOCAB_SIZE - 1), min_size=1, max_size=SEQ_LENGTH + 3)
rewards = st.floats(-1e6, 1e6)


def group_lists(least_completions):
    member = st.tuples(ids, rewards)
    group = st.tuples(
        st.lists(st.integers(0, VOCAB_SIZE - 1), max_size=SEQ_LENGTH),
        st.lists(member, min_size=least_completions, max_size=4),
    )
    return st.lists(st.lists(group, min_size=1, max_size=3), min_size=1, max_size=4)


def groups_of(batch):
    return [Group(prefix, [ids for ids, _ in members], [reward for _, reward in members]) for prefix, members in batch]


def as_sent(request, groups):
    """The groups as they come out of a connection."""
    message = answer_message(request, groups)
    end = message.index(b"\n") + 1
    header = read_line(message[:end])
    assert len(message) == end + 4 * ids_that_follow(header)
    return read_answer(header, message[end:], request)


def stream_of(batches, *, leave_one_out=False, told=None, first=0, requests=None, **place):
    """A stream of these batches; `requests` collects what it asks for."""

    def fetch(request):
        if requests is not None:
            requests.append(request)
        return as_sent(request, groups_of(batches[request.batch - first]))

    facts = {"split": "train", "rank": 0, "world_size": 1} | place
    return SampleStream(
        fetch,
        **facts,
        seq_length=SEQ_LENGTH,
        vocab_size=VOCAB_SIZE,
        leave_one_out=leave_one_out,
        tell=[].append if told is None else told.append,
    )


def count(batches):
    return sum(len(members) for batch in batches for _, members in batch)


def gpt_neox_samples(batches, leave_one_out):
    """What GPT-NeoX's dataset serves of these batches, by its rules and in plain Python; a sample may be too long."""
    buffer, served = [], []
    for batch in batches:
        for prefix, members in batch:
            raw = [reward for _, reward in members]
            if leave_one_out:
                less = [r - np.mean([other for j, other in enumerate(raw) if j != i]) for i, r in enumerate(raw)]
            else:
                expected = np.mean(buffer) if buffer else 0
                buffer = [*buffer, np.mean(raw)][-100:]
                less = [r - expected for r in raw]
            for (completion, r), advantage in zip(members, less, strict=True):
                text, label = prefix + completion, [-100] * len(prefix) + completion
                while len(text) < SEQ_LENGTH + 1:
                    text, label = [*text, 0], [*label, -100]
                served.append((text, label, np.float32(advantage), np.float32(r)))
    return served


def check(samples, served):
    for sample, (text, label, reward, raw) in zip(samples, served, strict=True):
        assert sample["text"].tolist() == text[: SEQ_LENGTH + 1]
        assert sample["label"].tolist() == label[: SEQ_LENGTH + 1]
        assert sample["reward"].tolist() == [reward]
        assert sample["raw_reward"].tolist() == [raw]


@given(batches=group_lists(1))
def test_samples_with_a_moving_average_are_those_of_gpt_neox(batches):
    stream = stream_of(batches)
    check([stream.next_sample() for _ in range(count(batches))], gpt_neox_samples(batches, leave_one_out=False))


@given(batches=group_lists(2))
def test_samples_that_leave_one_out_are_those_of_gpt_neox(batches):
    stream = stream_of(batches, leave_one_out=True)
    check([stream.next_sample() for _ in range(count(batches))], gpt_neox_samples(batches, leave_one_out=True))


def test_moving_average_forgets_what_is_more_than_100_groups_ago():
    batches = [[([1], [([2], float(reward))])] for reward in np.random.default_rng(0).normal(size=130)]
    stream = stream_of(batches)
    check([stream.next_sample() for _ in batches], gpt_neox_samples(batches, leave_one_out=False))


@given(batches=group_lists(2), data=st.data(), leave_one_out=st.booleans())
def test_stream_goes_on_from_its_state_as_if_nothing_had_happened(batches, data, leave_one_out):
    taken = data.draw(st.integers(0, count(batches)))
    before = stream_of(batches, leave_one_out=leave_one_out)
    head = [before.next_sample() for _ in range(taken)]
    after = stream_of(batches, leave_one_out=leave_one_out)
    after.restore(json.loads(json.dumps(before.state())))
    tail = [after.next_sample() for _ in range(count(batches) - taken)]
    check(head + tail, gpt_neox_samples(batches, leave_one_out))
    for _ in tail:
        before.next_sample()
    assert after.state() == before.state()


def test_types_and_shapes():
    sample = stream_of([[([1], [([2], 3.0)])]]).next_sample()
    assert {name: (array.dtype, array.shape) for name, array in sample.items()} == {
        "text": (np.int64, (7,)),
        "label": (np.int64, (7,)),
        "reward": (np.float32, (1,)),
        "raw_reward": (np.float32, (1,)),
    }


def test_each_batch_is_asked_for_once_by_its_number_and_only_when_it_is_needed():
    requests = []
    batches = [[([1], [([2], 0.0), ([3], 0.0)])]] * 3
    stream = stream_of(batches, requests=requests, split="valid", rank=1, world_size=2)
    assert requests == []
    for _ in range(5):
        next(stream)
    assert [request.batch for request in requests] == [0, 1, 2]
    assert {(request.split, request.rank, request.world_size) for request in requests} == {("valid", 1, 2)}
    assert {(request.seq_length, request.vocab_size) for request in requests} == {(SEQ_LENGTH, VOCAB_SIZE)}


def test_samples_that_are_too_long_are_cut_counted_and_told():
    fits, longer = list(range(10, 15)), list(range(10, 20))
    told = []
    stream = stream_of([[([1, 2], [(fits, 0.0), (longer, 0.0)])], [([1], [(longer, 0.0)])]], told=told)
    samples = [stream.next_sample() for _ in range(3)]
    assert samples[0]["text"].tolist() == [1, 2, *fits]
    assert samples[1]["text"].tolist() == [1, 2, *longer[:5]]
    assert samples[1]["label"].tolist() == [-100, -100, *longer[:5]]
    assert told == [
        "1 of 2 samples in batch 0 of train for rank 0 have more than seq_length + 1 = 7 tokens and lose their ends "
        "(1 since the beginning).",
        "1 of 1 samples in batch 1 of train for rank 0 have more than seq_length + 1 = 7 tokens and lose their ends "
        "(2 since the beginning).",
    ]
    assert stream.truncated == stream.state()["truncated"] == 2


def test_one_completion_cannot_be_held_against_others():
    stream = stream_of([[([1], [([2], 1.0)])]], leave_one_out=True)
    with pytest.raises(UserError, match=r"one completion, and reinforce_leave_one_out compares it.*at least two"):
        stream.next_sample()


@given(ranks=st.integers(1, 4), others=st.integers(1, 4), data=st.data())
def test_other_ranks_together_go_on_with_every_sample_that_was_left(ranks, others, data):
    streams = []
    for rank in range(ranks):
        members = [([10 * rank + i], float(i)) for i in range(4)]
        stream = stream_of([[([rank], members)]] * 2, rank=rank, world_size=ranks)
        for _ in range(data.draw(st.integers(0, 6))):
            stream.next_sample()
        streams.append(stream)
    states = [stream.state() for stream in streams]
    left = sorted(str(one) for state in states for one in state["pending"])
    moved = redistributed(states, others)
    assert len(moved) == others
    assert sorted(str(one) for state in moved for one in state["pending"]) == left
    for state in moved:
        assert state["batch"] == max(s["batch"] for s in states) or ranks == others
    restored = stream_of([])
    restored.restore(json.loads(json.dumps(moved[-1])))
    assert restored.state() == moved[-1]


def test_same_number_of_ranks_goes_on_unchanged():
    states = [{"batch": 3, "pending": [[[1], [2], 0.5, 1.0]], "mean_rewards": [0.5], "truncated": 1}] * 2
    assert redistributed(states, 2) == states


def test_number_of_a_sample_is_no_address():
    dataset = OnlineDataset(stream_of([[([1], [([2], 0.0), ([3], 0.0), ([4], 0.0)])]]), num_samples=12)
    assert (len(dataset), dataset.windows) == (12, 12)
    assert [int(dataset[i]["text"][1]) for i in (0, 7)] == [2, 3]
    place = dataset.state()
    assert int(dataset[0]["text"][1]) == 4
    dataset.restore(place)
    assert int(dataset[0]["text"][1]) == 4
    assert dataset.sources(0) == {}
