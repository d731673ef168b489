"""What an optimizer asks of other keys is said before a launch."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from training_models import SETTINGS, plugins

from neox_core.config import NeoXArgs, World
from neox_core.errors import SettingsError
from neox_core.plugins import resolve as resolve_reference
from neox_core.training.components import component_problems


def resolve(device="cpu", **changes):
    return NeoXArgs.from_dict({**SETTINGS, **changes}, plugins=plugins()).resolve(World.local(device=device))


def refused(device="cpu", **changes) -> str:
    with pytest.raises(SettingsError) as error:
        resolve(device, **changes)
    return str(error.value)


SCHEDULE_FREE = {"optimizer": {"type": "Schedule_Free_AdamW"}}


@pytest.mark.parametrize("style", ["linear", "cosine", "exponential"])
def test_schedule_free_wants_no_falling_rate(style):
    assert "set lr_decay_style: constant" in refused(**SCHEDULE_FREE, lr_decay_style=style)


def test_rules_know_an_optimizer_by_its_full_name_too():
    full = {"optimizer": {"type": "neox-toolkit/Schedule_Free_AdamW"}}
    assert "set lr_decay_style: constant" in refused(**full, lr_decay_style="linear")
    resolve(optimizer={"type": "neox-toolkit/adamw"}, use_bnb_optimizer=True)


def test_schedule_free_has_a_warm_up():
    resolve(**SCHEDULE_FREE, lr_decay_style="constant", warmup=0.1)


def test_schedule_free_looks_at_the_schedule_that_is_followed():
    resolve(**SCHEDULE_FREE, scheduler={"type": "WarmupLR"})
    falling = {"type": "WarmupDecayLR", "params": {"total_num_steps": 9}}
    assert "with scheduler: WarmupDecayLR" in refused(**SCHEDULE_FREE, scheduler=falling, lr_decay_style="constant")


def test_cpu_adam_on_gpus_wants_parameters_in_the_host():
    cpu_adam = {"optimizer": {"type": "CPU_Adam"}}
    for stage in ({}, {"zero_optimization": {"stage": 1}}):
        assert "{stage: 1, offload_optimizer: {device: cpu}}" in refused("cuda", **cpu_adam, **stage)
    for offload in ({"offload_optimizer": {"device": "cpu"}}, {"cpu_offload": True}):
        resolve("cuda", **cpu_adam, zero_optimization={"stage": 1, **offload})
        assert "{stage: 1, offload_optimizer: {device: cpu}}" in refused(
            "cuda", **cpu_adam, zero_optimization={"stage": 0, **offload}
        )
        resolve("cuda", **cpu_adam, zero_optimization={"stage": 0, **offload}, precision="bfloat16")
    assert "offload_optimizer" in refused("cuda", **cpu_adam, zero_optimization={"stage": 1, "cpu_offload": False})
    resolve("cpu", **cpu_adam)


def test_8_bits_take_the_place_of_adam():
    for name in ("Adam", "adamw", "adam8bit"):
        assert resolve(use_bnb_optimizer=True, optimizer={"type": name}).optimizer.name == "adam8bit"
    assert resolve(optimizer={"type": "Adam"}).optimizer.name == "adam"


def test_8_bits_are_for_adam_only():
    assert "bitsandbytes takes the place of adam and adamw" in refused(
        use_bnb_optimizer=True, optimizer={"type": "lion"}
    )


@pytest.mark.parametrize("name", ["adam", "cpu_torch_adam", "sm3", "madgrad_wd", "lion", "sgd", "lamb", "muon"])
def test_weight_decay_among_the_options_is_explained(name):
    resolved = resolve(optimizer={"type": name, "params": {"lr": 0.01, "weight_decay": 0.1}})
    (problem,) = component_problems(resolved, plugins())
    assert str(problem).endswith(
        f"params.weight_decay: {name} has no such option (weight_decay is a key of its own, outside of optimizer)"
    )


@pytest.mark.parametrize(
    ("name", "params", "complaint"),
    [
        ("sgd", {"nesterov": True}, "nesterov: true needs a momentum above 0"),
        ("muon", {"scale": "rms"}, "scale"),
        ("sm3", {"momentum": 1}, "momentum"),
        ("schedule_free_adamw", {"betas": [0, 0.9]}, "betas"),
    ],
)
def test_options_that_make_no_sense_are_refused(name, params, complaint):
    resolved = resolve(optimizer={"type": name, "params": params}, lr_decay_style="constant")
    (problem,) = component_problems(resolved, plugins())
    assert complaint in str(problem)


OURS = {o.component.name: o for o in plugins().offers("optimizer") if o.source.distribution == "neox-toolkit"}


@pytest.mark.parametrize("name", OURS)
def test_the_page_on_optimizers_has_every_name_with_its_options(name):
    page = (Path(__file__).parents[2] / "docs" / "optimizers.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| ") and f"`{name}`" in line.split("|")[1]]
    assert len(rows) >= 2
    offer = OURS[name]
    options = set(resolve_reference(offer.component.params).model_fields) - {"lr"}
    assert options <= {word for row in rows for word in re.findall(r"`(\w+)`", row)}
