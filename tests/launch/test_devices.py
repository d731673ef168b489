"""Counting GPUs and cores without torch."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from neox_core.launch import device_kind, devices, local_slots, usable_cores


@pytest.fixture
def gpus(tmp_path, monkeypatch):
    """Makes the driver's directory list this many GPUs."""
    monkeypatch.setattr(devices, "NVIDIA_DRIVER", tmp_path / "gpus")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def install(number: int) -> None:
        for index in range(number):
            (tmp_path / "gpus" / f"0000:0{index}:00.0").mkdir(parents=True)

    return install


def test_a_machine_without_a_driver_computes_on_its_cores(gpus):
    assert device_kind() == "cpu"
    assert local_slots("cuda") == 0
    assert local_slots("cpu") == usable_cores() >= 1


def test_gpus_of_the_driver_are_counted(gpus):
    gpus(3)
    assert device_kind() == "cuda"
    assert local_slots("cuda") == 3


def test_gpus_are_asked_of_nvidia_smi_where_the_driver_has_no_directory(gpus, tmp_path):
    program = tmp_path / "nvidia-smi"
    program.write_text(
        '#!/bin/sh\necho "GPU 0: A100 (UUID: GPU-1)"\necho "  MIG 1g.5gb"\necho "GPU 1: A100 (UUID: GPU-2)"\n'
    )
    program.chmod(0o755)
    assert local_slots("cuda") == 2


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        ("0,1", 2),
        ("2", 1),
        (" 1, 0", 2),
        ("", 0),
        ("-1", 0),
        ("0,-1,1", 1),
        ("0,7,1", 1),
        ("GPU-12ab,MIG-3", 2),
        ("NoDevFiles", 0),
    ],
)
def test_visible_devices_count_up_to_the_first_that_is_none(gpus, monkeypatch, visible, expected):
    gpus(3)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert local_slots("cuda") == expected


def test_visible_devices_make_no_gpu_appear(gpus, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert device_kind() == "cpu"


def test_usable_cores_are_those_that_the_process_may_use():
    all_cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(all_cores)})
    try:
        assert usable_cores() == 1
    finally:
        os.sched_setaffinity(0, all_cores)


def test_launching_imports_nothing_heavy():
    code = (
        "import sys, neox_core.launch; print([name for name in ('torch', 'numpy', 'pydantic') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
