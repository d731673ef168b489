"""Every mixer of ours does what all must do and what its descriptor claims."""

from __future__ import annotations

import pytest
from training_models import plugins

from neox_core.testing.mixers import Bench, checks

CASES = [
    pytest.param(check, name, id=f"{name}-{check.__name__}")
    for name in plugins().names("attention")
    for check in checks(plugins(), name)
]


@pytest.mark.parametrize(("check", "name"), CASES)
def test_conformance(check, name):
    check(Bench(plugins(), name))
