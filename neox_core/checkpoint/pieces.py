"""A piece is a fragment at rest: what it is of, in which role, and which elements; the index says where each one lies."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from neox_core.errors import UserError, did_you_mean
from neox_core.parallel.shards import Block, Box, Fragment, Range, ShardSpec

DTYPE_NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
"""Names of the data types in safetensors files."""

_DTYPES = {name: dtype for dtype, name in DTYPE_NAMES.items()}


@dataclass(frozen=True, slots=True)
class Piece:
    """A flat piece of a parameter in one role, as `Fragment` has it, without the tensor."""

    spec: ShardSpec
    role: str
    range: Range
    scalar: bool
    dtype: torch.dtype

    @classmethod
    def of(cls, fragment: Fragment) -> Piece:
        """The description of a live fragment."""
        return cls(fragment.spec, fragment.role, fragment.range, fragment.scalar, fragment.tensor.dtype)

    @property
    def key(self) -> str:
        """The name of its tensor in a shard file."""
        return f"{self.role}/{self.spec.name}[{self.range[0]}:{self.range[1]}]"

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.range[1] - self.range[0]

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "name": self.spec.name,
            "role": self.role,
            "range": self.range,
            "scalar": self.scalar,
            "dtype": DTYPE_NAMES[self.dtype],
            "shape": self.spec.global_shape,
            "blocks": [[block.local, block.whole] for block in self.spec.blocks],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Piece:
        """The piece that `to_json` described."""
        blocks = tuple(Block(_box(local), _box(whole)) for local, whole in data["blocks"])
        spec = ShardSpec(data["name"], tuple(data["shape"]), blocks)
        start, stop = data["range"]
        return cls(spec, data["role"], (start, stop), data["scalar"], _DTYPES[data["dtype"]])


def _box(ranges: Sequence[Sequence[int]]) -> Box:
    return tuple((start, stop) for start, stop in ranges)


@dataclass(frozen=True, slots=True)
class Copy:
    """Elements to take: `source` within a piece that lies in `shard`, going to `target` and on in what is asked for."""

    shard: str
    piece: Piece
    source: Range
    target: int


class Index:
    """Where the pieces of every parameter lie. Parameters are in the order in which they were saved."""

    def __init__(self, shards: Mapping[str, Sequence[Piece]]) -> None:
        """Take the pieces that each shard file holds."""
        self._shards = shards
        self._stored: dict[str, dict[str, list[tuple[str, Piece]]]] = defaultdict(lambda: defaultdict(list))
        for shard, pieces in shards.items():
            for piece in pieces:
                self._stored[piece.spec.name][piece.role].append((shard, piece))

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

    def shape(self, name: str) -> tuple[int, ...]:
        """The global shape of parameter `name`.

        Raises:
            UserError: there is no such parameter.
        """
        _, piece = self._find(name, "weight")[0]
        return piece.spec.global_shape

    def dtype(self, name: str, role: str) -> torch.dtype:
        """The data type in which parameter `name` was saved in `role`."""
        _, piece = self._find(name, role)[0]
        return piece.dtype

    def copies(self, spec: ShardSpec, role: str, wanted: Range) -> list[Copy]:
        """What to take to have elements `wanted` of the flat local tensor of `spec`, whatever the saved cutting was.

        Raises:
            UserError: the parameter, or its role, or some of the elements are not there, or its shape is another.
        """
        stored = self._find(spec.name, role)
        for _, piece in stored:
            _check_same_tensor(spec, piece)
        return _cover(stored, wanted)

    def _find(self, name: str, role: str) -> list[tuple[str, Piece]]:
        if name not in self._stored:
            raise UserError(f"there is no parameter '{name}' ({did_you_mean(name, self.names)})")
        if role not in self._stored[name]:
            raise UserError(f"{name} was not saved as '{role}', only as: {', '.join(self.roles(name))}")
        return self._stored[name][role]


def _check_same_tensor(spec: ShardSpec, piece: Piece) -> None:
    if spec.global_shape != piece.spec.global_shape:
        saved = piece.spec.global_shape
        raise UserError(
            f"{spec.name} was saved with shape {saved} and is {spec.global_shape} in this model: "
            "use the settings that the checkpoint was saved with"
        )
    if not (spec.is_complete and piece.spec.is_complete):
        raise UserError(
            f"{spec.name} is split over tensor-parallel ranks: parts of tensors cannot be loaded yet, only whole ones"
        )


def _cover(stored: Sequence[tuple[str, Piece]], wanted: Range) -> list[Copy]:
    """Walk along the wanted range and take each element from the first piece that holds it."""
    position, stop = wanted
    copies = []
    for shard, piece in sorted(stored, key=lambda item: item[1].range):
        first, last = piece.range
        if first <= position < min(last, stop):
            source = (position - first, min(last, stop) - first)
            copies.append(Copy(shard, piece, source, position - wanted[0]))
            position = min(last, stop)
    if position < stop:
        _, piece = stored[0]
        raise UserError(
            f"elements {position} to {stop} of {piece.spec.name} ('{piece.role}') are missing, or some of them: "
            "a rank's part was not saved"
        )
    return copies
