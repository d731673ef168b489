"""Token files spelled out entry by entry, as an independent statement of the formats."""

from __future__ import annotations

import struct

import numpy as np

CODES = {"uint8": 1, "int8": 2, "int16": 3, "int32": 4, "int64": 5, "float32": 6, "float64": 7, "uint16": 8}
LETTERS = {
    "uint8": "B",
    "int8": "b",
    "int16": "h",
    "int32": "i",
    "int64": "q",
    "float32": "f",
    "float64": "d",
    "uint16": "H",
}


def tokens_bytes(documents, dtype):
    """The `.bin` of documents, each a list of sequences."""
    letter = LETTERS[dtype]
    return b"".join(
        struct.pack("<" + letter, token) for document in documents for sequence in document for token in sequence
    )


def index_bytes(documents, dtype, impl="mmap"):
    """The `.idx` of documents, each a list of sequences."""
    return {"mmap": _mmap, "cached": _cached}[impl](documents, dtype)


def _mmap(documents, dtype):
    sizes, ends = _sizes(documents), _ends(documents)
    width = np.dtype(dtype).itemsize
    content = b"MMIDIDX\0\0" + struct.pack("<Q", 1) + struct.pack("<B", CODES[dtype])
    content += struct.pack("<Q", len(sizes)) + struct.pack("<Q", len(ends))
    for size in sizes:
        content += struct.pack("<i", size)
    start = 0
    for size in sizes:
        content += struct.pack("<q", start * width)
        start += size
    for end in ends:
        content += struct.pack("<q", end)
    return content


def _cached(documents, dtype):
    sizes, ends = _sizes(documents), _ends(documents)
    content = b"TNTIDX\0\0" + struct.pack("<Q", 1) + struct.pack("<QQ", CODES[dtype], np.dtype(dtype).itemsize)
    content += struct.pack("<QQ", len(sizes), len(sizes)) + struct.pack("<Q", len(ends))
    for dimension in range(len(sizes) + 1):
        content += struct.pack("<q", dimension)
    start = 0
    content += struct.pack("<q", 0)
    for size in sizes:
        start += size
        content += struct.pack("<q", start)
    for entry in [*sizes, *ends]:
        content += struct.pack("<q", entry)
    return content


def _sizes(documents):
    return [len(sequence) for document in documents for sequence in document]


def _ends(documents):
    ends = [0]
    for document in documents:
        ends.append(ends[-1] + len(document))
    return ends
