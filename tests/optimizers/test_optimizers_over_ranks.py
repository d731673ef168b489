"""Every optimizer on several ranks and under ZeRO trains as in one process, and goes on from a checkpoint of any of these."""

from __future__ import annotations

import pytest
import torch
import training_steps as steps
from compiled_extensions import why_not
from neox_optimizers import cpu_adam
from neox_optimizers.params import AdamParams
from training_models import plugins
from whole_matrix import in_whole

from neox_core.plugins import State

RATES = {"lion": 0.001, "sgd": 0.1, "sm3": 0.1}
OPTIONS = {"sgd": {"momentum": 0.9}, "sm3": {"momentum": 0.9}}
OFFERS = [offer for offer in plugins().offers("optimizer") if offer.source.distribution == "neox-toolkit"]
LEFT_OUT = {"cpu_adam"} if why_not("cpu_adam", cpu_adam.lack()) else set()
NAMES = [
    offer.component.name
    for offer in OFFERS
    if offer.component.name not in LEFT_OUT and plugins().availability(offer, probe=True).state is State.OK
]
UNDER_ZERO = [name for name in NAMES if 1 in plugins().find("optimizer", name).component.zero]


@pytest.fixture(scope="module", autouse=True)
def extension_of_deepspeed():
    """Built before ranks are asked for answers, which it may keep waiting for longer than they may take."""
    if "cpu_adam" in NAMES:
        plugins().make("optimizer", "cpu_adam", [{"params": [torch.nn.Parameter(torch.ones(2))]}], AdamParams())


def settings(name, stage=0):
    params = {"lr": RATES.get(name, 0.01), **OPTIONS.get(name, {})}
    return {
        "optimizer": {"type": name, "params": params},
        "zero_optimization": {"stage": stage},
        "weight_decay": 0.1,
        "lr_decay_style": "constant",
        "hidden_size": 24,
    }


@pytest.mark.drawn(4)
@pytest.mark.parametrize(
    ("name", "ranks", "stage"),
    [
        *((name, 2, 1) for name in UNDER_ZERO),
        *(in_whole(name, 1, 1) for name in UNDER_ZERO),
        *(in_whole(name, 2, 0) for name in NAMES),
        *(in_whole(name, 3, 1) for name in UNDER_ZERO),
    ],
)
def test_they_train_as_in_one_process(workers, name, ranks, stage):
    batch = {"train_batch_size": 6} if ranks == 3 else {}
    (expected,) = workers(1).run(steps.curve, 6, **settings(name), **batch)
    curves = workers(ranks).run(steps.curve, 6, **settings(name, stage), **batch)
    assert all(curve == curves[0] for curve in curves), "ranks must report the same"
    assert [loss for loss, _ in curves[0]] == pytest.approx([loss for loss, _ in expected], rel=1e-5)


WHOLE_ONES = [name for name in NAMES if plugins().find("optimizer", name).component.whole]
CUTTABLE = [name for name in NAMES if not plugins().find("optimizer", name).component.local]
TENSOR = {"model_parallel_size": 2, "num_kv_heads": 1, "use_bias_in_attn_linear": False}


@pytest.mark.drawn(2)
@pytest.mark.parametrize(
    ("name", "ranks", "stage"),
    [
        *((name, 2, 0) for name in WHOLE_ONES),
        ("muon", 4, 1),
        *(in_whole(name, 2, 0) for name in CUTTABLE if name not in WHOLE_ONES),
        *(in_whole(name, 2, 1) for name in CUTTABLE),
        *(in_whole(name, 4, stage) for name in WHOLE_ONES for stage in (0, 1, 2, 3) if (name, stage) != ("muon", 1)),
    ],
)
def test_on_parameters_that_are_cut_they_train_as_on_whole_ones(workers, name, ranks, stage):
    changes = {**settings(name), **TENSOR}
    (alone,) = workers(1).run("cut_models:trained", 4, **{**changes, "model_parallel_size": 1})
    found = workers(ranks).run("cut_models:trained", 4, **{**changes, "zero_optimization": {"stage": stage}})
    for of_rank in found:
        assert of_rank.losses == pytest.approx(alone.losses, rel=1e-5)
        for weight, values in alone.weights.items():
            error = (of_rank.weights[weight] - values).norm() / values.norm().clamp(min=1e-3)
            assert error < 1e-4, f"{weight} is off by {error:.2g} of its size"


@pytest.mark.parametrize("name", ["sm3", *map(in_whole, (name for name in WHOLE_ONES if name != "sm3"))])
def test_what_they_know_of_cut_parameters_comes_back_on_any_number_of_ranks(workers, tmp_path, name):
    changes = {**settings(name), **TENSOR}
    saved = workers(2).run(steps.save_and_go_on, tmp_path, **changes)[0]
    again = workers(2).run(steps.load_and_go_on, saved["path"], **changes)[0]
    assert again["losses"] == saved["losses"], "to the bit"
    alone = workers(1).run(steps.load_and_go_on, saved["path"], **{**changes, "model_parallel_size": 1})[0]
    assert alone["losses"] == pytest.approx(saved["losses"], rel=1e-5)


@pytest.mark.drawn(5)
@pytest.mark.parametrize(
    ("name", "ranks", "stage"),
    [
        *((name, 2, 1) for name in UNDER_ZERO),
        *(in_whole(name, 1, 0) for name in NAMES),
        *(in_whole(name, 2, 0) for name in NAMES),
    ],
)
def test_they_go_on_from_a_checkpoint(workers, tmp_path, name, ranks, stage):
    saved = workers(ranks).run(steps.save_and_go_on, tmp_path, **settings(name, stage))[0]
    again = workers(ranks).run(steps.load_and_go_on, saved["path"], **settings(name, stage))[0]
    assert again["losses"] == saved["losses"], "to the bit"
    other = workers(1).run(steps.load_and_go_on, saved["path"], **settings(name))[0]
    assert other["losses"] == pytest.approx(saved["losses"], rel=1e-4)


@pytest.mark.parametrize(("ranks", "stage"), [(1, 0), (2, 1)])
def test_frozen_weights_go_on_beside_an_average(workers, tmp_path, ranks, stage):
    changes = {**settings("schedule_free_adamw", stage), "soft_prompt_tuning": {"enabled": True, "num_tokens": 3}}
    saved = workers(ranks).run(steps.save_and_go_on, tmp_path, **changes)[0]
    again = workers(ranks).run(steps.load_and_go_on, saved["path"], **changes)[0]
    assert again["losses"] == saved["losses"], "to the bit"
    of = dict(saved["roles"])
    assert of["embedding.weight"] == ("weight",)
    assert "trained" in of["embedding.soft_prompt.weight"]


def test_options_that_remember_more_than_was_saved_are_refused_with_a_remedy(workers, tmp_path):
    plain = {**settings("sgd"), "optimizer": {"type": "sgd", "params": {"lr": 0.1}}}
    saved = workers(1).run(steps.save_and_go_on, tmp_path, **plain)[0]
    assert {roles for _, roles in saved["roles"]} == {("weight",)}
    answers = workers(1).run(steps.refusal_to_load, saved["path"], **settings("sgd"))
    said = f"it remembers momentum_buffer of embedding.weight, and {saved['path']} holds weights alone"
    assert said in answers[0]
    assert f"and another `save`: initial_ckpt_path: {saved['path']}" in answers[0]


def test_in_bfloat16_they_follow_float32(workers):
    for name in ("muon", "schedule_free_adamw"):
        changes = {**settings(name, 1), "precision": "bfloat16"}
        expected = [loss for loss, _ in workers(1).run(steps.curve, 6, **settings(name))[0]]
        found = [loss for loss, _ in workers(2).run(steps.curve, 6, **changes)[0]]
        assert found == pytest.approx(expected, rel=0.02)
