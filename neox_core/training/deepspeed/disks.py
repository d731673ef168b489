"""What ZeRO 3 keeps in files, and how it is reached there: DeepSpeed's offloading to disks."""

from __future__ import annotations

import atexit
import os
import re
import resource
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from neox_core.config.disk_rules import PARTS, buffers_needed, is_on_disks
from neox_core.errors import UserError
from neox_core.training.extensions import built_by_one
from neox_core.training.fragments import step_without_effect


def prepared(config: Mapping[str, Any]) -> dict[str, Any]:
    """DeepSpeed's configuration with directories on disks that are this process's alone, and the operator that uses them built.

    DeepSpeed names files by rank: two runs that were told the same directory would overwrite each other's weights.

    Raises:
        UserError: the operator cannot be built, or a directory not be made.
    """
    zero = dict(config["zero_optimization"])
    for part in filter(lambda part: is_on_disks(zero.get(part)), PARTS):
        build_operator()
        if part == "offload_param":
            width = 2 if any((config.get(key) or {}).get("enabled") for key in ("bf16", "fp16")) else 4
            size = int(zero[part].get("buffer_count", 5)) * int(zero[part].get("buffer_size", 1e8))
            check_lockable(part, width * size)
        zero[part] = {**zero[part], "nvme_path": _own_directory(part, Path(zero[part]["nvme_path"]))}
    return {**config, "zero_optimization": zero}


def build_operator() -> None:
    """Build what reads and writes files, where that was not done before.

    Raises:
        UserError: it cannot be built.
    """
    from deepspeed.ops.op_builder import AsyncIOBuilder

    try:
        with ExitStack() as alone:
            for name in ("pin_memory", "async_io"):
                alone.enter_context(built_by_one(name))
            AsyncIOBuilder().load(verbose=False)
    except Exception as error:  # whatever compilers and linkers may say
        raise UserError(
            f"zero_optimization: device: nvme: DeepSpeed's operator for disks cannot be built here ({error.__cause__ or error}); "
            "install libaio's headers (apt-get install libaio-dev, or yum install libaio-devel), g++ and ninja, or write device: cpu"
        ) from error


def _own_directory(part: str, parent: Path) -> str:
    """A new directory, which goes when the process ends."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        own = tempfile.mkdtemp(prefix="neox-", dir=parent)
    except OSError as error:
        raise UserError(
            f"zero_optimization.{part}.nvme_path: {parent}: {error.strerror}; name a directory of a local disk that every host has"
        ) from error
    atexit.register(shutil.rmtree, own, ignore_errors=True)
    return own


CAN_LOCK = 1 << 14
"""Linux's capability to lock memory without a limit, as a bit of those that a process has."""


def check_lockable(part: str, size: int) -> None:
    """See whether this process may lock so many bytes of memory; DeepSpeed's operator aborts where it may not.

    Raises:
        UserError: it may not.
    """
    _, most = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    found = re.search(r"^CapEff:\s*(\w+)", Path("/proc/self/status").read_text(), re.MULTILINE)
    if most == resource.RLIM_INFINITY or (found is not None and int(found[1], 16) & CAN_LOCK):
        return
    if size > most:
        raise UserError(
            f"zero_optimization.{part}.device: nvme: the buffers of the disks are {size} bytes, which have to be "
            f"locked in memory, and this process may lock {most}: raise the limit (ulimit -l, or docker run --ulimit memlock=-1), or "
            f"lower {'sub_group_size' if part == 'offload_optimizer' else 'buffer_size'}"
        )
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (most, most))


class Disks:
    """The partitions of ZeRO 3 that DeepSpeed writes to files after each step, with their state, and reads before the next one.

    A file holds a partition, or state of it, as it lies in memory. So it can be mapped: weights and state are saved from there and
    loaded to there as from any memory, of which it takes none.

    Gradients stay in memory, where ZeRO 3 has all of them anyway. DeepSpeed would write copies, and go on to read that of an earlier
    step for a parameter that a step does not use.

    Args:
        zero: DeepSpeed's optimizer.

    Raises:
        UserError: there is no room for the weights.
    """

    def __init__(self, zero: Any) -> None:
        self._zero, self._swapper = zero, zero.optimizer_swapper
        sizes = zero.fp16_partitioned_groups_flat_numel
        self._runs = list(zip(accumulate(sizes, initial=0), sizes, strict=False))
        self._prepare, self._state = zero._prepare_sub_group, self._swapper._get_state_tensors
        zero._prepare_sub_group = self._prepare_with_gradient
        self._swapper.swap_out_gradients = lambda **_: None
        self._swapper._get_state_tensors = self._state_to_write
        for path, size in self._files():
            if Path(path).stat().st_size < 4 * size:
                raise _no_room("offload_optimizer", path)

    def __contains__(self, group: int) -> bool:
        """Whether a group's partition is in a file; a small one stays in memory."""
        return bool(self._zero._swappable_optimizer_subgroup(group))

    def gradient(self, group: int) -> Tensor:
        """The averaged gradient of a group's partition, times the factor of the loss."""
        flat: Tensor = self._zero.grad_partitions_flat_buffer.narrow(0, *self._runs[group])
        return flat

    def reach(self) -> None:
        """Have what is in files as mapped memory, until DeepSpeed reads it for the next step."""
        for info in self._swapper.swap_params_info.values():
            for kept in info.tensors:
                kept.compute_tensor.data = torch.from_file(
                    kept.swap_path, shared=True, size=info.numel(), dtype=kept.compute_tensor.dtype
                )

    def write(self) -> None:
        """See that what was changed there is on disk, where DeepSpeed reads past the kernel's memory."""
        for path, _ in self._files():
            with Path(path).open("rb") as file:
                os.fsync(file.fileno())

    def make_state(self, group: int) -> None:
        """Let the optimizer have its state of a group's partition; `step_without_effect` says how."""
        zero, partition = self._zero, self._zero.fp32_partitioned_groups_flat[group]
        zero._optimizer_states_and_gradient_swap_in(group)
        partition.grad = torch.zeros_like(partition)
        step_without_effect(zero.optimizer)
        zero._optimizer_states_and_gradient_swap_out(group)

    def _prepare_with_gradient(self, group: int, timers: Any) -> None:
        self._prepare(group, timers)
        if group in self:
            partition = self._zero.fp32_partitioned_groups_flat[group]
            partition.grad = self.gradient(group).to(partition.dtype)

    def _state_to_write(self, partition: Any) -> list[Tensor]:
        """What is like a partition of its state; the rest stays in memory, since DeepSpeed's buffers are as partitions are."""
        info = self._swapper.swap_params_info[partition.ds_id]
        for value in self._zero.optimizer.state.get(partition, {}).values():
            if isinstance(value, Tensor) and (value.numel(), value.dtype) != (info.numel(), partition.dtype):
                value.swappable = False  # type: ignore[attr-defined]
        found: list[Tensor] = self._state(partition)
        self._check_buffers(len(found))
        for value in found:
            self._reserve(Path(self._swapper.swap_folder, f"{value.ds_id}.tensor.swp"), info.numel())  # type: ignore[attr-defined]
        return found

    def _check_buffers(self, states: int) -> None:
        options = self._swapper.swap_config
        needed = buffers_needed(states, pipeline_read=options.pipeline_read, pipeline_write=options.pipeline_write)
        if options.buffer_count < needed:
            raise UserError(
                f"zero_optimization.offload_optimizer.buffer_count: {options.buffer_count}: the optimizer, which has "
                f"{states} tensors of state, needs {needed}: write buffer_count: {needed}"
            )

    def _reserve(self, path: Path, size: int) -> None:
        """Take the room of a file before it is written: DeepSpeed does not look whether a write succeeds."""
        with path.open("ab") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, 4 * self._swapper._io_aligned_numel(size))
            except OSError as error:
                raise _no_room("offload_optimizer", str(path)) from error

    def _files(self) -> Iterator[tuple[str, int]]:
        """Paths and numbers of elements."""
        for info in self._swapper.swap_params_info.values():
            for kept in info.tensors:
                yield kept.swap_path, info.numel()


class WeightsOnDisks:
    """Pieces of weights that compute, of which DeepSpeed has the large ones in files, and in a buffer while they are used.

    Args:
        swapper: DeepSpeed's.
    """

    def __init__(self, swapper: Any) -> None:
        self._swapper = swapper

    def check_before(self, parameter: nn.Parameter, dtype: torch.dtype, ranks: int) -> None:
        """See whether a weight's piece can be moved.

        Raises:
            UserError: a buffer does not hold it.
        """
        size, most = -(-parameter.numel() // ranks), self._swapper.elements_per_buffer
        if not self._swapper.swappable_tensor(numel=size):
            return
        if size > most:
            raise UserError(
                f"zero_optimization.offload_param.buffer_size: {most}: a rank's piece of a weight has {size} elements: "
                f"write buffer_size: {size}, or more"
            )
        if dtype != self._swapper.dtype:
            raise UserError(
                f"zero_optimization.offload_param.device: nvme: a weight of {size} elements a rank is kept in {dtype}, and "
                f"DeepSpeed's buffers are {self._swapper.dtype}: write device: cpu"
            )

    def check_after(self, parameter: Any) -> None:
        """See whether it was written.

        Raises:
            UserError: there is no room.
        """
        if parameter.ds_tensor.final_location is not None:
            path = Path(self._swapper.get_path(parameter))
            if not path.exists() or path.stat().st_size < parameter.ds_tensor.ds_numel * self._swapper.dtype.itemsize:
                raise _no_room("offload_param", str(path))


def read_ahead_rightly(parameters: Iterable[Any], module: nn.Module) -> None:
    """Let DeepSpeed read weights ahead that are used, and once.

    It fails where one that is used twice comes twice; and in an evaluation it would read for the backward pass, which never takes
    these weights out of their buffers.
    """
    swapper = next((parameter.nvme_swapper for parameter in parameters), None)
    if swapper is None:
        return
    read = swapper.swap_in

    def read_rightly(wanted: Iterable[Any], async_op: bool = True, swap_in_buffers: Any = None) -> None:
        once = list({parameter.ds_id: parameter for parameter in wanted}.values())
        if not async_op and swap_in_buffers is None and len(once) > swapper.available_swap_in_buffers():
            raise UserError(
                f"zero_optimization.offload_param.buffer_count: {swapper.param_buffer_count} is too few for the weights that are "
                "whole or read ahead at once: write a larger number, or lower stage3_max_reuse_distance, which keeps them whole"
            )
        if module.training or not async_op:
            read(once, async_op=async_op, swap_in_buffers=swap_in_buffers)

    swapper.swap_in = read_rightly


def piece_of(parameter: Any) -> Tensor:
    """A rank's piece of a parameter that computes, mapped where it is in a file."""
    own: Tensor = parameter.ds_tensor
    if parameter.nvme_swapper is None or own.status.name == "AVAILABLE":  # type: ignore[attr-defined]
        return own
    swapper, size = parameter.nvme_swapper, own.ds_numel  # type: ignore[attr-defined]
    return torch.from_file(swapper.get_path(parameter), shared=True, size=size, dtype=swapper.dtype)


def put_away(parameters: Iterable[Any]) -> None:
    """Leave what was read ahead and not used: an update would go to the buffers, and not to the files."""
    if held := [parameter for parameter in parameters if parameter.nvme_swapper is not None]:
        swapper = held[0].nvme_swapper
        swapper.synchronize_reads()
        swapper.remove_partition_and_release_buffers([one for one in held if one.ds_id in swapper.available_params])


def _no_room(part: str, path: str) -> UserError:
    return UserError(
        f"zero_optimization.{part}.nvme_path: there is no room for {path}: name a larger disk, or use more ranks"
    )
