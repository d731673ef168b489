"""From token files to the datasets of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from neox_core.data.named import Part
from neox_core.data.samples.blend import Blend
from neox_core.data.samples.blend_files import stored_blend
from neox_core.data.samples.blend_weights import normalised_weights, samples_of_each, weights_by_num_documents
from neox_core.data.samples.blending import BlendIndex, Stage, samples_of_stages
from neox_core.data.samples.building import Builder
from neox_core.data.samples.document_files import DocumentFiles
from neox_core.data.samples.documents import Documents, Reading
from neox_core.data.samples.index_files import stored_index
from neox_core.data.samples.index_request import IndexRequest, Pack, index_base
from neox_core.data.samples.pairs import PairDataset, check_pairs
from neox_core.data.samples.sample import Dataset
from neox_core.data.samples.sample_index import Demand, Epochs
from neox_core.data.samples.text import TextDataset
from neox_core.data.samples.whole_document_index import whole_documents
from neox_core.data.samples.windows import DocumentsAndNextToken, WholeDocuments, Windows
from neox_core.data.splits import SPLITS, Datasets, SampleCounts, Split, split_boundaries


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How samples are made of documents.

    Args:
        seq_length: tokens of a sample, without the one that is only a label.
        seed: of the order.
        pack: how documents and samples go together.
        allow_chopped: whether documents that are longer than a sample are used, where that holds whole ones.
        with_documents: whether samples say where documents begin.
        impl: the format that token files must have.
        warm: whether they are read once before training.
        compat: whether GPT-NeoX's defects are brought back.
        directory: where indices are kept; None: beside the token files.
        builder: whether this process makes those that are not there, or waits for them; None: they are made in memory, and nothing
            is kept.
    """

    seq_length: int
    seed: int
    pack: Pack = "packed"
    allow_chopped: bool = True
    with_documents: bool = False
    impl: str = "infer"
    warm: bool = False
    compat: bool = False
    directory: Path | None = None
    builder: Builder | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixing:
    """How much of each file of training there is, where its weights do not say it.

    Args:
        by_documents: whether files are weighed by how many documents they have.
        alpha: exponent of that share.
        stages: weights, and the samples for which they hold, in order; none: the same weights from beginning to end.
    """

    by_documents: bool = False
    alpha: float = 1.0
    stages: Sequence[Stage] = ()


def cut_datasets(files: DocumentFiles, split: str, counts: SampleCounts, sampling: Sampling) -> Datasets:
    """Cut the documents of one token file into training, validation and test by a `split` such as "969, 30, 1"."""
    documents = opened(files, sampling)
    datasets: dict[str, Dataset] = {}
    for name, numbers in zip(SPLITS, _cut(split, len(documents)), strict=True):
        if len(numbers):
            datasets[name] = _text_dataset(documents, numbers, getattr(counts, name), name, sampling)
    return Datasets(**datasets)


def listed_datasets(
    parts: Mapping[Split, Part], counts: SampleCounts, sampling: Sampling, mixing: Mixing = Mixing()
) -> Datasets:
    """Blend whole token files, listed apart for each split.

    Raises:
        UserError: files cannot be read or do not go together, or weights do not fit them.
    """
    return Datasets(
        **{name: _Listed(name, part, sampling).dataset(getattr(counts, name), mixing) for name, part in parts.items()}
    )


def epoch_samples(train: Part | DocumentFiles, split: str, sampling: Sampling) -> int:
    """Samples that the training data have, found without an index.

    Args:
        train: the files of training, or the one file that `split` cuts.
        split: shares of documents.
        sampling: how samples are made.
    """
    if isinstance(train, DocumentFiles):
        documents = opened(train, sampling)
        return _samples(documents.sizes[_cut(split, len(documents))[0]], sampling)
    return sum(_samples(opened(files, sampling).sizes, sampling) for files in train.files)


def opened(files: DocumentFiles, sampling: Sampling) -> Documents:
    """Files that go together, open."""
    documents = Documents(files, sampling.impl)
    if sampling.warm:
        documents.warm()
    return documents


def _samples(sizes: npt.NDArray[np.int32], sampling: Sampling) -> int:
    windows = max(int(sizes.sum(dtype=np.int64)) - 1, 0) // sampling.seq_length
    return windows - 1 if sampling.compat and windows > 1 else windows


def _cut(split: str, num_documents: int) -> list[npt.NDArray[np.int32]]:
    """The documents of training, validation and test."""
    boundaries = split_boundaries(split, num_documents)
    return [np.arange(start, stop, dtype=np.int32) for start, stop in pairwise(boundaries)]


class _Listed:
    """The files of one part, open."""

    def __init__(self, name: Split, part: Part, sampling: Sampling) -> None:
        self._name, self._part, self._sampling = name, part, sampling
        self._documents = [opened(files, sampling) for files in part.files]
        self._against = [opened(files, sampling) for files in part.against]

    def dataset(self, demand: Demand, mixing: Mixing) -> Dataset:
        """One file's samples, or those of several in turn."""
        stages = mixing.stages if self._name == "train" else ()
        if stages:
            shares: list[Demand] = list(samples_of_stages(stages))
        elif isinstance(demand, Epochs):
            shares = [demand] * len(self._documents)
        else:
            weights = self._weights(mixing)
            shares = list(samples_of_each(weights, demand))
        datasets = [self._one(number, share) for number, share in enumerate(shares)]
        if len(datasets) == 1:
            return datasets[0]
        if not stages:
            weights = self._epoch_weights(datasets) if isinstance(demand, Epochs) else weights
            stages = (Stage(sum(map(len, datasets)), tuple(weights)),)
        return Blend(datasets, self._blend_index(stages))

    def _blend_index(self, stages: Sequence[Stage]) -> BlendIndex:
        sampling, first = self._sampling, Path(self._part.files[0].text)
        directory = None if sampling.builder is None else sampling.directory or first.parent
        builder = sampling.builder or Builder()
        return stored_blend(directory, f"{first.name}_{self._name}", stages, builder, compat=sampling.compat)

    def _weights(self, mixing: Mixing) -> list[float]:
        count = len(self._documents)
        if mixing.by_documents:
            sizes = [len(documents) for documents in self._documents]
            weights = weights_by_num_documents(sizes, mixing.alpha, compat=self._sampling.compat)
            return normalised_weights(weights, count)
        return normalised_weights(self._part.weights or [1.0] * count, count)

    def _epoch_weights(self, datasets: Sequence[Dataset]) -> list[float]:
        """Weights by which every sample is taken once; those of GPT-NeoX repeat short files and leave out the end of long ones."""
        compat = self._sampling.compat
        return normalised_weights([1.0 if compat else float(len(dataset)) for dataset in datasets], len(datasets))

    def _one(self, number: int, demand: Demand) -> Dataset:
        name, documents = f"{self._name}_{number}", self._documents[number]
        numbers = np.arange(len(documents), dtype=np.int32)
        if self._against:
            sides = documents, self._against[number]
            return _pair_dataset(sides, numbers, demand, name, self._sampling)
        return _text_dataset(documents, numbers, demand, name, self._sampling)


def _text_dataset(
    documents: Documents, numbers: npt.NDArray[np.int32], demand: Demand, name: str, sampling: Sampling
) -> TextDataset:
    windows = _windows([documents], numbers, demand, name, sampling)
    return TextDataset(documents, windows, sampling.seq_length, name=name, reading=_reading(sampling))


def _pair_dataset(
    sides: tuple[Documents, Documents], numbers: npt.NDArray[np.int32], demand: Demand, name: str, sampling: Sampling
) -> PairDataset:
    check_pairs(*sides)
    windows = _windows(sides, numbers, demand, name, sampling)
    return PairDataset(*sides, windows, sampling.seq_length, name=name, reading=_reading(sampling))


def _reading(sampling: Sampling) -> Reading:
    return Reading(sampling.with_documents, labels=sampling.pack != "packed" and not sampling.compat)


def _windows(
    sides: Sequence[Documents], numbers: npt.NDArray[np.int32], demand: Demand, name: str, sampling: Sampling
) -> Windows:
    """The index of one file, or of two that are pairs."""
    pairs = len(sides) == 2
    request = IndexRequest(
        pack=sampling.pack,
        sizes=np.maximum(sides[0].sizes, sides[1].sizes) if pairs else sides[0].sizes,
        documents=numbers,
        demand=demand,
        seq_length=sampling.seq_length,
        seed=sampling.seed,
        usable=None if sampling.pack == "packed" else _usable(sides, sampling),
        pairs=pairs,
        compat=sampling.compat,
    )
    if sampling.builder is None:
        index = request.build()
    else:
        prefix = sides[0].files.text
        base = index_base(prefix, name, request, allow_chopped=sampling.allow_chopped, directory=sampling.directory)
        index = stored_index(base, request, sampling.builder)
    if sampling.pack == "packed":
        return Windows(index, last_left_out=sampling.compat)
    return DocumentsAndNextToken(index, last_left_out=True) if sampling.compat else WholeDocuments(index)


def _usable(sides: Sequence[Documents], sampling: Sampling) -> npt.NDArray[np.bool_]:
    """Whether each document can be a sample: it has something to predict, and fits, where it must."""
    overflows = sampling.pack == "pack_until_overflow"
    # The first token of a sample is never predicted, and the last one always; GPT-NeoX looks at the one and not at the other.
    first = 0 if overflows or sampling.compat else 1
    last = sampling.seq_length if sampling.compat and not overflows else sampling.seq_length + 1
    usable = np.ones(len(sides[0]), bool)
    for documents in sides:
        usable &= documents.has_labels(first, last)
    if not sampling.allow_chopped:
        inverted = sampling.compat and overflows and len(sides) == 2
        usable &= whole_documents([documents.sizes for documents in sides], sampling.seq_length, inverted=inverted)
    return usable
