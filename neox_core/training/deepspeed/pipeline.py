"""DeepSpeed's pipelines with stages of ours: its engine and its schedules, our carry, gradients and step; proved on 0.19."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, ClassVar

import deepspeed
import torch
from deepspeed.accelerator import get_accelerator
from deepspeed.runtime.config import DeepSpeedConfig
from deepspeed.runtime.engine import DeepSpeedEngine
from deepspeed.runtime.pipe import schedule
from deepspeed.runtime.pipe.engine import PipelineEngine
from deepspeed.runtime.pipe.module import PipelineModule
from torch import Tensor, nn

from neox_core.launch import Breadcrumbs
from neox_core.model.block import Carry
from neox_core.parallel import Mesh
from neox_core.training.deepspeed.mpu import ModelParallelUnit
from neox_core.training.shared_gradients import SharedGradients
from neox_core.training.stage_links import StageLink, needing_gradient

Forward = Callable[[Carry | None], Any]
"""Runs the stage's layers on the next micro-batch: on what came from the stage before, or on the first stage on the batch alone.

It gives a carry; on the last stage, in training, the loss.
"""


class Grid(ModelParallelUnit):
    """A mesh as DeepSpeed's pipelines ask about it, in place of one that would make process groups of its own."""

    def __init__(self, mesh: Mesh) -> None:
        super().__init__(mesh)
        self.pipe_parallel_size = mesh.pipe.size
        self.data_parallel_size, self.data_parallel_id = mesh.data.size, mesh.data.rank
        self.model_parallel_size = mesh.tensor.size

    def get_global_rank(self) -> int:
        """This rank, among all."""
        return self._mesh.rank

    def get_stage_id(self) -> int:
        """This rank's stage."""
        return self._mesh.pipe.rank

    def stage_to_global(self, stage_id: int) -> int:
        """The rank that is another stage of this rank's pipeline."""
        return self._mesh.pipe.ranks[stage_id]

    def get_pipeline_model_parallel_world_size(self) -> int:
        """Stages."""
        return self._mesh.pipe.size


class StageModule(PipelineModule):  # type: ignore[misc]
    """A stage as DeepSpeed's engine wants it: what it would decide of layers, seeds and recomputation is decided already."""

    def __init__(self, mesh: Mesh, module: nn.Module) -> None:
        nn.Module.__init__(self)
        self.stage = module
        self._grid = Grid(mesh)
        self._local_start = self._local_stop = 0
        self.tied_comms: Mapping[str, Any] = {}
        self.dynamic_shape = False
        self.activation_checkpoint_interval = 0

    def forward(self, *args: Any) -> Any:
        """What the stage gives."""
        return self.stage(*args)


class StageEngine(PipelineEngine):  # type: ignore[misc]
    """DeepSpeed's engine of a pipeline, which carries out its schedules with what a stage does here.

    Steps are taken from outside, when a schedule is over.

    Args:
        mesh: this rank's.
        module: of this stage.
        optimizer: of its parameters.
        config: DeepSpeed's configuration.
        crumbs: told where this stage may have to wait for a neighbour.
    """

    def __init__(
        self,
        mesh: Mesh,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        config: Mapping[str, Any],
        crumbs: Breadcrumbs,
    ) -> None:
        deepspeed.comm.init_distributed(dist_backend=get_accelerator().communication_backend_name())
        stage = StageModule(mesh, module)
        super().__init__(
            args=None,
            model=stage,
            optimizer=optimizer,
            mpu=stage._grid,
            config=config,
            config_class=DeepSpeedConfig(config, stage._grid),
        )
        self._shared = SharedGradients(mesh, module.parameters())
        ranks, place = mesh.pipe.ranks, mesh.pipe.rank
        self._before, self._after = (
            StageLink(ranks[stage], mesh.pipe.group, self.device, partial(crumbs.waiting_for, f"stage {stage}"))
            for stage in ((place - 1) % mesh.pipe.size, (place + 1) % mesh.pipe.size)
        )
        self._given: dict[int, Carry] = {}
        self._made: dict[int, Any] = {}
        self._gradients: dict[int, list[Tensor]] = {}

    def train_on(self, forward: Forward, before_backward: Callable[[int], None]) -> None:
        """Forward and backward passes of all micro-batches of a step; gradients are whole then.

        Args:
            forward: a micro-batch's forward pass.
            before_backward: told the number of a micro-batch before its backward pass.
        """
        self._before_backward, self._backwards = before_backward, 0
        self._carry_out(self._train_schedule(), forward)

    def evaluate_on(self, forward: Forward, count: int) -> None:
        """Forward passes of some micro-batches."""
        with torch.no_grad():
            self._carry_out(self._inference_schedule(count), forward)

    def _carry_out(self, instructions: Iterator[Any], forward: Forward) -> None:
        self._before.renew()
        self._after.renew()
        self._forward = forward
        try:
            self._exec_schedule(instructions)
        finally:
            for kept in (self._given, self._made, self._gradients):
                kept.clear()

    def forward(self, *args: Any) -> Any:
        """What the stage gives, ready for a backward pass."""
        return DeepSpeedEngine.forward(self, *args)

    def _run_forward(self, buffer_id: int) -> None:
        self._made[buffer_id] = self._forward(self._given.get(buffer_id))

    def _run_backward(self, buffer_id: int) -> None:
        self._before_backward(self._backwards)
        self._backwards += 1
        made = self._made.pop(buffer_id)
        if self.is_last_stage():
            DeepSpeedEngine.backward(self, made)
            return
        ends = needing_gradient(made)
        if not ends:
            return
        self._running_engine_backward = True
        try:
            torch.autograd.backward(ends, self._gradients.pop(buffer_id))
            self._backward_epilogue()
        finally:
            self._running_engine_backward = False

    def _send_carry(self, buffer_id: int) -> None:
        self._after.send(self._made[buffer_id])

    def _receive_carry(self, buffer_id: int) -> None:
        self._given[buffer_id] = self._before.receive()

    def _send_gradients(self, buffer_id: int) -> None:
        self._before.send_gradients(self._given.pop(buffer_id))

    def _receive_gradients(self, buffer_id: int) -> None:
        self._gradients[buffer_id] = self._after.receive_gradients(self._made[buffer_id])

    def _sum_shared_gradients(self) -> None:
        local = bool(getattr(self.optimizer, "gradients_stay_local", False))
        if getattr(self.optimizer, "use_grad_accum_attribute", False):
            self._shared.sum("grad_accum", self.optimizer.gradient_accumulation_dtype, local=local)
        else:
            self._shared.sum(local=local)

    def _do_nothing(self, **_: Any) -> None:
        """The batch is taken with the forward pass, and the step when all is over."""

    _INSTRUCTION_MAP: ClassVar[Mapping[type, Callable[..., None]]] = {
        schedule.LoadMicroBatch: _do_nothing,
        schedule.ForwardPass: _run_forward,
        schedule.BackwardPass: _run_backward,
        schedule.SendActivation: _send_carry,
        schedule.RecvActivation: _receive_carry,
        schedule.SendGrad: _send_gradients,
        schedule.RecvGrad: _receive_gradients,
        schedule.ReduceTiedGrads: _sum_shared_gradients,
        schedule.ReduceGrads: PipelineEngine._exec_reduce_grads,
        schedule.OptimizerStep: _do_nothing,
    }
