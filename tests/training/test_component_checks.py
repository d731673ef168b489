"""What components claim is held against the settings, and what they do wrong is said by name."""

from __future__ import annotations

import sys
import types
from importlib.machinery import ModuleSpec

import pytest

from neox_core.config import NeoXArgs, Settings, World, setting
from neox_core.errors import UserError
from neox_core.plugins import Attention, Feature, Launcher, Objective, PluginManager, Switches
from neox_core.training.components import component_problems

SETTINGS = {
    "num_layers": 2,
    "hidden_size": 16,
    "num_attention_heads": 2,
    "seq_length": 16,
    "max_position_embeddings": 16,
    "pos_emb": "none",
    "train_iters": 1,
    "train_batch_size": 1,
    "data_path": "x",
}


class Near(Settings, group="near"):
    """Keys of a plugin that ask something of mixers."""

    near_window: int | None = setting(None, "How near", asks="sliding_window")
    near_colour: str = setting("red", "What colour", asks="colour")


@pytest.fixture
def plugins(monkeypatch):
    """The installed plugins, and one with mixers that claim little and factories that fail."""
    module = types.ModuleType("claims")

    def fail(*arguments):
        raise ValueError("no luck")

    def leave(*arguments):
        sys.exit(0)

    def components():
        return [
            Attention(name="plain", summary="claims nothing", factory="claims:fail"),
            Attention(name="roped", summary="claims rotary positions", factory="claims:fail", supports={Feature.ROPE}),
            Attention(name="whole", summary="takes a block's place", factory="claims:fail", replaces="block"),
            Launcher(name="failing", summary="raises", factory="claims:fail"),
            Objective(name="leaving", summary="exits", factory="claims:leave"),
        ]

    module.Near, module.neox_settings = Near, lambda: ["claims:Near"]
    module.fail, module.leave, module.neox_components, module.neox_step_end = (
        fail,
        leave,
        components,
        lambda: sys.exit(0),
    )
    monkeypatch.setitem(sys.modules, "claims", module)
    return PluginManager(Switches(modules=("claims",)))


def problems(plugins, **changes):
    resolved = NeoXArgs.from_dict({**SETTINGS, **changes}, plugins=plugins).resolve(World.local(), 10)
    return [str(problem) for problem in component_problems(resolved, plugins)]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pos_emb": "rotary"}, "pos_emb: 'rotary' asks for rope"),
        ({"num_kv_heads": 1}, "num_kv_heads: 1 asks for gqa"),
        ({"attention_dropout": 0.1}, "attention_dropout: 0.1 asks for dropout"),
        ({"pos_emb": "alibi"}, "pos_emb: 'alibi' asks for alibi"),
        ({"pos_emb": "rpe"}, "pos_emb: 'rpe' asks for rpe"),
        ({"sliding_window_width": 4}, "sliding_window_width: 4 asks for sliding_window"),
    ],
)
def test_a_setting_that_no_mixer_heeds_is_refused(plugins, changes, words):
    (problem,) = problems(plugins, attention_config=["plain", "plain"], **changes)
    assert words in problem
    assert "attention 'plain' does not support" in problem
    assert problems(plugins, attention_config=["plain", "global"], **changes) == []
    assert problems(plugins, **changes) == []


def test_a_key_of_a_plugin_says_itself_what_it_asks(plugins):
    plain = ["plain", "plain"]
    assert problems(plugins, attention_config=plain, near_colour="red", near_window=None) == []
    assert problems(plugins, near_window=3) == []
    (window, colour) = sorted(
        problems(plugins, attention_config=plain, near_window=3, near_colour="blue"), reverse=True
    )
    assert "near_window: 3 asks for sliding_window, which attention 'plain' does not support" in window
    assert "near_colour: 'blue' asks for colour, which attention 'plain' does not support" in colour


def test_a_claim_is_enough_for_its_feature_only(plugins):
    assert problems(plugins, attention_config=["roped", "roped"], pos_emb="rotary") == []
    assert len(problems(plugins, attention_config=["roped", "roped"], pos_emb="rotary", num_kv_heads=1)) == 1


def test_a_mixer_that_takes_a_whole_block_has_its_place(plugins):
    assert problems(plugins, attention_config=["global", "whole"]) == []


@pytest.mark.parametrize(("kind", "name"), [("launcher", "failing"), ("objective", "leaving")])
def test_a_factory_that_fails_is_named(plugins, kind, name):
    with pytest.raises(
        UserError, match=rf"{kind} '{name}' of claims cannot be made: (ValueError: no luck|SystemExit: 0)"
    ):
        plugins.make(kind, name, None)


def test_a_hook_that_exits_does_not_end_the_run(plugins):
    (failure,) = plugins.notify("neox_step_end", run=None, step=None)
    assert failure.plugin == "claims:-p"
    assert plugins.notify("neox_step_end", run=None, step=None) == []


def test_a_logger_that_is_listed_twice_is_refused(plugins):
    assert problems(plugins, loggers=["console", "console"]) == [
        "dictionary: loggers: 'console' is listed 2 times (list it once)"
    ]


@pytest.mark.parametrize(("norm", "same"), [("te_layernorm", "layernorm"), ("TE_RMSNorm", "rmsnorm")])
def test_what_transformer_engine_is_for_is_said_before_a_launch_where_it_is_missing(plugins, monkeypatch, norm, same):
    monkeypatch.setitem(sys.modules, "transformer_engine", None)
    resolved = NeoXArgs.from_dict({**SETTINGS, "norm": norm}, plugins=plugins).resolve(World.local(), 10)
    (problem,) = component_problems(resolved, plugins)
    assert problem.limitation
    assert f"norm: {norm} needs Transformer Engine, which is not installed here" in str(problem)
    assert f"or norm: {same}, which computes the same" in str(problem)
    engine = types.ModuleType("transformer_engine")
    engine.__spec__ = ModuleSpec("transformer_engine", None)
    monkeypatch.setitem(sys.modules, "transformer_engine", engine)
    assert component_problems(resolved, plugins) == []
