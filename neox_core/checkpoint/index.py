"""The index: which shard holds which piece of which parameter, and so what to copy to have any part of one."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Container, Mapping, Sequence

import torch

from neox_core.checkpoint.copies import Copy, Stored, cover
from neox_core.checkpoint.pieces import Piece
from neox_core.errors import UserError, did_you_mean
from neox_core.parallel.shards import Box, Range, ShardSpec

LISTED = 4
"""How many places, or files, a message has."""


class Index:
    """Where the pieces of every parameter lie. Parameters are in the order in which they were saved."""

    def __init__(self, shards: Mapping[str, Sequence[Piece]]) -> None:
        """Take the pieces that each shard file holds."""
        self._shards = shards
        self._stored: dict[str, dict[str, list[Stored]]] = defaultdict(lambda: defaultdict(list))
        for shard, pieces in shards.items():
            for piece in pieces:
                self._stored[piece.spec.name][piece.role].append(Stored(shard, piece))

    def to_json(self) -> str:
        """The content of the index file."""
        return json.dumps({shard: [piece.to_json() for piece in pieces] for shard, pieces in self._shards.items()})

    @classmethod
    def from_json(cls, text: str) -> Index:
        """The index that `to_json` wrote."""
        return cls({shard: [Piece.from_json(item) for item in items] for shard, items in json.loads(text).items()})

    @property
    def names(self) -> tuple[str, ...]:
        """Canonical names of the parameters."""
        return tuple(self._stored)

    def roles(self, name: str) -> tuple[str, ...]:
        """The roles in which parameter `name` was saved; none when it was not."""
        return tuple(self._stored[name]) if name in self._stored else ()

    def shape(self, name: str, role: str = "weight") -> tuple[int, ...]:
        """The global shape of what was saved of parameter `name` in `role`; of a scalar state that of the parameter.

        Raises:
            UserError: there is no such parameter.
        """
        return self._find(name, role)[0].piece.spec.global_shape

    def dtype(self, name: str, role: str) -> torch.dtype:
        """The data type in which parameter `name` was saved in `role`."""
        return self._find(name, role)[0].piece.dtype

    def is_scalar(self, name: str, role: str) -> bool:
        """Whether what was saved of parameter `name` in `role` is one number for the tensor as a whole."""
        return self._find(name, role)[0].piece.scalar

    def copies(self, spec: ShardSpec, role: str, wanted: Range, opened: Container[str] = ()) -> list[Copy]:
        """What to take to have elements `wanted` of the flat local tensor of `spec`, whatever the saved cutting was; see `cover`.

        Raises:
            UserError: the parameter, or its role, or some of the elements are not there, or its shape is another.
        """
        stored = self._find(spec.name, role)
        for one in stored:
            _check_same_shape(spec, one.piece)
        copies, missing = cover(stored, spec, wanted, opened)
        if missing:
            raise UserError(_said_missing(spec, role, missing, stored))
        return copies

    def _find(self, name: str, role: str) -> list[Stored]:
        if name not in self._stored:
            raise UserError(f"there is no parameter '{name}' ({did_you_mean(name, self.names)})")
        if role not in self._stored[name]:
            raise UserError(f"{name} was not saved as '{role}', only as: {', '.join(self.roles(name))}")
        return self._stored[name][role]


def _check_same_shape(spec: ShardSpec, piece: Piece) -> None:
    saved = piece.spec.global_shape
    if spec.global_shape != saved:
        raise UserError(
            f"{spec.name} was saved with shape {saved} and is {spec.global_shape} in this model: "
            "use the settings that the checkpoint was saved with"
        )


def _said_missing(spec: ShardSpec, role: str, missing: Sequence[Box], stored: Sequence[Stored]) -> str:
    boxes = [", ".join(f"{start}:{stop}" for start, stop in box) for box in missing]
    files = dict.fromkeys(one.shard for one in stored)
    return (
        f"elements {_some([f'[{box}]' for box in boxes])} of {spec.name} ('{role}') are missing: a rank's part was not saved; of its "
        f"shape {spec.global_shape} there are parts in {_some([*files])}"
    )


def _some(texts: Sequence[str]) -> str:
    left = len(texts) - LISTED
    return ", ".join(texts[:LISTED]) + (f" and {left} more" if left > 0 else "")
