"""What can be wrong with a node. Each is a `UserError`, and also the built-in error that Python has for the same mistake."""

from __future__ import annotations

from collections.abc import Iterable

from neox_core.errors import UserError, did_you_mean


class NodeError(UserError):
    """A node, or a path in it, is wrong."""


class WrongArguments(NodeError, TypeError):
    """A target does not take these arguments, or lacks some."""


class NoSuchParameter(NodeError, AttributeError):
    """A target has no parameter of this name."""


class NotSet(NodeError, AttributeError):
    """A parameter without a default has no value."""


def no_such_parameter(target: object, name: str, candidates: Iterable[str]) -> str:
    """The sentence for a name that a target does not take; says the nearest one."""
    return f"{target} has no parameter '{name}'; {did_you_mean(name, list(candidates))}"
