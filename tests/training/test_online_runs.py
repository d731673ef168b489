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
from whole_matrix import in_whole

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


@pytest.mark.parametrize("ranks", [in_whole(1), 2])
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


@pytest.mark.parametrize("ranks", [in_whole(1), 2])
@pytest.mark.parametrize("leave_one_out", [True, in_whole(False)])
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


CUTS = {
    "tensor": (2, {"model_parallel_size": 2}),
    "pipeline": (2, {"pipe_parallel_size": 2}),
    "context": (2, {"context_parallel_size": 2, "attention_config": [[["ring"], "all"]]}),
    "two pipelines": (4, {"pipe_parallel_size": 2}),
}


def close(steps):
    """Losses and norms of steps and of the evaluations after them, as far as they do not depend on how a run is cut."""
    evaluated = [evaluation.loss for step in steps for evaluation in step.evaluations]
    return pytest.approx([*(step.loss for step in steps), *(step.grad_norm for step in steps), *evaluated], rel=2e-5)


def asked_once(served, data_ranks):
    found = {(request.split, request.rank) for request in served.requests}
    assert {rank for _, rank in found} == set(range(data_ranks))
    for split, rank in found:
        assert served.batches(split, rank) == list(range(len(served.batches(split, rank))))


@pytest.mark.parametrize("cut", [in_whole("tensor"), in_whole("pipeline"), "context", "two pipelines"])
def test_one_rank_of_those_with_the_same_samples_asks_for_them(run, tmp_path, cut):
    ranks, changes = CUTS[cut]
    data_ranks, accumulation = ranks // 2, 6 // (ranks // 2)
    changes = {"gradient_accumulation_steps": accumulation, **changes}
    with serving(fickle=True) as served:
        found = run("cut", ranks, **served.settings, **changes)
    asked_once(served, data_ranks)
    for rank, steps in enumerate(recorded(tmp_path / "cut", data_ranks)):
        sent = digests(samples(rank), steps=7, accumulation=accumulation, micro=2, fields=GRADED)
        assert list(steps.values()) == sent
    with serving() as again:
        whole = run("whole", data_ranks, **again.settings, gradient_accumulation_steps=accumulation)
    assert close(found.steps) == close(whole.steps).expected


def test_streams_go_on_on_ranks_along_another_axis(run, tmp_path):
    places = {"save": str(tmp_path / "saved"), "load": str(tmp_path / "saved")}
    with serving(fickle=True) as served:
        run("parts", 2, exit_interval=4, pipe_parallel_size=2, **places, **served.settings)
        assert [file.name for file in (tmp_path / "saved/global_step4/streams").iterdir()] == ["rank-00000.json"]
        assert run("parts", 2, model_parallel_size=2, **places, **served.settings).start == 4
    asked_once(served, 1)
    assert list(recorded(tmp_path / "parts", 1)[0].values()) == expected(samples(0), 7, 1)


@pytest.mark.parametrize("axis", ["model_parallel_size", "pipe_parallel_size"])
def test_all_ranks_with_the_same_samples_say_why_there_are_none(workers, tmp_path, axis):
    with ServerProcess() as server:
        server.kill()
    settings = {"online_dataserver_ips": "127.0.0.1", "online_dataserver_ports": server.address.port}
    settings |= {"dataset_impl": "online", "online_dataserver_timeout": 0.5, axis: 2}
    found = workers(2).run(runs.run, tmp_path, **{**SETTINGS, **settings})
    assert found[0].failure.startswith(f"Waited 0.5 s for {server.address} to make batch 0 of train")
    assert found[1].failure == found[0].failure


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
