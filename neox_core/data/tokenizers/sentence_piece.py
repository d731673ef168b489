"""SentencePiece models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from neox_core.data.tokenizers.packages import require_package
from neox_core.data.tokenizers.pieces import SPACE, joined, spaced_bytes
from neox_core.data.tokenizers.protocol import END_OF_DOCUMENT, PADDING, Described, require_text
from neox_core.data.tokenizers.source import TokenizerSource
from neox_core.errors import UserError


class SPMTokenizer(Described):
    """A model of SentencePiece.

    The piece `<|endoftext|>` ends documents; in a model without it, the model's own end of sentence does, if it has one.
    Likewise `<|padding|>`, or the model's own padding, pads. GPT-NeoX takes the unknown piece for a missing `<|endoftext|>`.
    """

    def __init__(self, processor: Any, source: TokenizerSource) -> None:
        self.processor, self.source = processor, source
        self.vocab_size = int(processor.get_piece_size())
        self.eod_id = self._named(END_OF_DOCUMENT, processor.eos_id())
        self.pad_id = self._named(PADDING, processor.pad_id())
        self._dummy_prefix = processor.encode("a", out_type=str)[0].startswith(SPACE)

    @classmethod
    def from_source(cls, source: TokenizerSource) -> SPMTokenizer:
        """The tokenizer of a model. Raises `UserError` when the file is none, or `sentencepiece` is not installed."""
        package = require_package("sentencepiece", "SPMTokenizer")
        file = source.files["vocab_file"]
        processor = package.SentencePieceProcessor()
        try:
            processor.LoadFromSerializedProto(file.content)
        except RuntimeError as error:
            raise UserError(
                f"vocab_file: {file.path} is no SentencePiece model ({error}); give the .model file that training one wrote."
            ) from error
        return cls(processor, source)

    @cached_property
    def special_tokens(self) -> Mapping[str, int]:
        """Ids of the control pieces, and of the end of documents where that is another."""
        special = [
            token for token in range(self.vocab_size) if self.processor.is_control(token) or token == self.eod_id
        ]
        return {self.piece(token): token for token in special}

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, without the beginning and the end of a sentence."""
        require_text([text])
        ids: list[int] = self.processor.encode(text)
        return ids

    def encode_batch(self, texts: Sequence[str], threads: int = -1) -> list[list[int]]:
        """Token ids of several texts, on `threads` cores, -1 for all."""
        require_text(texts)
        ids: list[list[int]] = self.processor.encode(list(texts), num_threads=threads)
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids; special tokens are written out."""
        return self.decode_bytes(ids).decode(errors="replace")

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        """The text of token ids as UTF-8, exact where the model has bytes to fall back on; what its normalisation changed stays so."""
        return joined((spaced_bytes(self.piece(token)) for token in ids), dummy_prefix=self._dummy_prefix)

    def piece(self, token: int) -> str:
        """How the vocabulary writes an entry."""
        return str(self.processor.id_to_piece(token))

    def _named(self, piece: str, other: int) -> int | None:
        """Id of a piece; where the model lacks it, the other, unless that is negative."""
        found = int(self.processor.piece_to_id(piece))
        if found != self.processor.unk_id() or self.piece(found) == piece:
            return found
        return other if other >= 0 else None
