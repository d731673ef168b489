"""Training runs that copy their checkpoints to a real server of S3, whatever that does, and runs that begin with such copies."""

from __future__ import annotations

import shutil

import pytest
from copied_checkpoints import store_at
from faulty_proxy import Faults, faulty_proxy
from plugin_distributions import neox
from plugin_runs import write_config, write_data
from s3_server import OWNER, READER

from neox_core.checkpoint.layout import checkpoints
from neox_core.checkpoint.manifest import Manifest
from neox_core.checkpoint.remote import newest_first
from neox_core.checkpoint.verification import problems

WANTED = {"train_iters": 4, "checkpoint_factor": 2, "remote_timeout": 2.0, "s3_chunk_size": 5 << 20}


@pytest.fixture
def directory(tmp_path):
    write_data(tmp_path)
    return tmp_path


def complete(url):
    """Iterations of the complete checkpoints at a URL, none of which lacks a file."""
    found = [*newest_first(store_at(url))]
    assert [checkpoint.missing() for checkpoint in found] == [{}] * len(found)
    return [checkpoint.iteration for checkpoint in found]


def sound(save):
    """Iterations of the checkpoints in a directory, all of which are what was written."""
    here = checkpoints(save)
    assert [[*problems(path, Manifest.read(path))] for path in here.values()] == [[]] * len(here)
    return [*here]


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, 2])
def test_the_checkpoints_of_a_run_are_copied(bucket, server, workers, directory, ranks):
    save = directory / "mine"
    done = workers(ranks).run(
        "copying_runs:run",
        server.environment(),
        directory,
        save=str(save),
        s3_path=bucket,
        keep_last_n_checkpoints=1,
        **WANTED,
    )
    assert {(each.code, each.failure) for each in done} == {(0, "")}
    assert sound(save) == [4]
    assert complete(f"{bucket}/mine") == [4]
    assert any(line == f"s3_path: the newest copy is {bucket}/mine/global_step4" for line in done[0].log)
    assert len([name for name in server.keys(f"{bucket}/mine") if "shards/" in name]) == ranks


@pytest.mark.drawn(3)
@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "faults", "sentence"),
    [
        ({"user": (OWNER[0], "another")}, None, "the credentials are wrong, or do not allow"),
        ({"user": READER}, None, "the credentials do not allow to write"),
        ({"endpoint": "http://127.0.0.1:9"}, None, "the store cannot be reached"),
        ({}, Faults(stall_at=0), "it was not finished in time"),
        ({}, Faults(full=True), "the store has no room"),
        ({}, Faults(flip_at=3000), "global_step"),
    ],
    ids=["wrong-secret", "read-only", "closed-port", "stalled", "full", "spoilt"],
)
def test_no_store_stops_training_and_a_later_run_copies_what_is_here(
    bucket, server, workers, directory, how, faults, sentence
):
    save, settings = directory / "mine", {**WANTED, "lr_decay_iters": 8, "s3_path": bucket}
    with faulty_proxy(server.ports[3]) as proxy:
        environment = server.environment(**{"endpoint": proxy.endpoint, **how})
        proxy.faults = faults or Faults()
        (done,) = workers(1).run(
            "copying_runs:run", environment, directory, save=str(save), remote_wait=3.0, **settings
        )
    assert (done.code, done.failure) == (0, "")
    assert sound(save) == [2, 4]
    assert complete(f"{bucket}/mine") == []
    assert any(sentence in line for line in done.log), done.log
    assert any(f"Later: neox checkpoint push {save}/global_step4 {bucket}/mine" in line for line in done.log)
    settings |= {"load": str(save), "train_iters": 5, "checkpoint_factor": None}
    (again,) = workers(1).run("copying_runs:run", server.environment(), directory, save=str(save), **settings)
    assert (again.code, again.start) == (0, 4)
    assert complete(f"{bucket}/mine")[0] == 5


@pytest.mark.slow
def test_a_run_goes_on_on_a_machine_that_has_nothing(bucket, server, directory, reach):
    write_config(directory, save="mine", load="mine", s3_path=bucket, lr_decay_iters=6, **WANTED)
    done = neox("train", "tiny.yml", cwd=directory)
    assert done.returncode == 0, done.stderr
    shutil.move(directory / "mine", directory / "lost")
    done = neox("train", "tiny.yml", "train_iters=6", f"load={bucket}", "num_gpus=2", cwd=directory)
    assert done.returncode == 0, done.stderr
    assert f"the run goes on from {bucket}/mine/global_step4" in done.stderr
    assert sound(directory / "mine") == [4, 6]
    assert complete(f"{bucket}/mine") == [6, 4, 2]
    written = b"".join(path.read_bytes() for path in directory.rglob("*") if path.is_file())
    assert OWNER[1].encode() not in written
    assert OWNER[1] not in done.stderr + done.stdout
