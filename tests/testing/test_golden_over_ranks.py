"""What GPT-NeoX recorded in one process is reproduced by several."""

from __future__ import annotations

from pathlib import Path

import pytest

from neox_core.config import Topology
from neox_core.testing import golden

FIXTURES = Path(__file__).parents[1] / "golden"

CUTS = {
    "tp 2": Topology(tensor=2),
    "pp 2": Topology(pipe=2),
    "tp 2 x pp 2": Topology(tensor=2, pipe=2),
    "dp 2": Topology(data=2),
}
NAMES = ("pythia", "llama", "gqa", "tied", "alibi", "rpe")
CASES = [(name, cut) for name in NAMES for cut in ("tp 2", "pp 2", "tp 2 x pp 2")]
CASES += [("gas2", "dp 2"), ("pythia", "dp 2"), ("eod_mask", "dp 2"), ("zero1", "dp 2")]


@pytest.mark.drawn(8)
@pytest.mark.parametrize(("name", "cut"), CASES)
def test_recorded_runs_are_reproduced_over_ranks(workers, name, cut):
    topology = CUTS[cut]
    for checks in workers(topology.size).run(golden.compare, FIXTURES / f"{name}.json", topology):
        assert len(checks) == 9 - (name == "zero1")
        assert [check for check in checks if not check.passed] == []


def test_the_command_starts_ranks_of_its_own(capsys):
    """A cutting that fixtures do not allow is told of each, and nothing is started."""
    good, refused = FIXTURES / "gqa.json", FIXTURES / "zero1.json"
    assert golden.main([str(good), "--tp", "2"]) == 0
    assert capsys.readouterr().out.count(" ok\n") == 9
    assert golden.main([str(refused), str(good), "--tp", "3"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert f"error: {refused}: " in printed.err
    assert f"error: {good}: " in printed.err
