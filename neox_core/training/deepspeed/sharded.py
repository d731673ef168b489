"""ZeRO 3: each parameter is cut into as many pieces as there are ranks with the same weights, and gathered when it is used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from neox_core.parallel import Fragment, Mesh, Range
from neox_core.training.deepspeed.core import Observer, Parameters
from neox_core.training.deepspeed.disks import Disks, WeightsOnDisks, piece_of, put_away, read_ahead_rightly
from neox_core.training.deepspeed.flat import FlatCore, Piece
from neox_core.training.deepspeed.mpu import ModelParallelUnit
from neox_core.training.fragments import Held, step_without_effect


class Cutter:
    """Cuts a model's parameters as they get their values, so that no rank ever holds more than a part of the model whole.

    Until an engine takes them over they have the shapes that they are made with, and one number in the place of all elements.

    Args:
        deepspeed: the package, whose communication is started.
        config: its configuration.
        mesh: this rank's.
    """

    def __init__(self, deepspeed: Any, config: Mapping[str, Any], mesh: Mesh) -> None:
        deepspeed.init_distributed(deepspeed.accelerator.get_accelerator().communication_backend_name())
        mpu, self._cut = ModelParallelUnit(mesh), list[nn.Parameter]()
        # Given a module, be it an empty one, it does all that DeepSpeed would do of a whole model.
        self._init = deepspeed.zero.Init(
            module=nn.Module(), data_parallel_group=mpu.get_data_parallel_group(), config_dict_or_path=config, mpu=mpu
        )
        self._disks = WeightsOnDisks(self._init.param_swapper) if self._init.param_swapper is not None else None
        self._ranks = mesh.replicas.size

    def __call__(self, parameters: Iterable[nn.Parameter]) -> None:
        """Cut some parameters, in the number format that computes; every rank has to call it with the same ones."""
        init = self._init
        for parameter in parameters:
            dtype = parameter.dtype if getattr(parameter, "keeps_float32", False) else init.dtype
            parameter.data = parameter.data.to(init.local_device, dtype)
            if self._disks is not None:
                self._disks.check_before(parameter, dtype, self._ranks)
            init._convert_to_zero_parameters([parameter])
            if self._disks is not None:
                self._disks.check_after(parameter)
            parameter.data = parameter.data.new_zeros(()).expand(parameter.ds_shape)  # type: ignore[attr-defined]
            self._cut.append(parameter)

    def hand_over(self) -> None:
        """Leave the parameters as DeepSpeed has those that are cut and not in use."""
        for parameter in self._cut:
            parameter.data = parameter.data.new_empty(0)
        self._cut.clear()


class ShardedCore(FlatCore):
    """Every rank has its piece of every parameter. A group is some of them, whose pieces are one flat partition.

    Partitions may be in files between steps, see `Disks`: whoever asks for them has them mapped.
    """

    def __init__(
        self, engine: Any, parameters: Parameters, clipping: float, mesh: Mesh, *, as_counted: bool = False
    ) -> None:
        super().__init__(engine, parameters, clipping, mesh, as_counted=as_counted)
        self._disks = Disks(self._zero) if self._zero.swap_optimizer else None
        read_ahead_rightly(parameters.values(), engine.module)
        self._zero._get_norm_groups = lambda: [self._scaled_norm()]

    @property
    def _partitions(self) -> list[Tensor]:
        partitions: list[Tensor] = self._zero.fp32_partitioned_groups_flat
        return partitions

    def _groups(self) -> list[int]:
        return [self._zero.sub_group_to_group_id[group] for group in range(len(self._partitions))]

    def _find_pieces(self) -> Iterator[Piece]:
        for held in self.held:
            covered = self._covered(held)
            if held.parameter.requires_grad and covered[0] < covered[1]:
                group, place, _ = self._zero.grad_position[self._zero.get_param_id(held.parameter)]
                yield Piece(held, covered, group, place)

    def _covered(self, held: Held) -> Range:
        """The elements of a parameter that this rank has; the last ranks have less, or nothing."""
        size, rank = held.parameter.ds_tensor.ds_numel, self._replicas.rank  # type: ignore[attr-defined]
        return min(rank * size, held.spec.local_size), min((rank + 1) * size, held.spec.local_size)

    def step(self, observe: Observer | None = None, *, drop: bool = False) -> tuple[float, bool]:
        """As with other stages. A parameter that the next step does not use would have this step's gradient."""
        self._put_away()
        norm, applied = super().step(observe, drop=drop)
        self._zero.grad_partitions_flat_buffer.zero_()
        return norm, applied

    def _gradients(self, group: int) -> list[Tensor]:
        if self._disks is not None and group in self._disks:
            return [self._disks.gradient(group)]
        offloaded = self._partitions[group].grad
        if self._zero.offload_optimizer and offloaded is not None:
            return [offloaded]
        return [gradient.flatten() for gradient in self._zero.averaged_gradients[group]]

    def _frozen(self) -> Iterator[tuple[Held, Fragment]]:
        for held in self.held:
            start, stop = self._covered(held)
            if not held.parameter.requires_grad and start < stop:
                own = piece_of(held.parameter).detach().narrow(0, 0, stop - start)
                yield held, Fragment(held.spec, "weight", (start, stop), own)

    def weight_targets(self) -> Iterator[Fragment]:
        """The pieces; `refresh` makes what computes."""
        self._reach()
        yield from (frozen for _, frozen in self._frozen())
        yield from (self._weight(piece) for piece in self._pieces)

    def fragments(self) -> Iterator[Fragment]:
        """This rank's pieces with their state, and its share of frozen weights."""
        self._reach()
        yield from super().fragments()

    def optimized(self) -> Iterable[Tensor]:
        """The partitions."""
        self._reach()
        return super().optimized()

    def refresh(self) -> None:
        """The pieces in the number format that computes; what is kept gathered is gathered anew."""
        zero = self._zero
        self._reach()
        self._put_away()
        for group in range(len(self._partitions)):
            zero._reassign_or_swap_out_partitioned_parameters(group)
        if zero.persistent_parameters:
            zero.persistent_parameters[0].all_gather(zero.persistent_parameters)
        if self._disks is not None:
            self._disks.write()

    def gathered(self, *parameters: nn.Parameter) -> AbstractContextManager[None]:
        """While it lasts, these are whole, to be read."""
        from deepspeed.runtime.zero import GatheredParameters

        gathered: AbstractContextManager[None] = GatheredParameters(list(parameters))
        return gathered

    def _make_state(self) -> None:
        """DeepSpeed gives the optimizer its partitions one after the other, and takes each away after its step."""
        groups = self._optimizer.param_groups
        for group, (partition, index) in enumerate(zip(self._partitions, self._groups(), strict=True)):
            groups[index]["params"] = [partition]
            if self._disks is not None and group in self._disks:
                self._disks.make_state(group)
            else:
                gradient, partition.grad = partition.grad, torch.zeros_like(partition)
                step_without_effect(self._optimizer)
                partition.grad = gradient  # with offloading it is DeepSpeed's buffer
            groups[index]["params"] = []

    def _put_away(self) -> None:
        self._zero._partition_all_parameters()
        put_away(held.parameter for held in self.held)

    def _reach(self) -> None:
        if self._disks is not None:
            self._disks.reach()
