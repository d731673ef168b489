"""Collections of text to train on: corpora that need no network, and such that are downloaded.

`catalogue.toml` has the downloads; `items`, `catalogue`, `fetching` and `download` are what gets them.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from neox_core.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from neox_core.data.corpora.downloaded import DownloadedCorpus

CORPORA = {"stdlib": "neox_core.data.corpora.stdlib:documents"}
"""Where the documents of each corpus that needs no network come from, as "module:function"."""


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


def load_corpus(name: str) -> Corpus | DownloadedCorpus:
    """The corpus of this name, or the one that a catalogue of the user's own (`*.toml`) describes.

    Raises:
        UserError: there is none, or it is no corpus.
    """
    if name in CORPORA:
        module, _, function = CORPORA[name].partition(":")
        return Corpus(name, getattr(importlib.import_module(module), function))
    return _downloaded(name)


def _downloaded(name: str) -> DownloadedCorpus:
    from neox_core.data.corpora.catalogue import catalogue, find_items
    from neox_core.data.corpora.downloaded import DownloadedCorpus

    names = [*CORPORA, *(item.name for item in catalogue().values() if item.kind == "corpus")]
    if not name.endswith(".toml") and name not in catalogue():
        raise UserError(f"There is no corpus '{name}'; {did_you_mean(name, names)}")
    items = find_items([name])
    if len(items) != 1 or items[0].kind != "corpus":
        what = f"has {len(items)} items" if len(items) != 1 else f"is no corpus ({items[0].kind})"
        raise UserError(f"'{name}' {what}; name one corpus of: {', '.join(names)}; or a file that describes one")
    return DownloadedCorpus(items[0])


def distinct(documents: Iterable[Document]) -> list[Document]:
    """The documents that have a text, and of those with the same text only the first."""
    first: dict[bytes, Document] = {}
    for document in documents:
        if document.text:
            first.setdefault(hashlib.sha256(document.text.encode()).digest(), document)
    return list(first.values())
