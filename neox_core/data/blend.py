"""Several datasets as one, mixed in the proportion of their weights, in GPT-NeoX's order."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from neox_core.data.dataset import PackedDataset, Sample
from neox_core.errors import UserError

_MOST_DATASETS = 254  # the number of a sample's dataset is kept in one byte, as in GPT-NeoX


class Blend:
    """Samples of several datasets; at every point each has given its share, to within about one sample.

    As long as all of its datasets together. A dataset that runs out before the end starts again.
    `weights` may have any positive sum. Raises `UserError` for weights that do not fit the datasets.
    """

    def __init__(self, datasets: Sequence[PackedDataset], weights: Sequence[float]) -> None:
        self.datasets = tuple(datasets)
        size = sum(len(dataset) for dataset in self.datasets)
        self._dataset, self._sample = blending_indices(normalised_weights(weights, len(self.datasets)), size)

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, i: int) -> Sample:
        dataset: PackedDataset = self.datasets[self._dataset[i]]
        sample = int(self._sample[i])
        # The last window, which `len` leaves out, is served before the dataset starts again.
        return dataset[sample if sample < dataset.windows else sample % len(dataset)]


def blending_indices(weights: Sequence[float], size: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """For each of `size` samples, the dataset that it comes from, uint8 [size], and its number there, int64 [size].

    Each sample comes from the dataset that lags most behind its share; the first of several that lag alike. Every choice
    depends on the one before, so this is a loop: about a second for each million samples.
    """
    dataset = np.empty(size, np.uint8)
    sample = np.empty(size, np.int64)
    counts = [0] * len(weights)
    for i in range(size):
        due = float(max(i, 1))
        lags = [weight * due - count for weight, count in zip(weights, counts, strict=True)]
        chosen = lags.index(max(lags))
        dataset[i] = chosen
        sample[i] = counts[chosen]
        counts[chosen] += 1
    return dataset, sample


def normalised_weights(weights: Sequence[float], num_datasets: int) -> list[float]:
    """The weights with sum 1, one for each dataset. Raises `UserError` when they are too few, too many or not positive."""
    if not len(weights) == num_datasets <= _MOST_DATASETS:
        raise UserError(
            f"{len(weights)} data weights for {num_datasets} data paths: there must be one weight a path, "
            f"and at most {_MOST_DATASETS}."
        )
    # Added up in order, as in GPT-NeoX: `sum` rounds differently from Python 3.12 on.
    total = float(np.cumsum(weights, dtype=np.float64)[-1])
    if min(weights) < 0 or not 0 < total < math.inf:
        raise UserError(
            f"The data weights {list(weights)} must be finite numbers that are not negative and not all zero."
        )
    return [weight / total for weight in weights]


def samples_of_each(weights: Sequence[float], num_samples: int) -> list[int]:
    """How many samples to index of each dataset so that a blend of `num_samples` seldom runs out of one.

    `weights` have sum 1. Half a per cent is added, because a blend keeps to the weights only nearly.
    """
    return [math.ceil(num_samples * weight * 1.005) for weight in weights]
