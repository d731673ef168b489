"""From samples to the fields of a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from neox_core.data.samples.sample import Sample

Arrays = Mapping[str, npt.NDArray[Any]]
"""What samples have, [samples, entries] by name."""

PREDICTED = ("tokens", "labels", "loss_mask")
"""The fields that every batch can have."""

_FIELDS_OF = {"reward": "rewards", "raw_reward": "raw_rewards", "ref": "reference", "document": "documents"}


def fields_of(names: Iterable[str]) -> tuple[str, ...]:
    """The fields that a batch of samples with arrays of these names can have."""
    plain = {name.partition("_")[2] if name.startswith(("pos_", "neg_")) else name for name in names}
    fields = [field for name, field in _FIELDS_OF.items() if name in plain]
    return (*PREDICTED, *fields, *(("positions",) if "document" in plain else ()))


def make_batch(samples: Sequence[Sample], eod_token: int | None = None) -> dict[str, Tensor]:
    """A batch of samples that have the same arrays.

    - tokens: int64 [batch, seq_length], the inputs
    - labels: int64 [batch, seq_length], what is to be predicted at each; 0 where the data have a negative id
    - loss_mask: float32 [batch, seq_length], 0 where the label was negative, or where the input is `eod_token`, else 1
    - rewards, raw_rewards, reference: float32 [batch, seq_length], of the inputs; [batch, 1] where a sample has one reward
    - documents: int64 [batch, seq_length], a number for the document of each input
    - positions: int64 [batch, seq_length], of each input in its document

    Of pairs, all good answers come first, then the bad ones in the same order: `batch` is twice the number of samples.
    """
    arrays = {name: np.stack([sample[name] for sample in samples]) for name in samples[0]}
    if "pos" in arrays:
        arrays = _sides_together(arrays)
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    batch = _predicted(tensors["text"], tensors.get("label"), eod_token)
    for name, field in _FIELDS_OF.items():
        if name in tensors:
            batch[field] = _of_inputs(tensors[name])
    if "documents" in batch:
        batch["positions"] = _positions(batch["documents"])
    return batch


def _predicted(text: Tensor, label: Tensor | None, eod_token: int | None) -> dict[str, Tensor]:
    tokens = text[:, :-1].contiguous()
    labels = (text if label is None else label)[:, 1:]
    counted = labels >= 0
    if eod_token is not None:
        counted &= tokens != eod_token
    return {"tokens": tokens, "labels": labels.clamp(min=0), "loss_mask": counted.float()}


def _of_inputs(values: Tensor) -> Tensor:
    return values if values.shape[1] == 1 else values[:, :-1].contiguous()


def _positions(documents: Tensor) -> Tensor:
    """The place of each token in its document: its place, less that of the first token of the same document."""
    places = torch.arange(documents.shape[1]).expand_as(documents)
    begins = torch.ones_like(documents, dtype=torch.bool)
    begins[:, 1:] = documents[:, 1:] != documents[:, :-1]
    return places - torch.where(begins, places, 0).cummax(1).values


def _sides_together(arrays: Arrays) -> dict[str, npt.NDArray[Any]]:
    """The good answers' arrays above the bad ones', by the names that a text has."""
    good = {"text": "pos"} | {name: f"pos_{name}" for name in ("label", "ref", "document")}
    return {name: np.concatenate((arrays[pos], arrays[f"neg{pos[3:]}"])) for name, pos in good.items() if pos in arrays}


Transfer = Callable[[dict[str, Tensor]], dict[str, Tensor]]


def pinned(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """The batch in pinned memory, from which a GPU copies while it computes."""
    return {field: tensor.pin_memory() for field, tensor in batch.items()}
