"""A family of checkpoints whose names are ours behind a prefix."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from neox_core.config import Resolved
from neox_core.errors import UserError

PREFIX = "acme."


class PrefixConverter:
    """Takes the prefix off, or puts it on."""

    def __init__(self, resolved: Resolved) -> None:
        pass

    def read(self, foreign: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Our names. UserError: a name has no prefix."""
        for name in foreign:
            if not name.startswith(PREFIX):
                raise UserError(f"'{name}' does not begin with '{PREFIX}'; is this a checkpoint of acme?")
        return {name.removeprefix(PREFIX): tensor for name, tensor in foreign.items()}

    def write(self, ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Their names."""
        return {PREFIX + name: tensor for name, tensor in ours.items()}
