"""Who failed: one rank, which all tell what they know, decides it for all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from neox_core.launch.breadcrumbs import LONG, Breadcrumb
from neox_core.launch.verdict import Verdict

PLACES = 6
"""How many different places of ranks a sentence lists."""


class Judge:
    """What is known of each rank, and what follows. Time is counted in calls of `tick`, so that a pause of everything is none.

    Args:
        hosts: the host of each rank.
        limit: ticks that all ranks together may stand still; None for ever.
    """

    def __init__(self, hosts: Mapping[int, str], limit: int | None) -> None:
        self.limit = limit
        self.places = {rank: Breadcrumb("start", patience=LONG) for rank in hosts}
        self.verdict: Verdict | None = None
        self._hosts = hosts
        self.present = set(hosts)
        """Those that have not come to their end."""
        self._ages = dict.fromkeys(hosts, 0)  # ticks since a rank's last breadcrumb

    def hears(self, rank: int, place: Breadcrumb) -> None:
        """A rank says what it is doing."""
        if place.moves != self.places[rank].moves:
            self._ages[rank] = 0
        self.places[rank] = place

    def leaves(self, rank: int) -> None:
        """A rank has come to its end in order."""
        self.present.discard(rank)

    def fails(self, rank: int, reason: str) -> None:
        """A rank says why it cannot go on."""
        self._decide(f"{self.name(rank)} failed {self.places[rank]}: {reason}", [rank])

    def loses(self, rank: int, reason: str) -> None:
        """The connection to a rank that has not taken its leave is gone, or its process is."""
        if rank in self.present:
            self._decide(f"{self.name(rank)} is gone without a word ({reason}); {self._last(rank)}", [rank])

    def sees_stopped(self, rank: int, seconds: int) -> None:
        """A rank's process was stopped by a signal, and not continued for a while."""
        if rank in self.present:
            self._decide(
                f"{self.name(rank)} was stopped by a signal (SIGSTOP or SIGTSTP) and not continued for {seconds} s; "
                f"{self._last(rank)}",
                [rank],
            )

    def tick(self) -> Verdict | None:
        """A second more has passed; the verdict, where there is one."""
        for rank in self._ages:
            self._ages[rank] += 1
        idle = min((self._ages[rank] for rank in self.present), default=0)
        patience = max((self.places[rank].patience for rank in self.present), default=1)
        if self.limit is not None and idle >= self.limit * patience:
            self._decide_hanging(idle)
        return self.verdict

    def name(self, rank: int) -> str:
        """A rank with its host."""
        return f"rank {rank} on {self._hosts[rank]}"

    def _last(self, rank: int) -> str:
        return f"it was last seen {self.places[rank]}"

    def _decide(self, sentence: str, culprits: Iterable[int], *, hangs: bool = False) -> None:
        self.verdict = self.verdict or Verdict(sentence, tuple(culprits), hangs)

    def _decide_hanging(self, idle: int) -> None:
        """Those that are furthest behind hold up the others, who wait for them in a collective or say for whom they wait."""
        groups: dict[Breadcrumb, list[int]] = defaultdict(list)
        for rank in sorted(self.present, key=self._progress):
            groups[self.places[rank]._replace(moves=0, patience=1)].append(rank)
        (place, behind), *others = groups.items()
        about = f"no rank has gone on for {idle} s (hang_timeout): "
        advice = (
            "the stack of each rank is in `stacks` in the run's directory; raise hang_timeout if this may take so long"
        )
        if not others:
            self._decide(f"{about}all are {place}; {advice}", behind, hangs=True)
            return
        waiting = ", ".join(f"{ranks_in_words(ranks)} {where}" for where, ranks in others[:PLACES])
        more = ", and others elsewhere" if len(others) > PLACES else ""
        first = ranks_in_words(behind) if len(behind) > 1 else self.name(behind[0])
        self._decide(f"{about}{first} still {place}, while {waiting}{more}; {advice}", behind, hangs=True)

    def _progress(self, rank: int) -> tuple[bool, int, int, int]:
        """How far a rank is. Who waits for certain others holds up none, though it may be the furthest behind."""
        place = self.places[rank]
        return place.waits is not None, place.reached, place.moves, rank


def ranks_in_words(ranks: Iterable[int]) -> str:
    """`rank 3`, or `ranks 0-3, 6`."""
    ranges: list[list[int]] = []
    for rank in sorted(ranks):
        if ranges and rank == ranges[-1][-1] + 1:
            ranges[-1].append(rank)
        else:
            ranges.append([rank])
    words = ", ".join(f"{part[0]}" if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in ranges)
    return f"rank {words}" if sum(map(len, ranges)) == 1 else f"ranks {words}"
