"""What DeepSpeed is configured with."""

from __future__ import annotations

import pytest
from small_settings import MODEL

from neox_core.config import NeoXArgs, World, read_text
from neox_core.errors import SettingsError
from neox_core.plugins import PluginManager, Switches

PLUGINS = PluginManager(Switches())
RUN = {**MODEL, "train_iters": 500, "data_path": "data/tokens"}


def resolve(ranks: int = 1, **changes):
    return NeoXArgs.from_dict({**RUN, **changes}, plugins=PLUGINS).resolve(World.local(ranks))


def problem(**changes) -> str:
    with pytest.raises(SettingsError) as caught:
        resolve(**changes)
    return str(caught.value)


def test_what_is_passed_on_by_default():
    assert resolve(2).deepspeed == {
        "train_batch_size": 4,
        "train_micro_batch_size_per_gpu": 2,
        "gradient_accumulation_steps": 1,
        "gradient_clipping": 1.0,
        "zero_optimization": {
            "stage": 0,
            "allgather_partitions": True,
            "reduce_scatter": True,
            "allgather_bucket_size": 500_000_000,
            "overlap_comm": False,
            "reduce_bucket_size": 500_000_000,
            "contiguous_gradients": False,
        },
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "steps_per_print": None,
    }


def test_a_dictionary_for_zero_replaces_all_of_the_default():
    given = {"stage": 1, "reduce_bucket_size": 100}
    assert resolve(zero_optimization=given).deepspeed["zero_optimization"] == given


@pytest.mark.parametrize("clipping", [0.0, 0.5, 1.0])
def test_clipping_is_always_passed_on(clipping):
    assert resolve(gradient_clipping=clipping).deepspeed["gradient_clipping"] == clipping


def test_keys_of_deepspeeds_own_reach_it_as_they_are():
    given = {
        "prescale_gradients": True,
        "wall_clock_breakdown": True,
        "steps_per_print": 7,
        "flops_profiler": {"enabled": True},
        "comms_logger": {"enabled": True, "verbose": True},
        "communication_data_type": "fp32",
    }
    found = resolve(**given).deepspeed
    assert {key: found[key] for key in given} == given


def test_extra_arguments_reach_it():
    found = resolve(deepspeed_extra_args={"comms_logger": {"enabled": True}, "zero_allow_untested_optimizer": True})
    assert found.deepspeed["comms_logger"] == {"enabled": True}
    assert found.deepspeed["zero_allow_untested_optimizer"] is True


@pytest.mark.parametrize(
    "key",
    [
        "gradient_clipping",
        "train_batch_size",
        "zero_optimization",
        "zero_force_ds_cpu_optimizer",
        "steps_per_print",
        "autotuning",
        "fp16",
        "bf16",
        "bfloat16",
        "optimizer",
        "scheduler",
    ],
)
def test_what_has_a_key_of_its_own_cannot_be_an_extra_argument(key):
    expected = f"dictionary: deepspeed_extra_args: {key}: has a key of its own (write it as that key)"
    assert problem(deepspeed_extra_args={key: {}, "comms_logger": {}}) == expected


def test_what_is_always_passed_on_cannot_be_an_extra_argument():
    always = set(resolve().deepspeed) - {"zero_allow_untested_optimizer"}
    found = problem(deepspeed_extra_args=dict.fromkeys(always))
    assert all(f"{key}: " in found for key in always)


def test_an_extra_argument_that_is_given_elsewhere_too_names_both_places():
    text = "comms_logger: {enabled: true}\ndeepspeed_extra_args:\n  comms_logger: {enabled: false}\n"
    entries = [*read_text(text, "a.yml"), *NeoXArgs.from_dict(RUN, plugins=PLUGINS).entries]
    with pytest.raises(SettingsError) as caught:
        NeoXArgs(entries, PLUGINS).resolve()
    expected = "a.yml:3: deepspeed_extra_args: comms_logger: also set in a.yml:1 (keep one of the two)"
    assert str(caught.value) == expected


def test_each_clash_is_a_problem_with_its_own_line():
    lines = [
        "gradient_clipping: 0.5",
        "deepspeed_extra_args:",
        "  gradient_clipping: 1.0",
        "  wall_clock_breakdown: true",
    ]
    entries = [
        *read_text("\n".join([*lines, "wall_clock_breakdown: true"]), "a.yml"),
        *NeoXArgs.from_dict(RUN, plugins=PLUGINS).entries,
    ]
    with pytest.raises(SettingsError) as caught:
        NeoXArgs(entries, PLUGINS).resolve()
    places = [(str(problem.origin), [str(place) for place in problem.others]) for problem in caught.value.problems]
    assert places == [("a.yml:3", ["a.yml:1"]), ("a.yml:4", ["a.yml:5"])]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"num_layers": 1}, "num_layers' is no key of DeepSpeed's configuration (remove it)"),
        ({"seed": 1}, "'seed' is no key of DeepSpeed's configuration (write it outside of deepspeed_extra_args)"),
        ({"comms_loger": {}}, "'comms_loger' is no key of DeepSpeed's configuration (did you mean 'comms_logger'?)"),
        ({"wall_clock_breakdown": "maybe"}, "wall_clock_breakdown: 'maybe' is not true or false"),
        ({"prescale_gradients": "x"}, "prescale_gradients: 'x' is not true or false"),
        ({"tensorboard": 5}, "tensorboard: 5 is not a mapping or null"),
        (
            {"log_level": "warn"},
            "log_level: 'warn' is not one of debug, info, warning, error, critical or null (did you",
        ),
        ({"comms_logger": {"enabled": 5}}, "comms_logger.enabled: 5 is not true or false"),
        (
            {"data_efficiency": {"data_routing": {"enable": 5}}},
            "'enable' is not an option of DeepSpeed's data_efficiency.data_routing (did you mean 'enabled'?)",
        ),
    ],
)
def test_an_extra_argument_gets_one_report(given, sentence):
    (key,) = given
    with pytest.raises(SettingsError) as caught:
        resolve(deepspeed_extra_args=given)
    (found,) = caught.value.problems
    assert sentence in str(found)
    assert found.keys == ("deepspeed_extra_args",)
    assert found.path.startswith(key)


def test_null_and_parts_that_are_given_up_are_not_handed_on_from_extra_arguments():
    extra = {"tensorboard": None, "elasticity": {"enabled": False}, "dump_state": True}
    found = resolve(deepspeed_extra_args=extra).deepspeed
    assert found.keys() & extra.keys() == {"dump_state"}


def test_one_bit_adam_has_deepspeeds_schedule():
    optimizer = {"type": "OneBitAdam", "params": {"lr": 0.0001, "freeze_step": 23000}}
    given = {"optimizer": optimizer, "warmup": 0.1, "lr_decay_iters": 400, "lr_decay_style": "cosine"}
    found = resolve(**given, compat="gpt-neox")
    assert found.deepspeed["scheduler"] == {
        "type": "WarmupDecayLR",
        "params": {"warmup_min_lr": 0, "warmup_max_lr": 0.0001, "warmup_num_steps": 50, "total_num_steps": 400},
    }
    assert [str(notice) for notice in found.notices] == [
        "dictionary: lr_decay_style: has no effect with optimizer OneBitAdam, whose rate follows DeepSpeed's WarmupDecayLR"
    ]
    assert resolve(optimizer=optimizer, compat="gpt-neox").notices == ()
    assert resolve(**given).notices == ()
    for followed in ({}, {"compat": "gpt-neox", "scheduler": {"type": "WarmupLR"}}):
        assert "scheduler" not in resolve(optimizer=optimizer, **followed).deepspeed, "it does not set the rates"


def test_bfloat16_needs_no_dictionaries():
    found = resolve(precision="bfloat16").deepspeed
    assert found["bf16"] == {"enabled": True}
    assert found["zero_optimization"]["stage"] == 1


@pytest.mark.parametrize(
    ("precision", "key", "options"), [("fp16", "fp16", {"initial_scale_power": 16}), ("bfloat16", "bf16", {})]
)
def test_the_dictionary_of_the_named_format_need_not_say_that_it_is_on(precision, key, options):
    assert resolve(precision=precision, **{key: options}).deepspeed[key] == {**options, "enabled": True}
    assert "does not say enabled" in problem(precision="fp32", **{key: options})
