"""The ranks of a run that have come together.

Rank 0 listens at the run's port (`neox_core.launch.reception`), the others come (`neox_core.launch.arrival`). The connections stay
for as long as the run: over them the ranks watch each other (`neox_core.launch.watch`).
"""

from __future__ import annotations

import logging
import socket
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from neox_core.errors import UserError
from neox_core.launch.channel import Channel, Message
from neox_core.launch.process_state import ProcessId
from neox_core.launch.rendezvous import Rendezvous

logger = logging.getLogger("neox")

GREETING = "neox ranks 1"
"""How rank 0 answers; the number changes with the messages."""

OTHER_PORT = "choose another master_port, or end what has this one"


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long ranks wait for each other at the start, in seconds.

    Args:
        limit: until those that have not come are given up.
        remind: until they are named for the first time.
        again: between further times.
    """

    limit: float = 300.0
    remind: float = 15.0
    again: float = 60.0


class Reminder:
    """Says now and then what is waited for, and when there has been enough of it."""

    def __init__(self, patience: Patience) -> None:
        self._start = time.monotonic()
        self._next = patience.remind
        self._patience = patience

    def look(self, missing: Callable[[], str]) -> None:
        """Raises `UserError` when the time is over."""
        passed, limit = time.monotonic() - self._start, self._patience.limit
        if passed >= limit:
            raise UserError(f"{missing()} within {limit:g} s: a process has ended or was never started; see its log")
        if passed >= self._next:
            self._next = passed + self._patience.again
            logger.info("%s within %.0f s; waiting for up to %g s", missing(), passed, limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attendee:
    """A rank as it presents itself.

    Args:
        rank: its number.
        world_size: how many ranks it was told there are.
        host: its host.
        process: itself.
        channel: the connection to it, where there is one.
    """

    rank: int
    world_size: int
    host: str
    process: ProcessId
    channel: Channel | None = None

    @classmethod
    def own(cls, place: Rendezvous) -> Attendee:
        """This process."""
        return cls(rank=place.rank, world_size=place.world_size, host=socket.gethostname(), process=ProcessId.own())

    @classmethod
    def of(cls, message: Message, channel: Channel | None = None) -> Attendee:
        """The inverse of `to_dict`."""
        facts: dict[str, Any] = {**message, "process": ProcessId(*message["process"])}
        return cls(**facts, channel=channel)

    def to_dict(self) -> Message:
        """Plain data, without the connection."""
        return {"rank": self.rank, "world_size": self.world_size, "host": self.host, "process": list(self.process)}

    def __str__(self) -> str:
        return f"rank {self.rank} on {self.host} (process {self.process.pid})"


@dataclass(slots=True)
class Meeting:
    """Ranks that have all come.

    Args:
        own: this rank.
        ranks: on rank 0 all; elsewhere rank 0, this rank, and those on the same machine.
        notes: what rank 0 told all when they had come.
    """

    own: Attendee
    ranks: dict[int, Attendee] = field(default_factory=dict)
    notes: Message = field(default_factory=dict)

    @property
    def channels(self) -> dict[int, Channel]:
        """The connections to other ranks: on rank 0 to all, elsewhere to rank 0."""
        return {rank: attendee.channel for rank, attendee in self.ranks.items() if attendee.channel is not None}

    def neighbours(self, of: Attendee) -> list[Attendee]:
        """The other ranks on the machine of one."""
        return [
            other
            for other in self.ranks.values()
            if other.process.machine == of.process.machine and other.rank != of.rank
        ]

    def begin(self, notes: Message) -> None:
        """On rank 0: tell all that everybody has come, and further facts."""
        self.notes = notes
        machines: dict[str, list[Attendee]] = defaultdict(list)
        for attendee in self.ranks.values():
            machines[attendee.process.machine].append(attendee)
        for rank, channel in self.channels.items():
            told = {near.rank: near for near in (self.own, *machines[self.ranks[rank].process.machine])}
            with suppress(ConnectionError):  # that shows again when it is read
                channel.send({"ranks": [attendee.to_dict() for attendee in told.values()], "notes": notes})

    def close(self) -> None:
        """Close all connections."""
        for channel in self.channels.values():
            channel.close()
