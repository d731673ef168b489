"""Every optimizer of ours does what all must do and what its descriptor claims."""

from __future__ import annotations

import pytest
from compiled_extensions import why_not
from neox_optimizers import cpu_adam
from training_models import plugins

from neox_core.plugins import ComponentError
from neox_core.testing.optimizers import Bench, checks

OPTIONS = {
    "adam": [{}, {"adam_w_mode": False}],
    "adamw": [{}],
    "cpu_torch_adam": [{}],
    "lamb": [{"lr": 0.02}],
    "lion": [{"lr": 0.003}],
    "madgrad_wd": [{}, {"momentum": 0.0}],
    "muon": [{}, {"scale": "shape", "lr": 0.02, "adam_lr": 0.01}],
    "onebitadam": [{}, {"freeze_step": 2}],
    "schedule_free_adamw": [{}],
    "sgd": [{"lr": 0.5}, {"lr": 0.2, "momentum": 0.9, "nesterov": True}],
    "sm3": [{"lr": 0.05, "decoupled_decay": True}, {"lr": 0.05, "momentum": 0.9, "beta": 0.9, "decoupled_decay": True}],
}
"""What each is checked with."""
CASES = [
    pytest.param(check, name, options, id=f"{name}{number or ''}-{check.__name__}")
    for name, variants in OPTIONS.items()
    for number, options in enumerate(variants)
    for check in checks(plugins(), name)
]


@pytest.mark.parametrize(("check", "name", "options"), CASES)
def test_conformance(check, name, options):
    check(Bench(plugins(), name, options))


ELSEWHERE = {"cpu_adam": {}, "adam8bit": {"min_8bit_size": 256}}
"""Those that need what is not everywhere."""


@pytest.mark.slow
@pytest.mark.parametrize("name", ELSEWHERE)
def test_conformance_of_what_is_not_everywhere(name):
    if name == "cpu_adam" and (reason := why_not(name, cpu_adam.lack())):
        pytest.skip(reason)
    try:
        found = checks(plugins(), name)
    except ComponentError as reason:
        pytest.skip(str(reason))
    for check in found:
        check(Bench(plugins(), name, ELSEWHERE[name]))
