"""Tokenizers of the `tokenizers` library."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from neox_core.data.tokenizers.pieces import byte_level_bytes, joined, spaced_bytes
from neox_core.data.tokenizers.protocol import END_OF_DOCUMENT, PADDING, Described, require_text
from neox_core.data.tokenizers.source import TokenizerFile, TokenizerSource
from neox_core.errors import UserError

if TYPE_CHECKING:
    import tokenizers


class BackendTokenizer(Described):
    """A tokenizer that the `tokenizers` library computes. It neither cuts nor pads texts, whatever its file says."""

    def __init__(self, backend: tokenizers.Tokenizer, source: TokenizerSource, eod: str = END_OF_DOCUMENT) -> None:
        self.backend, self.source = backend, source
        backend.no_truncation()
        backend.no_padding()
        self.vocab_size = int(backend.get_vocab_size())
        self.eod_id = backend.token_to_id(eod)
        self.pad_id = backend.token_to_id(PADDING)

    @cached_property
    def special_tokens(self) -> Mapping[str, int]:
        """Ids of the added tokens."""
        added = self.backend.get_added_tokens_decoder()
        return {token.content: number for number, token in sorted(added.items())}

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, with the special tokens that the tokenizer itself adds."""
        require_text([text])
        return list(self.backend.encode(text).ids)

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of several texts, on all cores."""
        require_text(texts)
        return [encoding.ids for encoding in self.backend.encode_batch_fast(list(texts))]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids; special tokens are written out."""
        return str(self.backend.decode(list(ids), skip_special_tokens=False))

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        """The text of token ids as UTF-8; exact where the vocabulary is one of bytes, or has them to fall back on."""
        if "ByteLevel" in self._decoders:
            return b"".join(map(self._byte_level_bytes, ids))
        if "ByteFallback" in self._decoders:
            parts = (spaced_bytes(self.piece(token)) for token in ids)
            return joined(parts, dummy_prefix="Strip" in self._decoders)
        return self.decode(ids).encode()

    def piece(self, token: int) -> str:
        """How the vocabulary writes an entry; empty for an id that it does not have."""
        return self.backend.id_to_token(token) or ""

    def to_json(self) -> str:
        """The tokenizer as the text of a tokenizer.json file."""
        return str(self.backend.to_str(pretty=True))

    def _byte_level_bytes(self, token: int) -> bytes:
        added = self._added.get(token)
        return byte_level_bytes(self.piece(token)) if added is None else added

    @cached_property
    def _added(self) -> dict[int, bytes]:
        return {number: token.encode() for token, number in self.special_tokens.items()}

    @cached_property
    def _decoders(self) -> frozenset[str]:
        decoder = json.loads(self.backend.to_str())["decoder"] or {}
        return frozenset(part["type"] for part in (decoder, *decoder.get("decoders", ())) if part)


class HFTokenizer(BackendTokenizer):
    """A tokenizer.json file; `<|endoftext|>` ends documents and `<|padding|>` pads, where the vocabulary has them."""

    @classmethod
    def from_source(cls, source: TokenizerSource) -> HFTokenizer:
        """The tokenizer of a tokenizer.json. Raises `UserError` when the file is none."""
        return cls(parse_backend(source.files["vocab_file"]), source)

    @classmethod
    def from_backend(cls, backend: tokenizers.Tokenizer) -> HFTokenizer:
        """A tokenizer that was made in memory; what `to_json` gives is its file."""
        content = backend.to_str(pretty=True).encode()
        return cls(backend, TokenizerSource("HFTokenizer", {"vocab_file": TokenizerFile("tokenizer.json", content)}))


def parse_backend(file: TokenizerFile) -> tokenizers.Tokenizer:
    """The tokenizer in a tokenizer.json.

    Raises:
        UserError: the file is something else, or damaged.
    """
    from tokenizers import Tokenizer as Backend

    try:
        return Backend.from_str(file.content.decode())
    except Exception as error:  # the library raises nothing more precise
        raise UserError(
            f"vocab_file: {file.path} is not a tokenizer of the `tokenizers` library ({error}){_suspicion(file)}; give its "
            "tokenizer.json."
        ) from error


def _suspicion(file: TokenizerFile) -> str:
    """What the file seems to be instead."""
    if file.content.startswith(b"#version"):
        return " but seems to be the merges of a GPT2BPETokenizer"
    try:
        found = json.loads(file.content)
    except ValueError:
        return ""
    if isinstance(found, dict) and found and all(isinstance(entry, int) for entry in found.values()):
        return " but seems to be the vocab.json of a GPT2BPETokenizer"
    return ""
