"""The tensors of one rank in one safetensors file, written without a second copy of them in memory."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch

from neox_core.checkpoint.pieces import DTYPE_NAMES, Piece
from neox_core.files import FileRecord, replacing
from neox_core.parallel.shards import Fragment


def write_shard(path: Path, fragments: Iterable[Fragment]) -> tuple[FileRecord, tuple[Piece, ...]]:
    """Write `fragments` to `path`, each as a flat tensor under its piece's key; what was written, and its pieces.

    The file describes itself: its metadata holds the JSON of each piece under the same key.

    Raises:
        UserError: the file system refuses.
        ValueError: a fragment's tensor is not as long as its range, or the same piece comes twice.
    """
    # Wide types first, so that every tensor is aligned without padding, which the format does not allow.
    ordered = sorted(fragments, key=lambda fragment: -fragment.tensor.element_size())
    pieces = tuple(Piece.of(fragment) for fragment in ordered)
    _check(ordered, pieces)
    with replacing(path) as file:
        file.write(_header(pieces))
        for fragment in ordered:
            file.write(_bytes(fragment.tensor))
    return file.record, pieces


def _check(fragments: Sequence[Fragment], pieces: Sequence[Piece]) -> None:
    keys: set[str] = set()
    for fragment, piece in zip(fragments, pieces, strict=True):
        if fragment.tensor.numel() != piece.size:
            raise ValueError(f"{piece.key}: its tensor has {fragment.tensor.numel()} elements instead of {piece.size}")
        if piece.key in keys:
            raise ValueError(f"{piece.key} is to be saved twice by the same rank")
        keys.add(piece.key)


def _header(pieces: Iterable[Piece]) -> bytes:
    """The file's beginning: the header's length as 8 bytes, then JSON padded with spaces to a multiple of 8."""
    header: dict[str, Any] = {"__metadata__": {piece.key: json.dumps(piece.to_json()) for piece in pieces}}
    offset = 0
    for piece in pieces:
        end = offset + piece.size * piece.dtype.itemsize
        header[piece.key] = {"dtype": DTYPE_NAMES[piece.dtype], "shape": [piece.size], "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def _bytes(tensor: torch.Tensor) -> memoryview:
    """The elements of `tensor` as bytes: its own memory where it lies contiguous in host memory, else a copy."""
    return tensor.detach().reshape(-1).cpu().contiguous().view(torch.uint8).numpy().data
