"""The texts that a tokenizer is trained on, one at a time, in the order in which they are named."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from neox_core.data.corpora import stdlib
from neox_core.data.preparing.forms.form import text_of
from neox_core.data.preparing.inputs import find_inputs
from neox_core.data.preparing.readers import reader_of
from neox_core.data.preparing.records import BadDocument, excerpt
from neox_core.data.preparing.rejects import Lines, place_text
from neox_core.data.preparing.sources import Meter
from neox_core.errors import UserError

STDLIB = "stdlib"
"""The input that is no file: the sources of Python's standard library."""


def training_texts(inputs: Iterable[str], key: str = "text") -> Iterator[str]:
    """The texts of `stdlib`, and of files of any kind that can be prepared.

    Raises:
        UserError: a file cannot be read, or has a document without a text; it is told with its line.
    """
    for name in inputs:
        if name == STDLIB:
            yield from (document.text for document in stdlib.documents())
        else:
            yield from _file_texts(name, key)


def _file_texts(name: str, key: str) -> Iterator[str]:
    inputs, meter = find_inputs([name]), Meter()
    lines = Lines(inputs)
    for block in inputs.blocks:
        source = inputs.sources[block.source]
        for record in reader_of(source.path).read(source, block, meter, (key,)):
            try:
                yield text_of(record.decode(record.raw), key)
            except BadDocument as bad:
                place = place_text(source.path, record.member, lines.number(block, record.row))
                raise UserError(
                    f"{place}: {bad}. The document begins: {excerpt(record)!r}. Mend it, or take it out; --jsonl-key says which "
                    "value is the text."
                ) from bad
