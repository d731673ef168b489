"""`neox data at` and `neox data replay`: what a step was trained on, of a run and of settings."""

from __future__ import annotations

import json

import numpy as np
import pytest
from plugin_distributions import neox
from plugin_runs import write_config

from neox_core.cli.main import main
from neox_core.data.token_files import TokenFileWriter, open_tokens

STEPS = 4


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A directory with a run of four steps and the run of four more that goes on from it, with a step divided otherwise."""
    directory = tmp_path_factory.mktemp("ledger")
    random = np.random.default_rng(3)
    with TokenFileWriter(directory / "text", "uint16") as writer:
        for size in random.integers(5, 60, 200):
            writer.add(random.integers(0, 50, size))
    shared = {
        "data_path": "text",
        "vocab_size": 50,
        "save": "saved",
        "sample_ledger": "all",
        "train_batch_size": 4,
        "lr_decay_iters": 2 * STEPS,
        "eval_iters": 0,
        "loggers": [],
    }
    write_config(directory, "first.yml", **shared, train_iters=STEPS, train_micro_batch_size_per_gpu=2)
    again = {"train_iters": 2 * STEPS, "train_micro_batch_size_per_gpu": 1, "num_gpus": 2, "load": "saved"}
    write_config(directory, "again.yml", **shared, **again)
    for name in ("first.yml", "again.yml"):
        done = neox("train", name, cwd=directory)
        assert done.returncode == 0, done.stderr
    return directory


def run_of(directory, name):
    (found,) = (directory / "runs" / name).iterdir()
    return found


def ledger(run, rank):
    return [json.loads(line) for line in (run / "ledger" / f"rank-{rank}.jsonl").read_text().splitlines()]


def test_every_step_of_every_rank_is_recorded(runs):
    first, again = run_of(runs, "first"), run_of(runs, "again")
    assert [(entry["step"], entry["position"]) for entry in ledger(first, 0)] == [(n + 1, 4 * n) for n in range(STEPS)]
    for rank in (0, 1):
        positions = [(entry["step"], entry["position"]) for entry in ledger(again, rank)]
        assert positions == [(n + 1, 4 * n) for n in range(STEPS, 2 * STEPS)]


@pytest.mark.parametrize(("run", "step", "ranks"), [("first", 2, 1), ("again", 7, 2)])
def test_a_recorded_step_is_made_again(runs, run, step, ranks):
    done = neox("data", "replay", str(run_of(runs, run)), "--step", str(step), "--json", cwd=runs)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [row["rank"] for row in found["ranks"]] == list(range(ranks))
    for row in found["ranks"]:
        assert row["same"] is True
        assert row["sha256"] == next(
            entry["sha256"] for entry in ledger(run_of(runs, run), row["rank"]) if entry["step"] == step
        )


def test_settings_alone_give_the_same_step(runs):
    of_run = neox("data", "replay", str(run_of(runs, "first")), "--step", "3", cwd=runs)
    of_settings = neox("data", "replay", "first.yml", "--step", "3", cwd=runs)
    assert of_run.stdout.replace("as recorded", "(nothing recorded)") == of_settings.stdout
    assert of_settings.returncode == 0


def test_other_data_are_noticed(runs, tmp_path):
    name = "first.yml"
    other = open_tokens(runs / "text")
    with TokenFileWriter(tmp_path / "text", "uint16") as writer:
        for document in range(len(other)):
            writer.add((other[document] + 1) % 50)
    elsewhere = neox("data", "replay", name, "--step", "3", f"data_path={tmp_path / 'text'}", cwd=runs)
    assert elsewhere.returncode == 0
    path = run_of(runs, "first") / "ledger" / "rank-0.jsonl"
    kept = path.read_text()
    wanted = ledger(run_of(runs, "first"), 0)[2]["sha256"]
    assert wanted not in elsewhere.stdout
    path.write_text(kept.replace(wanted, "0" * 64))
    try:
        done = neox("data", "replay", str(run_of(runs, "first")), "--step", "3", cwd=runs)
    finally:
        path.write_text(kept)
    assert done.returncode == 1
    assert f"DIFFERS from what was recorded: {'0' * 64}" in done.stdout


def test_documents_offsets_and_tokens_are_those_of_the_files(runs):
    done = neox("data", "at", str(run_of(runs, "again")), "--step", "6", "--json", cwd=runs)
    assert done.returncode == 0, done.stderr
    found, tokens = json.loads(done.stdout), open_tokens(runs / "text")
    assert (found["step"], found["position"]) == (6, 20)
    assert sorted((row["rank"], row["micro_batch"]) for row in found["samples"]) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert sorted(row["sample"] for row in found["samples"]) == [20, 21, 22, 23]
    for row in found["samples"]:
        read = [
            tokens.get(source["document"], source["offset"], source["length"]).tolist() for source in row["sources"]
        ]
        assert [token for tokens in read for token in tokens] == row["tokens"]


def test_one_rank_in_words(runs):
    done = neox("data", "at", str(run_of(runs, "again")), "--step", "6", "--rank", "1", cwd=runs)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(
        "step 6: 2 samples from position 20\n\nrank 1, micro-batch 0, sample 21\n  text  document "
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("first.yml", "--step", "0"), "--step: 0 is not one of the steps 1 to 4"),
        (("first.yml", "--step", "5"), "--step: 5 is not one of the steps 1 to 4"),
        (("first.yml", "--step", "1", "--rank", "1"), "--rank: 1 is not one of the 1 data-parallel ranks"),
        (("runs", "--step", "1"), "runs/handover.json: cannot be read (No such file or directory); give the directory"),
        (
            ("runs", "--step", "1", "--iteration", "9"),
            "--iteration: runs is a run, which has all of its settings; leave it",
        ),
        (("first.yml", "data_path=nowhere", "--step", "1"), "nowhere.idx"),
        (("first.yml",), "--step"),
    ],
)
@pytest.mark.parametrize("verb", ["at", "replay"])
def test_what_cannot_be_shown_is_told(runs, verb, words, sentence, monkeypatch, capsys):
    monkeypatch.chdir(runs)
    assert main(["data", verb, *words]) == 2
    assert sentence in capsys.readouterr().err
