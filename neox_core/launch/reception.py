"""Rank 0 while the others come."""

from __future__ import annotations

import os
import selectors
import socket
from contextlib import suppress
from typing import Any

from neox_core.errors import UserError
from neox_core.launch.channel import Channel, Message
from neox_core.launch.judge import ranks_in_words
from neox_core.launch.meeting import GREETING, OTHER_PORT, Attendee, Meeting, Patience, Reminder
from neox_core.launch.rendezvous import Rendezvous

_PAUSE = 0.5  # seconds between looks at the clock


def receive_ranks(place: Rendezvous, run: str, patience: Patience) -> Meeting:
    """Wait until all ranks are here; a rank that is alone waits for nobody, and does not listen.

    Args:
        place: of rank 0.
        run: what tells this run from any other.
        patience: how long to wait.

    Raises:
        UserError: the port is taken; a rank has not come, came twice, was told another number of ranks, or has gone again. All
            ranks that are here are told.
    """
    own = Attendee.own(place)
    if place.world_size == 1:
        return Meeting(own, {0: own})
    with _listen(place) as server, selectors.DefaultSelector() as selector:
        reception = _Reception(Meeting(own, {0: own}), run, server, selector)
        try:
            return reception.wait_for_all(Reminder(patience))
        except UserError as error:
            reception.dismiss(str(error))
            raise


class _Reception:
    def __init__(self, meeting: Meeting, run: str, server: socket.socket, selector: selectors.BaseSelector) -> None:
        self._meeting, self._run, self._server, self._selector = meeting, run, server, selector
        self._expected = range(meeting.own.world_size)
        self._guests: dict[Channel, Attendee | None] = {}  # None: who has not presented himself yet
        selector.register(server, selectors.EVENT_READ)

    def wait_for_all(self, reminder: Reminder) -> Meeting:
        """The meeting, when nobody is missing."""
        while self._are_missing():
            for key, _ in self._selector.select(_PAUSE):
                if key.fileobj is self._server:
                    self._greet()
                else:
                    self._hear(key.data)
            if self._are_missing():
                reminder.look(self._who_is_missing)
        for channel, guest in self._guests.items():
            if guest is None:
                channel.close()
        return self._meeting

    def dismiss(self, failure: str) -> None:
        """Tell all that are here why there will be no run."""
        for channel in self._guests:
            with suppress(ConnectionError):
                channel.send({"failure": failure})
            channel.close()

    def _are_missing(self) -> bool:
        return len(self._meeting.ranks) < len(self._expected)

    def _who_is_missing(self) -> str:
        missing = [rank for rank in self._expected if rank not in self._meeting.ranks]
        return f"{ranks_in_words(missing)} of {len(self._expected)} did not come to the rendezvous"

    def _greet(self) -> None:
        channel = Channel(self._accept())
        with suppress(ConnectionError):  # who is gone again does not matter
            channel.send({"greeting": GREETING, "run": self._run, "host": self._meeting.own.host})
            self._guests[channel] = None
            self._selector.register(channel, selectors.EVENT_READ, channel)

    def _accept(self) -> socket.socket:
        try:
            return self._server.accept()[0]
        except OSError as error:
            there = f"{len(self._meeting.ranks)} of {len(self._expected)} ranks are there"
            raise UserError(
                f"rank 0 on {self._meeting.own.host} cannot take a further connection while {there}: {error.strerror}; allow it "
                "more open files (`ulimit -n`)"
            ) from error

    def _hear(self, channel: Channel) -> None:
        """Who has read the greeting presents himself, or leaves where this is no place for him."""
        try:
            for message in channel.receive():
                self._admit(message, channel)
        except ConnectionError as error:
            self._selector.unregister(channel)
            channel.close()
            attendee = self._guests.pop(channel)
            if attendee is not None:
                raise UserError(f"{attendee} ended before all ranks had come ({error}); see its log") from error

    def _admit(self, message: Message, channel: Channel) -> None:
        attendee, own = _presented(message, channel), self._meeting.own
        if attendee.world_size != own.world_size:
            raise UserError(
                f"WORLD_SIZE: {attendee} was started as one of {attendee.world_size} ranks, and {own} as one of "
                f"{own.world_size}; start all with the same number"
            )
        known = self._meeting.ranks.setdefault(attendee.rank, attendee)
        if known is not attendee:
            raise UserError(f"RANK: {known} and {attendee} were started with the same number; give each its own")
        self._guests[channel] = attendee


def _presented(message: dict[str, Any], channel: Channel) -> Attendee:
    try:
        return Attendee.of(message, channel)
    except (KeyError, TypeError) as error:
        raise ConnectionError("it is no rank") from error


def _listen(place: Rendezvous) -> socket.socket:
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    try:
        return socket.create_server(("", place.master_port), family=family, dualstack_ipv6=both, backlog=1024)
    except OSError as error:
        where, reason = f"{place.master_port} on {socket.gethostname()}", os.strerror(error.errno or 0)
        raise UserError(f"master_port: rank 0 cannot listen at {where}: {reason}; {OTHER_PORT}") from error
