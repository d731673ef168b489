"""Texts to ids as fast as a tokenizer can, with the ids that its `encode` gives."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial, singledispatch
from typing import Any

import numpy as np
import numpy.typing as npt

from neox_core.data.tokenizers.characters import CharLevelTokenizer
from neox_core.data.tokenizers.fast_encoding import fast_engine
from neox_core.data.tokenizers.protocol import Tokenizer, require_text
from neox_core.data.tokenizers.sentence_piece import SPMTokenizer
from neox_core.data.tokenizers.tik_token import TiktokenTokenizer

Ids = npt.NDArray[Any]
"""Token ids of one text, of the dtype that `dtype_of_ids` gives."""

Engine = Callable[[Sequence[str]], Sequence[Ids]]
"""Ids of a batch of texts."""


def dtype_of_ids(vocab_size: int) -> np.dtype[Any]:
    """The smallest of uint16, int32 and int64 that holds every id."""
    return next(np.dtype(kind) for kind in (np.uint16, np.int32, np.int64) if vocab_size - 1 <= np.iinfo(kind).max)


class BatchEncoder:
    """Encodes batches of texts on all cores: `encoder(texts)` gives an array of ids [tokens] for each text.

    Byte-level BPE, that of `tiktoken` too, goes through `fastokens` where that is installed and gives the same ids; `notice` says
    why, if not.

    Args:
        tokenizer: whose ids these are.
        workers: the most threads, None for one a core. The libraries take it once in a process, from the first encoder.

    Calling it raises `UserError` for a text with a lone surrogate, and if `fastokens` is found to give other ids after all.
    """

    def __init__(self, tokenizer: Tokenizer, workers: int | None = None) -> None:
        if workers is not None:
            os.environ["RAYON_NUM_THREADS"] = str(workers)  # read when the libraries' pools start
        fast, self.notice = fast_engine(tokenizer, dtype_of_ids(tokenizer.vocab_size))
        self.engine: Engine = fast or _engine_of(tokenizer, workers or os.cpu_count() or 1)

    def __call__(self, texts: Sequence[str]) -> Sequence[Ids]:
        """Ids of each text."""
        return self.engine(texts)


@singledispatch
def _engine_of(tokenizer: Tokenizer, workers: int) -> Engine:
    """The fastest engine for a tokenizer that `fastokens` does not have."""
    return _Lists(tokenizer.encode_batch, tokenizer.vocab_size)


@_engine_of.register
def _(tokenizer: SPMTokenizer, workers: int) -> Engine:
    return _Lists(partial(tokenizer.encode_batch, threads=workers), tokenizer.vocab_size)


@_engine_of.register
def _(tokenizer: TiktokenTokenizer, workers: int) -> Engine:
    return _Tiktoken(tokenizer, workers)


@_engine_of.register
def _(tokenizer: CharLevelTokenizer, workers: int) -> Engine:
    return _encode_characters


class _Lists:
    """An engine out of a function that gives lists."""

    def __init__(self, encode: Callable[[Sequence[str]], list[list[int]]], vocab_size: int) -> None:
        self._encode, self._dtype = encode, dtype_of_ids(vocab_size)

    def __call__(self, texts: Sequence[str]) -> list[Ids]:
        return [np.array(ids, self._dtype) for ids in self._encode(texts)]


class _Tiktoken:
    """`tiktoken`, which releases the interpreter's lock, in threads."""

    def __init__(self, tokenizer: TiktokenTokenizer, workers: int) -> None:
        self._encoding, self._dtype = tokenizer.encoding, dtype_of_ids(tokenizer.vocab_size)
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="tiktoken")

    def __call__(self, texts: Sequence[str]) -> list[Ids]:
        require_text(texts)  # the library would put U+FFFD in its place
        return list(self._pool.map(self._encode, texts))

    def _encode(self, text: str) -> Ids:
        ids: Ids = self._encoding.encode_to_numpy(text, allowed_special="all")
        return ids.astype(self._dtype)


def _encode_characters(texts: Sequence[str]) -> list[Ids]:
    require_text(texts)
    return [np.frombuffer(text.encode(), np.uint8).astype(np.uint16) for text in texts]
