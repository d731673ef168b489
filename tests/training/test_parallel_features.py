"""A run that is cut as some part of its model does not claim to support is refused with two settings and a way out."""

from __future__ import annotations

import pytest
from training_models import SETTINGS, resolve

from neox_core.config import NeoXArgs, World
from neox_core.plugins import PluginManager, Switches
from neox_core.training.components import component_problems

CUTS = {
    "model_parallel_size": {"model_parallel_size": 2},
    "sequence_parallel": {"model_parallel_size": 2, "sequence_parallel": True},
    "pipe_parallel_size": {"pipe_parallel_size": 2},
    "context_parallel_size": {"context_parallel_size": 2},
}


def with_passing(**changes):
    plugins = PluginManager(Switches(modules=("passing_plugin",)))
    values = {**SETTINGS, "attention_config": ["global", "passing"], **changes}
    return NeoXArgs.from_dict(values, plugins=plugins).resolve(World.local(2)), plugins


@pytest.mark.parametrize("key", CUTS)
def test_a_mixer_that_claims_nothing_is_refused(key):
    said = [str(problem) for problem in component_problems(*with_passing(**CUTS[key])) if key in problem.keys]
    assert len(said) == 1
    assert "attention_config" in said[0]
    assert "'passing'" in said[0]
    assert "set " + key in said[0]


def test_a_context_names_what_attention_it_takes():
    (problem,) = component_problems(*resolve(2, context_parallel_size=2))
    assert problem.keys == ("context_parallel_size", "attention_config")
    assert problem.remedy == (
        'set context_parallel_size: 1, or use attention_config: [[["ring"], "all"]] (ulysses can do it too)'
    )


def test_it_is_accepted_on_one_rank():
    assert not list(component_problems(*with_passing()))


@pytest.mark.parametrize("key", CUTS)
def test_ours_are_accepted(key):
    mixers = ["ring", "ulysses"] if key == "context_parallel_size" else ["mamba", "global"]
    resolved, plugins = resolve(2, attention_config=mixers, **CUTS[key])
    assert not list(component_problems(resolved, plugins))
    if key != "context_parallel_size":
        resolved, plugins = resolve(2, moe_num_experts=2, moe_router_type="topk", **CUTS[key])
        assert not list(component_problems(resolved, plugins))


@pytest.mark.parametrize(("mixer", "count"), [("global", 1), ("rwkv", 0)])
def test_each_rank_has_a_part_of_an_mlp(mixer, count):
    resolved, plugins = resolve(2, attention_config=[mixer, mixer], intermediate_size=1, model_parallel_size=2)
    said = [str(problem) for problem in component_problems(resolved, plugins) if "intermediate_size" in problem.keys]
    assert len(said) == count
    assert all("intermediate_size, model_parallel_size: MLPs are 1 wide inside" in each for each in said)
    assert all("set model_parallel_size: 1 or less, or a larger intermediate_size" in each for each in said)
