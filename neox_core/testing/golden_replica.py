"""A recorded run of GPT-NeoX, set up here: on one rank, or cut over several."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from neox_core.config import DataSettings, NeoXArgs, Resolved, Topology, World
from neox_core.config.compatibility import GPT_NEOX
from neox_core.config.resolved import Batch as SampleCounts
from neox_core.errors import SettingsError, UserError
from neox_core.model import Batch, WeightConverter
from neox_core.plugins import PluginManager
from neox_core.testing.fixture import Fixture
from neox_core.testing.recorded import rule_weights
from neox_core.testing.recorded_files import RecordedFiles
from neox_core.training.batches import Batches
from neox_core.training.components import component_problems
from neox_core.training.datasets import open_datasets
from neox_core.training.engine import Engine
from neox_core.training.schedule import make_schedule

END_OF_DOCUMENT = 0
"""The one that ends a document there."""


@dataclass(slots=True)
class Replica:
    """The fixture's run: rule weights loaded, nothing trained yet."""

    fixture: Fixture
    files: RecordedFiles
    resolved: Resolved
    plugins: PluginManager
    engine: Engine
    converter: WeightConverter
    batches: Batches
    micro_batch: int
    losses: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, path: Path, topology: Topology) -> Replica:
        """Set up the run of the fixture at `path` on the ranks of a topology, all of which have to call it.

        Raises:
            UserError: the fixture cannot be read, or needs what is not there.
        """
        fixture = Fixture.read(path)
        files = RecordedFiles(path.parent, fixture.data)
        plugins = PluginManager()
        resolved, micro_batch = resolve(fixture, files, plugins, topology)
        objective = plugins.make("objective", fixture.config.get("train_impl", "normal"), resolved)
        engine = Engine(resolved, plugins, objective)
        converter: WeightConverter = plugins.make("converter", "gpt-neox", resolved)
        engine.load_weights(converter.read(weights_of(fixture)))
        train = open_datasets(resolved).train
        if train is None:
            raise UserError("its split leaves no document for training")
        batches = Batches(
            train,
            resolved,
            topology.place(dist.get_rank()).data,
            objective.batch_fields,
            END_OF_DOCUMENT if resolved[DataSettings].eod_mask_loss else None,
        )
        return cls(fixture, files, resolved, plugins, engine, converter, batches, micro_batch)

    def recorded_batches(self) -> Iterator[Batch]:
        """The micro-batches of all ranks, cut as they were when the run was recorded."""
        self.batches.seek(0)
        data = self.engine.mesh.data
        for own in self.batches:
            rows = {name: data.gather(tensor, 0) for name, tensor in own.items()}
            for start in range(0, len(rows["tokens"]), self.micro_batch):
                yield {name: tensor[start : start + self.micro_batch] for name, tensor in rows.items()}

    def first_batch(self) -> Batch:
        """The first of them."""
        return next(self.recorded_batches())

    def train(self) -> None:
        """As many steps as were recorded."""
        schedule = make_schedule(self.resolved, self.plugins)
        self.batches.seek(0)
        for step in range(len(self.fixture.losses)):
            result = self.engine.train_step(self.batches, step=step, learning_rate=schedule(step))
            self.losses.append(result.loss)
            self.norms.append(result.grad_norm)
            self.rates.append(schedule(step + 1))


def weights_of(fixture: Fixture) -> dict[str, Tensor]:
    """The weights before the first step, under GPT-NeoX's names."""
    return {name: torch.from_numpy(rule_weights(name, shape)) for name, shape in fixture.params.items()}


def resolve(fixture: Fixture, files: RecordedFiles, plugins: PluginManager, topology: Topology) -> tuple[Resolved, int]:
    """The fixture's settings on a topology, with as many samples a step; and the size of the micro-batches that were recorded.

    Raises:
        SettingsError: they are wrong, cannot be had here, or do not go together with the topology.
    """
    config = {
        key: files.prefixes(value) if key.endswith(("data_path", "data_paths")) else value
        for key, value in fixture.config.items()
    }
    # A bias has as many copies as the recorded run had tensor-parallel ranks, whatever it is cut over here.
    config = {"compat": GPT_NEOX, "row_parallel_bias_copies": config.get("model_parallel_size", 1), **config}
    resolved = NeoXArgs.from_dict(config, plugins=plugins).resolve(World.local(), fixture.vocabulary)
    micro_batch = resolved.batch.micro
    if topology.size > 1:
        config |= {"model_parallel_size": topology.tensor, "pipe_parallel_size": topology.pipe}
        args = NeoXArgs.from_dict(config | shared(resolved.batch, topology.data), plugins=plugins)
        resolved = args.resolve(World.local(topology.size), fixture.vocabulary)
    problems = [*resolved.limitations, *component_problems(resolved, plugins)]
    if problems:
        raise SettingsError(problems)
    return resolved, micro_batch


def shared(batch: SampleCounts, ranks: int) -> dict[str, Any]:
    """Settings with which data-parallel ranks share the samples of a step: whole micro-batches where that is possible, else parts.

    The mean over the tokens of a micro-batch is not that of its parts' means, unless tokens are weighed over all ranks.

    Raises:
        UserError: there are not as many samples.
    """
    if batch.accumulation % ranks and batch.micro % ranks:
        raise UserError(f"{ranks} data-parallel ranks cannot share {batch.accumulation} x {batch.micro} samples a step")
    whole = batch.accumulation % ranks == 0
    micro = batch.micro if whole else batch.micro // ranks
    weighed = {} if whole or batch.accumulation > 1 else {"loss_normalisation": "global_tokens"}
    return {
        "train_batch_size": batch.total,
        "train_micro_batch_size_per_gpu": micro,
        "gradient_accumulation_steps": batch.total // (micro * ranks),
        **weighed,
    }
