"""What a form of prepared data is, and how values are taken from documents."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from neox_core.data.preparing.records import BadDocument, Fields, kind_of

Tokens = npt.NDArray[Any]
"""Token ids, labels or rewards of a document, [tokens]."""

Encode = Callable[[Sequence[str]], Sequence[Tokens]]
"""The token ids of each text."""

Made = tuple[Tokens, ...] | BadDocument | None
"""What a document became: its part in each column; why it is bad; None for one without tokens."""

MASKED = -100
"""The label of a token that is not learned."""

Document = TypeVar("Document")


@dataclass(frozen=True, slots=True)
class Column:
    """One of the token files that are made: `{prefix}_{name}_document`, with elements of type `dtype`; some hold labels."""

    name: str
    dtype: np.dtype[Any]
    holds_labels: bool = False


class Form(Protocol[Document]):
    """Makes the same number of sequences in each of its columns out of every document."""

    @property
    def columns(self) -> Sequence[Column]:
        """The token files; sizes and counts of tokens are told of the first."""

    @property
    def keys(self) -> Sequence[str]:
        """The keys that documents are asked for."""

    @property
    def options(self) -> Mapping[str, Any]:
        """All that the result depends on besides the documents and the tokenizer, as JSON holds it."""

    def parse(self, fields: Fields) -> Document:
        """What is to be encoded of a document. Raises `BadDocument` when it is not in there."""

    def encode(self, documents: Sequence[Document]) -> Iterator[Made]:
        """The documents' parts in the columns, document by document."""


def text_of(fields: Fields, key: str) -> str:
    """The text of a document; a list of texts is joined by empty lines. Raises `BadDocument` when there is no text."""
    value = fields if isinstance(fields, str) else value_of(fields, key)
    if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
        value = "\n\n".join(value)
    if not isinstance(value, str):
        raise BadDocument(f"'{key}' is of kind {kind_of(value)}, where a text is expected")
    return encodable(value)


def value_of(fields: Fields, key: str) -> Any:
    """The value of a key. Raises `BadDocument` when there is none."""
    if isinstance(fields, str):
        raise BadDocument(f"a bare text, which has no key '{key}'")
    if key not in fields:
        raise BadDocument(f"no key '{key}'; there are: {', '.join(map(str, fields)) or 'none'}")
    return fields[key]


def encodable(text: str) -> str:
    """The text. Raises `BadDocument` when it has half of a surrogate pair, which no UTF-8 can say."""
    try:
        text.isascii() or text.encode()
    except UnicodeEncodeError as error:
        raise BadDocument(
            f"U+{ord(text[error.start]):04X} at character {error.start}: half of a surrogate pair"
        ) from error
    return text
