"""What torch.compile needs is asked for before a run."""

from __future__ import annotations

from dataclasses import replace

import pytest
from training_models import SETTINGS, plugins, resolve

from neox_core.config import NeoXArgs, World
from neox_core.errors import SettingsError
from neox_core.training import compilers, preflight


def problems(device="cpu", **changes):
    resolved, _ = resolve(**changes)
    return list(compilers.compiler_problems(replace(resolved, world=World.local(device=device))))


def test_there_is_a_compiler_here():
    assert problems(torch_compile=True) == []


def test_a_cpu_needs_a_cpp_compiler(monkeypatch):
    monkeypatch.setenv("CXX", "c++-of-nowhere")
    (problem,) = problems(torch_compile=True)
    assert problem.limitation
    assert "torch_compile: needs a C++ compiler, and there is no c++-of-nowhere (install g++, or" in str(problem)
    assert problems(torch_compile=False) == []


def test_a_gpu_needs_triton(monkeypatch):
    monkeypatch.setenv("CXX", "c++-of-nowhere")
    monkeypatch.setattr(compilers, "find_spec", {"triton": True}.get)
    assert problems("cuda", torch_compile=True) == []
    monkeypatch.setattr(compilers, "find_spec", {}.get)
    (problem,) = problems("cuda", torch_compile=True)
    assert "needs triton, which is not installed (pip install triton; or remove the key" in str(problem)


def test_a_run_is_refused_without_one(monkeypatch):
    monkeypatch.setenv("CXX", "c++-of-nowhere")
    args = NeoXArgs.from_dict({**SETTINGS, "torch_compile": True}, plugins=plugins())
    with pytest.raises(SettingsError, match="torch_compile: needs a C\\+\\+ compiler"):
        preflight.check(args, World.local(1), plugins(), print)
