"""Which files the settings name for each part of a run: text with what comes with it, or pairs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from neox_core.config import DataSettings, LabelSettings, PairSettings, Resolved
from neox_core.data.samples.document_files import DocumentFiles
from neox_core.data.splits import Split

Paths = Sequence[str] | None
Weights = Sequence[float] | None


@dataclass(frozen=True, slots=True)
class Part:
    """The files of training, validation or test.

    Args:
        files: of text, or of good answers.
        against: of the bad answers, as many; none where there are no pairs.
        weights: of each; None: all alike.
        key: the setting that names the files.
    """

    files: tuple[DocumentFiles, ...]
    against: tuple[DocumentFiles, ...] = ()
    weights: Weights = None
    key: str = "train_data_paths"


def listed_parts(resolved: Resolved) -> Mapping[Split, Part]:
    """The parts that are listed apart, by name; none where one file is cut, or samples are made in another way."""
    kinds: dict[str, Callable[[Resolved], dict[Split, Part]]] = {"gpt2": _texts, "pairwise": _pairs}
    kind = kinds.get(resolved[DataSettings].dataset_impl)
    parts = kind(resolved) if kind is not None else {}
    return {split: part for split, part in parts.items() if part.files}


def cut_file(resolved: Resolved) -> DocumentFiles | None:
    """The one file that `split` cuts; none where a server makes the samples, whatever is named beside it."""
    data = resolved[DataSettings]
    if data.data_path is None or data.dataset_impl == "online":
        return None
    return _Reference(resolved).files(data.data_path)


def _texts(resolved: Resolved) -> dict[Split, Part]:
    data, labels = resolved[DataSettings], resolved[LabelSettings]
    listed: dict[Split, tuple[Paths, Paths, Paths, Weights]] = {
        "train": (
            data.train_data_paths,
            labels.train_label_data_paths,
            labels.train_reward_data_paths,
            data.train_data_weights,
        ),
        "valid": (
            data.valid_data_paths,
            labels.valid_label_data_paths,
            labels.valid_reward_data_paths,
            data.valid_data_weights,
        ),
        "test": (
            data.test_data_paths,
            labels.test_label_data_paths,
            labels.test_reward_data_paths,
            data.test_data_weights,
        ),
    }
    reference = _Reference(resolved)
    return {
        split: Part(reference.together(text, label, reward), (), weights, f"{split}_data_paths")
        for split, (text, label, reward, weights) in listed.items()
    }


def _pairs(resolved: Resolved) -> dict[Split, Part]:
    data, pairs = resolved[DataSettings], resolved[PairSettings]
    listed: dict[Split, tuple[tuple[Paths, Paths], tuple[Paths, Paths], Weights]] = {
        "train": (
            (pairs.pos_train_data_paths, pairs.pos_train_label_data_paths),
            (pairs.neg_train_data_paths, pairs.neg_train_label_data_paths),
            data.train_data_weights,
        ),
        "valid": (
            (pairs.pos_valid_data_paths, pairs.pos_valid_label_data_paths),
            (pairs.neg_valid_data_paths, pairs.neg_valid_label_data_paths),
            data.valid_data_weights,
        ),
        "test": (
            (pairs.pos_test_data_paths, pairs.pos_test_label_data_paths),
            (pairs.neg_test_data_paths, pairs.neg_test_label_data_paths),
            data.test_data_weights,
        ),
    }
    reference = _Reference(resolved)
    return {
        split: Part(reference.together(*pos), reference.together(*neg), weights, f"pos_{split}_data_paths")
        for split, (pos, neg, weights) in listed.items()
    }


class _Reference:
    """Adds the log-probabilities under the reference model that is named, if one is: they lie beside the text."""

    def __init__(self, resolved: Resolved) -> None:
        self._name = resolved[LabelSettings].precompute_model_name

    def files(self, text: str, label: str | None = None, reward: str | None = None) -> DocumentFiles:
        """A file of text and what comes with it."""
        return DocumentFiles(text, label, reward, None if self._name is None else f"{text}_{self._name}")

    def together(self, text: Paths, label: Paths, reward: Paths = None) -> tuple[DocumentFiles, ...]:
        """Lists of files, file by file."""
        return tuple(self.files(*files) for files in zip_longest(text or (), label or (), reward or ()))
