"""All that a sample index depends on, and what follows from it: the arrays, their file names, a digest to know them by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from neox_core.data.samples.packed_index import packed, tokens_of
from neox_core.data.samples.sample_index import Demand, Epochs, SampleIndex
from neox_core.data.samples.whole_document_index import serving_documents, unpacked, until_overflow
from neox_core.errors import UserError

Pack = Literal["packed", "pack_until_overflow", "unpacked"]

_FORMAT = 1  # of what a digest is of


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class IndexRequest:
    """Which samples to make of which documents."""

    pack: Pack
    sizes: npt.NDArray[np.int32]
    """Tokens of every document of the file; for pairs, of the longer side."""
    documents: npt.NDArray[np.int32]
    """The numbers of those that this dataset reads."""
    demand: Demand
    seq_length: int
    """Tokens of a sample, without the one that is only a label."""
    seed: int
    usable: npt.NDArray[np.bool_] | None = None
    """For every document of the file, whether it may serve (default: all). Packed samples take all documents anyway."""
    pairs: bool = False
    """Whether the documents are sides of pairs."""
    compat: bool = False
    """Brings defects of GPT-NeoX back: samples of whole documents are made of the first documents of the file, as many as the
    dataset has, whatever their numbers; unpacked pairs are served again before all have been."""

    def check(self) -> None:
        """Make sure that there is something to build.

        Raises:
            UserError: no document has a token, or none may serve; epochs are demanded of samples of whole documents.
        """
        if self.pack == "packed":
            tokens_of(self.sizes, self.documents)
        else:
            serving_documents(self.documents_read, self.usable)
            _ = self.num_samples

    def build(self) -> SampleIndex:
        """The arrays, in memory. Raises `UserError` as `check` does."""
        return _BUILDERS[self.pack](self)

    @property
    def documents_read(self) -> npt.NDArray[np.int32]:
        """The numbers of the documents that samples are made of."""
        ignores_split = self.compat and self.pack != "packed"
        return np.arange(len(self.documents), dtype=np.int32) if ignores_split else self.documents

    @property
    def repeats(self) -> bool:
        """Whether samples are served again before all have been."""
        return self.compat and self.pairs and self.pack == "unpacked"

    @property
    def num_samples(self) -> int:
        """How many samples of whole documents to make. Raises `UserError` when epochs are demanded."""
        if isinstance(self.demand, Epochs):
            raise UserError(
                f"pack_impl: {self.pack} makes a number of samples, not of epochs: set train_iters instead of train_epochs, "
                "or pack_impl: packed."
            )
        return self.demand

    def digest(self) -> str:
        """A sha256 (hexadecimal) of all that the arrays depend on."""
        epochs = self.demand.count if isinstance(self.demand, Epochs) else None
        facts = {
            "format": _FORMAT,
            "pack": self.pack,
            "samples": None if epochs else self.demand,
            "epochs": epochs,
            "seq_length": self.seq_length,
            "seed": self.seed,
            "repeats": self.repeats,
        }
        digest = hashlib.sha256(json.dumps(facts).encode())
        documents = self.documents_read
        digest.update(documents.astype("<i4").data)
        digest.update(self.sizes[documents].astype("<i4").data)
        if self.usable is not None and self.pack != "packed":
            digest.update(self.usable[documents].data)
        return digest.hexdigest()


def index_base(
    prefix: str | Path, name: str, request: IndexRequest, *, allow_chopped: bool, directory: Path | None = None
) -> Path:
    """What the names of the arrays' files begin with: GPT-NeoX's, up to `_doc_idx.npy`.

    Args:
        prefix: of the token file; for pairs, that of the preferred side.
        name: of the dataset: "train", "valid_0", ...
        request: what the arrays are.
        allow_chopped: whether documents that are too long are cut; part of the name, except for pairs.
        directory: where the files are; default: beside the token file.
    """
    num_samples = None if isinstance(request.demand, Epochs) else request.demand
    stem = (
        f"{Path(prefix).name}_{name}_indexmap_{num_samples}ns_{request.seq_length}sl_{request.seed}s_{request.pack}pi"
    )
    chopped = "_ac" if allow_chopped and not request.pairs else ""
    return (directory or Path(prefix).parent) / f"{stem}{chopped}"


def _packed(request: IndexRequest) -> SampleIndex:
    return packed(
        request.sizes, request.documents, demand=request.demand, seq_length=request.seq_length, seed=request.seed
    )


def _until_overflow(request: IndexRequest) -> SampleIndex:
    return until_overflow(
        request.sizes,
        request.documents_read,
        num_samples=request.num_samples,
        seq_length=request.seq_length,
        seed=request.seed,
        usable=request.usable,
    )


def _unpacked(request: IndexRequest) -> SampleIndex:
    return unpacked(
        request.documents_read,
        num_samples=request.num_samples,
        seed=request.seed,
        usable=request.usable,
        repeats=request.repeats,
    )


_BUILDERS: dict[Pack, Callable[[IndexRequest], SampleIndex]] = {
    "packed": _packed,
    "pack_until_overflow": _until_overflow,
    "unpacked": _unpacked,
}
