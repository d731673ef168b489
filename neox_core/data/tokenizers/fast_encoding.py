"""Byte-pair encoding by `fastokens`, held against the tokenizer itself."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Sequence
from functools import singledispatch
from itertools import pairwise
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from neox_core.data.tokenizers.hugging_face import BackendTokenizer
from neox_core.data.tokenizers.protocol import Tokenizer
from neox_core.data.tokenizers.tik_token import TiktokenTokenizer
from neox_core.errors import UserError

CHECKED_EVERY = 1000
"""One text in so many is encoded by the tokenizer itself too."""

INSTALL = "pip install 'neox-toolkit[fastokens]'"


@singledispatch
def _native(tokenizer: Tokenizer, fastokens: ModuleType) -> Any:
    """What `fastokens` makes of a tokenizer. Raises `ValueError` for one that it does not have."""
    raise ValueError(f"{tokenizer.source.tokenizer_type} is no byte-pair encoding")


@_native.register
def _(tokenizer: BackendTokenizer, fastokens: ModuleType) -> Any:
    return fastokens.Tokenizer.from_json_str(tokenizer.backend.to_str())


@_native.register
def _(tokenizer: TiktokenTokenizer, fastokens: ModuleType) -> Any:
    with tempfile.NamedTemporaryFile(suffix=".tiktoken") as file:
        file.write(tokenizer.source.files["vocab_file"].content)
        file.flush()
        return fastokens.Tokenizer.from_tiktoken(file.name, tokenizer.pattern, dict(tokenizer.special_tokens))


class FastEngine:
    """Ids of batches by `fastokens`; the first text and every thousandth after it are encoded by the tokenizer itself too."""

    def __init__(self, native: Any, tokenizer: Tokenizer, dtype: np.dtype[Any]) -> None:
        self._native, self._tokenizer, self._dtype = native, tokenizer, dtype
        self._encoded = 0

    def __call__(self, texts: Sequence[str]) -> list[npt.NDArray[Any]]:
        """Ids of each text.

        Raises:
            UserError: a text has a lone surrogate, or the libraries differ.
        """
        texts = list(texts)
        try:
            encoded = self._split(*self._native.encode_batch_flat(texts, True))
        except ValueError:
            # A lone surrogate, which the tokenizer refuses in a sentence, or a limit that it does not have.
            encoded = [np.array(ids, self._dtype) for ids in self._tokenizer.encode_batch(texts)]
        self._check(texts, encoded)
        return encoded

    def _split(self, ids: bytes, offsets: bytes) -> list[npt.NDArray[Any]]:
        flat = np.frombuffer(ids, "<u4").astype(self._dtype)
        bounds = np.frombuffer(offsets, "<u8").tolist()
        return [flat[start:end] for start, end in pairwise(bounds)]

    def _check(self, texts: Sequence[str], encoded: Sequence[npt.NDArray[Any]]) -> None:
        first = -self._encoded % CHECKED_EVERY
        self._encoded += len(texts)
        for place in range(first, len(texts), CHECKED_EVERY):
            if self._tokenizer.encode(texts[place]) != encoded[place].tolist():
                raise UserError(
                    f"fastokens gives other ids than the tokenizer for the text that begins with {texts[place][:60]!r}; what was "
                    "encoded with it may be wrong: uninstall it (pip uninstall fastokens) and encode again."
                )


def fast_engine(tokenizer: Tokenizer, dtype: np.dtype[Any]) -> tuple[FastEngine | None, str | None]:
    """The engine of a tokenizer that gives ids of `dtype`; or None, and why there is none where it might have been."""
    if _native.dispatch(type(tokenizer)) is _native.dispatch(object):
        return None, None
    try:
        import fastokens
    except ImportError:
        return None, f"this tokenizer is many times as fast with fastokens, which is not installed: {INSTALL}"
    if not hasattr(fastokens.Tokenizer, "encode_batch_flat"):
        return None, f"fastokens is installed in a version that is too old: {INSTALL}"
    try:
        native = _native(tokenizer, fastokens)
    except ValueError as error:
        return None, f"fastokens does not have this tokenizer ({error}), so that it encodes by itself"
    different = difference(native, tokenizer)
    if different is not None:
        return (
            None,
            f"fastokens encodes {different[:60]!r} otherwise than the tokenizer, which therefore encodes by itself",
        )
    return FastEngine(native, tokenizer, dtype), None


def difference(native: Any, tokenizer: Tokenizer) -> str | None:
    """A text that `fastokens` encodes otherwise, or cannot encode; None if no tricky one is."""
    texts = [*TRICKY, *_around(list(tokenizer.special_tokens)[:100]), *_vocabulary(tokenizer)]
    for text, expected in zip(texts, tokenizer.encode_batch(texts), strict=True):
        try:
            ids, _ = native.encode_batch_flat([text], True)
        except ValueError:
            return text
        if np.frombuffer(ids, "<u4").tolist() != expected:
            return text
    return None


def _around(special: Sequence[str]) -> list[str]:
    """Texts in which special tokens stand in every position that might matter."""
    together = [f"{first}{second}" for first, second in pairwise(special)]
    alone = [form for token in special for form in (token, f"a{token}b", f" {token} ", f"\n{token}\n", token[:-1])]
    return alone + together


def _vocabulary(tokenizer: Tokenizer) -> list[str]:
    """Texts out of entries of the vocabulary, in an order that training did not see."""
    ids = list(range(tokenizer.vocab_size))
    random.Random(0).shuffle(ids)
    return [tokenizer.decode(ids[start : start + 64]) for start in range(0, min(len(ids), 8192), 64)]


TRICKY = (
    "",
    " ",
    "  ",
    "\n",
    "\r\n\r\n \t\t x",
    "\0\x01\x1c\x1f\x7f\x85\xa0",
    " \u1680\u2000\u2009\u2028\u2029\u202f\u205f\u3000 a\u200b\ufeffb",
    " leading and trailing  ",
    "a   b    c\n\n\n   d \n ",
    "I'm you're we've they'll he'd it's I'M YOU'RE 'S 'sx ''ll can'tt",
    "0 12 345 6789 1234567890 1,234.56 3.14e-10 \u0661\u0662\u0663 \u00bd \u2167 x2y3",
    "!? ... --- ***** ($%^&*) [[{{}}]] </s> <|> <| |> <|endoftext|> <|padding|>",
    "def f(x):\n    if x:\n\t\treturn {'a': [1, 2]}  # comment\n",
    "caf\u00e9 cafe\u0301 \ufb01 \uff21 \u212b \u1e9b\u0323 \u00c5 \u0041\u030a",
    "\u65e5\u672c\u8a9e\u306e\u6587\u7ae0\u3002 \u4e2d\u6587 \ud55c\uad6d\uc5b4 \u0e20\u0e32\u0e29\u0e32\u0e44\u0e17\u0e22",
    "\u0627\u0644\u0639\u0631\u0628\u064a\u0629 \u05e2\u05d1\u05e8\u05d9\u05ea",
    "\u0939\u093f\u0928\u094d\u0926\u0940 \u0420\u0443\u0441\u0441\u043a\u0438\u0439",
    "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea \u2764\ufe0f \U0001f44d\U0001f3fd",
    "\ufffd\ufffe\uffff\U0010ffff\ue000 \u0378",
    "a" * 5000,
    "ab" * 3000 + " " * 3000 + "." * 3000,
    "\u00e9" * 3000 + "\n" * 3000,
    "word " * 5000,
    "\n ".join(str(number) for number in range(3000)),
)
"""Texts in which encoders are known to go wrong: white space, digits, apostrophes, scripts, combining marks, long runs."""
