"""`neox train` interrupted in every way, and run again."""

from __future__ import annotations

import json
import signal

import pytest
from plugin_runs import write_config, write_data
from training_commands import are_gone, train
from training_runs import shards
from whole_matrix import in_whole

from neox_core.checkpoint import find

pytestmark = pytest.mark.slow

ITERATIONS = 16
SETTINGS = {"train_iters": ITERATIONS, "checkpoint_factor": 4, "hidden_dropout": 0.1, "loggers": ["jsonl"]}


def configure(directory, name="tiny", *, ranks=1, **changes):
    """A configuration that saves to and loads from a directory of its name."""
    write_data(directory)
    write_config(directory, f"{name}.yml", **SETTINGS, num_gpus=ranks, save=name, load=name, **changes)
    return f"{name}.yml"


@pytest.mark.parametrize(("ranks", "stage"), [in_whole(1, 0), (2, 1)])
def test_a_run_that_is_terminated_and_later_killed_ends_with_the_same_bits(tmp_path, ranks, stage):
    changes = {"ranks": ranks, "zero_optimization": {"stage": stage}}
    whole = train(tmp_path, configure(tmp_path, "whole", **changes))
    code, said = whole.end()
    assert code == 0, said

    parts = configure(tmp_path, "parts", **changes)
    terminated = train(tmp_path, parts)
    pids = terminated.reaches(2, ranks)
    terminated.send(signal.SIGTERM)
    code, said = terminated.end()
    assert code == 128 + signal.SIGTERM, said
    are_gone(pids)
    (status,) = tmp_path.glob("runs/parts/*/status.json")
    assert json.loads(status.read_text()) == {"state": "stopped", "exit_code": code}
    stopped_at = int(find(tmp_path / "parts").name.removeprefix("global_step"))
    assert 2 < stopped_at < ITERATIONS

    killed = train(tmp_path, parts)
    pids = killed.reaches(9, ranks)
    killed.send(signal.SIGKILL)
    assert killed.end()[0] == -signal.SIGKILL
    are_gone(pids)
    saved_last = find(tmp_path / "parts").name
    assert saved_last in {"global_step8", "global_step12"}

    code, said = train(tmp_path, parts).end()
    assert code == 0, said
    final = f"global_step{ITERATIONS}"
    expected = shards(tmp_path / "whole" / final)
    assert len(expected) == ranks
    assert shards(tmp_path / "parts" / final) == expected

    code, said = train(tmp_path, parts).end()
    assert code == 0, said
    assert "training is complete" in said
    assert shards(tmp_path / "parts" / final) == expected


def test_control_c_saves_and_says_130(tmp_path):
    running = train(tmp_path, configure(tmp_path))
    pids = running.reaches(2)
    running.send(signal.SIGINT)
    code, said = running.end()
    assert code == 128 + signal.SIGINT, said
    are_gone(pids)
    assert find(tmp_path / "tiny") is not None
