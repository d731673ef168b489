"""What a run needs of each of its ranks, without a rank of it: memory, communication, operations."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch

from neox_commands.plan_pieces import DTYPES, Need, Pieces
from neox_commands.plan_states import States, Zero, bytes_of, groups_to_plan
from neox_commands.plan_traffic import Traffic, times, together
from neox_core.config import ActivationCheckpointingSettings, ModelSettings, NeoXArgs, ParallelismSettings, Resolved
from neox_core.config.topology import Place
from neox_core.model import LanguageModel
from neox_core.model.stages import planned_stages
from neox_core.parallel import Mesh, Stage, copies_of, is_copy, spec_of
from neox_core.plugins import PluginManager
from neox_core.training.parameter_groups import groups_of

AS_COUNTED = {"torch_compile": False, "checkpoint_in_cpu": False}
"""How layers are counted: as written, and with all that they keep on the device."""


@dataclass(frozen=True, slots=True)
class StagePlan:
    """One rank of a stage of the pipeline.

    Args:
        stage: which layers it has.
        parameters: elements that it holds.
        owned: its share of those for which an earlier stage does not answer; tensor-parallel ranks that hold the same share it.
        states: weights, gradients, optimizer.
        activations: bytes that are kept for the backward passes of all micro-batches that are under way.
        under_way: how many these are, at most.
        on_host: whether they are kept in the host's memory.
        working: further bytes within a layer's or the head's passes.
        traffic: of a step, by the axis along which the ranks are.
        flops: floating-point operations of a step, of the model itself.
        repeated: of which so many are done once more for recomputation.
    """

    stage: Stage
    parameters: int
    owned: float
    states: States
    activations: int
    under_way: int
    on_host: bool
    working: int
    traffic: Mapping[str, Traffic]
    flops: float
    repeated: float

    @property
    def lasting(self) -> int:
        """Bytes on the device from step to step."""
        states = self.states
        return states.weights + states.master + states.optimizer - states.offloaded

    @property
    def saved(self) -> int:
        """Bytes that a rank writes into a checkpoint; of what several ranks have, one writes each part."""
        return round(self.states.saved * self.owned / self.parameters) if self.parameters else 0

    @property
    def memory(self) -> int:
        """The most bytes on the device: in the passes of a step, or in the update."""
        kept = 0 if self.on_host else self.activations
        passes = self.states.gradients + kept + self.working + self.states.buffers
        return self.lasting + max(passes, self.states.gradients + self.states.update)


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole run."""

    resolved: Resolved
    stages: tuple[StagePlan, ...]

    @property
    def worst(self) -> StagePlan:
        """The stage that needs most memory."""
        return max(self.stages, key=lambda stage: stage.memory)

    @property
    def checkpoint(self) -> int:
        """Bytes of a checkpoint."""
        topology = self.resolved.topology
        return sum(stage.saved for stage in self.stages) * topology.tensor * topology.replicas

    @property
    def bubble(self) -> float:
        """The share of a step in which a rank waits for other stages: (S - 1) / (M + S - 1) for S stages and M micro-batches, if all
        stages take equally long (Narayanan et al., "Efficient Large-Scale Language Model Training on GPU Clusters", 2021)."""
        stages, passes = len(self.stages), self.resolved.batch.accumulation
        return (stages - 1) / (passes + stages - 1)

    @property
    def tokens(self) -> int:
        """Tokens of a step."""
        return self.resolved.batch.total * self.resolved[ModelSettings].seq_length

    @property
    def flops(self) -> float:
        """Operations of a step, of all ranks."""
        return sum(stage.flops for stage in self.stages) * self.resolved.topology.size / len(self.stages)

    @property
    def parameters(self) -> int:
        """Distinct parameters of the model."""
        return round(sum(stage.owned for stage in self.stages) * self.resolved.topology.tensor)


def plan_run(args: NeoXArgs, resolved: Resolved, plugins: PluginManager) -> Plan:
    """Plan the run that some settings describe.

    Raises:
        UserError: the vocabulary is not known, or a part of the model cannot be had.
    """
    counted = NeoXArgs.from_dict({**args.to_dict(), **AS_COUNTED}, plugins=plugins)
    counted_as = counted.resolve(resolved.world, resolved.vocabulary)
    found = Pieces(counted_as, plugins, Mesh.without_groups(resolved.topology, 0))
    dealt = planned_stages(resolved, plugins)
    stages = (Stage(layers, index, len(dealt)) for index, layers in enumerate(dealt))
    return Plan(resolved, tuple(_plan_stage(resolved, plugins, stage, found) for stage in stages))


def _plan_stage(resolved: Resolved, plugins: PluginManager, stage: Stage, found: Pieces) -> StagePlan:
    topology, dtype = resolved.topology, DTYPES[resolved.precision]
    mesh = Mesh.without_groups(topology, topology.rank_at(Place(stage.index, 0, 0, 0)))
    with torch.device("meta"):
        model = LanguageModel(resolved, plugins, mesh, stage)
    trained = groups_to_plan(groups_of(model, resolved, plugins), dtype)
    zero = Zero(resolved, plugins, trained, bytes_of((p for p in model.parameters() if not p.requires_grad), dtype))
    needs = list(_needs(resolved, stage, found))
    passes = resolved.batch.accumulation
    under_way = min(stage.count - stage.index, passes)
    received = 0 if stage.is_first else found.carried()
    kept = received + sum(need.kept for need in needs) - _let_go(resolved, stage, found)
    settings = resolved[ActivationCheckpointingSettings]
    flops = model.flops_per_token(resolved[ModelSettings].seq_length) * _share_of_tokens(resolved)
    return StagePlan(
        stage,
        sum(p.numel() for p in model.parameters()),
        sum(_owned(name, p, mesh) for name, p in model.named_parameters()),
        zero.states(),
        under_way * kept,
        under_way,
        settings.checkpoint_activations and settings.checkpoint_in_cpu,
        _working(needs, received) - kept,
        {
            **{
                axis: times(together(*(need.traffic.get(axis, {}) for need in needs)), passes)
                for axis in ("tensor", "context")
            },
            "pipe": _between_stages(stage, found, model, passes),
            "replicas": zero.traffic(),
        },
        flops,
        _repeated(resolved, model) * _share_of_tokens(resolved),
    )


def _needs(resolved: Resolved, stage: Stage, found: Pieces) -> Iterator[Need]:
    """Those of a stage's parts in order."""
    settings = resolved[ActivationCheckpointingSettings]
    together = settings.checkpoint_num_layers if settings.checkpoint_activations else 1
    if stage.is_first:
        yield found.begin()
    for start in range(stage.layers.start, stage.layers.stop, together):
        yield found.layers(range(start, min(start + together, stage.layers.stop)))
    if stage.is_last:
        yield found.end()


def _working(needs: list[Need], received: int) -> int:
    """The most bytes of one micro-batch: all that earlier parts keep, and what one works with."""
    kept, most = received, received
    for need in needs:
        kept += need.kept
        most = max(most, kept + need.working)
    return most


def _let_go(resolved: Resolved, stage: Stage, found: Pieces) -> int:
    """Of what layers give each other, bytes that are not kept since this rank's piece of them is (`partition_activations`)."""
    settings, tensor = resolved[ActivationCheckpointingSettings], resolved.topology.tensor
    cut = settings.checkpoint_activations and settings.partition_activations and tensor > 1
    if not cut or resolved[ParallelismSettings].sequence_parallel or found.tokens % tensor:
        return 0
    groups = -(-len(stage.layers) // settings.checkpoint_num_layers)
    given_before = 0 if stage.is_first else 1  # by the stage before, which is kept until its gradient is sent
    return max(groups - given_before, 0) * found.hidden()


def _share_of_tokens(resolved: Resolved) -> float:
    """Tokens of a step, as if a rank took its share of the work on each layer by taking fewer tokens."""
    topology, batch = resolved.topology, resolved.batch
    samples = batch.micro * batch.accumulation
    return samples * resolved[ModelSettings].seq_length / topology.context / topology.tensor


def _repeated(resolved: Resolved, model: LanguageModel) -> float:
    """Operations for one token that recomputation does once more: all forward passes of layers, a third of what there is to do.

    With `selective` almost nothing is that takes operations.
    """
    from neox_core.model import flops_per_token

    settings, length = resolved[ActivationCheckpointingSettings], resolved[ModelSettings].seq_length
    if not settings.checkpoint_activations or settings.checkpoint_policy == "selective":
        return 0.0
    return sum(flops_per_token(layer, length) for layer in model.layers) / 3


def _owned(name: str, parameter: torch.nn.Parameter, mesh: Mesh) -> float:
    """Elements of a parameter that a rank has to answer for, as a share: replicas within a tensor-parallel group share it evenly."""
    if is_copy(parameter):
        return 0
    spec = spec_of(name, parameter, mesh.tensor)
    return sum(block.size / block.replicas for block in spec.blocks)


def _between_stages(stage: Stage, found: Pieces, model: LanguageModel, passes: int) -> Traffic:
    """What a stage sends to its neighbours in a step; sums of what several stages hold are told apart by their collective."""
    if stage.is_whole:
        return {}
    forwards = 0 if stage.is_last else found.carried()
    backwards = 0 if stage.is_first else found.returned()
    shared = [p for p in model.parameters() if p.requires_grad and copies_of(p) is not None]
    summed = sum(math.prod(p.shape) * 4 for p in shared)
    found_traffic: dict[str, float] = {"send": passes * (forwards + backwards)}
    return found_traffic | ({"all_reduce": summed} if summed else {})  # type: ignore[return-value]
