"""Runs of GPT-NeoX go on here from the directories that it wrote, at any topology, with the losses that it had."""

from __future__ import annotations

from pathlib import Path

import pytest
from whole_matrix import in_whole

from neox_core.config import Topology
from neox_core.testing.resumed import compare_resumed

GOLDEN = Path(__file__).parents[1] / "golden"
CHECKPOINTS = GOLDEN / "checkpoints"
NAMES = sorted(path.name.removesuffix(".expected.json") for path in CHECKPOINTS.glob("*.expected.json"))

CUTS = {
    "one rank": (Topology(), {}),
    "tp 2": (Topology(tensor=2), {}),
    "pp 2": (Topology(pipe=2), {}),
    "dp 2": (Topology(data=2), {}),
    "zero 1": (Topology(data=2), {"zero_optimization": {"stage": 1}}),
    "zero 3": (Topology(data=2), {"zero_optimization": {"stage": 3}}),
    "tp 2, pp 2": (Topology(tensor=2, pipe=2), {}),
}
ALWAYS = [(name, "one rank") for name in NAMES] + [
    ("pythia_tp2", "tp 2"),
    ("pythia_pp2_tp2_zero1", "zero 3"),
    ("llama_tp2", "pp 2"),
]


def expected(name: str) -> Path:
    return CHECKPOINTS / f"{name}.expected.json"


def test_no_directory_is_forgotten():
    assert len(NAMES) == 7


@pytest.mark.parametrize(
    ("name", "cut"),
    [*ALWAYS, *(in_whole(name, cut) for name in NAMES for cut in CUTS if (name, cut) not in ALWAYS)],
)
def test_a_run_goes_on_with_its_losses(workers, name, cut):
    topology, changes = CUTS[cut]
    for checks in workers(topology.size).run(compare_resumed, expected(name), topology, changes):
        assert [check.name for check in checks] == ["token files that differ", "steps taken before", "losses"]
        assert [check for check in checks if not check.passed] == []
