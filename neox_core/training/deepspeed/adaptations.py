"""What DeepSpeed does otherwise while it makes an engine for neox."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from neox_core.training.deepspeed.disks import check_lockable

_LINEAR = functional.linear


def restore_linear(deepspeed: Any) -> None:
    """ZeRO 3 puts a linear function that keeps no weights for the backward pass in the place of torch's, for all of the process.

    An engine begins with torch's; and ZeRO 3's computes as torch's does, which rounds once where there is a bias.
    """
    functional.linear = _LINEAR
    deepspeed.runtime.zero.linear.LinearFunctionForZeroStage3.forward = staticmethod(_linear)


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return _LINEAR(x, weight, bias)


def import_muon() -> None:
    """DeepSpeed compiles a function of its Muon where that is defined, for which ZeRO would import all of torch's compiler.

    No engine of neox is stepped by it.
    """
    from deepspeed.runtime import compiler

    compiled, compiler.compile = compiler.compile, lambda *_, **__: lambda function: function
    try:
        import deepspeed.runtime.zero.muon.original_muon  # noqa: F401
    finally:
        compiler.compile = compiled


@contextmanager
def adapted(deepspeed: Any) -> Iterator[None]:
    """While DeepSpeed makes an engine it casts every parameter; those that are marked `keeps_float32` come back as they were.

    ZeRO flattens each group of parameters into one tensor, so `parameter_groups` has groups for them alone. ZeRO 3 has one tensor
    of all groups, in whose place there is one for each number format, and in the host's memory one of each group, but all of one
    format; and it makes originals of weights that are float32 already, since it compares a device with a device's name. And where
    gradients are to be added up in float32, ZeRO 1 in bfloat16 is the same optimizer as otherwise, instead of another kind that keeps
    its state elsewhere. What it locks in memory for disks it does without asking whether it may.
    """
    engine_class, stage3 = deepspeed.DeepSpeedEngine, deepspeed.runtime.zero.stage3
    zero3_class = stage3.DeepSpeedZeroOptimizer_Stage3
    cast, choose, defragment, make_originals, make_swapper, make_memory = (
        engine_class._cast_module_mixed_precision,
        engine_class._do_optimizer_sanity_check,
        stage3.defragment,
        zero3_class._create_fp32_partitions,
        zero3_class._configure_tensor_swapping,
        zero3_class._create_param_groups_fp16_flat_cpu_memory,
    )

    def cast_the_others(engine: Any, *args: Any, **kwargs: Any) -> None:
        kept = [(p, p.data) for p in engine.module.parameters() if getattr(p, "keeps_float32", False)]
        cast(engine, *args, **kwargs)
        for parameter, values in kept:
            parameter.data = values

    def choose_zero(engine: Any, optimizer: Any) -> Any:
        chosen = choose(engine, optimizer)
        return deepspeed.runtime.engine.ZERO_OPTIMIZATION if engine.zero_optimization() else chosen

    def make_originals_of_others(zero: Any) -> None:
        name = zero.device
        zero.device = torch.device(name)
        make_originals(zero)
        zero.device = name

    def make_memory_of_formats(zero: Any) -> None:
        make_memory(zero)
        memory = zero.param_groups_fp16_flat_cpu_memory
        for place, group in enumerate(zero.trainable_param_groups):
            memory[place] = memory[place].to(group["params"][0].ds_tensor.dtype)

    def make_swapper_that_fits(zero: Any, options: Any, aio: Any) -> None:
        check_lockable("offload_optimizer", 4 * options.buffer_count * max(zero.fp16_partitioned_groups_flat_numel))
        make_swapper(zero, options, aio)

    engine_class._cast_module_mixed_precision = cast_the_others
    engine_class._do_optimizer_sanity_check = choose_zero
    stage3.defragment = lambda tensors: Buffers(tensors, defragment)
    zero3_class._create_fp32_partitions = make_originals_of_others
    zero3_class._configure_tensor_swapping = make_swapper_that_fits
    zero3_class._create_param_groups_fp16_flat_cpu_memory = make_memory_of_formats
    try:
        yield
    finally:
        engine_class._cast_module_mixed_precision = cast
        engine_class._do_optimizer_sanity_check = choose
        stage3.defragment = defragment
        zero3_class._create_fp32_partitions = make_originals
        zero3_class._configure_tensor_swapping = make_swapper
        zero3_class._create_param_groups_fp16_flat_cpu_memory = make_memory


class Buffers:
    """What ZeRO 3 takes for one flat tensor, of which it uses `narrow` alone: one of each run of tensors of a number format."""

    def __init__(self, tensors: Sequence[Tensor], flatten: Any) -> None:
        self._flat = [flatten(list(run)) for _, run in groupby(tensors, lambda tensor: tensor.dtype)]

    def narrow(self, dimension: int, start: int, length: int) -> Tensor:
        """A part of the whole, all of one format."""
        for flat in self._flat:
            if start < flat.numel():
                found: Tensor = flat.narrow(dimension, start, length)
                return found
            start -= flat.numel()
        raise ValueError(f"there is nothing at {start} elements after the end")
