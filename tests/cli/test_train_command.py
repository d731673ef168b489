"""`neox train`: what it prints, writes and leaves alone."""

from __future__ import annotations

import json

from plugin_distributions import neox
from plugin_runs import listing, write_config, write_data

from neox_core.config import NeoXArgs
from neox_core.plugins import PluginManager


def test_a_dry_run_prints_the_plan_and_writes_nothing(tmp_path):
    write_data(tmp_path)
    write_config(tmp_path)
    before = listing(tmp_path)
    done = neox("train", "tiny.yml", "--dry-run", cwd=tmp_path, PYTHONDONTWRITEBYTECODE="1")
    assert done.returncode == 0
    assert done.stdout.startswith("# launcher: local\nlocalhost$ ")
    assert "neox_core.training.worker" in done.stdout
    assert listing(tmp_path) == before


def test_a_run_leaves_what_it_was_in_its_directory(tmp_path):
    write_data(tmp_path)
    write_config(tmp_path, save="checkpoints", load="checkpoints")
    done = neox("train", "tiny.yml", "log_interval=2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "note: load: there is no checkpoint in checkpoints yet: training begins anew" in done.stderr
    (run,) = (tmp_path / "runs" / "tiny").iterdir()
    assert json.loads((run / "status.json").read_text()) == {"state": "done", "exit_code": 0}
    assert NeoXArgs.from_ymls([run / "resolved.yml"], plugins=PluginManager()).log_interval == 2
    assert json.loads((run / "deepspeed.json").read_text())["gradient_clipping"] == 1.0
    assert {plugin["distribution"] for plugin in json.loads((run / "plugins.json").read_text())} == {"neox-toolkit"}
    phases = json.loads((run / "startup.json").read_text())
    assert abs(sum(phases["phases"].values()) - phases["seconds_to_first_loss"]) < 0.5
    steps = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [step["iteration"] for step in steps if step["event"] == "step"] == [1, 2, 3, 4, 5, 6]
    assert (run / "logs" / "rank-0.log").read_text() == done.stdout

    again = neox("train", "tiny.yml", cwd=tmp_path)
    assert (again.returncode, again.stdout) == (0, "")
    assert "training is complete: checkpoints/global_step6" in again.stderr
    assert len(list((tmp_path / "runs" / "tiny").iterdir())) == 1
