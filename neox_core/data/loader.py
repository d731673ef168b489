"""Batches for training: one endless iterator a rank, whose place is a count of samples.

Reading a sample is a few slices of memory-mapped files, far quicker than a training step, so it happens in the calling
process. When datasets come that cost more, worker processes belong in `BatchLoader._samples`, which needs nothing but the
place to read from.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
import torch

from neox_core.data.dataset import Dataset
from neox_core.errors import UserError

FIELDS = ("tokens", "labels", "loss_mask")
"""What a batch can hold."""

Batch = dict[str, torch.Tensor]


class BatchLoader:
    """Endless iterator over one rank's micro-batches.

    Each step takes the next `micro_batch * world_size` samples of the dataset, and rank r the r-th `micro_batch` of them. At
    the end it starts again; the samples that do not fill a last batch of all ranks are left out, as in GPT-NeoX (unless there is
    not even one whole batch). A batch holds `fields`:

    - tokens: int64 [micro_batch, seq_length], the inputs
    - labels: int64 [micro_batch, seq_length], the next token of each; 0 where the data has a negative id
    - loss_mask: float32 [micro_batch, seq_length], 0 where the label was negative, or where the input is `eod_token`, else 1

    `rank` and `world_size` count data-parallel ranks. `consumed_samples` is what all ranks together took before.
    Raises `UserError` when the dataset is empty or a field is unknown.
    """

    def __init__(
        self,
        dataset: Dataset,
        micro_batch: int,
        *,
        rank: int = 0,
        world_size: int = 1,
        consumed_samples: int = 0,
        fields: Sequence[str] = FIELDS,
        eod_token: int | None = None,
    ) -> None:
        if len(dataset) == 0:
            raise UserError(
                "A dataset has too few tokens for a single sample; give it more data or lower `seq_length`."
            )
        unknown = sorted(set(fields) - set(FIELDS))
        if unknown:
            raise UserError(
                f"Batches have no field {', '.join(unknown)}; they have {', '.join(FIELDS)}. Choose an objective that needs no others."
            )
        self.dataset = dataset
        self.position = consumed_samples
        """Samples that all ranks together have consumed; assign to it to go elsewhere, at no cost."""
        self._micro_batch = micro_batch
        self._rank = rank
        self._global_batch = micro_batch * world_size
        self._fields = tuple(fields)
        self._eod_token = eod_token
        self._epoch = len(dataset) // self._global_batch * self._global_batch or len(dataset)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Batch:
        batch = next_token_batch(self._samples(), self._eod_token)
        self.position += self._global_batch
        return {field: batch[field] for field in self._fields}

    def _samples(self) -> torch.Tensor:
        """This rank's samples at the current position, int64 [micro_batch, seq_length + 1]."""
        start = self.position + self._rank * self._micro_batch
        numbers = range(start, start + self._micro_batch)
        return torch.from_numpy(np.stack([self.dataset[number % self._epoch] for number in numbers]))


def next_token_batch(samples: torch.Tensor, eod_token: int | None = None) -> Batch:
    """Inputs, labels and loss mask (as in `BatchLoader`) of samples, int64 [batch, seq_length + 1]."""
    tokens = samples[:, :-1].contiguous()
    labels = samples[:, 1:]
    counted = labels >= 0
    if eod_token is not None:
        counted &= tokens != eod_token
    return {"tokens": tokens, "labels": labels.clamp(min=0), "loss_mask": counted.float()}
