"""A preparation: texts in files become token files, which are the same bytes however often it was interrupted."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neox_core.data.preparing.blocks import shard_of
from neox_core.data.preparing.feeding import Encoded, Position, Rejection, batches, encoded
from neox_core.data.preparing.forms.form import Form
from neox_core.data.preparing.inputs import Inputs
from neox_core.data.preparing.journal import Counts, Journal, load_journal, save_journal
from neox_core.data.preparing.outputs import Format, Names, Outputs
from neox_core.data.preparing.prefetching import prefetched
from neox_core.data.preparing.provenance import can_be_compared, digest_of, finished_counts, source_of, write_record
from neox_core.data.preparing.rejects import place_text
from neox_core.data.preparing.shards import Shard
from neox_core.data.token_files import WorkingFilesError
from neox_core.errors import UserError
from neox_core.files import remove_leftovers

JOURNAL_SECONDS = 5.0
BATCH_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """What is to be prepared.

    Args:
        inputs: the files.
        prefix: what the names of the results begin with.
        form: what is made of a document.
        tokenizer: which tokenizer the form uses, as JSON holds it.
        impl: format of the token files.
        shard: which part of the inputs to prepare; None for all.
        strict: the first bad document is an error.
        force: replace what is there already.
        journal_seconds: how much work an interruption costs at most.
        batch_bytes: about how much text is encoded at once.
    """

    inputs: Inputs
    prefix: Path
    form: Form[Any]
    tokenizer: Mapping[str, Any]
    impl: Format = "mmap"
    shard: Shard | None = None
    strict: bool = False
    force: bool = False
    journal_seconds: float = JOURNAL_SECONDS
    batch_bytes: int = BATCH_BYTES


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a preparation is: what has become of the input, and bytes of the inputs' files that were read, of how many."""

    counts: Counts
    read: int
    total: int


@dataclass(frozen=True, slots=True)
class Prepared:
    """A finished preparation.

    Args:
        names: of its files.
        counts: what has become of the input.
        reused: it was there already.
        resumed: documents that an interrupted preparation had done.
    """

    names: Names
    counts: Counts
    reused: bool = False
    resumed: int = 0


def prepare_files(preparation: Preparation, progress: Callable[[Progress], None] = lambda progress: None) -> Prepared:
    """Make the token files, their record, and a file of bad documents if there are any.

    An interrupted preparation of the same inputs with the same options goes on; a finished one is kept.

    Raises:
        UserError: there are other files in the way, an input is damaged, no document can be used, a document is bad and that is to
            be an error, or the file system refuses.
    """
    return _Run(preparation, progress).result()


class _Run:
    """One preparation at work."""

    def __init__(self, preparation: Preparation, progress: Callable[[Progress], None]) -> None:
        self._given, self._progress = preparation, progress
        columns = tuple(column.name for column in preparation.form.columns)
        self._names = Names(preparation.prefix, columns, preparation.shard)
        shard = preparation.shard
        options = {**preparation.form.options, "dataset_impl": preparation.impl, "shard": str(shard) if shard else None}
        self._source = source_of(preparation.inputs, options, preparation.tokenizer)
        self._digest = digest_of(self._source)
        blocks = preparation.inputs.blocks
        self._blocks = shard_of(blocks, shard.number, shard.count) if shard else range(len(blocks))
        self._first_bad = ""  # of this process's documents
        self._total = sum(blocks[number].size for number in self._blocks)

    def result(self) -> Prepared:
        can_resume = can_be_compared(self._source["inputs"])
        journal = load_journal(self._names.journal, self._digest) if can_resume else None
        is_complete = journal is not None and journal.position.block == self._blocks.stop
        if not (self._given.force or is_complete):
            counts = finished_counts(self._names, self._source)
            if counts is not None:
                self._tidy()
                return Prepared(self._names, counts, reused=True)
        try:
            return self._from(journal)
        except WorkingFilesError:
            return self._from(None)

    def _from(self, journal: Journal | None) -> Prepared:
        given, states = self._given, journal.outputs if journal else None
        with Outputs(self._names, given.form.columns, given.impl, given.inputs, states) as outputs:
            for path in (self._names.journal, self._names.record):
                remove_leftovers(path)
            try:
                counts = self._completed(outputs, journal)
            except UserError:
                if not self._names.journal.exists():  # there is nothing to go on with
                    outputs.discard()
                raise
            self._names.record.unlink(missing_ok=True)
            outputs.publish()
            write_record(self._names, self._source, counts)
            self._names.journal.unlink(missing_ok=True)
            outputs.discard()
        return Prepared(self._names, counts, resumed=journal.counts.documents if journal else 0)

    def _completed(self, outputs: Outputs, journal: Journal | None) -> Counts:
        """The counts after all the input, or what of it the journal leaves; raises `UserError` when there is no document."""
        position = journal.position if journal else Position(self._blocks.start)
        counts = self._write(outputs, position, journal.counts if journal else Counts())
        if counts.documents == 0:
            self._names.journal.unlink(missing_ok=True)
            raise UserError(self._nothing(counts))
        return counts

    def _tidy(self) -> None:
        """Remove what an interruption at the very end has left, unless somebody is writing."""
        if self._names.leftovers:
            given = self._given
            with (
                suppress(UserError),
                Outputs(self._names, given.form.columns, given.impl, given.inputs, None) as outputs,
            ):
                outputs.discard()

    def _write(self, outputs: Outputs, position: Position, counts: Counts) -> Counts:
        """Append all batches from `position` on, with a journal every few seconds and at the end; the final counts."""
        form = self._given.form
        fed = batches(self._given.inputs, self._blocks, position, form, self._given.batch_bytes)
        done = sum(self._given.inputs.blocks[number].size for number in range(self._blocks.start, position.block))
        self._progress(Progress(counts, done, self._total))
        saved = time.monotonic()
        with closing(prefetched(encoded(prefetched(fed), form))) as work:
            for batch in work:
                if batch.rejections and not self._first_bad:
                    self._first_bad = _described(outputs, batch.rejections[0])
                if batch.rejections and self._given.strict:
                    raise UserError(f"{self._first_bad} Mend it, or leave out --strict.")
                outputs.add(batch)
                counts = _added(counts, batch)
                self._progress(Progress(counts, batch.read, self._total))
                if time.monotonic() - saved >= self._given.journal_seconds or batch.end.block == self._blocks.stop:
                    self._save(outputs, batch.end, counts)
                    saved = time.monotonic()
        return counts

    def _save(self, outputs: Outputs, position: Position, counts: Counts) -> None:
        save_journal(self._names.journal, Journal(self._digest, position, counts, outputs.checkpoint()))

    def _nothing(self, counts: Counts) -> str:
        if counts.bad:
            return (
                f"{self._names.prefix}: nothing is written, since none of the {counts.bad} documents can be used. "
                f"{self._first_bad}".rstrip()
            )
        return f"{self._names.prefix}: nothing is written, since the input has no documents ({counts.empty} without tokens)."


def _described(outputs: Outputs, bad: Rejection) -> str:
    return f"{place_text(*outputs.place(bad))}: {bad.reason}. The document begins: {bad.text!r}."


def _added(counts: Counts, batch: Encoded) -> Counts:
    first = batch.parts[0]
    return Counts(
        counts.documents + len(first.sizes),
        counts.tokens + len(first.tokens),
        counts.empty + batch.empty,
        counts.bad + len(batch.rejections),
        counts.text_bytes + batch.text_bytes,
        None if batch.learned is None else (counts.learned or 0) + batch.learned,
    )
