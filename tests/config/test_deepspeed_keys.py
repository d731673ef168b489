"""Against the installed DeepSpeed: all that its launcher and its configuration know can be set, and we name nothing that it lacks."""

from __future__ import annotations

import argparse
import inspect
import re
from contextlib import suppress
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from neox_core.config import DeepSpeedSettings, NeoXArgs, World
from neox_core.config.deepspeed_json import NOT_PASSED_ON
from neox_core.config.deepspeed_names import DEEPSPEED_NAMES, ZERO_VALUES
from neox_core.config.deepspeed_rules import zero_takes_the_values
from neox_core.config.keys import Key
from neox_core.config.ownership import Ownership
from neox_core.errors import SettingsError
from neox_core.plugins import PluginManager, Switches

PLUGINS = PluginManager(Switches())
OWNERSHIP = Ownership.of(PLUGINS)

MODEL = {
    "num_layers": 1,
    "hidden_size": 8,
    "num_attention_heads": 2,
    "seq_length": 8,
    "max_position_embeddings": 8,
    "train_iters": 1,
    "train_batch_size": 1,
}

RENAMED_OPTIONS = {
    "autotuning": "autotuning_run",
    "log_level": "launcher_log_level",
    "module": "launcher_module",
    "quiet": "launcher_quiet",
}
"""Options of the launcher -> our key, where the option's own name says something else among all keys."""

GIVEN_UP = {"curriculum_learning", "fp32_allreduce"}
"""What DeepSpeed no longer has, and neox will have itself."""


class Asked(dict[str, Any]):
    """A dictionary that records which keys it is asked for; copies share the record."""

    def __init__(self, values: dict[str, Any], names: set[str] | None = None) -> None:
        super().__init__(values)
        self.names = set() if names is None else names

    def __getitem__(self, key: str) -> Any:
        self.names.add(key)
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        self.names.add(str(key))
        return super().__contains__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self.names.add(key)
        return super().get(key, default)

    def keys(self) -> Any:
        return self

    def __copy__(self) -> Asked:
        return Asked(self, self.names)


def names_asked(**given: Any) -> set[str]:
    """The top-level names that DeepSpeed looks up in a configuration."""
    from deepspeed.runtime.config import DeepSpeedConfig

    asked = Asked({"train_batch_size": 1, **given})
    DeepSpeedConfig(asked)
    return asked.names


@pytest.fixture(scope="module")
def json_keys() -> set[str]:
    """The keys that DeepSpeed reads, without those that it only refuses."""
    import deepspeed
    from deepspeed.runtime.config import _REMOVED_TOP_LEVEL_CONFIG_KEYS

    source = inspect.getsource(deepspeed.initialize)
    found = re.findall(r'"(\w+)" in config\b|\bconfig(?:\.get\(|\[)"(\w+)"', source)
    return (names_asked() | {name for pair in found for name in pair if name}) - set(_REMOVED_TOP_LEVEL_CONFIG_KEYS)


def test_every_key_of_its_configuration_can_be_set(json_keys):
    assert len(json_keys) > 40
    assert {key for key in json_keys if OWNERSHIP.aliases.get(key, key) not in OWNERSHIP.keys} == set()


def test_its_group_names_no_key_that_it_lacks(json_keys):
    assert set(DeepSpeedSettings.model_fields) - {"deepspeed_extra_args"} - json_keys == set()


def test_no_other_group_says_a_key_is_its_that_it_lacks(json_keys):
    named = {key.name for key in OWNERSHIP.keys.values() if key.origin == "deepspeed" and not key.unused}
    assert named - json_keys == GIVEN_UP


def test_what_it_refuses_is_not_handed_to_it(json_keys):
    from deepspeed.runtime.config import _REMOVED_TOP_LEVEL_CONFIG_KEYS

    known = [OWNERSHIP.keys[name] for name in _REMOVED_TOP_LEVEL_CONFIG_KEYS if name in OWNERSHIP.keys]
    assert known
    assert all(key.unused or key.pending for key in known)


def test_its_defaults_are_ours():
    from deepspeed.runtime.config import DeepSpeedConfig

    theirs = DeepSpeedConfig({"train_batch_size": 1})
    ours = {name: OWNERSHIP.keys[name].default for name in DeepSpeedSettings.model_fields}
    compared = {
        name: value for name, value in ours.items() if isinstance(value, bool | float) and hasattr(theirs, name)
    }
    assert len(compared) >= 8
    assert compared == {name: getattr(theirs, name) for name in compared}


def is_passed_on(name: str) -> bool:
    key = Key.of(DeepSpeedSettings, name, "neox_core")
    return name not in NOT_PASSED_ON and not key.pending and not key.unused


@pytest.mark.parametrize("name", sorted(filter(is_passed_on, DeepSpeedSettings.model_fields)))
def test_its_keys_are_handed_to_it_as_they_are(name):
    value = another_value(name)
    args = NeoXArgs.from_dict({**MODEL, name: value}, plugins=PLUGINS)
    assert args.resolve(World.local(1)).deepspeed[name] == value


def another_value(name: str) -> Any:
    """A value that a key of the group takes and that is not its default."""
    field = DeepSpeedSettings.model_fields[name]
    choices = [choice for part in (field.annotation, *get_args(field.annotation)) for choice in get_args(part)]
    for value in (not field.default, 2, 0.5, {}, *(choice for choice in choices if isinstance(choice, str))):
        with suppress(ValidationError):
            if getattr(DeepSpeedSettings(**{name: value}), name) != field.default:
                return value
    raise AssertionError(f"no value of {name} is known here")


@pytest.mark.parametrize("name", sorted(DeepSpeedSettings.model_fields))
def test_null_is_not_handed_to_it(name):
    try:
        args = NeoXArgs.from_dict({**MODEL, name: None}, plugins=PLUGINS)
    except SettingsError:
        return  # it takes no null
    assert args.resolve(World.local(1)).deepspeed.get(name, ...) is not None or name == "steps_per_print"


# Dictionaries


def models() -> dict[str, Any]:
    """The dictionaries that DeepSpeed reads with a model that takes no other names."""
    from deepspeed.comm.config import CommsLoggerConfig
    from deepspeed.compile.config import CompileConfig
    from deepspeed.inference.config import WeightQuantConfig
    from deepspeed.monitor.config import CometConfig, CSVConfig, TensorBoardConfig, WandbConfig
    from deepspeed.runtime.config import HybridEngineConfig
    from deepspeed.runtime.precision_config import DeepSpeedBF16Config, DeepSpeedFP16Config
    from deepspeed.runtime.tensor_parallel.config import TPTrainingConfig
    from deepspeed.runtime.zero.config import DeepSpeedZeroConfig

    return {
        "bf16": DeepSpeedBF16Config,
        "comet": CometConfig,
        "comms_logger": CommsLoggerConfig,
        "compile": CompileConfig,
        "csv_monitor": CSVConfig,
        "fp16": DeepSpeedFP16Config,
        "hybrid_engine": HybridEngineConfig,
        "tensor_parallel": TPTrainingConfig,
        "tensorboard": TensorBoardConfig,
        "wandb": WandbConfig,
        "weight_quantization": WeightQuantConfig,
        "zero_optimization": DeepSpeedZeroConfig,
    }


def test_the_names_in_dictionaries_are_those_of_its_models():
    found = {
        key: {name for field, info in model.model_fields.items() for name in (field, info.alias or field)}
        for key, model in models().items()
    }
    assert found == {key: DEEPSPEED_NAMES[key] for key in found}


OFTEN_WRITTEN = (True, False, None, 0, 1, -1, 7, 1.0, 5e8, 0.5, "abc", "5e8", "50", "true", "auto", "", [], [1], {})


@pytest.mark.parametrize("name", sorted(ZERO_VALUES))
def test_zero_takes_the_values_that_its_model_takes(name):
    from deepspeed.runtime.zero.config import DeepSpeedZeroConfig

    def is_taken(value: Any) -> bool:
        try:
            DeepSpeedZeroConfig(**{"stage": 1, name: value})
        except (ValidationError, TypeError):
            return False
        return True

    def is_refused(value: Any) -> bool:
        args = NeoXArgs.from_dict({**MODEL, "zero_optimization": {"stage": 1, name: value}}, plugins=PLUGINS)
        return any(problem.path == name for problem in zero_takes_the_values(args, World.local()))

    assert [value for value in OFTEN_WRITTEN if is_refused(value) == is_taken(value)] == []


def test_only_zeros_stage_has_a_rule_of_its_own():
    assert DEEPSPEED_NAMES["zero_optimization"] - set(ZERO_VALUES) == {"stage"}


@pytest.mark.parametrize("key", sorted(set(DEEPSPEED_NAMES) - set(models())))
def test_the_names_in_dictionaries_are_those_that_it_asks_for(key):
    asked = Asked({"": None})  # an empty one would not be looked into
    names_asked(**{key: asked})
    assert asked.names == DEEPSPEED_NAMES[key]


def test_only_keys_that_are_dictionaries_have_names_in_them():
    for key in DEEPSPEED_NAMES:
        known = OWNERSHIP.keys[key]
        assert "dict" in str(known.group.model_fields[key].annotation)


# The launcher


@pytest.fixture(scope="module")
def options() -> dict[str, argparse.Action]:
    """The options of DeepSpeed's launcher."""
    from deepspeed.launcher import runner

    parsers: list[argparse.ArgumentParser] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_args", lambda parser, args: parsers.append(parser))
        runner.parse_args([])
    (parser,) = parsers
    return {action.dest: action for action in parser._actions if action.option_strings and action.dest != "help"}


def test_every_option_of_its_launcher_can_be_set(options):
    assert len(options) > 20
    assert {name for name in options if RENAMED_OPTIONS.get(name, name) not in OWNERSHIP.keys} == set()


def test_no_key_is_of_an_option_that_its_launcher_lacks(options):
    named = {key.name for key in OWNERSHIP.keys.values() if key.origin == "deepspeed-launcher"}
    assert named == {RENAMED_OPTIONS.get(name, name) for name in options}


def test_keys_with_another_name_than_their_option_say_so(options):
    for option, name in RENAMED_OPTIONS.items():
        assert option in options
        assert f"`--{option}`" in OWNERSHIP.keys[name].description


def test_keys_take_the_choices_of_their_option(options):
    with_choices = {name: action.choices for name, action in options.items() if action.choices}
    assert with_choices
    for option, choices in with_choices.items():
        name = RENAMED_OPTIONS.get(option, option)
        annotation = OWNERSHIP.keys[name].group.model_fields[name].annotation
        literal = next((part for part in get_args(annotation) if get_args(part)), annotation)
        assert set(get_args(literal)) == set(choices)
