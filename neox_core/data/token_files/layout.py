"""What a pair of token files looks like: `PREFIX.bin` holds the ids one after the other, `PREFIX.idx` says where each sequence lies.

Everything is little-endian. An index of the `mmap` format has a magic, a version (u64), a code of the element type (u8), the
number of sequences N (u64) and the entries D of the document index (u64); then sizes int32 [N] in tokens, starts int64 [N] in
bytes, and the document index int64 [D]: at which sequence each document begins, and N.

An index of the `cached` format has a magic, a version, the code, the size of an element in bytes, N, the number of sizes S, and D
(all u64); then the first size of each sequence int64 [N + 1], starts in elements int64 [N + 1], sizes int64 [S], and the document
index int64 [D]. A sequence has one size, its length: S is N.
"""

from __future__ import annotations

import struct
from typing import Any, Literal

import numpy as np

Format = Literal["mmap", "cached"]

MMAP_MAGIC = b"MMIDIDX\x00\x00"
CACHED_MAGIC = b"TNTIDX\x00\x00"
VERSION = 1
MMAP_HEADER = struct.Struct("<9sQBQQ")
CACHED_HEADER = struct.Struct("<8sQQQQQQ")

DTYPES: dict[int, np.dtype[Any]] = {
    code: np.dtype(name) for code, name in enumerate(("u1", "i1", "<i2", "<i4", "<i8", "<f4", "<f8", "<u2"), start=1)
}
"""Element types by the code that the index stores."""


def dtype_for_vocabulary(vocab_size: int, impl: Format = "mmap") -> np.dtype[Any]:
    """The element type in which GPT-NeoX stores ids of a vocabulary: uint16 below 65,500 entries, else int32; int32 if `cached`."""
    return np.dtype("<u2" if impl == "mmap" and vocab_size < 65500 else "<i4")


def dtype_code(dtype: np.dtype[Any]) -> int:
    """The code of an element type, which must be one of `DTYPES`."""
    return next(code for code, known in DTYPES.items() if known == dtype)
