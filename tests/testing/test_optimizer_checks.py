"""The checks of optimizers let a sound one through, and each of them can fail."""

from __future__ import annotations

from functools import cache

import pytest
from flawed_optimizers import FLAWS

from neox_core.plugins import PluginManager, Switches
from neox_core.testing import optimizers
from neox_core.testing.optimizers import ALWAYS, Bench, checks


@cache
def plugins() -> PluginManager:
    return PluginManager(Switches(modules=("flawed_optimizers",)))


@pytest.mark.parametrize("check", checks(plugins(), "sound"), ids=lambda check: check.__name__)
def test_a_sound_optimizer_is_let_through(check):
    check(Bench(plugins(), "sound", {"lr": 0.5}))


@pytest.mark.parametrize(("name", "noticed"), [flaw for flaw in FLAWS.items() if flaw[1]])
def test_a_flaw_is_noticed_by_its_check(name, noticed):
    (check,) = [check for check in checks(plugins(), name) if check.__name__ == noticed]
    with pytest.raises((AssertionError, RuntimeError, ValueError)):
        check(Bench(plugins(), name, {"lr": 0.5}))


def test_every_check_has_a_flaw_to_notice():
    every = {check.__name__ for check in ALWAYS} | {optimizers.does_the_same_on_flat_pieces.__name__}
    assert every == {check for check in FLAWS.values() if check}
