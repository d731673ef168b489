"""Ranks that come together, over real connections; and whoever keeps them from it, who is named."""

from __future__ import annotations

import errno
import itertools
import logging
import select
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from neox_core.errors import UserError
from neox_core.launch import Meeting, Patience, Rendezvous, free_port, go_to_rank_0, receive_ranks
from neox_core.launch.channel import Channel

QUICK = Patience(limit=10.0)


def place(rank: int, world_size: int, port: int) -> Rendezvous:
    return Rendezvous(
        rank=rank,
        local_rank=0,
        world_size=world_size,
        local_world_size=1,
        master_addr="127.0.0.1",
        master_port=port,
    )


def outcome(work: Callable[[], Any]) -> Any:
    """What a function gives, or the text of its `UserError`."""
    try:
        return work()
    except UserError as error:
        return str(error)


def come(*places: Rendezvous, run: str = "runs/a", patience: Patience = QUICK) -> list[Any]:
    """The meeting of each of these ranks, or why there is none; rank 0 comes last."""

    def one(place: Rendezvous) -> Meeting:
        if place.rank:
            return go_to_rank_0(place, run, patience)
        time.sleep(0.1)
        meeting = receive_ranks(place, run, patience)
        meeting.begin({"note": 7})
        return meeting

    with ThreadPoolExecutor(len(places)) as pool:
        return list(pool.map(lambda place: outcome(lambda: one(place)), places))


@pytest.mark.parametrize("ranks", [1, 2, 5])
def test_ranks_that_come_meet_and_are_told(ranks):
    port = free_port()
    meetings = come(*(place(rank, ranks, port) for rank in range(ranks)))
    for rank, meeting in enumerate(meetings):
        assert (meeting.own.rank, meeting.notes) == (rank, {"note": 7})
        assert {near.rank for near in meeting.neighbours(meeting.own)} == set(range(ranks)) - {rank}
        assert set(meeting.channels) == (set(range(1, ranks)) if rank == 0 else {0})
        meeting.close()


def test_one_rank_alone_needs_no_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert receive_ranks(place(0, 1, taken.getsockname()[1]), "runs/a", QUICK).channels == {}


def test_ranks_that_were_told_different_numbers_of_ranks_are_named():
    port = free_port()
    said = come(place(0, 2, port), place(1, 3, port))
    assert said[0] == said[1]
    assert said[0].startswith("WORLD_SIZE: rank 1 on ")
    assert " was started as one of 3 ranks, and rank 0 on " in said[0]


def test_a_rank_too_many_is_named_while_others_are_waited_for():
    port = free_port()
    said = come(place(0, 2, port), place(2, 3, port))
    assert said[0] == said[1]
    assert said[0].startswith("WORLD_SIZE: rank 2 on ")


def test_two_ranks_with_the_same_number_are_named():
    port = free_port()
    said = come(place(0, 3, port), place(1, 3, port), place(1, 3, port))
    assert said[0].startswith("RANK: rank 1 on ")
    assert said[0].endswith("were started with the same number; give each its own")
    assert said[1] == said[2] == said[0]


def test_more_connections_than_may_be_open_are_refused_with_a_remedy(monkeypatch):
    def accept(server: socket.socket) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(socket.socket, "accept", accept)
    port = free_port()
    thread = threading.Thread(target=lambda: connect(port).close())
    thread.start()
    (said,) = come(place(0, 2000, port))
    thread.join()
    assert "cannot take a further connection while 1 of 2000 ranks are there: Too many open files" in said
    assert said.endswith("allow it more open files (`ulimit -n`)")


def test_a_socket_that_is_connected_to_itself_is_no_rank_0(monkeypatch):
    port, create = free_port(), socket.create_connection
    itself = create(("127.0.0.1", port), source_address=("127.0.0.1", port))  # as the kernel may choose by itself
    assert itself.getpeername() == itself.getsockname()
    ways = itertools.chain([lambda *_, **__: itself], itertools.repeat(create))
    monkeypatch.setattr(socket, "create_connection", lambda *given, **more: next(ways)(*given, **more))
    (said,) = come(place(1, 2, port), patience=Patience(limit=0.1))
    assert f"did not reach rank 0 at 127.0.0.1:{port} (Connection refused) within 0.1 s" in said
    assert itself.fileno() == -1, "rank 0 needs the port"


def test_two_ranks_0_are_two_programs_at_one_port():
    port = free_port()
    said = come(place(0, 2, port), place(0, 2, port), patience=Patience(limit=1.0))
    assert sorted(text.partition(": ")[2].partition(" at")[0] for text in said if "master_port" in text) == [
        "rank 0 cannot listen"
    ]


def test_a_rank_that_does_not_come_is_told_soon_and_given_up_later(caplog):
    caplog.set_level(logging.INFO, logger="neox")
    port = free_port()
    said = come(place(0, 4, port), place(2, 4, port), patience=Patience(limit=1.5, remind=0.2, again=60.0))
    expected = "ranks 1, 3 of 4 did not come to the rendezvous within"
    assert [message.startswith(expected) for message in caplog.messages] == [True]
    assert said[0].startswith(f"{expected} 1.5 s: ")
    assert said[1] == said[0]


def test_a_rank_0_that_does_not_come_is_told_soon_and_given_up_later(caplog):
    caplog.set_level(logging.INFO, logger="neox")
    port = free_port()
    (said,) = come(place(1, 2, port), patience=Patience(limit=0.6, remind=0.1))
    expected = f"did not reach rank 0 at 127.0.0.1:{port} (Connection refused) within"
    assert expected in caplog.text
    assert f"{expected} 0.6 s" in said


def test_a_rank_that_ends_while_others_are_waited_for_is_named():
    port = free_port()

    def end_early() -> None:
        channel = Channel(connect(port))
        channel.wait(5.0)
        channel.send({"rank": 1, "world_size": 3, "host": "away", "process": ["m", 5, 6]})
        channel.close()

    thread = threading.Thread(target=end_early)
    thread.start()
    (said,) = come(place(0, 3, port))
    thread.join()
    assert said.startswith("rank 1 on away (process 5) ended before all ranks had come")


def connect(port: int) -> socket.socket:
    """A connection as soon as somebody listens."""
    for _ in range(500):
        try:
            return socket.create_connection(("127.0.0.1", port))
        except OSError:
            time.sleep(0.01)
    raise AssertionError("nobody listens")


def test_strangers_at_the_port_are_left_alone():
    port = free_port()

    def knock() -> None:
        for said in (b"GET / HTTP/1.1\r\n\r\n", b'{"rank": 1}\n', b"[1]\n", b""):
            with connect(port) as stranger:
                stranger.sendall(said)

    thread = threading.Thread(target=knock)
    thread.start()
    meetings = come(place(0, 2, port), place(1, 2, port))
    thread.join()
    assert [meeting.notes for meeting in meetings] == [{"note": 7}] * 2


def test_a_port_that_is_taken_is_named():
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        said = outcome(lambda: receive_ranks(place(0, 2, port), "runs/a", QUICK))
    assert said.startswith(f"master_port: rank 0 cannot listen at {port} on ")
    assert said.endswith("Address already in use; choose another master_port, or end what has this one")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"SSH-2.0-OpenSSH\r\n", "what comes is not of a rank"),
        (b"{}\n", "it does not greet as one"),
        (b"", "the connection was closed"),
    ],
)
def test_what_is_no_rank_0_is_named(answer, reason):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with server.accept()[0] as connection:
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        port = server.getsockname()[1]
        said = outcome(lambda: go_to_rank_0(place(1, 2, port), "runs/a", QUICK))
        thread.join()
    assert said.startswith(f"master_port: what answers rank 1 at 127.0.0.1:{port} is no rank 0 ({reason})")


def test_who_says_nothing_is_named(monkeypatch):
    monkeypatch.setattr("neox_core.launch.arrival.ANSWERS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        said = outcome(lambda: go_to_rank_0(place(1, 2, server.getsockname()[1]), "runs/a", QUICK))
    assert "is no rank 0 (it says nothing for 0 s)" in said


def test_another_run_at_the_port_is_named():
    port = free_port()
    with ThreadPoolExecutor(2) as pool:
        other = pool.submit(outcome, lambda: receive_ranks(place(0, 2, port), "runs/b", Patience(limit=2.0)))
        said = outcome(lambda: go_to_rank_0(place(1, 2, port), "runs/a", QUICK))
        assert said.startswith(f"master_port: at 127.0.0.1:{port} another run answers rank 1: runs/b on ")
        assert other.result().startswith("rank 1 of 2 did not come to the rendezvous")


def test_a_connection_is_closed_whether_or_not_all_was_read():
    with socket.create_server(("127.0.0.1", 0)) as server:
        channel = Channel(socket.create_connection(server.getsockname()))
        connection, _ = server.accept()
        channel.send({"unread": 1})
        select.select([connection], [], [], 10)
        connection.close()  # the kernel tells the other side that something was lost
        with pytest.raises(ConnectionError, match=r"^the connection was closed$"):
            channel.wait(10)
        channel.close()
