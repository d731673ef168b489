"""Errors and notes for people: each once, in the order of files and lines, with the line that it is about and what to do."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from typing import TextIO

from neox_core.errors import Notice, Origin, Problem, SettingsError, UserError

_CODES = {"error": "1;31", "note": "1;36", "place": "1", "mark": "31", "remedy": "32", "gutter": "2"}
_WIDTH = 110  # of a quoted line
_WORD = re.compile(r"'[^']*'|\"[^\"]*\"|[^\s,:]+")


def has_colours(stream: TextIO) -> bool:
    """Whether a stream is a terminal with colours, and NO_COLOR does not say to do without."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class Paint:
    """Colours for a stream: those of a terminal, unless NO_COLOR says something or the terminal has none."""

    def __init__(self, stream: TextIO) -> None:
        self._on = has_colours(stream)

    def __call__(self, style: str, text: str) -> str:
        """The text in a style of the report."""
        return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if self._on and text else text


def report(error: UserError | OSError) -> None:
    """Print an error to standard error; the problems of settings as blocks, one of the system as `PATH: reason`."""
    paint = Paint(sys.stderr)
    if isinstance(error, SettingsError):
        lines = [line for problem in in_order(error.problems) for line in block(problem, paint)]
        lines += counted(error)
    else:
        text = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)
        lines = [f"{paint('error', 'error:')} {line}" for line in text.splitlines()]
    print("\n".join(lines), file=sys.stderr)


def print_notes(notes: Iterable[Notice | Problem]) -> None:
    """Print to standard error what a user should know, each once; a limitation with its line and what to do."""
    paint = Paint(sys.stderr)
    for note in dict.fromkeys(notes):
        if isinstance(note, Problem):
            print("\n".join(block(note, paint, "note")), file=sys.stderr)
        else:
            print(f"{paint('note', 'note:')} {note}", file=sys.stderr)


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Each problem once: those in files by file and line, then those of the command line and the like, then those without place."""

    def place(problem: Problem) -> tuple[bool, bool, str, int]:
        origin = problem.origin
        return origin is None, origin is None or origin.line is None, origin.source if origin else "", _line(origin)

    return sorted(dict.fromkeys(problems), key=place)


def counted(error: SettingsError) -> Iterator[str]:
    """The last line of a report: how many problems there are, and whether there may be more."""
    number = len(set(error.problems))
    if error.unheld:
        count, them = ("1 problem", "it is") if number == 1 else (f"{number} problems", "they are")
        yield f"{count}; whether the values fit together will be seen once {them} mended"
    elif number > 1:
        yield f"{number} problems"


def block(problem: Problem, paint: Paint, label: str = "error") -> Iterator[str]:
    """The lines about one problem: places that are not quoted, keys and message; the quoted lines; what to do.

    Its own place comes first in any case, and the quoted line has no other name where it is that one.
    """
    places = list(dict.fromkeys(place for place in (problem.origin, *problem.others) if place is not None))
    named = [str(place) for place in places if place == problem.origin or place.text is None]
    where = f"{paint('place', ', '.join(named))}: " if named else ""
    about = f"{', '.join(problem.keys)}: " if any(problem.keys) else ""
    yield f"{paint(label, f'{label}:')} {where}{about}{problem.message}"
    origins = [place for place in places if place.text is not None]
    names = [str(place.line) if origins == [problem.origin] else str(place) for place in origins]
    width = max(map(len, names), default=0)
    for origin, name in zip(origins, names, strict=True):
        line, mark = quoted(origin, problem)
        yield f"  {paint('gutter', f'{name:>{width}} |')} {line}"
        yield f"  {paint('gutter', ' ' * width + ' |')} {paint('mark', mark)}"
    if problem.remedy:
        yield f"  {paint('remedy', problem.remedy)}"


def quoted(origin: Origin, problem: Problem) -> tuple[str, str]:
    """The line of a problem, cut to what is beside the mark where it is long, and the mark under its key or value."""
    text = (origin.text or "").expandtabs(1).rstrip()
    start, end = marked(origin, problem)
    first = 0 if len(text) <= _WIDTH else max(0, min(start - _WIDTH // 3, len(text) - _WIDTH))
    if not first:
        first = len(text) - len(text.lstrip())
    shown = text[first : first + _WIDTH]
    return shown, " " * (start - first) + "^" * (min(end, first + len(shown)) - start)


def marked(origin: Origin, problem: Problem) -> tuple[int, int]:
    """The columns of the value, where a message begins with it; else those of the key; else everything."""
    text = origin.text or ""
    start, end = origin.value_start, origin.value_end
    if start is None or end is None or not begins_with(problem.message, text[start:end].rstrip()):
        start, end = origin.key_start, origin.key_end
    if start is not None and end is not None:
        return start, max(len(text[:end].rstrip()), start + 1)
    return len(text) - len(text.lstrip()), len(text.rstrip())


def begins_with(message: str, value: str) -> bool:
    """Whether a message begins with a value, as YAML or Python spells it; of one that goes on in the next line, with its bracket."""
    from neox_core.config.yaml_errors import Fault
    from neox_core.config.yaml_text import Loader, load

    word = _WORD.match(message)
    if not word or not value:
        return False
    if value[0] in "[{":
        return message[0] == value[0]
    try:
        given, said = (load(text, Loader.get_single_data) for text in (value, word[0]))
    except Fault:
        return False
    return word[0] == str(given) or (said == given and isinstance(said, bool) == isinstance(given, bool))


def _line(origin: Origin | None) -> int:
    return origin.line if origin is not None and origin.line is not None else 0
