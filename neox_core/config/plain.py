"""Plain data: what a configuration file can hold, and all that settings hold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from neox_core.config.entry import Entry
from neox_core.errors import Problem, SettingsError, shortened

PLAIN = "text, numbers, true/false, null, lists and mappings with text keys"
"""What plain data is, in words."""


class NotPlainError(ValueError):
    """A value is, or holds, something else than plain data; the message says what."""


def plain(value: Any) -> Any:
    """A copy that shares nothing with `value`; tuples become lists, subclasses of plain types and numpy's scalars plain ones.

    Raises:
        NotPlainError: it is not plain data.
    """
    try:
        return _plain(value)
    except RecursionError as error:
        raise NotPlainError("is nested too deeply, or holds itself") from error


def copied(value: Any) -> Any:
    """A copy of plain data that shares nothing with it."""
    if isinstance(value, dict):
        return {name: copied(item) for name, item in value.items()}
    return [copied(item) for item in value] if isinstance(value, list) else value


def joined_halves(text: str) -> str:
    """A text of which the two halves of a character, as JSON's escapes have them, are one character.

    Raises:
        UnicodeDecodeError: it has one half alone.
    """
    return text.encode("utf-16", "surrogatepass").decode("utf-16")


def in_python(value: object) -> str:
    """A value as Python shows it, for a message: escaped, and cut where it is long."""
    return shortened(ascii(value) if isinstance(value, str) else repr(value), 80)


def shown(value: Any) -> str:
    """A value as a configuration file would have it, in a line; text in quotes."""
    words = {None: "null", True: "true", False: "false"}
    if value is None or isinstance(value, bool):
        return words[value]
    if isinstance(value, list):
        return f"[{', '.join(shown(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name}: {shown(item)}' for name, item in value.items())}}}"
    return repr(value)


def plain_entries(entries: Iterable[Entry]) -> list[Entry]:
    """The entries with copies of their values.

    Raises:
        SettingsError: values that are not plain data; all of them.
    """
    copies, problems = [], []
    for entry in entries:
        try:
            copies.append(replace(entry, value=plain(entry.value)))
        except NotPlainError as error:
            problems.append(Problem(keys=(entry.key,), message=str(error), origin=entry.origin))
    if problems:
        raise SettingsError(problems)
    return copies


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value)
    for number in (int, float):
        if isinstance(value, number):
            return number(value)
    if isinstance(value, dict):
        return {_text(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    scalar = _numpy_scalar(value)
    if scalar is value:
        raise NotPlainError(f"{in_python(value)} is not plain data: {PLAIN}")
    return _plain(scalar)


def _text(text: object) -> str:
    if not isinstance(text, str):
        raise NotPlainError(f"the key {in_python(text)} is not plain data: {PLAIN}")
    try:
        return joined_halves(text)
    except UnicodeDecodeError as error:
        raise NotPlainError(f"{in_python(text)} is not text: it has half of a character") from error


def _numpy_scalar(value: Any) -> Any:
    """What Python has for a number of numpy, which is not imported here; else `value` itself."""
    known = type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0
    scalar = value.item() if known else value
    return value if type(scalar) is type(value) else scalar
