"""The measured peak is a plausible speed, costs a moment, and leaves the run's random numbers alone."""

from __future__ import annotations

import time

import pytest
import torch
from neox_loggers.peak import machine_peak, matmul_peak

from neox_core.config import World
from neox_core.config.world import Host


def test_the_peak_is_not_below_what_a_plain_matmul_reaches():
    matrix = torch.ones(512, 512)
    torch.matmul(matrix, matrix)
    start = time.perf_counter()
    for _ in range(5):
        torch.matmul(matrix, matrix)
    reached = 5 * 2 * 512**3 / (time.perf_counter() - start)
    assert matmul_peak("cpu", torch.float32) > reached / 3  # the machine may be busier now


def test_measuring_draws_nothing_from_the_global_random_state():
    before = torch.get_rng_state()
    matmul_peak("cpu", torch.float32)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_measuring_takes_a_moment_in_every_precision(dtype):
    start = time.perf_counter()
    assert matmul_peak("cpu", dtype) > 1e6
    assert time.perf_counter() - start < 10  # some tenths of a second on an idle machine


@pytest.mark.parametrize(
    ("slots", "threads", "cores", "ranks_at_full_speed"),
    [
        (1, 2, 2, 1),
        (2, 1, 2, 2),  # the cores are dealt out
        (2, 2, 2, 1),  # both ranks use all cores: one alone already reaches what the machine can
        (4, 1, 2, 2),
        (2, 8, 4, 1),  # more threads than cores
        (1, 1, 8, 1),  # the other cores are not the run's
    ],
)
def test_cpu_ranks_share_the_cores_of_their_host(slots, threads, cores, ranks_at_full_speed):
    assert machine_peak(100.0, World.local(slots), threads=threads, cores=cores) == 100.0 * ranks_at_full_speed


def test_the_peaks_of_hosts_add_up():
    world = World((Host("a", 2), Host("b", 1)))
    assert machine_peak(100.0, world, threads=1, cores=2) == 300.0


def test_each_gpu_rank_has_a_gpu_of_its_own():
    assert machine_peak(100.0, World.local(8, "cuda"), threads=64, cores=64) == 800.0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="measures a GPU, and there is none")
def test_a_gpu_is_measured_after_it_has_finished():
    peak = matmul_peak("cuda", torch.bfloat16)
    assert 1e12 < peak < 1e17
