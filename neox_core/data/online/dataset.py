"""The dataset of a run whose samples a server makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from neox_core.config.groups import OnlineSettings
from neox_core.data.online.addresses import server_of_rank
from neox_core.data.online.client import BatchClient
from neox_core.data.online.stream import Sample, SampleStream, State
from neox_core.data.samples.sample import Source


class OnlineDataset:
    """A stream behind the face of a dataset.

    A number is not an address here: `dataset[i]` is the stream's next sample whatever `i` is, so a sample can be had once, going
    elsewhere by number skips and repeats nothing. What makes a run go on with the right samples is `restore`.

    Each data-parallel rank has a dataset of its own. Where several processes share one data-parallel rank (tensor or pipeline
    parallelism), one of them reads and gives the samples to the others: each that asked would get other samples.

    Args:
        num_samples: `len` of the dataset: how many samples the run takes on all ranks.
    """

    names = frozenset({"text", "label", "reward", "raw_reward"})

    def __init__(self, stream: SampleStream, num_samples: int) -> None:
        self.stream = stream
        self._num_samples = num_samples

    def __len__(self) -> int:
        return self._num_samples

    def __getitem__(self, i: int) -> Sample:
        return self.stream.next_sample()

    @property
    def windows(self) -> int:
        """Samples that can be read: as many as `len` says."""
        return self._num_samples

    def sources(self, i: int) -> Mapping[str, Sequence[Source]]:
        """Nothing: no token file has what a server made."""
        return {}

    def state(self) -> State:
        """Where this rank's stream is, in what JSON has."""
        return self.stream.state()

    def restore(self, state: State) -> None:
        """Go on where a stream was."""
        self.stream.restore(state)


def online_dataset(
    settings: OnlineSettings,
    split: str,
    num_samples: int,
    *,
    rank: int,
    world_size: int,
    seq_length: int,
    vocab_size: int,
    leave_one_out: bool,
    tell: Callable[[str], None],
) -> OnlineDataset:
    """One data-parallel rank's dataset of one split, from the server that the settings name for it.

    Nothing is connected until the first sample is asked for. `tell` gets messages while a server is waited for, and where
    samples are cut. Raises `UserError` where a list of servers has not as many entries as there are data-parallel ranks.
    """
    address = server_of_rank(
        settings.online_dataserver_ips, settings.online_dataserver_ports, rank=rank, world_size=world_size
    )
    client = BatchClient(address, timeout=settings.online_dataserver_timeout, tell=tell)
    stream = SampleStream(
        client.batch,
        split=split,
        rank=rank,
        world_size=world_size,
        seq_length=seq_length,
        vocab_size=vocab_size,
        leave_one_out=leave_one_out,
        tell=tell,
    )
    return OnlineDataset(stream, num_samples)
