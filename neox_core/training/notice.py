"""What ranks tell each other with a step's own communication."""

from __future__ import annotations

from typing import NamedTuple


class Notice(NamedTuple):
    """What one rank tells; or what all have told, which all learn at the same step.

    Args:
        signal: one that asks the run to end, or 0; of all ranks the largest.
        written: whether its part of the checkpoint that is being written beside training is; of all ranks, whether all are.
    """

    signal: int = 0
    written: bool = False


NOTHING = Notice()
"""There is nothing to tell."""
