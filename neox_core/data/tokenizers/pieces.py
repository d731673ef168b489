"""The bytes that entries of a vocabulary stand for."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping

SPACE = "\u2581"
"""How SentencePiece writes a space."""

BYTE = re.compile(r"<0x([0-9A-F]{2})>")
"""How SentencePiece writes a byte that no other piece covers."""


@functools.cache
def byte_of_letter() -> Mapping[str, int]:
    """The byte that each of the 256 letters of a byte-level vocabulary stands for.

    Printable bytes of Latin-1 stand for themselves and the others, in order, for the letters from U+0100 on
    (Radford et al. 2019, GPT-2).
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in set(printable)]
    letters = {chr(byte): byte for byte in printable}
    return letters | {chr(0x100 + place): byte for place, byte in enumerate(others)}


def byte_level_bytes(piece: str) -> bytes:
    """The bytes of an entry of a byte-level vocabulary; one that has other letters, as added tokens may, stands for itself."""
    letters = byte_of_letter()
    if any(letter not in letters for letter in piece):
        return piece.encode()
    return bytes(letters[letter] for letter in piece)


def spaced_bytes(piece: str) -> bytes:
    """The bytes of an entry that writes spaces as U+2581 and single bytes as `<0x0A>`."""
    found = BYTE.fullmatch(piece)
    return bytes((int(found[1], 16),)) if found else piece.replace(SPACE, " ").encode()


def joined(parts: Iterable[bytes], *, dummy_prefix: bool) -> bytes:
    """The bytes in one, without the space that encoding puts before a text."""
    whole = b"".join(parts)
    return whole.removeprefix(b" ") if dummy_prefix else whole
