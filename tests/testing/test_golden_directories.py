"""Runs of GPT-NeoX go on here from the directories that it wrote, at any topology, with the losses that it had."""

from __future__ import annotations

import json
import shutil
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
    ("tied_pp2_tp2", "dp 2"),
]


def expected(name: str) -> Path:
    return CHECKPOINTS / f"{name}.expected.json"


def test_no_directory_is_forgotten():
    assert len(NAMES) == 9


@pytest.mark.parametrize(
    ("name", "cut"),
    [*ALWAYS, *(in_whole(name, cut) for name in NAMES for cut in CUTS if (name, cut) not in ALWAYS)],
)
def test_a_run_goes_on_with_its_losses(workers, name, cut):
    topology, changes = CUTS[cut]
    for checks in workers(topology.size).run(compare_resumed, expected(name), topology, changes):
        assert [check.name for check in checks] == ["token files that differ", "steps taken before", "losses"]
        assert [check for check in checks if not check.passed] == []


@pytest.fixture
def copied(tmp_path):
    """A copy of a recorded directory, in which a function has changed what is said of it."""

    def copy(change=lambda run: None) -> Path:
        for part in ("bin", "idx"):
            shutil.copy(GOLDEN / f"tokens_a.{part}", tmp_path)
        shutil.copytree(CHECKPOINTS / "llama_tp2", tmp_path / "llama_tp2")
        run = json.loads(expected("llama_tp2").read_text())
        change(run)
        path = tmp_path / "llama_tp2.expected.json"
        path.write_text(json.dumps(run))
        return path

    return copy


@pytest.fixture
def run(workers):
    """The command on a rank that lives."""
    return lambda *words: workers(1).run("golden_command:command", *map(str, words))[0]


def test_the_runner_takes_directories_with_token_files_beside_them_or_above(run, copied):
    for path in (expected("llama_tp2"), copied()):
        code, out, err = run(path)
        assert (code, err) == (0, "")
        assert out.count(" ok\n") == 3


def record_more(run):
    run["lrs"] = [0.0025, 0.005, 0.004698557158514988, 0.003875, 0.00275, 0.001625]
    run["grad_norms"] = [1.0] * 6


def other(key, index, by):
    def change(run):
        run[key][index] *= by

    return change


@pytest.mark.parametrize(
    ("change", "noticed"),
    [
        (other("losses", 4, 1.0001), {"losses"}),
        (other("losses", 1, 1.1), set()),
        (lambda run: run.update(saved_after_step=2), {"steps taken before"}),
        (lambda run: run["data"]["tokens_a"].update(sha256_bin="0" * 64), {"token files that differ"}),
        (record_more, {"gradient norms"}),
        (lambda run: run["config"]["optimizer"]["params"].update(lr=0.004), {"losses"}),
    ],
    ids=["a loss", "a loss before", "the step", "the data", "more than losses", "the rate"],
)
def test_what_differs_is_noticed_and_only_that(run, copied, change, noticed):
    code, out, err = run("--json", copied(change))
    assert err == ""
    (checks,) = json.loads(out).values()
    assert {check["name"] for check in checks if not check["passed"]} == noticed
    assert code == (1 if noticed else 0)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda run: run.pop("world_size"), "does not describe a directory of checkpoints: world_size: Field required"),
        (lambda run: run.update(saved_after_step=6), "losses has 6 steps and the checkpoint was saved after 6"),
        (lambda run: run.update(name="elsewhere"), "elsewhere is no directory of checkpoints of another family"),
        (lambda run: run["config"].update(num_layers=3), "num_layers is 3 in the settings, and 2 by its tensors"),
    ],
)
def test_what_cannot_be_gone_on_with_is_a_sentence(run, copied, change, sentence):
    code, out, err = run(copied(change))
    assert (code, out) == (2, "")
    assert sentence in err
