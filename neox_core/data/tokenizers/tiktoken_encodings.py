"""OpenAI's published encodings: what their .tiktoken files do not say."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

END_OF_TEXT = "<|endoftext|>"
_ADDRESS = "https://openaipublic.blob.core.windows.net/encodings/"

_GPT2 = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"""
_CL100K = (
    r"""'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|"""
    r"""\s*[\r\n]|\s+(?!\S)|\s"""
)
_O200K = (
    r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"""
    r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"""
    r"""\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"""
)
_FILL_IN = ("<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>")


@dataclass(frozen=True, slots=True)
class TiktokenEncoding:
    """A published encoding.

    Args:
        pattern: how texts are cut before pairs are merged.
        special_tokens: ids of what is no text.
        file: name of the file with its ranks, where OpenAI publishes it.
        sha256: of that file.
    """

    pattern: str
    special_tokens: Mapping[str, int]
    file: str
    sha256: str

    @property
    def cached(self) -> Path:
        """Where the `tiktoken` package keeps the file once it has fetched it."""
        where = os.environ.get("TIKTOKEN_CACHE_DIR", os.environ.get("DATA_GYM_CACHE_DIR"))
        directory = Path(tempfile.gettempdir(), "data-gym-cache") if where is None else Path(where)
        return directory / hashlib.sha1(f"{_ADDRESS}{self.file}".encode(), usedforsecurity=False).hexdigest()


_P50K = ("p50k_base.tiktoken", "94b5ca7dff4d00767bc256fdd1b27e5b17361d7b8a5f968547f9f23eb70d2069")


def _numbered(first: int, names: Iterable[str]) -> dict[str, int]:
    return {name: first + place for place, name in enumerate(names)}


_R50K = ("r50k_base.tiktoken", "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930")
_CL100K_FILE = ("cl100k_base.tiktoken", "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7")
_O200K_FILE = ("o200k_base.tiktoken", "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d")
_HARMONY = {
    "<|startoftext|>": 199998,
    "<|endoftext|>": 199999,
    "<|return|>": 200002,
    "<|constrain|>": 200003,
    "<|channel|>": 200005,
    "<|start|>": 200006,
    "<|end|>": 200007,
    "<|message|>": 200008,
    "<|call|>": 200012,
}
_RESERVED = {f"<|reserved_{token}|>": token for token in range(200000, 201088) if token not in _HARMONY.values()}

ENCODINGS: Mapping[str, TiktokenEncoding] = {
    "r50k_base": TiktokenEncoding(_GPT2, {END_OF_TEXT: 50256}, *_R50K),
    "gpt2": TiktokenEncoding(_GPT2, {END_OF_TEXT: 50256}, *_R50K),
    "p50k_base": TiktokenEncoding(_GPT2, {END_OF_TEXT: 50256}, *_P50K),
    "p50k_edit": TiktokenEncoding(_GPT2, {END_OF_TEXT: 50256, **_numbered(50281, _FILL_IN)}, *_P50K),
    "cl100k_base": TiktokenEncoding(
        _CL100K, {END_OF_TEXT: 100257, **_numbered(100258, _FILL_IN), "<|endofprompt|>": 100276}, *_CL100K_FILE
    ),
    "o200k_base": TiktokenEncoding(_O200K, {END_OF_TEXT: 199999, "<|endofprompt|>": 200018}, *_O200K_FILE),
    "o200k_harmony": TiktokenEncoding(_O200K, {**_HARMONY, **_RESERVED, "<|endofprompt|>": 200018}, *_O200K_FILE),
}
"""By name."""
