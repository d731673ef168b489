"""Tokenizers of the `tiktoken` library. Nothing is fetched: files come from where they are named, or from its cache."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from neox_core.data.tokenizers.packages import require_package
from neox_core.data.tokenizers.protocol import Described, require_text
from neox_core.data.tokenizers.source import TokenizerFile, TokenizerSource, read_file
from neox_core.data.tokenizers.tiktoken_encodings import ENCODINGS, TiktokenEncoding
from neox_core.errors import UserError


class TiktokenTokenizer(Described):
    """A .tiktoken file with the pattern and the special tokens of the encoding that its name begins with; nothing pads."""

    pad_id = None

    def __init__(self, encoding: Any, source: TokenizerSource) -> None:
        self.encoding, self.source = encoding, source
        self.pattern = ENCODINGS[source.variant].pattern
        self.special_tokens = ENCODINGS[source.variant].special_tokens
        self.vocab_size = int(encoding.n_vocab)
        self.eod_id = int(encoding.eot_token)

    @classmethod
    def from_source(cls, source: TokenizerSource) -> TiktokenTokenizer:
        """The tokenizer of a file's ranks. Raises `UserError` when the file has none, or `tiktoken` is not installed."""
        package = require_package("tiktoken", "TiktokenTokenizer")
        file = source.files["vocab_file"]
        known = ENCODINGS[source.variant]
        ranks = _ranks(file, known)
        special = dict(known.special_tokens)
        return cls(
            package.Encoding(source.variant, pat_str=known.pattern, mergeable_ranks=ranks, special_tokens=special),
            source,
        )

    def encode(self, text: str) -> list[int]:
        """Token ids of a text; special tokens that are written in it get their ids."""
        require_text([text])
        ids: list[int] = self.encoding.encode(text, allowed_special="all")
        return ids

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of several texts."""
        return [self.encode(text) for text in texts]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids; special tokens are written out."""
        return self.decode_bytes(ids).decode(errors="replace")

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        """The bytes of token ids; an id between the ranks and the special tokens, which stands for none, becomes U+FFFD."""
        return b"".join(map(self._bytes, ids))

    def piece(self, token: int) -> str:
        """The bytes of an entry as text, where they are that, else as Python writes them."""
        content = self._bytes(token)
        try:
            return content.decode()
        except UnicodeDecodeError:
            return str(content)

    def _bytes(self, token: int) -> bytes:
        try:
            found: bytes = self.encoding.decode_single_token_bytes(token)
        except KeyError:
            return "\ufffd".encode()
        return found


def read_tiktoken(vocab_file: str | Path, merge_file: str | Path | None) -> TokenizerSource:
    """The file of ranks that a path names, or an encoding whose file is in the cache of `tiktoken`; `merge_file` is not read.

    Raises:
        UserError: there is no such file, or it is of no encoding that is known.
    """
    name = str(vocab_file)
    if name not in ENCODINGS or Path(vocab_file).exists():
        file = read_file("vocab_file", vocab_file, "a .tiktoken file, or the name of an encoding")
        return TokenizerSource("TiktokenTokenizer", {"vocab_file": file}, _encoding_of(file))
    known = ENCODINGS[name]
    if not known.cached.is_file():
        raise UserError(
            f"vocab_file: the ranks of {name} are not here ({known.cached} does not exist), and tokenizers fetch nothing; "
            f"give the path of a {known.file}."
        )
    file = read_file("vocab_file", known.cached, f"a {known.file}")
    if hashlib.sha256(file.content).hexdigest() != known.sha256:
        raise _no_ranks(file, f"its sha256 is not that of {known.file}")
    return TokenizerSource("TiktokenTokenizer", {"vocab_file": file}, name)


def _encoding_of(file: TokenizerFile) -> str:
    """The encoding that a file's name begins with, or whose published file it is.

    Raises:
        UserError: neither.
    """
    for name in ENCODINGS:
        if file.name.startswith(name):
            return name
    digest = hashlib.sha256(file.content).hexdigest()
    for name, encoding in ENCODINGS.items():
        if digest == encoding.sha256:
            return name
    raise UserError(
        f"vocab_file: nothing says how {file.path} cuts texts and which special tokens it has; let its name begin with that of "
        f"its encoding: {', '.join(ENCODINGS)}."
    )


def _ranks(file: TokenizerFile, known: TiktokenEncoding) -> dict[bytes, int]:
    """The ranks of a .tiktoken file: a line has a token in base64 and its rank.

    Raises:
        UserError: it has something else in it, lacks a byte, or has a rank that a special token has.
    """
    ranks = {}
    for number, line in enumerate(file.content.splitlines(), start=1):
        try:
            token, rank = line.split()
            ranks[base64.b64decode(token, validate=True)] = int(rank)
        except (ValueError, binascii.Error) as error:
            raise _no_ranks(file, f"line {number}, {line[:40]!r}, is not a token in base64 and a number") from error
    lacking = [byte for byte in range(0x100) if bytes((byte,)) not in ranks]
    if lacking:
        raise _no_ranks(file, f"it lacks {len(lacking)} of the 256 bytes, 0x{lacking[0]:02X} for one")
    if len(set(ranks.values())) < len(ranks):
        raise _no_ranks(file, "two tokens have the same rank")
    if set(ranks.values()) & set(known.special_tokens.values()):
        raise _no_ranks(file, "a token has the rank of a special token of the encoding that its name begins with")
    return ranks


def _no_ranks(file: TokenizerFile, reason: str) -> UserError:
    return UserError(f"vocab_file: {file.path} is no .tiktoken file ({reason}); give an undamaged one.")
