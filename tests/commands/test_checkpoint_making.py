"""`neox checkpoint reshard` and `average`: checkpoints that are made of others."""

from __future__ import annotations

import json

import pytest
import torch
import training_runs as runs
from config_commands import Neox
from plugin_runs import write_data
from safetensors import safe_open

from neox_core.checkpoint import Manifest, Reader
from neox_core.plugins import Switches
from neox_core.training.lock import DirectoryLock
from neox_core.training.trained import load_trained

CUTS = {
    "one process": (1, {}),
    "tp 2, pp 2": (4, {"model_parallel_size": 2, "pipe_parallel_size": 2, "num_kv_heads": 1}),
    "zero 3": (2, {"zero_optimization": {"stage": 3}, "num_kv_heads": 1}),
    "zero 1, rows": (2, {"zero_optimization": {"stage": 1}, "optimizer": {"type": "sm3", "params": {"lr": 0.01}}}),
}
"""Runs that save. Of the second one both tensor-parallel ranks hold the only key and value."""


@pytest.fixture
def neox(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = Neox(tmp_path, capsys)
    return lambda *words: run(*map(str, words))


@pytest.fixture
def trained(neox, workers, tmp_path):
    """Trains on some ranks; the directory of its checkpoints of steps 2, 4 and 7, in which ranks save what `changes` say."""
    write_data(tmp_path)

    def make(name="saved", ranks=1, **changes):
        given = {"save": name, "extra_save_iters": [2, 4], "eval_iters": 0, **changes}
        found = workers(ranks).run(runs.run, tmp_path, **{**given, "save": str(tmp_path / name)})[0]
        assert found.failure == ""
        return tmp_path / name

    return make


def content(path):
    """Every tensor of a checkpoint."""
    reader = Reader(path)
    return {(name, role): reader.whole(name, role) for name in reader.names for role in reader.roles(name)}


def elements(shard):
    with safe_open(shard, framework="pt") as file:
        return sum(file.get_tensor(name).numel() for name in file.keys())  # noqa: SIM118 - it is no mapping


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("before", CUTS)
def test_all_bits_are_kept_whatever_the_ranks(neox, trained, before):
    ranks, changes = CUTS[before]
    saved = trained(ranks=ranks, **changes)
    before = content(saved / "global_step4")
    for words, shards in (((), 1), (("--tp", 2, "--pp", 2), 4), (("--tp", 2, "--dp", 2), 4), (("--dp", 3), 3)):
        target = "-".join(["to", *map(str, words)])
        done = neox("checkpoint", "reshard", saved, target, "--iteration", 4, *words, "--json")
        assert done.code == 0, done.err
        found = json.loads(done.out)
        assert (found["path"], found["shards"]) == (f"{target}/global_step4", shards)
        assert neox("checkpoint", "verify", target).code == 0
        assert same(content(saved.parent / target / "global_step4"), before)
        assert Manifest.read(saved.parent / target / "global_step4").world_size == shards


def test_each_rank_reads_its_own_file_alone(neox, trained, workers, tmp_path):
    saved = trained()
    assert neox("checkpoint", "reshard", saved, "cut", "--tp", 2).code == 0
    whole = elements(saved / "global_step7/shards/rank-00000.safetensors")
    for rank in range(2):
        assert elements(tmp_path / f"cut/global_step7/shards/rank-0000{rank}.safetensors") < 0.6 * whole


@pytest.mark.parametrize("words", [(), ("--tp", 2), ("--pp", 2), ("--dp", 2)])
def test_a_run_goes_on_from_it_as_from_the_first(neox, trained, workers, tmp_path, words):
    changes = {"train_batch_size": 8, "train_micro_batch_size_per_gpu": 2, "eval_iters": 0, "hidden_dropout": 0.1}
    saved = trained(**changes)
    assert neox("checkpoint", "reshard", saved, "cut", "--iteration", 4, *words).code == 0
    keys = {"--tp": "model_parallel_size", "--pp": "pipe_parallel_size"}
    cut = {keys[word]: 2 for word in words if word in keys}
    whole = workers(1).run(runs.run, tmp_path, load=str(saved), iteration=4, **changes)[0]
    rest = workers(2 if words else 1).run(runs.run, tmp_path, load=str(tmp_path / "cut"), **changes, **cut)[0]
    assert (rest.failure, rest.start, len(rest.steps)) == ("", 4, 3)
    assert [step.loss for step in rest.steps] == pytest.approx([step.loss for step in whole.steps], rel=1e-6)
    assert load_trained(tmp_path / "cut", Switches()).iteration == 4


def test_what_cannot_be_cut_is_refused_before_anything_is_written(neox, trained, tmp_path):
    saved = trained()
    for words, fact in ((("--tp", 3), "model_parallel_size 3"), (("--pp", 9), "of 9 stages")):
        done = neox("checkpoint", "reshard", saved, "cut", *words)
        assert (done.code, fact in done.err) == (2, True), done.err
        assert not (tmp_path / "cut").exists()
    done = neox("checkpoint", "reshard", saved, saved)
    assert (done.code, "is a complete checkpoint already" in done.err) == (2, True)


def test_nothing_is_made_where_a_run_or_another_command_saves(neox, trained, tmp_path):
    trained()
    with DirectoryLock(tmp_path / "taken"):
        for words in (("reshard", "saved", "taken"), ("average", "saved", "--last", 2, "--to", "taken")):
            done = neox("checkpoint", *words)
            assert (done.code, "is saving into taken" in done.err) == (2, True), done.err
    assert not list((tmp_path / "taken").glob("global_step*"))


def test_a_damaged_one_gives_nothing(neox, trained, tmp_path):
    saved = trained()
    (shard,) = (saved / "global_step7/shards").iterdir()
    with shard.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x77")
    done = neox("checkpoint", "reshard", saved, "cut", "--dp", 2)
    assert (done.code, f"{shard} is damaged" in done.err) == (2, True)
    assert not (tmp_path / "cut").exists()


@pytest.mark.parametrize(
    ("words", "counts"),
    [
        (("saved", "--last", 3), (1 / 3, 1 / 3, 1 / 3)),
        (("saved", "--last", 2, "--weights", "1,3"), (0, 0.25, 0.75)),
        (("saved", "--last", 3, "--decay", 0.5), (1 / 7, 2 / 7, 4 / 7)),
        (("saved", "--last", 3, "--decay", 0), (0, 0, 1)),
        (("saved/global_step2", "saved/global_step7"), (0.5, 0, 0.5)),
    ],
)
def test_the_mean_is_that_of_the_weights(neox, trained, tmp_path, words, counts):
    saved = trained(ranks=2, zero_optimization={"stage": 1})
    done = neox("checkpoint", "average", *words, "--to", "mean")
    assert done.code == 0, done.err
    mean = content(tmp_path / "mean/global_step7")
    parts = [content(saved / f"global_step{step}") for step in (2, 4, 7)]
    assert {role for _, role in mean} == {"weight"}
    for key, tensor in mean.items():
        wanted = sum(part[key].double() * count for part, count in zip(parts, counts, strict=True))
        torch.testing.assert_close(tensor, wanted.float(), rtol=0, atol=0)
    assert load_trained(tmp_path / "mean", Switches()).iteration == 7
    assert neox("checkpoint", "verify", "mean").code == 0


def test_a_mean_begins_a_run_and_is_not_gone_on_from(neox, trained, workers, tmp_path):
    trained()
    assert neox("checkpoint", "average", "saved", "--last", 2, "--to", "mean").code == 0
    begun = workers(1).run(runs.run, tmp_path, initial_ckpt_path=str(tmp_path / "mean"))[0]
    assert (begun.failure, begun.start) == ("", 0)
    refused = workers(1).run(runs.run, tmp_path, load=str(tmp_path / "mean"), train_iters=9)[0]
    assert "mean/global_step7 holds weights alone" in refused.failure
    assert "no_load_optim: true" in refused.failure
    again = workers(1).run(runs.run, tmp_path, load=str(tmp_path / "mean"), train_iters=9, no_load_optim=True)[0]
    assert (again.failure, again.start) == ("", 7)


def test_other_models_and_wrong_numbers_have_no_mean(neox, trained, tmp_path):
    trained()
    trained("wide", hidden_size=32)
    for words, fact in (
        (("saved", "wide"), "is not of the model"),
        (("saved",), "two checkpoints at least"),
        (("saved", "--last", 9), "holds 3 complete"),
        (("saved", "--last", 2, "--weights", "1"), "1 numbers for 2"),
        (("saved", "--last", 2, "--weights", "1,-1"), "not negative"),
        (("saved", "--last", 2, "--weights", "1,nan"), "finite numbers"),
        (("saved", "--last", 2, "--decay", "inf"), "finite numbers"),
    ):
        done = neox("checkpoint", "average", *words, "--to", "mean")
        assert (done.code, fact in done.err) == (2, True), done.err
        assert not (tmp_path / "mean").exists()
