"""A name with arguments, as the value of an override has it: `my_model(3, layers=[1, 2])`. It is text, and never evaluated."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from neox_core.config.nodes.problems import NodeError
from neox_core.errors import shortened

DEEPEST = 50
"""Brackets within each other; nothing that is meant has more than a few."""


class Call(NamedTuple):
    """A name, and the texts of the values that are given to it."""

    name: str
    args: tuple[str, ...] = ()
    kwargs: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Call:
        """The call that a text is, also without parentheses.

        Raises:
            NodeError: it is none, brackets are not closed, or a value without a name comes after one with a name.
        """
        match = _CALL.fullmatch(text)
        if match is None:
            unclosed = "the ')' at the end is missing; " if "(" in text and not text.rstrip().endswith(")") else ""
            raise NodeError(f"{shortened(text, 60)}: {unclosed}write a recipe as name or name(value, name=value)")
        args: list[str] = []
        kwargs: list[tuple[str, str]] = []
        for part in _parts(match["arguments"] or "", text):
            named = _NAMED.fullmatch(part)
            if named is not None and any(name == named["name"] for name, _ in kwargs):
                raise NodeError(f"{shortened(text, 60)}: '{named['name']}' is given twice")
            if named is not None:
                kwargs.append((named["name"], named["value"]))
            elif kwargs:
                raise NodeError(
                    f"{shortened(text, 60)}: {part.strip()!r} comes after a value with a name, and so needs one, too"
                )
            else:
                args.append(part.strip())
        return cls(match["name"], tuple(args), tuple(kwargs))


_CALL = re.compile(r"\s*(?P<name>[A-Za-z_][\w.-]*)\s*(?:\((?P<arguments>.*)\)\s*)?", re.DOTALL)
_NAMED = re.compile(r"\s*(?P<name>[A-Za-z_]\w*)\s*=\s*(?P<value>.*?)\s*", re.DOTALL)
_PIECE = re.compile(r"""'(?:[^']|'')*'|"(?:[^"\\]|\\.)*"|.""", re.DOTALL)
_CLOSING = {"(": ")", "[": "]", "{": "}"}


def _parts(arguments: str, text: str) -> Iterator[str]:
    """What the commas that are in no brackets and quotes are between; nothing after the last one."""
    part, awaited = "", list[str]()
    for match in _PIECE.finditer(arguments):
        piece = match[0]
        if piece == "," and not awaited:
            yield part
            part = ""
            continue
        if piece in _CLOSING:
            awaited.append(_CLOSING[piece])
            if len(awaited) > DEEPEST:
                raise NodeError(f"{shortened(text, 60)}: brackets are nested more than {DEEPEST} deep")
        elif piece in _CLOSING.values() and (not awaited or awaited.pop() != piece):
            raise NodeError(f"{shortened(text, 60)}: {piece!r} closes nothing")
        part += piece
    if awaited:
        raise NodeError(f"{shortened(text, 60)}: {awaited[-1]!r} is missing")
    if part.strip():
        yield part
