"""What rank 0 and the others say and hear, turn by turn, without a thread or a clock."""

from __future__ import annotations

import select
import socket
from collections import Counter

import pytest

from neox_core.launch import Breadcrumbs, Meeting
from neox_core.launch.channel import Channel
from neox_core.launch.meeting import Attendee
from neox_core.launch.posts import CROWD, Centre, Neighbourhood, Outpost
from neox_core.launch.process_state import ProcessId


def attendee(rank: int, world_size: int, channel: Channel | None = None) -> Attendee:
    """A rank on a machine of its own."""
    process = ProcessId(f"machine {rank}", 1, 1)
    return Attendee(rank=rank, world_size=world_size, host=f"host-{rank}", process=process, channel=channel)


@pytest.fixture
def connect():
    """Pairs of connected channels, which are closed in the end."""
    made: list[Channel] = []

    def connect() -> tuple[Channel, Channel]:
        with socket.create_server(("127.0.0.1", 0)) as server:
            made.append(Channel(socket.create_connection(server.getsockname())))
            made.append(Channel(server.accept()[0]))
        return made[-2], made[-1]

    yield connect
    for channel in made:
        channel.close()


def outpost(rank: int, world_size: int) -> Outpost:
    """A rank that nobody hears."""
    own, first = attendee(rank, world_size), attendee(0, world_size)
    return Outpost(Meeting(own, {0: first, rank: own}), Breadcrumbs())


@pytest.mark.parametrize("world_size", [2, 64, 1000])
def test_rank_0_hears_as_much_every_second_however_many_ranks_there_are(world_size):
    heard: Counter[int] = Counter()
    for rank in range(1, world_size):
        post = outpost(rank, world_size)
        heard.update(second for second in range(64) if post.beat() is not None)
    assert max(heard.values()) <= CROWD
    assert min(heard.values()) >= min(world_size - 1, CROWD // 2 - 1)


def test_rank_0_watches_until_all_others_have_left(connect):
    pairs = {rank: connect() for rank in (1, 2)}
    own = attendee(0, 3)
    ranks = {0: own, **{rank: attendee(rank, 3, pairs[rank][0]) for rank in pairs}}
    centre = Centre(Meeting(own, ranks), Breadcrumbs())
    for rank, watched in ((2, True), (1, False)):
        pairs[rank][1].send({"leaves": True})
        assert select.select([pairs[rank][0]], [], [], 10.0)[0]
        assert centre.hear(rank, pairs[rank][0])
        assert centre.needed == watched


def test_a_process_that_cannot_be_seen_is_not_taken_for_gone():
    own = ProcessId.own()
    hidden = attendee(1, 2)
    seen = Attendee(rank=2, world_size=3, host="here", process=own)
    neighbourhood = Neighbourhood([hidden, seen])
    assert [neighbourhood.look() for _ in range(10)] == [{}] * 10
