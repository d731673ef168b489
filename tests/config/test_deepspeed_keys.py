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
from neox_core.config.deepspeed_options import DEEPSPEED_OPTIONS, Options
from neox_core.config.keys import Key
from neox_core.config.option_checks import option_problems
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


def inner_models() -> dict[str, Any]:
    """The same for dictionaries within those."""
    from deepspeed.runtime.tensor_parallel.config import TPConfig
    from deepspeed.runtime.zenflow.zenflow_config import ZenFlowConfig
    from deepspeed.runtime.zero.leaf_module_config import DeepSpeedZeroLeafModuleConfig
    from deepspeed.runtime.zero.offload_config import (
        DeepSpeedZeroOffloadOptimizerConfig,
        DeepSpeedZeroOffloadParamConfig,
    )
    from deepspeed.utils.config import DeepSpeedThroughputTimerConfig

    return {
        "tensor_parallel.tensor_parallel": TPConfig,
        "tensor_parallel.tp": TPConfig,
        "timers.throughput": DeepSpeedThroughputTimerConfig,
        "zero_optimization.leaf_module": DeepSpeedZeroLeafModuleConfig,
        "zero_optimization.offload_optimizer": DeepSpeedZeroOffloadOptimizerConfig,
        "zero_optimization.offload_param": DeepSpeedZeroOffloadParamConfig,
        "zero_optimization.zenflow": ZenFlowConfig,
    }


PLACES: dict[str, Options] = {
    ".".join(path): options for key, whole in DEEPSPEED_OPTIONS.items() for path, options in whole.walk(key)
}
"""Every dictionary of the table, however deep, by its dotted path."""

CHOSEN_LATER = {"data_efficiency.data_routing.random_ltd", "data_efficiency.data_sampling.curriculum_learning"}
"""Dictionaries that DeepSpeed hands on without looking for each of their names."""


NAMED_LATER = {"data_efficiency.data_sampling.dynamic_batching": {"max_tokens", "metrics_path"}}
"""Names that DeepSpeed asks for only once the part is in use."""


def test_the_names_in_dictionaries_are_those_of_its_models():
    read = models() | inner_models()
    found = {
        place: {name for field, info in model.model_fields.items() for name in (field, info.alias or field)}
        for place, model in read.items()
    }
    assert found == {place: set(PLACES[place].types) for place in found}
    assert {place for place, options in PLACES.items() if options.model} == set(read)


def nested(place: str, value: Any) -> dict[str, Any]:
    """A configuration with a value at a dotted path."""
    for name in reversed(place.split(".")):
        value = {name: value}
    return value


@pytest.mark.parametrize("place", [place for place, options in PLACES.items() if not options.model])
def test_the_names_in_dictionaries_are_those_that_it_asks_for(place):
    asked = Asked({"": None})  # an empty one would not be looked into
    names_asked(**nested(place, asked))
    if any(place.startswith(later) for later in CHOSEN_LATER):
        assert asked.names <= set(PLACES[place].types)
    else:
        assert asked.names == set(PLACES[place].types) - NAMED_LATER.get(place, set())


def test_the_names_for_data_are_among_its_constants():
    from deepspeed.runtime.data_pipeline import constants

    known = {value for value in vars(constants).values() if isinstance(value, str)}
    ours = {name for place, options in PLACES.items() if place.startswith("data_efficiency") for name in options.types}
    assert ours <= known
    assert len(ours) > 30


OFTEN_WRITTEN = (True, False, None, 0, 1, -1, 7, 1.0, 5e8, 0.5, "abc", "5e8", "50", "true", "auto", "", [], [1], {})

STRICTER = {
    "fp16.enabled": ("0", "1", "1.0", "'true'", "'auto'"),  # it is read here too
    "bf16.enabled": ("0", "1", "1.0", "'true'", "'auto'"),
    "zero_optimization.zenflow.select_interval": ("True", "False", "1.0", "500000000.0"),
    "zero_optimization.zenflow.update_interval": ("True", "1.0", "500000000.0"),
}
"""What DeepSpeed's models take, and means something else than it looks like."""


BESIDE = {"fp16": {"enabled": True}, "zero_optimization": {"stage": 1}}
"""What has to stand beside an option."""


def is_refused(place: str, value: Any) -> bool:
    """Whether a dictionary with this value at a place is."""
    key, _, path = place.partition(".")
    given = BESIDE.get(key, {}) | nested(path, value)
    return any(problem.path == path for problem in option_problems(key, given, DEEPSPEED_OPTIONS[key]))


@pytest.mark.parametrize("place", [place for place, options in PLACES.items() if options.model])
def test_options_take_the_values_that_its_models_take(place):
    model = (models() | inner_models())[place]

    def is_taken(name: str, value: Any) -> bool:
        try:
            model(**BESIDE.get(place, {}) | {name: value})
        except (ValidationError, TypeError):
            return False
        return True

    names = set(PLACES[place].types) - {"stage"}
    found = {(name, repr(value)) for name in names for value in OFTEN_WRITTEN if is_taken(name, value)}
    ours = {
        (name, repr(value)) for name in names for value in OFTEN_WRITTEN if not is_refused(f"{place}.{name}", value)
    }
    stricter = {(name, value) for name in names for value in STRICTER.get(f"{place}.{name}", ())}
    assert ours == found - stricter


def values_of_defaults(options: Options, theirs: Any) -> list[tuple[str, Any]]:
    """Options with the default that an object of DeepSpeed's has for each."""
    return [(name, getattr(theirs, name)) for name in options.types if hasattr(theirs, name)]


@pytest.mark.parametrize(
    ("key", "attribute"),
    [
        ("activation_checkpointing", "activation_checkpointing_config"),
        ("autotuning", "autotuning_config"),
        ("expert_parallel", "expert_parallel_config"),
        ("flops_profiler", "flops_profiler_config"),
    ],
)
def test_options_take_its_defaults(key, attribute):
    from deepspeed.runtime.config import DeepSpeedConfig

    theirs = getattr(DeepSpeedConfig({"train_batch_size": 1}), attribute)
    found = [
        (name, value)
        for name, value in values_of_defaults(DEEPSPEED_OPTIONS[key], theirs)
        if isinstance(value, bool | int | float | str | None)
    ]
    assert len(found) > 5
    assert [name for name, value in found if not DEEPSPEED_OPTIONS[key].fits(name, value)] in ([], ["model_info"])


def test_options_take_its_defaults_of_dictionaries():
    from deepspeed.runtime.model_checkpointing.config import CHECKPOINT_DEFAULT_DICT, get_checkpoint_writer_config
    from deepspeed.runtime.swap_tensor.aio_config import AIO_DEFAULT_DICT

    defaults = {
        "aio": AIO_DEFAULT_DICT,
        "checkpoint": CHECKPOINT_DEFAULT_DICT,
        "checkpoint.writer": get_checkpoint_writer_config({"writer": {}}),
    }
    for place, values in defaults.items():
        assert [name for name, value in values.items() if not PLACES[place].fits(name, value)] == []


def test_number_formats_are_those_that_it_knows():
    from deepspeed.runtime.config import DtypeEnum

    (floats, _) = get_args(DEEPSPEED_OPTIONS["data_types"].types["param_dtype"])
    assert all(DtypeEnum(name) for name in get_args(floats))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("flops_profiler.enabled", "no"),
        ("flops_profiler.profile_step", -1),
        ("flops_profiler.top_modules", 1.0),
        ("data_efficiency.data_sampling", None),
        ("data_efficiency.data_sampling.enabled", 1),
        ("checkpoint.parallel_write", True),
        ("checkpoint.tag_validation", "never"),
        ("timers.throughput", None),
        ("data_types.param_dtype", "fp8"),
        ("aio.block_size", "1e6"),
    ],
)
def test_what_it_would_use_as_it_is_has_to_be_right(place, value):
    assert is_refused(place, value)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("flops_profiler.module_depth", -1),
        ("checkpoint.tag_validation", "Warn"),
        ("checkpoint.writer.type", "fast"),
        ("autotuning.model_info", None),
        ("zero_optimization.offload_param", None),
        ("data_efficiency.data_sampling.curriculum_learning.curriculum_metrics", {"seqlen": {"min_difficulty": 8}}),
    ],
)
def test_what_it_can_use_is_not_refused(place, value):
    assert not is_refused(place, value)


def test_only_keys_that_are_dictionaries_have_names_in_them():
    for key in DEEPSPEED_OPTIONS:
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
