"""One run whose mixer, optimizer, objective, launcher and logger are all somebody else's."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch
from plugin_distributions import neox
from plugin_runs import write_config, write_data
from whole_matrix import in_whole

from neox_core.checkpoint import Reader
from neox_core.parallel import ShardSpec

ACME = {
    "attention_config": ["ema", "acme-neox/ema"],
    "optimizer": {"type": "signum", "params": {"lr": 0.003, "momentum": 0.8}},
    "train_impl": "z_loss",
    "launcher": "subprocess",
    "acme_environment": {"ACME_SAYS": "hello", "OMP_NUM_THREADS": "1"},
    "acme_csv": "steps.csv",
    "acme_trace": "trace.txt",
    "acme_tally": "tally",
    "acme_ema_heads": 4,
    "acme_z_loss": 0.01,
    "lr_decay_style": "inverse_sqrt",
    "norm": "lengthnorm",
    "pos_emb": "wavelengths",
    "activation": "squared_relu",
    "moe_type": "soft",
    "moe_num_experts": 2,
    "moe_expert_interval": 2,
    "weight_decay": 0.1,
}

pytestmark = pytest.mark.slow


def train(directory: Path, installed, *words: str, **changes) -> Path:
    """Train in `directory`; gives the directory of the run."""
    before = set(directory.glob("runs/*/*"))
    done = neox("train", *words, cwd=directory, path=[installed.acme], timeout=120, **changes)
    assert done.returncode == 0, done.stdout + done.stderr
    (run_dir,) = set(directory.glob("runs/*/*")) - before
    return run_dir


def contents(path: Path) -> dict[tuple[str, str], torch.Tensor]:
    """Everything that a checkpoint keeps of parameters and optimizer, by name and role."""
    reader = Reader(path)
    shapes = {}
    for shard in json.loads(reader.file("index.json")).values():
        for piece in shard:
            shapes[piece["name"]] = tuple(piece["shape"])
    return {
        (name, role): reader.read(spec := ShardSpec.complete(name, shapes[name]), role, (0, spec.local_size))
        for name in reader.names
        for role in reader.roles(name)
    }


@pytest.mark.parametrize("ranks", [1, in_whole(2)])
def test_three_steps_and_three_more_are_six(installed, tmp_path, ranks):
    write_data(tmp_path)
    whole = write_config(tmp_path, "whole.yml", **ACME, num_gpus=ranks, save="whole", loggers=["csv"])
    parts = write_config(tmp_path, "parts.yml", **ACME, num_gpus=ranks, save="parts", load="parts", loggers=["csv"])

    run_dir = train(tmp_path, installed, whole.name)
    first = train(tmp_path, installed, parts.name, "exit_interval=3")
    second = train(tmp_path, installed, parts.name)

    expected, found = contents(tmp_path / "whole/global_step6"), contents(tmp_path / "parts/global_step6")
    assert {role for _, role in expected} == {"weight", "mean"}
    assert ("layers.0.attention.decay", "weight") in expected
    assert ("layers.0.mlp.router.weight", "mean") in expected
    assert expected.keys() == found.keys()
    for key, tensor in expected.items():
        assert torch.equal(tensor, found[key]), key

    steps = list(csv.reader((run_dir / "steps.csv").open()))
    assert steps == [*csv.reader((first / "steps.csv").open()), *csv.reader((second / "steps.csv").open())]
    assert [step for step, _, _ in steps] == ["1", "2", "3", "4", "5", "6"]
    assert all(0 < float(z_loss) < float(loss) for _, loss, z_loss in steps)
    assert (tmp_path / "tally").read_text() == "1\n"
    assert (second / "trace.txt").read_text() == "start 3\nstep 4\nstep 5\nstep 6\ncheckpoint 6\nend None\n"
    plan = (second / "plan.txt").read_text()
    assert plan.startswith("# launcher: subprocess\n")
    assert plan.count("ACME_SAYS=hello") == ranks
    manifest = json.loads(Reader(tmp_path / "parts/global_step6").file("plugins.json"))
    assert {"distribution": "acme-neox", "version": "1.2.0", "plugin": "acme"} in manifest


FAILING = """
def neox_{hook}(run):
    raise OSError("no such pool")
"""


def test_a_hook_that_fails_at_the_start_stops_the_run_under_its_name(tmp_path):
    write_data(tmp_path)
    write_config(tmp_path, save="saved")
    (tmp_path / "failing_start.py").write_text(FAILING.format(hook="train_start"))
    done = neox("-p", "failing_start.py", "train", "tiny.yml", cwd=tmp_path, timeout=120)
    assert done.returncode == 2
    assert "error: failing_start:-p: neox_train_start failed: no such pool" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "saved").glob("global_step*"))


def test_a_hook_that_fails_later_is_reported_once_and_training_goes_on(tmp_path):
    write_data(tmp_path)
    write_config(tmp_path, save="saved")
    (tmp_path / "failing_step.py").write_text(FAILING.format(hook="step_end"))
    done = neox("-p", "failing_step.py", "train", "tiny.yml", cwd=tmp_path, timeout=120)
    assert done.returncode == 0
    assert done.stderr.count("failing_step:-p: neox_step_end failed and is switched off") == 1
    assert done.stderr.count("OSError: no such pool") == 1
    assert Reader(tmp_path / "saved/global_step6").iteration == 6
