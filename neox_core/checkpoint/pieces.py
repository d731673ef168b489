"""A piece is a fragment at rest: what it is of, in which role, and which elements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

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
        """As plain data; which replica each block is stands there only where there are several."""
        blocks = self.spec.blocks
        replicas = [[block.replica, block.replicas] for block in blocks]
        return {
            "name": self.spec.name,
            "role": self.role,
            "range": self.range,
            "scalar": self.scalar,
            "dtype": DTYPE_NAMES[self.dtype],
            "shape": self.spec.global_shape,
            "blocks": [[block.local, block.whole] for block in blocks],
            **({"replicas": replicas} if any(block.replicas > 1 for block in blocks) else {}),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Piece:
        """The piece that `to_json` described."""
        boxes = [(_box(local), _box(whole)) for local, whole in data["blocks"]]
        replicas = data.get("replicas", [(0, 1)] * len(boxes))
        blocks = tuple(Block(*pair, *replica) for pair, replica in zip(boxes, replicas, strict=True))
        spec = ShardSpec(data["name"], tuple(data["shape"]), blocks)
        start, stop = data["range"]
        return cls(spec, data["role"], (start, stop), data["scalar"], _DTYPES[data["dtype"]])


def _box(ranges: Sequence[Sequence[int]]) -> Box:
    return tuple((start, stop) for start, stop in ranges)
