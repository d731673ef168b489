from __future__ import annotations

import json
import pickle
import struct

import numpy as np
import pytest
from hypothesis import given, strategies as st
from markdown_pages import ROOT
from online_servers import PROTOCOL, answer, line, request

from neox_core.data.online import answers
from neox_core.data.online.answers import MOST_IDS, answer_message, ids_that_follow, read_answer
from neox_core.data.online.framing import Incoming
from neox_core.data.online.groups import Group, MessageError
from neox_core.data.online.messages import (
    MOST_LINE_BYTES,
    error_message,
    line_of,
    read_line,
    read_request,
    request_message,
)

PAGE = (ROOT / "docs" / "online.md").read_text()

ids = st.lists(st.integers(0, 99), min_size=1, max_size=5)


@st.composite
def groups(draw):
    completions = draw(st.lists(ids, min_size=1, max_size=3))
    rewards = [draw(st.floats(-1e30, 1e30)) for _ in completions]
    return Group(draw(st.lists(st.integers(0, 99), max_size=8)), completions, rewards)


def read(message, batch=0):
    """The groups of a message, as the client reads it."""
    parts = iter([message, b""])
    incoming = Incoming(lambda most: next(parts))
    header = read_line(incoming.line(MOST_LINE_BYTES))
    return read_answer(header, incoming.exactly(4 * ids_that_follow(header)), request(batch))


def plain(group):
    return [np.asarray(x).tolist() for x in (group.prefix, *group.completions)], list(group.rewards)


def test_request_has_the_bytes_that_the_documentation_shows():
    message = request_message(request(17, world_size=2, seq_length=2048, vocab_size=50304))
    assert message.endswith(b"}\n")
    assert f"```text\n{message.decode()}```" in PAGE


def test_answer_has_the_bytes_that_the_documentation_shows():
    message = answer_message(request(17), [Group([1, 2], [[3, 4], [5]], [1, 0.5])])
    line, ids = message[:-20].decode(), message[-20:]
    assert ids == struct.pack("<5i", 1, 2, 3, 4, 5)
    assert f"```text\n{line}{ids[:4].hex(' ')}  {ids[4:8].hex(' ')}" in PAGE


def test_plain_answer_of_the_documentation_is_read():
    (shown,) = [text for text in PAGE.splitlines() if '"prefix":[1,2]' in text]
    assert plain(read(shown.encode() + b"\n", batch=17)[0]) == ([[1, 2], [3, 4], [5]], [1.0, 0.5])


@given(batch=st.integers(0, 2**40), rank=st.integers(0, 9), split=st.text(max_size=5))
def test_request_is_read_as_it_was_written(batch, rank, split):
    asked = request(batch, rank=rank, split=split)
    assert read_request(request_message(asked)) == asked


@given(batch=st.lists(groups(), min_size=1, max_size=3))
def test_ids_after_the_line_and_ids_in_it_say_the_same(batch):
    listed = [{"prefix": g.prefix, "completions": g.completions, "rewards": g.rewards} for g in batch]
    expected = [plain(group) for group in batch]
    assert [plain(group) for group in read(answer_message(request(), batch))] == expected
    assert [plain(group) for group in read(line(batch=0, groups=listed))] == expected


def test_server_may_hold_ids_and_rewards_in_arrays():
    group = Group(np.array([1, 2], np.uint16), [np.array([3]), (4, np.int64(5))], np.array([1, 2], np.float32))
    assert plain(read(answer_message(request(), [group]))[0]) == ([[1, 2], [3], [4, 5]], [1.0, 2.0])


def group(prefix=(1,), completions=((2,),), rewards=(0.0,)):
    return {"prefix": prefix, "completions": completions, "rewards": rewards}


BAD_GROUPS = {
    "id beyond the vocabulary": (group([100]), "the token 100 is not in the vocabulary, which has 0 to 99"),
    "negative id": (group(completions=[[5, -1]]), "the token -1 is not in the vocabulary"),
    "enormous id": (group([10**300]), "is not in the vocabulary"),
    "id that is no number": (group(["x" * 1000]), "is no list of token ids"),
    "id that is no whole number": (group([1.0]), r"\[1.0\] is no list of token ids"),
    "id that is true": (group([True]), "is no list of token ids"),
    "ids in lists of lists": (group([[1]]), "is no list of token ids"),
    "prefix that is no list": (group("abc"), "'abc' is no list of token ids"),
    "prefix that is absent": (group(None), "None is no list of token ids"),
    "numbers of ids, and no ids": (group(2, [1]), "2 is no list of token ids"),
    "prefix that fills the sample": (group([1] * 9), "the prefix has 9 tokens.*at most seq_length, 8"),
    "completion that is empty": (group(completions=[[]]), "a completion is empty"),
    "no completion": (group(completions=[], rewards=[]), "it has no completion"),
    "too few rewards": (group(completions=[[1], [2]]), "2 completions and 1 rewards"),
    "too many rewards": (group(rewards=[1, 2]), "1 completions and 2 rewards"),
    "reward that is NaN": (group(rewards=[float("nan")]), "the reward nan is no finite number"),
    "reward that is infinite": (group(rewards=[float("-inf")]), "the reward -inf is no finite number"),
    "reward beyond float32": (group(rewards=[1e39]), "the reward 1e.39 is no finite number from -1e.30 to 1e.30"),
    "reward that is enormous": (group(rewards=[10**400]), "is no finite number"),
    "reward that is a text": (group(rewards=["1"]), "the reward '1' is no finite number"),
    "reward that is true": (group(rewards=[True]), "the reward True is no finite number"),
}


@pytest.mark.parametrize(("wrong", "sentence"), BAD_GROUPS.values(), ids=BAD_GROUPS)
def test_group_that_breaks_a_rule_is_refused(wrong, sentence):
    with pytest.raises(MessageError, match=f"^group 1: .*{sentence}"):
        read(line(batch=0, groups=[group(), wrong]))


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        (answer(batch=1), "'batch' is 1, and batch 0 was asked for"),
        (line(groups=[group()]), "'batch' is None"),
        (line(batch=0), "'groups' is None, not a list"),
        (line(batch=0, groups=[]), "there is no group"),
        (line(batch=0, groups=[5]), "group 0 is 5, not an object"),
        (line(batch=0, groups=[{"prefix": [1], "rewards": [1]}]), "group 0: 'completions' is None, not a list"),
        (line(batch=0, groups=[group(rewards=1)]), "group 0: 'rewards' is 1, not a list"),
        (json.dumps({"batch": 0}).encode() + b"\n", "'protocol' is None, not 'neox-online/1'"),
        (answer(protocol="neox-online/2"), "'protocol' is 'neox-online/2'"),
        (b'{"protocol": "neox-online/1", "batch": 0\n', "is no JSON object"),
        (b'{"a":' + b"[" * 100_000 + b"\n", "is no JSON object"),
        (b'{"a":' + b"9" * 100_000 + b"}\n", "is no JSON object"),
        (b'{"\xff": 1}\n', "is no JSON object"),
    ],
)
def test_answer_that_is_none_is_refused(message, sentence):
    with pytest.raises(MessageError, match=sentence):
        read(message)


def with_ids(count, groups, ids=()):
    return line(batch=0, groups=groups, ids=count) + struct.pack(f"<{len(ids)}i", *ids)


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        (with_ids(-1, []), "'ids' is -1, not a whole number from 0 to 67,108,864"),
        (with_ids(1.5, []), "'ids' is 1.5"),
        (with_ids(None, []), "'ids' is None"),
        (with_ids(MOST_IDS + 1, []), "'ids' is 67108865"),
        (with_ids(10**18, []), "not a whole number from 0 to 67,108,864"),
        (with_ids(2, [group(1, [2])], [1, 2]), "more ids than the 2 that follow"),
        (with_ids(3, [group(1, [1])], [1, 2, 3]), "1 of the ids that follow belong to no group"),
        (with_ids(2, [group(-1, [1])], [1, 2]), "-1 stands for a number of ids"),
        (with_ids(2, [group(1, [[2]])], [1, 2]), r"\[2\] stands for a number of ids"),
        (with_ids(2, [group(1, [True])], [1, 2]), "True stands for a number of ids"),
        (with_ids(2, [group(1, [1])], [1, 100]), "the token 100 is not in the vocabulary"),
        (with_ids(2, [group(1, [1])], [1, -5]), "the token -5 is not in the vocabulary"),
    ],
)
def test_ids_that_do_not_fit_their_line_are_refused(message, sentence):
    with pytest.raises(MessageError, match=sentence):
        read(message)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [({"rank": -1}, "'rank' is -1"), ({"batch": "0"}, "'batch' is '0'"), ({"split": 3}, "'split' is 3, not a text")],
)
def test_request_that_is_none_is_refused(changes, sentence):
    with pytest.raises(MessageError, match=sentence):
        read_request(json.dumps(json.loads(request_message(request())) | changes).encode())


@pytest.mark.parametrize("ids", [np.ones((2, 2), int), np.ones(2), np.ones(2, bool), "12", b"12", {1, 2}])
def test_server_may_not_hold_ids_otherwise(ids):
    with pytest.raises(MessageError, match="is no list of token ids"):
        answer_message(request(), [Group([1], [ids], [0.0])])


def test_server_cannot_send_a_line_that_is_too_long():
    room = MOST_LINE_BYTES - len(line_of({"groups": ""}))
    assert len(line_of({"groups": "x" * room})) == MOST_LINE_BYTES
    with pytest.raises(MessageError, match="a line of 16,777,217 bytes is longer than 16,777,216: send fewer groups"):
        line_of({"groups": "x" * (room + 1)})


def test_server_cannot_send_more_ids_than_may_follow(monkeypatch):
    monkeypatch.setattr(answers, "MOST_IDS", 3)
    assert answer_message(request(), [Group([1], [[2, 3]], [0.0])])
    with pytest.raises(MessageError, match="a batch has 4 token ids, more than 3: send fewer groups"):
        answer_message(request(), [Group([1, 1], [[2, 3]], [0.0])])


def test_server_cannot_send_what_the_client_would_refuse():
    with pytest.raises(MessageError, match="group 0: the token 100 is not in the vocabulary"):
        answer_message(request(), [Group([100], [[1]], [0.0])])
    with pytest.raises(MessageError, match="there is no group"):
        answer_message(request(), [])


class Flood:
    """A sender that never ends; counts what was taken of it."""

    def __init__(self, begin=b""):
        self.begin = begin
        self.sent = 0

    def __call__(self, most):
        chunk = self.begin + b" " * (most - len(self.begin))
        self.begin, self.sent = b"", self.sent + most
        return chunk


def test_endless_line_is_read_no_further_than_a_line_may_be():
    flood = Flood(begin=b"{")
    with pytest.raises(MessageError, match="a line has more than 100,000 bytes"):
        Incoming(flood).line(100_000)
    assert flood.sent < 300_000


@pytest.mark.parametrize("first", [pickle.dumps([{"prefix": [1]}]), b"HTTP/1.1 400 Bad Request\r\n", b"\n", b"\x00"])
def test_what_is_no_object_is_refused_at_its_first_byte(first):
    flood = Flood(begin=first)
    with pytest.raises(MessageError, match="is not the beginning of a JSON object"):
        Incoming(flood).line(MOST_LINE_BYTES)
    assert flood.sent <= 2**16


def chopped(data, sizes):
    """Receives `data` in pieces of these sizes, over and over, and then the end."""
    rest = bytearray(data)

    def receive(most):
        sizes.append(sizes.pop(0))
        piece = bytes(rest[: min(most, sizes[-1])])
        del rest[: len(piece)]
        return piece

    return receive


@given(sizes=st.lists(st.integers(1, 7), min_size=1, max_size=4))
def test_messages_do_not_depend_on_how_they_are_cut_in_transit(sizes):
    incoming = Incoming(chopped(b'{"a": 1}\nbinary\n{"b": 2}\n', sizes))
    assert incoming.line(100) == b'{"a": 1}\n'
    assert incoming.exactly(7) == b"binary\n"
    assert incoming.line(100) == b'{"b": 2}\n'
    assert incoming.line(100) is None


@pytest.mark.parametrize("data", [b'{"a"', b'{"a": 1}\nbina'])
def test_end_within_a_message_is_a_broken_connection(data):
    incoming = Incoming(chopped(data, [100]))
    with pytest.raises(ConnectionError, match=r"closed after [0-9] bytes of a message"):
        incoming.line(100)
        incoming.exactly(7)


def test_error_is_cut_to_what_is_told():
    assert len(read_line(error_message("x" * 10_000))["error"]) == 1000
    assert read_line(error_message("no prompts")) == {"protocol": PROTOCOL, "error": "no prompts"}
