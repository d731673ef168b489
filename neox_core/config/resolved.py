"""`Resolved`: the frozen settings of a run, with everything that is derived from them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar, cast

from neox_core.config.compatibility import reproduces
from neox_core.config.groups import CompatibilitySettings, ModelSettings, TrainingSettings
from neox_core.config.settings import Settings
from neox_core.config.topology import Topology
from neox_core.config.world import World
from neox_core.errors import Notice, Origin, Problem

if TYPE_CHECKING:
    from neox_core.plugins.components import HeadKind

Precision = Literal["fp32", "fp16", "bf16"]

G = TypeVar("G", bound=Settings)


class Batch(NamedTuple):
    """How many samples make a step.

    Args:
        micro: samples in one forward pass of one rank.
        accumulation: forward passes in one step.
        data_parallel: ranks that see different samples.
    """

    micro: int
    accumulation: int
    data_parallel: int

    @property
    def total(self) -> int:
        """Samples in one optimizer step, over all ranks."""
        return self.micro * self.accumulation * self.data_parallel


class OptimizerChoice(NamedTuple):
    """The optimizer by name, its own options, and the learning rate that the schedule scales."""

    name: str
    params: Mapping[str, Any]
    lr: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """Everything that a run is, as a value: `resolved[ModelSettings]` is a typed group, the rest is derived.

    Args:
        world: hosts, slots and device.
        batch: samples in a step.
        topology: which rank is where.
        precision: number format of parameters and activations.
        layers: name of each layer's sequence mixer.
        head: what the model ends with: logits, or the scores of a reward model, which the objective needs.
        mlp_width: width inside each MLP.
        mixtures: name of each layer's mixture of experts, None where there is none.
        vocabulary: number of token ids in use; None when nothing says it.
        epoch_samples: samples that the training data have, where `train_epochs` says how long the run is; None where it does not
            matter or nobody has looked.
        padded_vocab_size: rows of the embedding; None likewise.
        optimizer: which optimizer.
        deepspeed: the configuration that is handed to DeepSpeed.
        values: the given keys; making settings of them again gives the same value.
        origins: where they were given, by key and by dotted path within its value.
        limitations: what keeps a run with these settings from starting here, though they are right.
        notices: what a user should know and need not mend.
    """

    world: World
    batch: Batch
    topology: Topology
    precision: Precision
    layers: tuple[str, ...]
    head: HeadKind
    mlp_width: int
    mixtures: tuple[str | None, ...]
    vocabulary: int | None
    epoch_samples: int | None
    padded_vocab_size: int | None
    optimizer: OptimizerChoice
    deepspeed: Mapping[str, Any]
    values: Mapping[str, Any]
    origins: Mapping[str, Origin] = field(repr=False)
    groups: Mapping[type[Settings], Settings] = field(repr=False)
    limitations: tuple[Problem, ...] = field(default=(), repr=False)
    notices: tuple[Notice, ...] = field(default=(), repr=False)

    def __getitem__(self, group: type[G]) -> G:
        """The typed group."""
        return cast("G", self.groups[group])

    def origin(self, path: str) -> Origin | None:
        """Where a key, or a value within it (`optimizer.params.lr`), was given; else where what contains it was."""
        while path:
            if path in self.origins:
                return self.origins[path]
            path = path.rpartition(".")[0]
        return None

    @property
    def train_iters(self) -> int:
        """Optimizer steps in all; 0 where only `train_epochs` says how long and nobody has looked at the data.

        Each epoch leaves out the samples that do not fill a last step; where the defect "epoch-end" is reproduced, those that do not
        fill a last micro-batch of all ranks.
        """
        training = self[TrainingSettings]
        if training.train_epochs is None:
            return training.train_iters or 0
        whole = self.epoch_multiple
        return training.train_epochs * ((self.epoch_samples or 0) // whole) * whole // self.batch.total

    @property
    def epoch_multiple(self) -> int:
        """Samples that are taken together at the end of the data."""
        together = self.batch.micro * self.batch.data_parallel
        return together if self.reproduces("epoch-end") else self.batch.total

    def reproduces(self, defect: str) -> bool:
        """Whether this run brings back one of GPT-NeoX's defects, by its name in the table of `neox_core.config.compatibility`."""
        return reproduces(self[CompatibilitySettings].compat, defect)

    @property
    def bias_copies(self) -> int:
        """As how many copies the row-parallel biases of parallel blocks are trained, which move as their sum."""
        if not self[ModelSettings].gpt_j_residual:
            return 1
        said = self[CompatibilitySettings].row_parallel_bias_copies
        return said or (self.topology.tensor if self.reproduces("bias-copies") else 1)

    def all_values(self) -> dict[str, Any]:
        """Every key with its value, defaults included, by key; not to be changed."""
        found = {key: getattr(group, key) for group in self.groups.values() for key in type(group).model_fields}
        return dict(sorted(found.items()))

    def fingerprint(self) -> str:
        """sha256 of everything that must be the same on each rank."""
        content = {
            "values": self.all_values(),
            "world": [[host.name, host.slots] for host in self.world.hosts],
            "device": self.world.device,
            "vocabulary": self.vocabulary,
            "epoch_samples": self.epoch_samples,
            "deepspeed": self.deepspeed,
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()
