"""One token a byte."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from neox_core.data.tokenizers.protocol import Described, require_text
from neox_core.data.tokenizers.source import TokenizerSource


class CharLevelTokenizer(Described):
    """One token a byte of UTF-8. Ids 0 and 1 also mean end of document and padding, so that text should not contain those bytes."""

    vocab_size = 512
    eod_id = 0
    pad_id = 1
    special_tokens: Mapping[str, int] = {}

    def __init__(self, source: TokenizerSource | None = None) -> None:
        self.source = source or TokenizerSource("CharLevelTokenizer", {})

    def encode(self, text: str) -> list[int]:
        """The text's bytes."""
        require_text([text])
        return list(text.encode())

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """The bytes of each text."""
        return [self.encode(text) for text in texts]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of bytes; ids above 255, and bytes that are no UTF-8, become U+FFFD."""
        return bytes(min(token, 0xFF) for token in ids).decode(errors="replace")  # 0xFF never occurs in UTF-8

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        """The bytes; ids above 255, which stand for none, become U+FFFD."""
        return b"".join(bytes((token,)) if token <= 0xFF else "\ufffd".encode() for token in ids)

    def piece(self, token: int) -> str:
        """A printable ASCII character as it is, else the byte's number."""
        return chr(token) if 0x20 < token < 0x7F else f"<0x{token:02X}>"
