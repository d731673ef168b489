"""Why a run cannot go on."""

from __future__ import annotations

from typing import NamedTuple

from neox_core.errors import UserError

ELSEWHERE = 75
"""Exit code of a rank that ends because another one failed; sysexits.h calls it EX_TEMPFAIL."""


class Verdict(NamedTuple):
    """The same for all ranks.

    Args:
        sentence: which rank it was, on which host, what happened, and what it was doing.
        culprits: these ranks; none where that cannot be said.
        hangs: whether they live and come no further.
    """

    sentence: str
    culprits: tuple[int, ...] = ()
    hangs: bool = False

    def exit_code(self, rank: int) -> int:
        """What a rank ends with that has no other reason."""
        return 1 if rank in self.culprits or not self.culprits else ELSEWHERE


class FailedElsewhere(UserError):
    """This rank was in order, and another one failed."""

    exit_code = ELSEWHERE
