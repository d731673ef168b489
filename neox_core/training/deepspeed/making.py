"""How DeepSpeed is imported, and the core that suits an engine of it.

What the rest of the package needs of the engine is small: take a step that ends applied or skipped, and say where the authoritative
weights and the optimizer's state are stored.
"""

from __future__ import annotations

import logging
import os
import re
import warnings
from typing import Any

from neox_core.config import Device
from neox_core.parallel import Mesh
from neox_core.training.deepspeed.adaptations import adapted, import_muon, restore_linear
from neox_core.training.deepspeed.core import EngineCore, Parameters
from neox_core.training.deepspeed.partitioned import PartitionedCore
from neox_core.training.deepspeed.plain import PlainCore
from neox_core.training.deepspeed.sharded import Cutter, ShardedCore

__all__ = ["Cutter", "adapted", "import_deepspeed", "make_core"]


def import_deepspeed(device: Device) -> Any:
    """Import DeepSpeed for a kind of device, without its chatter and without compiling anything.

    What it says of optimizers that it has not tested is left out too: ours have been, and others a run asks for by name. So is that
    some of its options have new names.

    Its shared-memory collectives for CPUs are built by the C++ compiler at first use, which takes half a minute and gains nothing
    over gloo for what is sent here; they are switched off, before it would try the compiler to learn which operators there can be.
    """
    os.environ.setdefault("DS_ACCELERATOR", device)
    os.environ.setdefault("LOCAL_RANK", "0")  # DeepSpeed insists on it, even in a single process that nobody launched
    import deepspeed
    from deepspeed.utils import logger

    logger.setLevel(logging.WARNING)
    logger.addFilter(_is_news)
    # Of torch, about calls that DeepSpeed makes.
    warnings.filterwarnings("ignore", r"`torch\.distributed\.\w+` is deprecated", FutureWarning)
    vars(deepspeed.ops).setdefault("__compatible_ops__", {})["deepspeed_shm_comm"] = False
    if device == "cpu":  # DeepSpeed wants a processor with instructions for fp16; torch computes it on any
        deepspeed.accelerator.get_accelerator().is_fp16_supported = lambda: True
    restore_linear(deepspeed)
    import_muon()
    return deepspeed


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a record of DeepSpeed's says what was not decided before the run was launched, or is about its own names.

    GPT-NeoX's files have `cpu_offload: false`, of which it says that it has another name now. Of what the whole model gives it does
    not see into dataclasses, which holds nothing for it.
    """
    message = record.getMessage()
    return not re.search(
        r"untested optimizer|^Config parameter \w+ is deprecated|unknown inputs or outputs type", message
    )


def make_core(
    engine: Any, parameters: Parameters, clipping: float, mesh: Mesh, *, as_counted: bool = False
) -> EngineCore:
    """The core for the engine's ZeRO stage.

    Args:
        engine: DeepSpeed's, of a pipeline or not; whose backward passes are over when the core is asked for a step.
        parameters: of this rank, by canonical name; those that are copies of an earlier stage's are marked (`copied_parameter`).
        clipping: the largest norm of a gradient; 0 for any.
        mesh: this rank's.
        as_counted: whether parameters are marked with how often they count in the norm (`clip_norm`).
    """
    kinds: dict[int, type[PlainCore | PartitionedCore | ShardedCore]] = {0: PlainCore, 3: ShardedCore}
    return kinds.get(engine.zero_optimization_stage(), PartitionedCore)(
        engine, parameters, clipping, mesh, as_counted=as_counted
    )
