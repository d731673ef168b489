"""What a rank hears and says as it watches: rank 0, which decides, and the others, who report to it."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress

from neox_core.launch.breadcrumbs import LONG, Breadcrumb, Breadcrumbs
from neox_core.launch.channel import Channel, Message
from neox_core.launch.judge import Judge
from neox_core.launch.meeting import Attendee, Meeting
from neox_core.launch.process_state import ProcessState
from neox_core.launch.verdict import Verdict

PATIENCE: dict[ProcessState, int] = {"stopped": 5, "gone": 3}
"""In how many looks in a row a neighbour must be found so before it is told. An end is mostly known sooner, by its connection."""

CROWD = 64
"""Reports a second that rank 0 hears without its own work suffering; where there are more ranks each reports more rarely."""


class Neighbourhood:
    """The other ranks on this machine, whose processes can be looked at."""

    def __init__(self, neighbours: list[Attendee]) -> None:
        # Who cannot be seen from the beginning may be hidden from this process: its connection tells when it is gone.
        self._processes = {near.rank: near.process for near in neighbours if near.process.state() != "gone"}
        self._found: Counter[tuple[ProcessState, int]] = Counter()

    def look(self) -> dict[int, ProcessState]:
        """Those that have not been running for a while."""
        states = {(process.state(), rank) for rank, process in self._processes.items()}
        self._found = Counter({found: self._found[found] + 1 for found in states if found[0] in PATIENCE})
        return {rank: state for (state, rank), times in self._found.items() if times >= PATIENCE[state]}


class Post:
    """What both have in common: the connections, the neighbourhood, and a judge."""

    def __init__(self, meeting: Meeting, crumbs: Breadcrumbs) -> None:
        self.channels: dict[int, Channel] = meeting.channels
        self.limit: int | None = None
        """Ticks that all ranks together may stand still."""
        self.needed = True
        """Whether there is still somebody to watch."""
        self._rank, self._crumbs = meeting.own.rank, crumbs
        self._neighbours = Neighbourhood(meeting.neighbours(meeting.own))
        self._hosts = {rank: attendee.host for rank, attendee in meeting.ranks.items()}
        self._every = 1 + meeting.own.world_size // CROWD
        self._ticks = 0

    @property
    def decided(self) -> bool:
        """Whether the verdict is its own."""
        return True

    def send(self, message: Message) -> None:
        """Tell all that there is a connection to."""
        for channel in self.channels.values():
            with suppress(ConnectionError):  # that shows when it is read
                channel.send(message)

    def take_leave(self) -> None:
        """Say that this rank has come to its end in order."""
        self.send({"leaves": True})

    def beat(self) -> Message | None:
        """What this rank is doing, as often as it is to be told: ranks take turns, though all begin at once."""
        self._ticks += 1
        return {"place": self._crumbs.last} if (self._ticks + self._rank) % self._every == 0 else None


class Centre(Post):
    """Rank 0."""

    def __init__(self, meeting: Meeting, crumbs: Breadcrumbs) -> None:
        super().__init__(meeting, crumbs)
        self._judge = Judge(self._hosts, None)

    @property
    def verdict(self) -> Verdict | None:
        """Who failed."""
        return self._judge.verdict

    def hear(self, rank: int, channel: Channel) -> bool:
        """Deal with what a rank says; False when there will be no more of it."""
        try:
            for message in channel.receive():
                self._take(rank, message)
        except ConnectionError as error:
            self._judge.loses(rank, str(error))
            return False
        return True

    def _take(self, rank: int, message: Message) -> None:
        if "place" in message:
            self._judge.hears(rank, Breadcrumb(*message["place"]))
        if "failure" in message:
            self._judge.fails(rank, message["failure"])
        if "leaves" in message:
            self._judge.leaves(rank)
            self.needed = self._judge.present != {self._rank}
        for other, state in message.get("neighbours", ()):
            self._believe(other, state)

    def _believe(self, rank: int, state: ProcessState) -> None:
        if state == "gone":
            self._judge.loses(rank, "its process has ended")
        else:
            self._judge.sees_stopped(rank, PATIENCE[state])

    def report(self, failure: str) -> None:
        """Decide that it was this rank."""
        self._judge.hears(0, self._crumbs.last)
        self._judge.fails(0, failure)

    def tick(self) -> None:
        """Look at everything, and let the others know that this rank lives."""
        self._judge.hears(0, self._crumbs.last)
        for rank, state in self._neighbours.look().items():
            self._believe(rank, state)
        if beat := self.beat():
            self.send(beat)
        self._judge.limit = self.limit
        self._judge.tick()

    def announce(self, verdict: Verdict) -> None:
        """Tell it to all."""
        self.send({"verdict": verdict})

    def places(self) -> dict[int, str]:
        """What each rank was last known to do."""
        return {rank: str(place) for rank, place in self._judge.places.items()}


class Outpost(Post):
    """Any other rank: it hears what rank 0 decides, and decides itself only about rank 0."""

    def __init__(self, meeting: Meeting, crumbs: Breadcrumbs) -> None:
        super().__init__(meeting, crumbs)
        self._judge = Judge({0: self._hosts[0]}, None)
        self._told: Verdict | None = None
        self._silent = 0

    @property
    def verdict(self) -> Verdict | None:
        """What rank 0 decided, or that it was rank 0."""
        return self._told or self._judge.verdict

    @property
    def decided(self) -> bool:
        """Whether the verdict is its own."""
        return self._told is None

    def hear(self, rank: int, channel: Channel) -> bool:
        """Deal with what rank 0 says; False when there will be no more of it."""
        try:
            for message in channel.receive():
                self._take(message)
        except ConnectionError as error:
            self._judge.loses(rank, str(error))
            return False
        return True

    def _take(self, message: Message) -> None:
        self._silent = 0
        if "place" in message:
            self._judge.hears(0, Breadcrumb(*message["place"]))
        if "verdict" in message:
            sentence, culprits, hangs = message["verdict"]
            self._told = Verdict(sentence, tuple(culprits), hangs)
        if "leaves" in message:
            self._judge.leaves(0)
            self.needed = False

    def report(self, failure: str) -> None:
        """Tell rank 0 that it was this rank; rank 0 answers with the verdict."""
        self.send({"place": self._crumbs.last, "failure": failure})

    def tick(self) -> None:
        """Look at the neighbours, and report."""
        found, beat = self._neighbours.look(), self.beat()
        for rank, state in found.items():
            if rank == 0 and state == "stopped":
                self._judge.sees_stopped(0, PATIENCE[state])
            elif rank == 0:
                self._judge.loses(0, "its process has ended")
        if beat is not None or found:
            self.send({**(beat or {}), "neighbours": list(found.items())})
        self._silent += 1
        if self.limit and self._silent >= self.limit * LONG:
            self._judge.loses(0, f"nothing was heard of it for {self._silent} s")

    def announce(self, verdict: Verdict) -> None:
        """Rank 0 has told it to all."""

    def places(self) -> dict[int, str]:
        """What rank 0 and this rank were last known to do."""
        return {0: str(self._judge.places[0]), self._rank: str(self._crumbs.last)}
