"""What the ranks are told at the rendezvous, and what they say when one of them differs or does not come."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, strategies as st
from places import place
from torch._C._distributed_c10d import HashStore

from neox_core.config import Entry, Host, World
from neox_core.errors import Origin, UserError
from neox_core.plugins import Switches
from neox_core.training.handover import Handover, agree, receive

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
ORIGINS = st.builds(Origin, source=st.text(), line=st.none() | st.integers(), text=st.none() | st.text())
HANDOVERS = st.builds(
    Handover,
    name=st.text(),
    run_dir=st.text(),
    entries=st.lists(st.builds(Entry, st.text(), VALUES, ORIGINS), max_size=3).map(tuple),
    switches=st.builds(
        Switches,
        allow=st.none() | st.lists(st.text()).map(tuple),
        disable=st.dictionaries(st.text(), st.text()),
        modules=st.lists(st.text()).map(tuple),
    ),
    world=st.builds(
        World,
        st.lists(st.builds(Host, st.text(), st.integers(1, 8)), min_size=1, max_size=3).map(tuple),
        st.sampled_from(["cpu", "cuda"]),
    ),
    vocabulary=st.none() | st.integers(1),
    padded_vocab_size=st.none() | st.integers(1),
    eod_token=st.none() | st.integers(0),
    checkpoint=st.none() | st.text(),
)


def handover(**changes: Any) -> Handover:
    values = {
        "name": "run",
        "run_dir": "runs/run",
        "entries": (),
        "switches": Switches(),
        "world": World.local(2),
        "vocabulary": 10,
        "eod_token": 0,
        "checkpoint": None,
    }
    return Handover(**{**values, **changes})


@given(HANDOVERS)
def test_a_handover_survives_the_trip(given_handover):
    assert Handover.from_json(given_handover.to_json()) == given_handover


def test_rank_0_reads_the_file_and_the_others_the_store(tmp_path):
    store, told = HashStore(), handover(name="mine")
    (tmp_path / "handover.json").write_text(told.to_json())
    assert receive(store, place(0), tmp_path / "handover.json") == told
    assert receive(store, place(1), tmp_path / "not here") == told


def test_a_handover_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=r"absent\.json: the run's handover cannot be read: No such file"):
        receive(HashStore(), place(0), tmp_path / "absent.json")


def test_a_rank_does_not_wait_for_ever_for_the_handover(tmp_path):
    store = HashStore()
    store.set_timeout(timedelta(seconds=0.2))
    with pytest.raises(UserError, match="rank 0 does not answer at the rendezvous"):
        receive(store, place(1), tmp_path / "not here")


def statements(store: Any, *said: dict[str, Any]) -> list[Exception | None]:
    """What each rank's `agree` raises when they say these things at once."""

    def one(rank: int) -> Exception | None:
        try:
            agree(store, place(rank, len(said)), said[rank])
        except UserError as error:
            return error
        return None

    with ThreadPoolExecutor(len(said)) as pool:
        return list(pool.map(one, range(len(said))))


def test_ranks_that_say_the_same_agree_whatever_their_hosts():
    assert statements(HashStore(), {"host": "a", "settings": "1"}, {"host": "b", "settings": "1"}) == [None, None]


def test_the_rank_that_differs_is_named_on_every_rank():
    alike, different = {"host": "a", "settings": "1", "torch": "2.7"}, {"host": "b", "settings": "1", "torch": "2.6"}
    errors = statements(HashStore(), alike, {**alike, "host": "c"}, different)
    expected = "rank 2 on b differs from rank 0 on a in its torch: 2.6 instead of 2.7; install the same on every host"
    assert [str(error) for error in errors] == [expected] * 3


def test_each_statement_is_read_once_however_many_ranks_there_are():
    class Counted(HashStore):
        reads = 0

        def get(self, key: str) -> bytes:
            self.reads += key.startswith("statement")
            return super().get(key)

    store, alike = Counted(), {"host": "a", "settings": "1"}
    assert statements(store, *[alike] * 5) == [None] * 5
    assert store.reads == 5


def test_the_others_are_told_of_a_rank_that_says_nothing_too():
    store = HashStore()
    store.set_timeout(timedelta(seconds=0.5))

    def late(rank: int) -> str:
        with pytest.raises(UserError) as caught:
            agree(store, place(rank, 3), {"host": "a"})
        return str(caught.value)

    with ThreadPoolExecutor(2) as pool:
        said = list(pool.map(late, (2, 0)))
    assert said[0] == said[1]
    assert said[0].startswith("rank 1 does not answer at the rendezvous")


def test_long_differences_are_cut():
    first, second = ({"host": "a", "plugins": [{"version": number}] * 200} for number in (1, 2))
    for error in statements(HashStore(), first, second):
        assert len(str(error)) < 800


def test_a_rank_that_says_nothing_is_named():
    store = HashStore()
    store.set_timeout(timedelta(seconds=0.2))
    with pytest.raises(UserError, match=r"rank 1 does not answer at the rendezvous \(.*\): .* see its log"):
        agree(store, place(0), {"host": "a"})
