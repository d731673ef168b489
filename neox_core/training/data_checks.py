"""What can be found wrong with a run's data before a process is started; costs no torch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from neox_core.config import DataSettings, Resolved, TrainingSettings
from neox_core.config.split import parse_split
from neox_core.data.named import Part, cut_file, listed_parts
from neox_core.data.samples.document_files import DocumentFiles
from neox_core.data.samples.documents import Documents
from neox_core.data.samples.pairs import check_pairs
from neox_core.data.samples.sample import IGNORED
from neox_core.data.splits import split_boundaries
from neox_core.data.token_files import TokenFile, open_tokens
from neox_core.errors import Problem, UserError

T = TypeVar("T")

LOOKED_AT = 2**22
"""Tokens at the beginning of each file whose ids are compared with the vocabulary; each batch is looked at again in training."""


def data_problems(resolved: Resolved) -> list[Problem]:
    """What is wrong with the token files: absent, damaged, not made for each other, with tokens that the embedding lacks."""
    checks = _DataChecks(resolved)
    checks.cache()
    if (files := cut_file(resolved)) is not None:
        documents = checks.documents("data_path", files)
        if documents is not None:
            checks.split(len(documents))
    for part in listed_parts(resolved).values():
        checks.part(part)
    return checks.problems


class _DataChecks:
    """Looks at one thing after the other, and keeps what is wrong."""

    def __init__(self, resolved: Resolved) -> None:
        self.problems: list[Problem] = []
        self._resolved = resolved
        self._data = resolved[DataSettings]

    def cache(self) -> None:
        """Where indices are to be kept, no file is in the way."""
        wanted = self._data.data_cache_path
        if wanted is None:
            return
        in_the_way = next((path for path in (Path(wanted), *Path(wanted).parents) if path.exists()), Path())
        if not in_the_way.is_dir():
            self._add("data_cache_path", f"{in_the_way} is a file", "name a directory; it is made if need be")

    def split(self, num_documents: int) -> None:
        """Training has a share, and a part that has a share, and of which the run takes samples, has a document."""
        if not parse_split(self._data.split)[0]:
            self._add("split", f"'{self._data.split}' leaves nothing for training", "give the first part a share")
        boundaries = split_boundaries(self._data.split, num_documents)
        taken = ("training", "validation", "test") if self._resolved[TrainingSettings].eval_iters else ("training",)
        empty = [
            name
            for name, share, start, stop in zip(
                taken,
                parse_split(self._data.split),
                boundaries,
                boundaries[1:],
                strict=False,
            )
            if share > 0 and start == stop
        ]
        if empty:
            message = (
                f"'{self._data.split}' leaves {' and '.join(empty)} none of the {num_documents} documents of data_path"
            )
            self._add("split", message, "give it a larger share, or 0")

    def part(self, part: Part) -> None:
        """The files of one part, and of pairs whether they are some."""
        files = [self.documents(part.key, one) for one in part.files]
        against = [self.documents(part.key.replace("pos_", "neg_"), one) for one in part.against]
        for pos, neg in zip(files, against, strict=False):
            if pos is not None and neg is not None:
                self._attempt(part.key, partial(check_pairs, pos, neg))

    def documents(self, key: str, files: DocumentFiles) -> Documents | None:
        """Files that go together, open, with tokens that the embedding has."""
        label = key.replace("_data_paths", "_label_data_paths")
        reward = key.replace("_data_paths", "_reward_data_paths")
        named = ((key, files.text), (label, files.label), (reward, files.reward), ("precompute_model_name", files.ref))
        opened = [self._opens(its_key, prefix) for its_key, prefix in named if prefix is not None]
        if not all(opened):
            return None
        documents = self._attempt(key, lambda: Documents(files, self._data.data_impl))
        if documents is not None:
            self._tokens(key, documents.text, 0, "it may be a file of labels")
            if documents.label is not None:
                self._tokens(label, documents.label, IGNORED, f"what is not to be predicted is {IGNORED}")
        return documents

    def _opens(self, key: str, prefix: str) -> bool:
        return self._attempt(key, partial(open_tokens, prefix, self._data.data_impl)) is not None

    def _tokens(self, key: str, file: TokenFile, least: int, hint: str) -> None:
        seen, rows = token_range(file), self._resolved.padded_vocab_size
        if seen.smallest < least:
            message = f"{file.prefix} has the token {seen.smallest} in document {seen.document_of_smallest}"
            self._add(key, message, hint)
        if rows is not None and seen.largest >= rows:
            message = f"{file.prefix} has the token {seen.largest}, the embedding has {rows} rows"
            self._add(key, message, "set vocab_file to the tokenizer that the data was made with, or raise vocab_size")

    def _attempt(self, key: str, work: Callable[[], T]) -> T | None:
        try:
            return work()
        except UserError as error:
            self._add(key, str(error))
        return None

    def _add(self, key: str, message: str, remedy: str | None = None) -> None:
        self.problems.append(Problem(keys=(key,), message=message, remedy=remedy, origin=self._resolved.origin(key)))


class TokenRange(NamedTuple):
    """The ids near the beginning of a file."""

    smallest: int
    largest: int
    document_of_smallest: int


def token_range(tokens: TokenFile) -> TokenRange:
    """The smallest and the largest id among the first tokens of a file; 0 where there are none."""
    smallest, largest, where, seen = 0, 0, 0, 0
    for document in range(len(tokens)):
        ids = tokens.get(document, 0, min(int(tokens.sizes[document]), LOOKED_AT - seen))
        low = int(ids.min(initial=0))
        if low < smallest:
            smallest, where = low, document
        largest, seen = max(largest, int(ids.max(initial=0))), seen + len(ids)
        if seen >= LOOKED_AT:
            break
    return TokenRange(smallest, largest, where)
