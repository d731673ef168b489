"""From datasets to the batches of a run."""

from __future__ import annotations

from collections.abc import Iterator

from neox_core.config import DataSettings, Resolved
from neox_core.data.loader import BatchLoader
from neox_core.data.online.dataset import OnlineDataset
from neox_core.data.samples.sample import Dataset
from neox_core.errors import UserError
from neox_core.model import Batch
from neox_core.training.shared_samples import SharedSamples


class Batches:
    """This rank's micro-batches of one dataset, from any place in it; of a server's stream, which has no places, the next.

    Args:
        fields: what the objective reads beside the tokens.
        eod_token: where the input is this token there is no loss; None for loss everywhere.
        shared: the ranks that have the same samples, of which one asks a server for them; None: this rank asks by itself.
    """

    def __init__(
        self,
        dataset: Dataset,
        resolved: Resolved,
        rank: int,
        fields: tuple[str, ...],
        eod_token: int | None,
        *,
        shared: SharedSamples | None = None,
    ) -> None:
        data = resolved[DataSettings]
        boundaries = [
            *(["documents"] if data.reset_attention_mask else []),
            *(["positions"] if data.reset_position_ids else []),
        ]
        online = isinstance(dataset, OnlineDataset)
        self._shared = shared if online else None
        self.stream = dataset if isinstance(dataset, OnlineDataset) and (shared is None or shared.asks) else None
        """Where a server makes the samples and this rank asks for them, what knows how far they are."""
        self._vocabulary = resolved.padded_vocab_size or 0
        self._loader = BatchLoader(
            dataset,
            resolved.batch.micro,
            rank=rank,
            world_size=resolved.batch.data_parallel,
            fields=("tokens", *fields, *boundaries),
            eod_token=eod_token,
            epoch_multiple=resolved.epoch_multiple,
            num_workers=0 if online else data.num_workers,  # a stream is where its last batch ends
            pin_memory=resolved.world.device == "cuda",
        )

    def seek(self, consumed_samples: int) -> Batches:
        """Go to the place after so many samples of all ranks; a stream stays where it is."""
        self._loader.position = consumed_samples
        return self

    def close(self) -> None:
        """Read nothing more ahead; called when the run ends."""
        self._loader.close()

    def numbers(self, position: int) -> list[int]:
        """Of the dataset's samples, those of this rank's micro-batch at a position."""
        return self._loader.numbers(position)

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        """The next micro-batch.

        Raises:
            UserError: it has a token or a label that the embedding does not have; or a server does not make it.
        """
        batch = next(self._loader) if self._shared is None else self._shared.next(self._loader.__next__)
        for name, what in (("tokens", "token"), ("labels", "label")):
            if name in batch:
                self._check(what, *map(int, batch[name].aminmax()))
        return batch

    def _check(self, what: str, smallest: int, largest: int) -> None:
        if smallest < 0:
            raise UserError(f"the data has the {what} {smallest}, which is no token id; it may be a file of labels")
        if largest >= self._vocabulary:
            raise UserError(
                f"the data has the {what} {largest}, the embedding has {self._vocabulary} rows; "
                "set vocab_file to the tokenizer that the data was made with, or raise vocab_size"
            )
