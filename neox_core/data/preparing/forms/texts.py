"""Texts: one column a key, and labels where a beginning is masked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from neox_core.data.preparing.forms.form import MASKED, Column, Encode, Made, Tokens, text_of
from neox_core.data.preparing.records import BadDocument, Fields
from neox_core.errors import UserError

Clean = Callable[[str], str]


class TextForm:
    """The tokens of one or several texts of each document.

    A document is left out when any of its texts has no tokens, so that the files of several keys stay side by side.

    Args:
        encode: makes token ids.
        dtype: element type of the token files.
        keys: of the texts.
        eod: token that is appended to every text, if any.
        clean: what is done to texts before they are encoded.
        mask_before: token ids; labels are written which mask everything up to and including their first occurrence, and nothing
            where they do not occur. Tokens are int32 then, as the labels are.
    """

    def __init__(
        self,
        encode: Encode,
        dtype: np.dtype[Any],
        *,
        keys: Sequence[str] = ("text",),
        eod: int | None = None,
        clean: Clean | None = None,
        mask_before: Sequence[int] = (),
    ) -> None:
        self.keys = tuple(keys)
        self._encode, self._eod, self._clean = encode, eod, clean
        self._dtype = np.dtype(np.int32) if mask_before else dtype
        self._end = np.array([eod or 0], np.promote_types(self._dtype, np.min_scalar_type(eod or 0)))
        self._pattern = np.array(mask_before, np.int64)

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """One for each key; with labels, GPT-NeoX's `label` beside a single key, `KEY_label` beside each of several."""
        texts = [Column(key, self._dtype) for key in self.keys]
        if not len(self._pattern):
            return tuple(texts)
        names = ["label"] if len(self.keys) == 1 else [f"{key}_label" for key in self.keys]
        taken = set(names).intersection(self.keys)
        if taken:
            raise UserError(f"--jsonl-keys: '{min(taken)}' is the name of the labels that are made; rename the key.")
        return (*texts, *(Column(name, self._dtype, holds_labels=True) for name in names))

    @property
    def options(self) -> Mapping[str, Any]:
        """The options by their names on the command line."""
        return {
            "form": "text",
            "jsonl_keys": list(self.keys),
            "append_eod": self._eod,
            "ftfy": self._clean is not None,
            "mask_before_token": self._pattern.tolist(),
        }

    def parse(self, fields: Fields) -> tuple[str, ...]:
        """The texts of the keys. Raises `BadDocument` when one is missing."""
        if isinstance(fields, str) and len(self.keys) > 1:
            raise BadDocument(f"a bare text, where the keys {', '.join(self.keys)} are expected")
        texts = tuple(text_of(fields, key) for key in self.keys)
        return texts if self._clean is None else tuple(map(self._clean, texts))

    def encode(self, documents: Sequence[tuple[str, ...]]) -> Iterator[Made]:
        """Token ids, then labels, of each document; None when one of its texts has no tokens."""
        encoded = self._encode([text for document in documents for text in document])
        width = len(self.keys)
        for first in range(0, len(encoded), width):
            texts = encoded[first : first + width]
            yield self._made(texts) if all(map(len, texts)) else None

    def _made(self, encoded: Sequence[Tokens]) -> tuple[Tokens, ...]:
        texts = encoded if self._eod is None else [np.concatenate((tokens, self._end)) for tokens in encoded]
        if not len(self._pattern):
            return tuple(texts)
        return (*texts, *(masked_before(tokens, self._pattern) for tokens in texts))


def masked_before(tokens: Tokens, pattern: Tokens) -> Tokens:
    """Labels, int32 [tokens]: the tokens, of which those up to and including the first occurrence of `pattern` are -100."""
    labels = tokens.astype(np.int32)
    if len(pattern) <= len(tokens):
        windows = np.lib.stride_tricks.sliding_window_view(tokens, len(pattern))
        matches = (windows == pattern).all(axis=1)
        first = int(matches.argmax())
        if matches[first]:
            labels[: first + len(pattern)] = MASKED
    return labels
