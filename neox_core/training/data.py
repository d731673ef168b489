"""From data settings to the batches of a run."""

from __future__ import annotations

from collections.abc import Iterator

from neox_core.config import DataSettings, ModelSettings, Resolved, TrainingSettings
from neox_core.data.dataset import Dataset
from neox_core.data.loader import BatchLoader
from neox_core.data.mock import mock_datasets
from neox_core.data.split import DataPaths, Datasets, SampleCounts, blended_datasets, split_datasets
from neox_core.errors import UserError
from neox_core.model import Batch


def open_datasets(resolved: Resolved) -> Datasets:
    """The datasets that the settings name, as long as the run needs them.

    Raises:
        UserError: a file is absent or damaged, or too short for one sample.
    """
    data, training = resolved[DataSettings], resolved[TrainingSettings]
    counts = SampleCounts.of_run(
        train_iters=resolved.train_iters,
        eval_interval=training.eval_interval,
        eval_iters=training.eval_iters,
        batch_size=resolved.batch.total,
    )
    seq_length, seed = resolved[ModelSettings].seq_length, training.seed
    if data.mock_data:
        return mock_datasets(counts, seq_length, resolved.vocabulary or 1, seed)
    if data.data_path is not None:
        return split_datasets(data.data_path, data.split, counts=counts, seq_length=seq_length, seed=seed)
    return blended_datasets(
        {
            "train": DataPaths(data.train_data_paths or (), data.train_data_weights),
            "valid": DataPaths(data.valid_data_paths or (), data.valid_data_weights),
            "test": DataPaths(data.test_data_paths or (), data.test_data_weights),
        },
        counts=counts,
        seq_length=seq_length,
        seed=seed,
    )


class Batches:
    """This rank's micro-batches of one dataset, from any place in it.

    Args:
        fields: what the objective reads beside the tokens.
        eod_token: where the input is this token there is no loss; None for loss everywhere.
    """

    def __init__(
        self, dataset: Dataset, resolved: Resolved, rank: int, fields: tuple[str, ...], eod_token: int | None
    ) -> None:
        self._vocabulary = resolved.padded_vocab_size or 0
        self._loader = BatchLoader(
            dataset,
            resolved.batch.micro,
            rank=rank,
            world_size=resolved.batch.data_parallel,
            fields=("tokens", *fields),
            eod_token=eod_token,
        )

    def seek(self, consumed_samples: int) -> Batches:
        """Go to the place after so many samples of all ranks."""
        self._loader.position = consumed_samples
        return self

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        """The next micro-batch.

        Raises:
            UserError: it has a token that the embedding does not have.
        """
        batch = next(self._loader)
        largest = int(batch["tokens"].max())
        if largest >= self._vocabulary:
            raise UserError(
                f"the data has the token {largest}, the embedding has {self._vocabulary} rows; "
                "set vocab_file to the tokenizer that the data was made with, or raise vocab_size"
            )
        return batch
