"""Runs whose samples a server makes: what they are trained on, interrupted or not."""

from __future__ import annotations

import signal
from itertools import chain, islice, zip_longest

import pytest
import training_runs as runs
from online_runs import digests, ledger, samples, samples_of, serving
from online_servers import ServerProcess
from plugin_runs import write_config
from training_commands import are_gone, train

from neox_core.checkpoint import find
from neox_core.cli.main import main
from neox_core.config import NeoXArgs, World
from neox_core.training.rendezvous import collective_timeout

PLAIN = ("tokens", "labels", "loss_mask")
GRADED = (*PLAIN, "rewards", "raw_rewards")
SETTINGS = {
    "train_impl": "graded",
    "reinforce_leave_one_out": True,
    "sample_ledger": "all",
    "num_workers": 2,
    "train_batch_size": 12,
    "gradient_accumulation_steps": 2,
    "eval_interval": 3,
    "eval_iters": 1,
}


@pytest.fixture
def run(workers, tmp_path):
    """A run in a directory of its own; what rank 0 saw of it."""

    def run(name, ranks, **changes):
        (tmp_path / name).mkdir(exist_ok=True)
        return workers(ranks).run(runs.run, tmp_path / name, **{**SETTINGS, **changes})[0]

    return run


def recorded(directory, ranks):
    return [ledger(directory / "run", rank) for rank in range(ranks)]


def expected(stream, steps, ranks):
    return digests(stream, steps=steps, accumulation=2, micro=6 // ranks, fields=GRADED)


@pytest.mark.parametrize("ranks", [1, 2])
def test_each_rank_is_trained_on_what_it_was_sent(run, tmp_path, ranks):
    with serving() as served:
        found = run("whole", ranks, **served.settings)
    assert (found.code, len(found.steps)) == (0, 7)
    for rank, steps in enumerate(recorded(tmp_path / "whole", ranks)):
        assert list(steps.values()) == expected(samples(rank), 7, ranks)
    asked = {(request.split, request.rank) for request in served.requests}
    assert asked == {(split, rank) for split in ("train", "valid", "test") for rank in range(ranks)}
    for split, rank in asked:
        batches = served.batches(split, rank)
        assert batches == list(range(len(batches)))
    assert {(each.world_size, each.seq_length, each.vocab_size) for each in served.requests} == {(ranks, 16, 64)}


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("leave_one_out", [True, False])
def test_a_part_and_the_rest_are_the_whole(run, tmp_path, ranks, leave_one_out):
    changes = {"reinforce_leave_one_out": leave_one_out}
    with serving() as served:
        whole = run("whole", ranks, **served.settings, **changes)
    places = {"save": str(tmp_path / "saved"), "load": str(tmp_path / "saved")}
    with serving() as again:
        first = run("parts", ranks, exit_interval=4, **places, **again.settings, **changes)
        second = run("parts", ranks, **places, **again.settings, **changes)
    assert second.start == 4
    assert runs.numbers(first.steps + second.steps) == runs.numbers(whole.steps)
    assert [step.evaluations != () for step in whole.steps] == [False, False, True, False, False, True, True]
    assert recorded(tmp_path / "parts", ranks) == recorded(tmp_path / "whole", ranks)
    for split in ("train", "valid", "test"):
        for rank in range(ranks):
            assert again.batches(split, rank) == served.batches(split, rank), "none is asked for again, none left out"


def left_after(taken, rank):
    """What a rank has left after so many samples, and its next batch."""
    number, held = 0, 0
    while held < taken:
        held += len(list(samples_of(rank, number)))
        number += 1
    return list(islice(samples(rank), taken, held)), number


@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2)])
def test_on_another_number_of_ranks_the_samples_that_are_left_are_shared(run, tmp_path, before, after):
    places = {"save": str(tmp_path / "saved"), "load": str(tmp_path / "saved"), "eval_iters": 0}
    with serving() as served:
        run("first", before, exit_interval=3, **places, **served.settings)
        assert run("second", after, **places, **served.settings).start == 3
    found = [left_after(3 * 12 // before, rank) for rank in range(before)]
    left = [sample for turn in zip_longest(*(samples for samples, _ in found)) for sample in turn if sample is not None]
    assert left, "the test is about them"
    following = max(batch for _, batch in found)
    for rank, steps in enumerate(recorded(tmp_path / "second", after)):
        assert list(steps.values()) == expected(chain(left[rank::after], samples(rank, following)), 4, after)


def test_a_checkpoint_of_a_run_with_files_has_no_streams_and_they_begin_anew(workers, run, data, tmp_path):
    places = {"save": str(tmp_path / "saved"), "load": str(tmp_path / "saved"), "eval_iters": 0}
    workers(1).run(runs.run, data, exit_interval=2, train_batch_size=12, **places)
    assert not (tmp_path / "saved" / "global_step2" / "streams").exists()
    with serving() as served:
        assert run("after", 1, **places, **served.settings).start == 2
    assert list(recorded(tmp_path / "after", 1)[0].values()) == expected(samples(0), 5, 1)
    assert (tmp_path / "saved" / "global_step7" / "streams" / "rank-00000.json").exists()


def test_no_samples_are_asked_for_where_there_are_no_evaluations(run):
    with serving() as served:
        run("run", 1, eval_iters=0, **served.settings)
    assert {request.split for request in served.requests} == {"train"}


def test_ranks_wait_for_one_that_waits_for_its_server(tmp_path):
    settings = {"dataset_impl": "online", "online_dataserver_timeout": 7200.0}
    given = {**runs.SETTINGS, "data_path": None}
    online, files = (
        NeoXArgs.from_dict({**given, **more}).resolve(World.local()) for more in (settings, {"data_path": "a"})
    )
    assert collective_timeout(online).total_seconds() == 7200 + collective_timeout(files).total_seconds()


def configure(directory, **changes):
    """A configuration on two ranks that saves to and loads from one directory; the data beside the server are not there."""
    shared = {"save": "saved", "load": "saved", "num_gpus": 2, "data_path": "nowhere", "loggers": [], "train_iters": 9}
    write_config(directory, "online.yml", **{"sample_ledger": "all", **shared, **changes})
    return "online.yml"


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_without_loss_or_repetition(tmp_path, capsys, monkeypatch):
    with serving() as served:
        config = configure(tmp_path, extra_save_iters=[3], **served.settings)
        killed = train(tmp_path, config)
        pids = killed.reaches(5, 2)
        killed.send(signal.SIGKILL)
        assert killed.end()[0] == -signal.SIGKILL
        are_gone(pids)
        assert find(tmp_path / "saved").name == "global_step3"
        code, said = train(tmp_path, config).end()
    assert code == 0, said
    first, second = sorted((tmp_path / "runs" / "online").iterdir(), key=lambda path: path.stat().st_mtime)
    for rank in (0, 1):
        before, after = ledger(first, rank), ledger(second, rank)
        assert list(after) == [4, 5, 6, 7, 8, 9]
        found = [before[step] for step in (1, 2, 3)] + list(after.values())
        assert found == digests(samples(rank), steps=9, accumulation=1, micro=2, fields=PLAIN)
    monkeypatch.chdir(tmp_path)  # where the run's plugin is
    assert main(["data", "replay", str(second), "--step", "4"]) == 2
    assert "a server made the samples while the run went on" in capsys.readouterr().err


@pytest.mark.slow
def test_a_server_that_is_gone_for_good_ends_the_run_with_a_sentence(tmp_path):
    with ServerProcess() as server:
        settings = {"online_dataserver_ips": "127.0.0.1", "online_dataserver_ports": server.address.port}
        config = configure(tmp_path, dataset_impl="online", online_dataserver_timeout=1.5, train_iters=1000, **settings)
        running = train(tmp_path, config)
        pids = running.reaches(2, 2)
        server.kill()
        code, said = running.end(timeout=30)
    assert code == 2, said
    assert f"Waited 1.5 s for {server.address} to make batch" in said
    assert "`online_dataserver_timeout`" in said
    are_gone(pids)
