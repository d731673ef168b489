"""Writing .safetensors files, a tensor at a time, in shards with an index where they are many."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from neox_converters.file_tensors import TORCH_TYPES
from neox_core.checkpoint import LazyTensors
from neox_core.files import replacing, write_file

NAMES = {dtype: name for name, dtype in TORCH_TYPES.items()}
"""Names of types in headers."""

SHARD_BYTES = 5 * 10**9
"""Of one file at most, unless one tensor is larger; as transformers writes them."""

INDEX = "model.safetensors.index.json"


def write_safetensors(directory: Path, tensors: LazyTensors, shard_bytes: int | None = None) -> int:
    """Write all tensors into a directory, by the names that transformers looks for; how many bytes they have.

    Raises:
        UserError: the file system refuses, or what reading a tensor raises.
    """
    shards = [*_shards(tensors, shard_bytes or SHARD_BYTES)]
    total = sum(_size(tensors.meta(name)) for name in tensors)
    if len(shards) == 1:
        write_one(directory / "model.safetensors", tensors, shards[0])
        return total
    weight_map: dict[str, str] = {}
    for number, names in enumerate(shards, 1):
        file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        write_one(directory / file, tensors, names)
        weight_map |= dict.fromkeys(names, file)
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
    write_file(directory / INDEX, json.dumps(index, indent=2) + "\n")
    return total


def write_one(path: Path, tensors: LazyTensors, names: Sequence[str]) -> None:
    """Write some of the tensors into one file, of which one is in memory at a time.

    Raises:
        UserError: as `write_safetensors`; no file is there then.
    """
    # Wide types first, so that every tensor is aligned without padding, which the format does not allow.
    ordered = sorted(names, key=lambda name: (-tensors.meta(name).element_size(), name))
    with replacing(path) as file:
        file.write(_header(tensors, ordered))
        for name in ordered:
            file.write(_bytes(tensors[name]))


def _shards(tensors: LazyTensors, most: int) -> Iterator[list[str]]:
    """Names in their order, as many in a shard as it may hold."""
    held: list[str] = []
    size = 0
    for name in tensors:
        own = _size(tensors.meta(name))
        if held and size + own > most:
            yield held
            held, size = [], 0
        held.append(name)
        size += own
    yield held


def _header(tensors: LazyTensors, names: Sequence[str]) -> bytes:
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name in names:
        meta = tensors.meta(name)
        end = offset + _size(meta)
        header[name] = {"dtype": NAMES[meta.dtype], "shape": list(meta.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def _size(meta: Tensor) -> int:
    return math.prod(meta.shape) * meta.element_size()


def _bytes(tensor: Tensor) -> memoryview:
    return tensor.detach().reshape(-1).cpu().contiguous().view(torch.uint8).numpy().data
