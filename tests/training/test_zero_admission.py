"""An optimizer that was not proved with the run's stage of ZeRO needs the user's word."""

from __future__ import annotations

import pytest
from small_settings import MODEL

from neox_core.config import DeepSpeedSettings, NeoXArgs, World
from neox_core.plugins import PluginManager, Switches
from neox_core.training.zero_admission import admission_problems, cutting_problems


@pytest.fixture
def plugins(tmp_path, monkeypatch):
    """The installed plugins, and one with an optimizer that was proved without ZeRO only."""
    (tmp_path / "unproved.py").write_text(
        "from neox_core.plugins import Optimizer\n"
        "def neox_components():\n"
        "    return [Optimizer(name='bold', summary='is untested', factory='unproved:make', zero={0})]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return PluginManager(Switches(modules=("unproved",)))


def problems(plugins, **changes) -> list[str]:
    values = {**MODEL, "optimizer": {"type": "bold"}, "zero_optimization": {"stage": 1}, **changes}
    resolved = NeoXArgs.from_dict(values, plugins=plugins).resolve()
    return [str(problem) for problem in admission_problems(resolved, plugins)]


@pytest.mark.parametrize(
    "given", [{}, {"zero_allow_untested_optimizer": None}, {"zero_allow_untested_optimizer": False}]
)
def test_without_a_word_it_is_refused(plugins, given):
    (problem,) = problems(plugins, **given)
    assert "bold has not been proved with stage 1 of ZeRO" in problem
    assert "set zero_allow_untested_optimizer: true to try it, or zero_optimization.stage: 0" in problem


@pytest.mark.parametrize(
    "given",
    [
        {"zero_allow_untested_optimizer": True},
        {"deepspeed_extra_args": {"zero_allow_untested_optimizer": True}},
        {"zero_optimization": {"stage": 0}},
        {"optimizer": {"type": "adam"}},
        {"optimizer": {"type": "adam"}, "zero_optimization": {"stage": 2}},
        {"optimizer": {"type": "adamw"}, "zero_optimization": {"stage": 3}},
        {"autotuning": {"enabled": True}, "zero_optimization": {"stage": "all"}},
        {"autotuning": {"enabled": True}, "zero_optimization": {"stage": [0, 1]}},
    ],
)
def test_with_it_or_without_need_of_it_there_is_no_problem(plugins, given):
    assert problems(plugins, **given) == []


def test_the_key_says_so():
    description = DeepSpeedSettings.model_fields["zero_allow_untested_optimizer"].description
    assert description.endswith("none: no")


@pytest.mark.parametrize("key", ["model_parallel_size", "pipe_parallel_size"])
def test_an_optimizer_that_averages_over_all_ranks_is_refused_where_weights_differ(plugins, key):
    (said,) = cut(plugins, "onebitadam", **{key: 2})
    assert f"onebitadam averages over all ranks by itself, and with {key} 2 they have different weights" in said
    assert f"set {key}: 1, or take another optimizer" in said


@pytest.mark.parametrize("name", ["lamb", "adam"])
def test_others_are_not(plugins, name):
    assert cut(plugins, name, model_parallel_size=2, pipe_parallel_size=2) == []


def cut(plugins, name, **changes) -> list[str]:
    args = NeoXArgs.from_dict({**MODEL, "optimizer": {"type": name}, **changes}, plugins=plugins)
    return [str(problem) for problem in cutting_problems(args.resolve(World.local(4)), plugins)]
