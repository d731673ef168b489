"""Whether a plugin or a component can be used here, why not, and what mends it."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class State(StrEnum):
    """One word for a listing."""

    OK = "ok"
    MISSING = "missing"  # a requirement is not installed
    INCOMPATIBLE = "incompatible"  # a requirement, the API or this machine does not fit
    BROKEN = "broken"  # its code fails to load
    DISABLED = "disabled"  # switched off
    CONFLICT = "conflict"  # another plugin offers the same


class Availability(NamedTuple):
    """A state with its reason and the command or setting that mends it."""

    state: State = State.OK
    reason: str | None = None
    remedy: str | None = None

    @property
    def ok(self) -> bool:
        """Whether it can be used."""
        return self.state is State.OK

    def __str__(self) -> str:
        return "; ".join(
            filter(None, (f"{self.state}: {self.reason}" if self.reason else str(self.state), self.remedy))
        )


AVAILABLE = Availability()


class Source(NamedTuple):
    """Where a plugin comes from. One that `-p` names is its own distribution, with `-p` as entry point and no version."""

    distribution: str
    version: str
    entry_point: str
    module: str  # or the `.py` file
    file: str | None = None

    @property
    def qualified(self) -> str:
        """`distribution:entry-point`, the plugin's unique name."""
        return f"{self.distribution}:{self.entry_point}"

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}".strip()
