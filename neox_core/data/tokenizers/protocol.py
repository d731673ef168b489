"""What every tokenizer can do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from neox_core.data.tokenizers.source import TokenizerSource
from neox_core.errors import UserError

END_OF_DOCUMENT = "<|endoftext|>"
PADDING = "<|padding|>"


class Tokenizer(Protocol):
    """Text to token ids and back.

    Encoding raises `UserError` for a text with a lone surrogate, which is half of a character and belongs to no text.
    """

    @property
    def source(self) -> TokenizerSource:
        """What it was made from."""

    @property
    def definition(self) -> Mapping[str, Any]:
        """Which tokenizer it is, in a few lines that JSON can hold: kind, entries, ids of eod and pad, digests of its files."""

    @property
    def fingerprint(self) -> str:
        """A sha256 (hexadecimal) of its kind and its files' content: equal exactly where the tokenizer is the same."""

    @property
    def vocab_size(self) -> int:
        """Number of entries, before padding."""

    @property
    def eod_id(self) -> int | None:
        """Id that ends a document, or None when the vocabulary has none."""

    @property
    def pad_id(self) -> int | None:
        """Id that fills a sample up, or None when the vocabulary has none."""

    @property
    def special_tokens(self) -> Mapping[str, int]:
        """Ids of the entries that are more than pieces of text: what a text may name in full, or only the tokenizer puts in."""

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, with the special tokens that the tokenizer itself adds."""

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of several texts, computed in parallel where the tokenizer can."""

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids; special tokens are written out, and bytes that are no UTF-8 become U+FFFD."""

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        """The text of token ids as UTF-8, with every byte as it was, also where ids end within a character."""

    def piece(self, token: int) -> str:
        """How the vocabulary writes an entry."""


class Described:
    """The parts of a tokenizer that follow from its source and its sizes."""

    source: TokenizerSource
    vocab_size: int
    eod_id: int | None
    pad_id: int | None

    @property
    def definition(self) -> Mapping[str, Any]:
        """Which tokenizer it is, in a few lines that JSON can hold."""
        sizes = {"vocab_size": self.vocab_size, "eod_id": self.eod_id, "pad_id": self.pad_id}
        return {**self.source.summary, **sizes, "fingerprint": self.fingerprint}

    @property
    def fingerprint(self) -> str:
        """A sha256 (hexadecimal) of its kind and its files' content."""
        return self.source.fingerprint


def require_text(texts: Iterable[str]) -> None:
    """Refuse what has no UTF-8, of which each library makes something else.

    Raises:
        UserError: a text has a lone surrogate, as JSON's `"\\ud800"` gives.
    """
    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            near = text[max(0, error.start - 20) : error.start + 20]
            raise UserError(
                f"a text has U+{ord(text[error.start]):04X} at character {error.start} ({near!r}): half of a surrogate pair, "
                "which is no character; remove it from the data."
            ) from error
