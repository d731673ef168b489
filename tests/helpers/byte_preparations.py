"""Preparations with one token a byte: fast, and easily done over again by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from neox_core.data.preparing.forms.texts import TextForm
from neox_core.data.preparing.inputs import find_inputs
from neox_core.data.preparing.preparation import Preparation

UINT16 = np.dtype(np.uint16)


def encode(texts):
    return [np.frombuffer(text.encode(), np.uint8).astype(np.uint16) for text in texts]


def byte_preparation(paths, prefix, *, keys=("text",), eod=0, mask_before=(), tokenizer="bytes", **options):
    """A preparation of files, with an end of document after each."""
    form = TextForm(encode, UINT16, keys=keys, eod=eod, mask_before=mask_before)
    inputs = find_inputs([str(path) for path in paths])
    return Preparation(inputs=inputs, prefix=Path(prefix), form=form, tokenizer={"name": tokenizer}, **options)


def outputs(directory):
    """The files of a directory, by name, without the records, which have times in them."""
    paths = [path for path in Path(directory).iterdir() if path.is_file()]
    return {path.name: path.read_bytes() for path in paths if not path.name.endswith("prepared.json")}
