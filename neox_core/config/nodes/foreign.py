"""Code that is not ours: what a recipe or its file raises is told as the mistake that it is."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from neox_core.config.nodes.problems import NodeError
from neox_core.errors import UserError


@contextmanager
def told(what: str, *other: type[Exception]) -> Iterator[None]:
    """Say what runs within, and where it failed.

    Args:
        what: begins the sentence.
        other: what somebody else tells.

    Raises:
        NodeError: for whatever it raises that is no `UserError`, nor `other`.
    """
    passed: tuple[type[Exception], ...] = (UserError, *other)
    try:
        yield
    except passed:
        raise
    except Exception as error:
        said = error.msg if isinstance(error, SyntaxError) else str(error)
        message = " ".join(said.split())
        raise NodeError(
            f"{what}: {_place(error)}: {type(error).__name__}{message and f': {message}'}; --traceback shows how it came there"
        ) from error


def _place(error: Exception) -> str:
    """File and line: those of the text where it is no Python, else the last of the calls that have a file."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    calls = [call for call in traceback.extract_tb(error.__traceback__) if not call.filename.startswith("<")]
    return f"{calls[-1].filename}:{calls[-1].lineno}"
