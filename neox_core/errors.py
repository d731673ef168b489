"""What a user can do wrong, and how it is said.

Every error that a user can cause is a `UserError`. The command line prints it without a traceback and exits with its
`exit_code`. A `Problem` is one mistake in the settings; all of them are reported together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class UserError(Exception):
    """A mistake that the user can mend: one or more sentences saying what, where, what is allowed and what to do."""

    exit_code = 2


class Origin(NamedTuple):
    """Where a value was written: `file:line`, a command line override, a default.

    Args:
        source: the file, or what else it is.
        line: counted from 1.
        text: the line itself, for quoting.
        key_start: column of the key in it, counted from 0; of what is wrong, where there is no key.
        key_end: the column after it.
        value_start: column of the value, where that begins in the same line.
        value_end: the column after it; the end of the line for a value that goes on below.
    """

    source: str
    line: int | None = None
    text: str | None = None
    key_start: int | None = None
    key_end: int | None = None
    value_start: int | None = None
    value_end: int | None = None

    def __str__(self) -> str:
        return self.source if self.line is None else f"{self.source}:{self.line}"


class Problem(NamedTuple):
    """One mistake: the keys it is about, a sentence that names value and allowed values, and what to do about it.

    A `limitation` is no mistake in the settings, but something that this machine or this version cannot do: `neox train` refuses
    it, `neox config check` only tells it, since settings are often checked elsewhere than they are used. `others`
    are further places that it is about.
    """

    message: str
    keys: tuple[str, ...] = ()
    remedy: str | None = None
    origin: Origin | None = None
    others: tuple[Origin, ...] = ()
    limitation: bool = False
    path: str | None = None  # within the value of the first key: `params.lr`

    def __str__(self) -> str:
        where = f"{self.origin}: " if self.origin else ""
        about = f"{', '.join(self.keys)}: " if self.keys else ""
        remedy = f" ({self.remedy})" if self.remedy else ""
        return f"{where}{about}{self.message}{remedy}"


class Notice(NamedTuple):
    """What a user should know about a setting but need not mend."""

    message: str
    keys: tuple[str, ...] = ()
    origin: Origin | None = None

    def __str__(self) -> str:
        where = f"{self.origin}: " if self.origin else ""
        about = f"{', '.join(self.keys)}: " if self.keys else ""
        return f"{where}{about}{self.message}"


class SettingsError(UserError):
    """The settings are wrong.

    Args:
        problems: every mistake found in one pass.
        unheld: whether it was too early to hold the values against each other, which may show further mistakes.
    """

    def __init__(self, problems: Iterable[Problem], *, unheld: bool = False) -> None:
        self.problems, self.unheld = tuple(problems), unheld
        super().__init__("\n".join(str(problem) for problem in self.problems))


def shortened(text: str, most: int) -> str:
    """A text for a message: where it has more than `most` characters, its beginning and three dots."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate that looks most like `name`, or None when nothing is close."""
    import difflib  # only after a mistake

    folded = {candidate.casefold(): candidate for candidate in candidates}
    found = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
    return folded[found[0]] if found else None


def did_you_mean(name: str, candidates: Sequence[str]) -> str:
    """`did you mean 'x'?` when something is close, else what there is: as many as one can read."""
    close = nearest(name, candidates)
    if close is not None:
        return f"did you mean '{close}'?"
    if not candidates:
        return "there is none"
    return (
        f"there is: {', '.join(sorted(candidates))}" if len(candidates) <= READABLE else f"there are {len(candidates)}"
    )


READABLE = 30
"""How many names a sentence lists."""
