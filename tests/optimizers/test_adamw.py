"""The Adam family: names, options that make no sense, and which implementation a machine gets."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest
import torch
from neox_optimizers import adam, counts, cpu_adam
from neox_optimizers.params import AdamParams, FusedAdamParams
from pydantic import ValidationError
from training_models import plugins

NAN, INF = float("nan"), float("inf")


def groups(*decays):
    return [{"params": [torch.nn.Parameter(torch.ones(2))], "names": ["a"], "weight_decay": decay} for decay in decays]


def test_each_group_decays_by_its_own():
    optimizer = adam.build(groups(0.5, 0.0), FusedAdamParams(lr=0.1))
    decayed, exempt = (group["params"][0] for group in optimizer.param_groups)
    for parameter in (decayed, exempt):
        parameter.grad = torch.zeros(2)
    optimizer.step()
    assert decayed.tolist() == pytest.approx([0.95, 0.95])
    assert exempt.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    "wrong",
    [
        *({"lr": lr} for lr in (0, "fast", NAN, INF)),
        *({"eps": eps} for eps in (0, NAN, INF)),
        *({"betas": betas} for betas in ([0.9], [0.9, 1], [-0.1, 0.9], [NAN, 0.9], [0.9, NAN])),
        {"beta1": 0.9},
        {"weight_decay": 0.1},
    ],
)
def test_options_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValidationError):
        AdamParams(**wrong)


@pytest.mark.parametrize("name", ["adamw", "AdamW", "adam", "cpu_torch_adam", "CPU_torch_Adam"])
def test_on_a_cpu_all_names_of_gpt_neox_are_torchs(name):
    made = plugins().make("optimizer", name, groups(0.0), FusedAdamParams())
    assert isinstance(made, torch.optim.AdamW)


def test_decay_that_is_part_of_the_gradient_is_torchs_adam():
    made = adam.build(groups(0.0), FusedAdamParams(adam_w_mode=False))
    assert isinstance(made, torch.optim.Adam)
    assert not isinstance(made, torch.optim.AdamW)


def test_the_log_says_once_whose_kernels_are_used_on_a_gpu(caplog, monkeypatch):
    adam.announce.cache_clear()
    monkeypatch.setattr(adam, "build_torch", lambda groups, params: None)
    with caplog.at_level(logging.INFO, "neox"):
        for on_gpu in (False, True, True):
            adam.build([{"params": [SimpleNamespace(is_cuda=on_gpu)]}], FusedAdamParams(torch_adam=True))
    assert [record.message for record in caplog.records] == ["optimizer: Adam by torch's fused kernels"]


class Counting(torch.optim.Optimizer):
    """Counts in Python numbers; of each group only for the last parameter, if `lazy`."""

    def __init__(self, groups, lazy):
        super().__init__(groups, {"lr": 0.1})
        self.lazy = lazy

    def step(self, closure=None):
        for group in self.param_groups:
            for number, parameter in enumerate(group["params"]):
                state = self.state[parameter]
                assert type(state.setdefault("step", 0)) is int
                state["step"] += 1 if number == len(group["params"]) - 1 or not self.lazy else 0


@pytest.mark.parametrize("lazy", [False, True])
def test_counts_are_tensors_between_steps_and_alike_within_a_group(lazy):
    parameters = [torch.nn.Parameter(torch.zeros(1)) for _ in range(3)]
    optimizer = Counting([{"params": parameters[:2]}, {"params": parameters[2:]}], lazy)
    assert counts.keep_counts_in_tensors(optimizer, alike=lazy) is optimizer
    every = optimizer.param_groups
    for shown in (every, every, every[:1]):  # as when only some groups are stepped
        optimizer.param_groups = shown
        optimizer.step()
    found = [optimizer.state[parameter]["step"] for parameter in parameters]
    assert all(isinstance(step, torch.Tensor) for step in found)
    assert [float(step) for step in found] == [3, 3, 2]


def test_without_a_compiler_cpu_adam_says_what_is_missing(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    assert cpu_adam.lack() == ("needs g++ and ninja to build its extension; cpu_torch_adam computes the same without")
    monkeypatch.setenv("CXX", "clang++")
    assert "clang++ and ninja" in cpu_adam.lack()
    for tool in ("ninja", "clang++"):
        (tmp_path / tool).touch(mode=0o755)
    assert cpu_adam.lack() is None
