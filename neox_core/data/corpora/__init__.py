"""Collections of text to train on: named documents in an order that is the same on every run."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from neox_core.errors import UserError, did_you_mean

CORPORA = {"stdlib": "neox_core.data.corpora.stdlib:documents"}
"""Where the documents of each corpus come from, as "module:function"."""


@dataclass(frozen=True, slots=True)
class Document:
    """One text and its name, which is unique in its corpus."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Corpus:
    """A named source of documents that can be read again and again."""

    name: str
    documents: Callable[[], Iterable[Document]]


def load_corpus(name: str) -> Corpus:
    """The corpus of this name. Raises `UserError` when there is none."""
    if name not in CORPORA:
        raise UserError(f"There is no corpus '{name}'; {did_you_mean(name, list(CORPORA))}")
    module, _, function = CORPORA[name].partition(":")
    return Corpus(name, getattr(importlib.import_module(module), function))


def distinct(documents: Iterable[Document]) -> list[Document]:
    """The documents that have a text, and of those with the same text only the first."""
    first: dict[bytes, Document] = {}
    for document in documents:
        if document.text:
            first.setdefault(hashlib.sha256(document.text.encode()).digest(), document)
    return list(first.values())
