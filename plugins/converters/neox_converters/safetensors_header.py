"""The header of a .safetensors file: which tensors there are, of what shapes and types. Costs no torch."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from neox_core.errors import UserError

DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}
"""Types that a file may have here, by their names in it, and torch's names."""

MOST_BYTES = 100_000_000
"""No header is longer, says the format."""


class Entry(NamedTuple):
    """One tensor: its type, by its name in the file, and its shape."""

    dtype: str
    shape: tuple[int, ...]


def read_header(path: Path) -> Mapping[str, Entry]:
    """The tensors of a file, by name.

    Raises:
        UserError: it is cut off, is none, or has tensors of a type that no weights have.
    """
    try:
        with path.open("rb") as file:
            start = file.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else MOST_BYTES + 1
            if length > MOST_BYTES:
                raise UserError(
                    f"{path} is no .safetensors file, or cut off: its first 8 bytes are not a length; get it anew"
                )
            described = json.loads(file.read(length))
            size = file.seek(0, 2)
        entries = {name: entry for name, entry in described.items() if name != "__metadata__"}
        end = max((entry["data_offsets"][1] for entry in entries.values()), default=0)
        found = {name: Entry(entry["dtype"], tuple(entry["shape"])) for name, entry in entries.items()}
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise UserError(
            f"{path} is no .safetensors file, or cut off within its header ({error}); get it anew"
        ) from error
    if size != 8 + length + end:
        raise UserError(f"{path} has {size} bytes, and {8 + length + end} by its header; get it anew")
    for name, entry in found.items():
        if entry.dtype not in DTYPES:
            raise UserError(
                f"{path}: '{name}' is of type {entry.dtype}, which is quantised or unknown; give weights of a type that computes: "
                "float32, bfloat16 or float16"
            )
    return found
