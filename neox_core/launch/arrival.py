"""A rank on its way to rank 0."""

from __future__ import annotations

import socket
import time

from neox_core.errors import UserError
from neox_core.launch.channel import Channel, Message
from neox_core.launch.meeting import GREETING, OTHER_PORT, Attendee, Meeting, Patience, Reminder
from neox_core.launch.rendezvous import Rendezvous

ANSWERS = 15.0
"""Seconds in which rank 0 answers whoever has reached it."""

_LONGEST_PAUSE = 1.0


def go_to_rank_0(place: Rendezvous, run: str, patience: Patience) -> Meeting:
    """Go to rank 0, and wait until it says that all are here.

    Args:
        place: of this rank.
        run: what tells this run from any other.
        patience: how long to wait.

    Raises:
        UserError: there is no way to rank 0, another run or program has its port, or rank 0 says why there will be no run.
    """
    own, channel = Attendee.own(place), _reach(place, patience)
    greeting = _greeting(channel, place)
    if greeting.get("run") != run:
        raise UserError(
            f"master_port: at {_address(place)} another run answers rank {own.rank}: {greeting.get('run')} on "
            f"{greeting.get('host')}; {OTHER_PORT}"
        )
    try:
        channel.send(own.to_dict())
        told = channel.wait(patience.limit + ANSWERS)
    except (ConnectionError, TimeoutError) as error:
        raise UserError(
            f"rank 0 on {greeting.get('host')} ended before all ranks had come ({error}); see its log"
        ) from error
    if "failure" in told:
        raise UserError(told["failure"])
    ranks = [Attendee.of(facts, channel if facts["rank"] == 0 else None) for facts in told["ranks"]]
    return Meeting(own, {attendee.rank: attendee for attendee in ranks}, told["notes"])


def _reach(place: Rendezvous, patience: Patience) -> Channel:
    """A connection to rank 0, as soon as that listens."""
    reminder, pause = Reminder(patience), 0.02
    while True:
        try:
            return Channel(_connected(place))
        except OSError as error:
            reason = error.strerror or str(error)
        missing = f"rank {place.rank} on {socket.gethostname()} did not reach rank 0 at {_address(place)} ({reason})"
        reminder.look(lambda missing=missing: missing)  # type: ignore[misc]
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def _connected(place: Rendezvous) -> socket.socket:
    connection = socket.create_connection((place.master_addr, place.master_port), timeout=5.0)
    if connection.getsockname() == connection.getpeername():
        # Where nobody listens at a port that the kernel gives out, it may give this one out: the socket is connected to itself, and
        # keeps the port from rank 0.
        connection.close()
        raise ConnectionRefusedError("nobody listens")
    return connection


def _greeting(channel: Channel, place: Rendezvous) -> Message:
    try:
        greeting = channel.wait(ANSWERS)
        if greeting.get("greeting") != GREETING:
            raise ConnectionError("it does not greet as one")
    except (ConnectionError, TimeoutError) as error:
        raise UserError(
            f"master_port: what answers rank {place.rank} at {_address(place)} is no rank 0 ({error}); {OTHER_PORT}"
        ) from error
    return greeting


def _address(place: Rendezvous) -> str:
    return f"{place.master_addr}:{place.master_port}"
