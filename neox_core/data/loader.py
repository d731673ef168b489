"""Batches for training: one endless iterator a rank, whose place is a count of samples."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

from torch import Tensor

from neox_core.data.batches import PREDICTED, fields_of, make_batch, pinned
from neox_core.data.samples.sample import Dataset
from neox_core.errors import UserError

Batch = dict[str, Tensor]

AHEAD = 2
"""Batches that each thread has ready."""


class BatchLoader:
    """Endless iterator over one rank's micro-batches.

    Each step takes the next `micro_batch * world_size` samples of the dataset, and rank r the r-th `micro_batch` of them. At
    the end it starts again; the samples that do not fill a last whole `epoch_multiple` are left out.

    Reading a sample is a few slices of memory-mapped files, far quicker than a training step. Threads read ahead, so that a disk is
    waited for meanwhile; which batches there are and in which order does not depend on them.

    Args:
        dataset: what is read.
        micro_batch: samples of a batch.
        rank: among the data-parallel ranks.
        world_size: how many data-parallel ranks there are.
        consumed_samples: what all ranks together took before.
        fields: which of the fields of `batches.make_batch` a batch holds.
        eod_token: where the input is this token there is no loss; None for loss everywhere.
        epoch_multiple: samples that are taken together at the end of the data, of all ranks: those of a whole step, so that what
            comes next does not depend on how a step is divided; None: those of a micro-batch of every rank.
        num_workers: threads that read ahead; 0: every batch is read when it is asked for.
        pin_memory: whether batches lie in pinned memory.

    Raises:
        UserError: the dataset is empty, or has no such field.
    """

    def __init__(
        self,
        dataset: Dataset,
        micro_batch: int,
        *,
        rank: int = 0,
        world_size: int = 1,
        consumed_samples: int = 0,
        fields: Sequence[str] = PREDICTED,
        eod_token: int | None = None,
        epoch_multiple: int | None = None,
        num_workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        if len(dataset) == 0:
            raise UserError(
                "A dataset has too few tokens for a single sample; give it more data or lower `seq_length`."
            )
        known = fields_of(dataset.names)
        unknown = sorted(set(fields) - set(known))
        if unknown:
            raise UserError(
                f"These data give batches no field {', '.join(unknown)}; they give {', '.join(known)}. Choose an objective that needs "
                "no others, or give the data that they are made of (such as train_label_data_paths or train_reward_data_paths)."
            )
        self.dataset = dataset
        self.position = consumed_samples
        """Samples that all ranks together have consumed; assign to it to go elsewhere, at no cost."""
        self._micro_batch = micro_batch
        self._rank = rank
        self._global_batch = micro_batch * world_size
        self._fields = tuple(fields)
        self._eod_token = eod_token
        multiple = epoch_multiple or self._global_batch
        self._epoch = len(dataset) // multiple * multiple or len(dataset)
        self._threads = ThreadPoolExecutor(num_workers, "batches") if num_workers else None
        self._ahead: deque[tuple[int, Future[Batch]]] = deque()
        self._depth = AHEAD * num_workers
        self._pin_memory = pin_memory

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Batch:
        batch = self.read(self.position) if self._threads is None else self._read_ahead(self._threads)
        self.position += self._global_batch
        return batch

    def close(self) -> None:
        """Read nothing more ahead."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    def numbers(self, position: int) -> list[int]:
        """Of the dataset's samples, those of this rank's micro-batch at a position."""
        start = position + self._rank * self._micro_batch
        return [number % self._epoch for number in range(start, start + self._micro_batch)]

    def read(self, position: int) -> Batch:
        """This rank's micro-batch at a position."""
        batch = make_batch([self.dataset[number] for number in self.numbers(position)], self._eod_token)
        wanted = {field: batch[field] for field in self._fields}
        return pinned(wanted) if self._pin_memory else wanted

    def _read_ahead(self, threads: ThreadPoolExecutor) -> Batch:
        if self._ahead and self._ahead[0][0] != self.position:
            for _, batch in self._ahead:
                batch.cancel()
            self._ahead.clear()
        while len(self._ahead) <= self._depth:
            position = self.position + len(self._ahead) * self._global_batch
            self._ahead.append((position, threads.submit(self.read, position)))
        return self._ahead.popleft()[1].result()
