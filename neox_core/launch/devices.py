"""What this machine computes with, found out without importing torch."""

from __future__ import annotations

import os
import shutil
import subprocess
from itertools import takewhile
from pathlib import Path

from neox_core.config.world import Device

NVIDIA_DRIVER = Path("/proc/driver/nvidia/gpus")


def device_kind() -> Device:
    """`cuda` when a GPU is visible here, else `cpu`."""
    return "cuda" if visible_gpus() else "cpu"


def local_slots(device: Device) -> int:
    """How many ranks this machine has room for: visible GPUs, or the CPU cores that this process may use."""
    return visible_gpus() if device == "cuda" else usable_cores()


def usable_cores() -> int:
    """Number of CPU cores that this process may run on, which a scheduler may have made fewer than there are."""
    return len(os.sched_getaffinity(0))


def visible_gpus() -> int:
    """Number of NVIDIA GPUs that a CUDA program started here would see.

    `CUDA_VISIBLE_DEVICES` counts up to its first entry that names no GPU, as in CUDA itself.
    """
    present = _present_gpus()
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return present
    return sum(1 for _ in takewhile(lambda entry: _names_a_gpu(entry.strip(), present), chosen.split(",")))


def _names_a_gpu(entry: str, present: int) -> bool:
    if entry.isdecimal():
        return int(entry) < present
    return present > 0 and entry.startswith(("GPU-", "MIG-"))


def _present_gpus() -> int:
    if NVIDIA_DRIVER.is_dir():
        return len(list(NVIDIA_DRIVER.iterdir()))
    if shutil.which("nvidia-smi") is None:
        return 0
    # Some kernels (WSL) have a driver without the directory.
    listing = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False).stdout
    return sum(line.startswith("GPU ") for line in listing.splitlines())
