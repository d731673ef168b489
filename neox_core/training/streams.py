"""A run whose samples a server makes: its datasets, and where they are in its checkpoints; costs no torch."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from neox_core.config import ModelSettings, Resolved
from neox_core.config.groups import OnlineSettings
from neox_core.data.online.dataset import OnlineDataset, online_dataset
from neox_core.data.online.stream import State, redistributed
from neox_core.data.splits import SPLITS, Datasets, SampleCounts, Split

if TYPE_CHECKING:
    from neox_core.checkpoint import Reader
    from neox_core.training.batches import Batches

logger = logging.getLogger("neox")


def online_datasets(resolved: Resolved, counts: SampleCounts, rank: int) -> Datasets:
    """The datasets of a data-parallel rank; None for a split of which the run takes no samples.

    Raises:
        UserError: a list of servers has not as many entries as there are data-parallel ranks.
    """
    return Datasets(**{split: _online_dataset(resolved, split, getattr(counts, split), rank) for split in SPLITS})


def _online_dataset(resolved: Resolved, split: Split, num_samples: int, rank: int) -> OnlineDataset | None:
    if not num_samples:
        return None
    settings = resolved[OnlineSettings]
    return online_dataset(
        settings,
        split,
        num_samples,
        rank=rank,
        world_size=resolved.batch.data_parallel,
        seq_length=resolved[ModelSettings].seq_length,
        vocab_size=resolved.vocabulary or 1,
        leave_one_out=settings.reinforce_leave_one_out,
        tell=logger.warning,
    )


def stream_states(batches: Mapping[str, Batches]) -> dict[str, State] | None:
    """Where this rank's streams are, by the names of their batches, as plain data for a checkpoint; None where there are none."""
    states = {name: each.stream.state() for name, each in batches.items() if each.stream is not None}
    return states or None


def restore_streams(batches: Mapping[str, Batches], reader: Reader, rank: int, world_size: int) -> None:
    """Let the streams of a rank go on from a checkpoint, whatever topology saved it.

    One that the checkpoint does not know begins anew, as all do where its run had other samples than a server's.

    Args:
        batches: of this rank, by name.
        reader: the checkpoint.
        rank: of the data-parallel ranks; those that differ along other axes have the same samples.
        world_size: how many of them there are.
    """
    streams = {name: each.stream for name, each in batches.items() if each.stream is not None}
    states = _states(reader, rank, world_size) if streams else {}
    for name in streams.keys() & states.keys():
        streams[name].restore(states[name])


def _states(reader: Reader, rank: int, world_size: int) -> Mapping[str, State]:
    saved = [states or {} for states in reader.stream_states()]
    if len(saved) == world_size:
        return saved[rank]
    return {name: redistributed([states[name] for states in saved], world_size)[rank] for name in saved[0]}
