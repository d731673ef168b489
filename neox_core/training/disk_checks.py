"""What a run that moves the optimizer to disks needs of the machine and of the optimizer; checked without torch."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from neox_core.config import Resolved
from neox_core.config.disk_rules import BUFFERS, PARTS, buffers_needed, is_on_disks
from neox_core.errors import Problem
from neox_core.plugins import Optimizer, PluginManager
from neox_core.training.extensions import came_with_deepspeed, compiler, missing_tools

PROGRAM = "#include <libaio.h>\nint main() { return io_submit(0, 0, 0); }\n"
"""What can be compiled and linked where DeepSpeed's operator for disks can be built."""


def disk_problems(resolved: Resolved, plugins: PluginManager) -> Iterator[Problem]:
    """Problems of a run that moves parts of ZeRO to disks."""
    zero = resolved.deepspeed["zero_optimization"]
    on_disks = [part for part in PARTS if is_on_disks(zero.get(part))]
    if on_disks and (missing := lack()):
        yield Problem(
            keys=("zero_optimization",),
            message=f"{on_disks[0]}.device: 'nvme' needs {missing}, to build DeepSpeed's operator for disks",
            remedy="install it on every host (apt-get install libaio-dev g++ ninja-build; "
            "yum install libaio-devel gcc-c++ ninja-build), or write device: cpu",
            origin=resolved.origin("zero_optimization"),
            limitation=True,
            path=f"{on_disks[0]}.device",
        )
    if is_on_disks(zero.get("offload_optimizer")):
        yield from _optimizer_problems(resolved, plugins)


def _optimizer_problems(resolved: Resolved, plugins: PluginManager) -> Iterator[Problem]:
    optimizer = plugins.find("optimizer", resolved.optimizer.name).component
    if not isinstance(optimizer, Optimizer):
        return
    if optimizer.whole:
        yield Problem(
            keys=("optimizer", "zero_optimization"),
            message=f"{optimizer.name} works on whole parameters, and offload_optimizer.device: 'nvme' moves pieces of them to disks",
            remedy="write offload_optimizer.device: cpu, or take another optimizer, such as adam",
            origin=resolved.origin("optimizer.type"),
            limitation=True,
        )
    options = resolved.deepspeed["zero_optimization"]["offload_optimizer"]
    states = sum(shape == "element" for shape in optimizer.state.values())
    pipelines = {key: bool(options.get(key)) for key in ("pipeline_read", "pipeline_write")}
    needed, given = buffers_needed(states, **pipelines), options.get("buffer_count", BUFFERS)
    if given < needed:
        yield Problem(
            keys=("zero_optimization",),
            message=f"offload_optimizer.buffer_count: {given} is too few for {optimizer.name}, which needs {needed}: for weights and "
            f"{states} tensors of state, and again for each of pipeline_read and pipeline_write",
            remedy=f"write buffer_count: {needed}",
            origin=resolved.origin("zero_optimization"),
            path="offload_optimizer.buffer_count",
        )


def lack() -> str | None:
    """What keeps this machine from building DeepSpeed's operator for disks, or None."""
    if came_with_deepspeed("async_io"):
        return None
    missing = missing_tools()
    if compiler() not in missing and not _can_link():
        missing.append("libaio")
    return " and ".join(missing) or None


def _can_link() -> bool:
    """Whether libaio's header and library are there."""
    with tempfile.TemporaryDirectory() as directory:
        command = [compiler(), "-x", "c++", "-", "-laio", "-o", str(Path(directory, "program"))]
        return subprocess.run(command, input=PROGRAM.encode(), capture_output=True, check=False).returncode == 0
