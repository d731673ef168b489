"""Every mixer of ours does what all must do and what its descriptor claims."""

from __future__ import annotations

import pytest
from training_models import plugins

from neox_core.testing.mixers import Bench, checks

SMALL_BLOCKS = {"block": 8, "different_layout_per_head": True}
"""Of which the sequences have enough that layouts hide something."""
SETTINGS = {
    "local": {"sparsity_config": SMALL_BLOCKS},
    "sparse_fixed": {
        "sparsity_config": {**SMALL_BLOCKS, "num_local_blocks": 2, "num_different_global_patterns": 2},
    },
    "sparse_variable": {"sparsity_config": {**SMALL_BLOCKS, "num_random_blocks": 1}},
    "bigbird": {"sparsity_config": SMALL_BLOCKS},
    "bslongformer": {"sparsity_config": SMALL_BLOCKS},
}
"""What a mixer is checked with beside its defaults."""
CASES = [
    pytest.param(check, name, id=f"{name}-{check.__name__}")
    for name in plugins().names("attention")
    for check in checks(plugins(), name)
]


@pytest.mark.parametrize(("check", "name"), CASES)
def test_conformance(check, name, workers):
    check(Bench(plugins(), name, SETTINGS.get(name, {}), workers))
