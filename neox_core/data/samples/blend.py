"""Several datasets as one, mixed in the proportion of their weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from neox_core.data.samples.blending import BlendIndex
from neox_core.data.samples.sample import Dataset, Sample, Source
from neox_core.errors import UserError


class Blend:
    """Samples of several datasets in the order that an index says. A dataset that runs out before the end starts again.

    Raises:
        UserError: their samples have different arrays.
    """

    def __init__(self, datasets: Sequence[Dataset], index: BlendIndex) -> None:
        self.datasets = tuple(datasets)
        self._index = index
        self.names = self.datasets[0].names
        """The arrays that every sample has."""
        if lacking := sorted(set().union(*(dataset.names ^ self.names for dataset in self.datasets))):
            raise UserError(
                f"Some of the {len(self.datasets)} datasets that are blended have {', '.join(lacking)} and others have not; "
                "give it for each of them, or for none."
            )

    @property
    def windows(self) -> int:
        """Samples that can be read."""
        return len(self)

    def __len__(self) -> int:
        return len(self._index.dataset)

    def __getitem__(self, i: int) -> Sample:
        dataset, sample = self._of(i)
        return dataset[sample]

    def sources(self, i: int) -> Mapping[str, Sequence[Source]]:
        """Where the tokens of sample `i` come from."""
        dataset, sample = self._of(i)
        return dataset.sources(sample)

    def _of(self, i: int) -> tuple[Dataset, int]:
        dataset = self.datasets[int(self._index.dataset[i])]
        sample = int(self._index.sample[i])
        # A last sample that `len` leaves out is served before the dataset starts again.
        return dataset, sample if sample < dataset.windows else sample % len(dataset)
