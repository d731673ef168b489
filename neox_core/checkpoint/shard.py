"""The tensors of one rank in one safetensors file, written without a second copy of them in memory."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterable
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
    held: dict[str, Fragment] = {}
    pieces = []
    for fragment in fragments:
        piece = Piece.of(fragment)
        if piece.key in held:
            raise ValueError(f"{piece.key} is to be saved twice by the same rank")
        if fragment.tensor.numel() != piece.size:
            raise ValueError(f"{piece.key}: its tensor has {fragment.tensor.numel()} elements instead of {piece.size}")
        held[piece.key] = fragment
        pieces.append(piece)
    return write_pieces(path, pieces, lambda piece: held[piece.key].tensor)


def write_pieces(
    path: Path, pieces: Iterable[Piece], read: Callable[[Piece], torch.Tensor]
) -> tuple[FileRecord, tuple[Piece, ...]]:
    """The same of pieces whose tensors are read one at a time: nothing else of them is in memory.

    Args:
        path: the file.
        pieces: all that it is to hold.
        read: the elements of one, in the piece's type.

    Raises:
        UserError: the file system refuses, or what `read` raises; no file is there then.
    """
    # Wide types first, so that every tensor is aligned without padding, which the format does not allow.
    ordered = tuple(sorted(pieces, key=lambda piece: -piece.dtype.itemsize))
    with replacing(path) as file:
        file.write(_header(ordered))
        for piece in ordered:
            tensor = read(piece)
            if tensor.numel() != piece.size or tensor.dtype is not piece.dtype:
                raise ValueError(
                    f"{piece.key} is {tensor.numel()} elements of {tensor.dtype}, and not what was said of it"
                )
            file.write(_bytes(tensor))
    return file.record, ordered


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
