"""What is wrong with a text that should be YAML, in words that say what to change."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import yaml

from neox_core.errors import Origin, Problem


class Refused(yaml.MarkedYAMLError):
    """A text that is YAML, and yet nothing that settings are made of.

    Args:
        message: what is wrong.
        mark: where.
        remedy: what to do.
        first: another place that it is about.
    """

    def __init__(self, message: str, mark: Mark, remedy: str, first: Mark | None = None) -> None:
        super().__init__(None, first, message, mark)
        self.remedy = remedy


Mark = yaml.error.Mark | Any
"""A place in a text; PyYAML's own C library has another class for it, of the same form."""

Place = tuple[int, int]
"""A line and a column, counted from 0."""


class Fault(Exception):
    """What is wrong with a text, what to do about it, and where it is.

    Args:
        message: what is wrong.
        remedy: what to do.
        place: where.
        first: another place that it is about.
    """

    def __init__(self, message: str, remedy: str, place: Place, first: Place | None = None) -> None:
        super().__init__(message)
        self.message, self.remedy, self.place, self.first = message, remedy, place, first

    def problem(self, lines: Sequence[str], source: str) -> Problem:
        """The problem of a file with these lines."""
        others = () if self.first is None else (_origin(lines, source, *self.first),)
        return Problem(
            message=self.message, remedy=self.remedy, origin=_origin(lines, source, *self.place), others=others
        )


def _origin(lines: Sequence[str], source: str, line: int, column: int) -> Origin:
    line = min(line, max(len(lines) - 1, 0))
    text = lines[line] if lines else ""
    return Origin(source=source, line=line + 1, text=text, key_start=min(column, len(text)), key_end=_end(text, column))


def _end(text: str, column: int) -> int:
    """The end of the word at a column; that of the line in a gap."""
    word = re.match(r"[\w.*&!'-]+|\S", text[column:])
    return column + word.end() if word else len(text.rstrip())


def find_fault(error: yaml.YAMLError, text: str, opened: Sequence[Mark]) -> Fault:
    """What a YAML error means to whoever wrote the text.

    Args:
        error: as PyYAML raises it, or `Refused`.
        text: what was read.
        opened: where the lists and mappings begin that are not complete, the innermost last.
    """
    if isinstance(error, yaml.reader.ReaderError):
        before = text[: error.position]
        message = f"the character with the code {error.character:#04x} is not allowed"
        return Fault(message, "delete it", (before.count("\n"), error.position - (before.rfind("\n") + 1)))
    assert isinstance(error, yaml.MarkedYAMLError)  # PyYAML has no others
    if isinstance(error, Refused):
        return Fault(str(error.problem), error.remedy, _place(error.problem_mark), _optional(error.context_mark))
    return _of_brackets(error, text, opened) or _of_table(error) or _of_lines(error, text) or _other(error)


def _of_brackets(error: yaml.MarkedYAMLError, text: str, opened: Sequence[Mark]) -> Fault | None:
    """A quote or bracket that is not closed, or a comma that is missing between brackets."""
    if "quoted scalar" in (error.context or "") and "end of stream" in (error.problem or ""):
        return Fault("the quote that begins here is not closed", "add a quote at its end", _place(error.context_mark))
    if "flow" not in (error.context or "") or not opened:
        return None
    line, column = _place(opened[-1])
    lines = text.splitlines()
    bracket = lines[line][column : column + 1]
    closing = {"[": "]", "{": "}"}.get(bracket)
    if closing is None:
        return None
    place = _place(error.problem_mark)
    if slip := _slip(lines, line, place):
        return slip
    if place[0] == line and "stream end" not in (error.problem or ""):
        return Fault(f"here a ',' is missing, or the '{closing}' of '{bracket}'", f"add ',' or '{closing}'", place)
    return Fault(f"the '{bracket}' that begins here is not closed", f"add '{closing}' at its end", (line, column))


def _slip(lines: Sequence[str], first: int, place: Place) -> Fault | None:
    """What JavaScript allows between brackets and YAML does not: a comment of its own, a comma that ends nothing."""
    for number in range(first, min(place[0] + 1, len(lines))):
        if comment := re.search(r"(^|[\s,\[{])//", lines[number]):
            return Fault("'//' begins no comment here", "write '#'", (number, comment.end() - 2))
    if place[0] < len(lines) and lines[place[0]][place[1] : place[1] + 1] == ",":
        return Fault("here a ',' is too many", "remove it", place)
    return None


def _of_lines(error: yaml.MarkedYAMLError, text: str) -> Fault | None:
    """A line without a colon, with one too many, or that does not begin where those above do."""
    problem, place, lines = error.problem or "", _place(error.problem_mark), text.splitlines()
    if problem == "could not find expected ':'":
        return _no_colon(lines, _place(error.context_mark))
    above = next((number for number in range(place[0] - 1, -1, -1) if _content(lines[number])), None)
    whole = problem in (
        "mapping values are not allowed here",
        "expected '<document start>', but found '<block mapping start>'",
    )
    if whole and above is not None and not re.search(r":(\s|$)", _content(lines[above])):
        return _no_colon(lines, (above, _indent(lines[above])))
    if problem.startswith(("expected <block end>", "expected '<document start>'")):
        remedy = "begin the keys of a mapping in the same column; put a value with quotes in it into quotes"
        return Fault("this does not fit what is above", remedy, place)
    if not whole:
        return None
    if above is not None and _indent(lines[place[0]]) > _indent(lines[above]):
        return Fault(
            "this line is indented more than the key above, which has a value already",
            "begin the keys of a mapping in the same column",
            (place[0], _indent(lines[place[0]])),
        )
    return Fault("there is a second ': ' in this line", "put a value with a colon into quotes", place)


def _no_colon(lines: Sequence[str], place: Place) -> Fault:
    """A line that is no `key: value`, and what it would be as one."""
    return Fault("there is no ': ' in this line", f"write `{as_pair(_content(lines[place[0]]))}`", place)


def as_pair(text: str) -> str:
    """What a line such as `seed=1`, `seed 1` or `seed:1` is meant to be; `key: value` where that cannot be guessed."""
    pair = re.fullmatch(r"([A-Za-z_][\w.-]*)\s*[=:\s]\s*(\S.*)", text)
    return f"{pair[1]}: {pair[2]}" if pair else "key: value"


_TABLE = (
    (r"character '\\t'", "here is a tab, which YAML does not allow", "use spaces"),
    (r"another document", "a second document begins here", "remove the line `---`, or write two files"),
    (r"found character '(.+)' that cannot start", "a value cannot begin with '{}'", "put it into quotes"),
    (r"undefined alias '(.+)'", "'*{0}' stands for nothing: there is no '&{0}' above", "write the value itself"),
    (r"duplicate anchor '(.+?)'", "'&{}' is there twice", "choose another name"),
    (r"for merging", "'<<' takes a mapping", "write `<<: *NAME` for one that is named above by `&NAME`"),
    (r"unhashable", "a list or a mapping cannot be a key", "write a word before the colon"),
    (r"but found '([\]}])'", "this '{}' closes nothing", "remove it, or put the value into quotes"),
)
"""What PyYAML says, as a pattern; what that means; what to do."""


def _of_table(error: yaml.MarkedYAMLError) -> Fault | None:
    """What can be said without looking at the text."""
    said, place = f"{error.context}; {error.problem}", _place(error.problem_mark)
    found = ((re.search(pattern, said), message, remedy) for pattern, message, remedy in _TABLE)
    return next(
        (Fault(message.format(*match.groups()), remedy, place) for match, message, remedy in found if match), None
    )


def _other(error: yaml.MarkedYAMLError) -> Fault:
    """What PyYAML says."""
    place = _place(error.problem_mark or error.context_mark)
    return Fault(f"not valid YAML: {error.problem}", "put text with special characters into quotes", place)


def _content(line: str) -> str:
    """A line without its comment."""
    return re.sub(r"(^|\s)#.*", "", line).strip()


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _place(mark: Mark | None) -> Place:
    return (mark.line, mark.column) if mark is not None else (0, 0)


def _optional(mark: Mark | None) -> Place | None:
    return None if mark is None else _place(mark)
