"""Holds documents out of training for evaluation, so that nothing long of them was ever trained on.

A document is held out only if no passage of 200 bytes of it occurs in any training document. The search is exact in that
direction and errs in the other: a document may go to training for sharing a little less.

Why no shared passage escapes: cut a document into blocks of B = (P + 1) // 2 bytes, where P is the passage's length. The first
block that starts inside a passage of P bytes starts at most B - 1 bytes into it and so ends at most 2B - 1 <= P bytes into it:
every passage holds a whole block. If another document has the same passage anywhere, it has that block there, so one of its
windows of B bytes equals the block, and equal bytes have equal hashes. A hash that is equal by accident only sends one more
document to training.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]

PASSAGE = 200
"""Bytes that a held-out document and a training document never have in common."""

# Arithmetic is modulo 2**64; an odd base has an inverse there, which lets a window be hashed from two prefix sums.
_BASE = 0x9E3779B97F4A7C15
_INVERSE = pow(_BASE, -1, 1 << 64)


def hold_out(texts: Sequence[str], share: float = 0.05, passage: int = PASSAGE) -> list[bool]:
    """Whether each text is held out; about `share` of them are, less those with a passage of `passage` bytes in training.

    Which texts are candidates depends on the content of each alone, so that adding a text to a corpus moves no other into the set.
    """
    contents = [text.encode() for text in texts]
    held = [_is_candidate(content, share) for content in contents]
    candidates = [number for number, is_held in enumerate(held) if is_held]
    block = (passage + 1) // 2
    hasher = _WindowHasher(block, max(map(len, contents), default=0))
    table = _BlockTable({number: hasher(contents[number])[::block] for number in candidates})
    # A candidate that goes to training is scanned like any other training document, until none follows.
    scan = [number for number, is_held in enumerate(held) if not is_held]
    while scan:
        for number in table.owners(hasher(contents[scan.pop()])):
            if held[number]:
                held[number] = False
                scan.append(number)
    return held


def _is_candidate(content: bytes, share: float) -> bool:
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "big") < share * 2**64


class _WindowHasher:
    """Hashes every window of `window` bytes of a content of at most `longest` bytes."""

    def __init__(self, window: int, longest: int) -> None:
        self._window = window
        self._powers = _powers(_BASE, longest)
        self._inverses = _powers(_INVERSE, longest)

    def __call__(self, content: bytes) -> Hashes:
        """The hash of the window at each offset, uint64 [len(content) - window + 1] (none when the content is shorter)."""
        values = np.frombuffer(content, np.uint8).astype(np.uint64) + np.uint64(1)  # zero bytes must count too
        sums = np.zeros(len(values) + 1, np.uint64)
        np.cumsum(values * self._powers[: len(values)], out=sums[1:])
        windows = sums[self._window :] - sums[: -self._window]
        return windows * self._inverses[: len(windows)]


def _powers(base: int, count: int) -> Hashes:
    factors = np.full(count + 1, base, np.uint64)
    factors[0] = 1
    return np.cumprod(factors, dtype=np.uint64)


class _BlockTable:
    """From the hash of a block to the documents that have it."""

    def __init__(self, blocks: dict[int, Hashes]) -> None:
        hashes = np.concatenate([np.empty(0, np.uint64), *blocks.values()])
        order = np.argsort(hashes, kind="stable")
        self._hashes = hashes[order]
        self._owners = np.repeat(list(blocks), [len(found) for found in blocks.values()]).astype(np.int64)[order]

    def owners(self, windows: Hashes) -> list[int]:
        """Numbers of the documents of which a block is among the windows."""
        found = np.intersect1d(windows, self._hashes)
        first = np.searchsorted(self._hashes, found, side="left")
        last = np.searchsorted(self._hashes, found, side="right")
        spans = [self._owners[start:stop] for start, stop in zip(first, last, strict=True)]
        return np.unique(np.concatenate(spans)).tolist() if spans else []
