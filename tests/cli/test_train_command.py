"""`neox train`: what it prints, writes and leaves alone."""

from __future__ import annotations

import json
import os
import socket

import pytest
from plugin_distributions import neox
from plugin_runs import listing, write_config, write_data

from neox_core.config import NeoXArgs, read_entries
from neox_core.plugins import PluginManager
from neox_core.training.start import launch, new_directory, prepare, write_status


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
    plugins = PluginManager()
    files = [NeoXArgs.from_ymls([path], plugins=plugins) for path in (run / "resolved.yml", tmp_path / "tiny.yml")]
    assert files[0].to_dict() == {**files[1].to_dict(), "log_interval": 2}
    assert "\n# norm: layernorm\n" in (run / "resolved.yml").read_text()
    given = json.loads((run / "deepspeed.json").read_text())
    assert given["gradient_clipping"] == 1.0
    shown = neox("config", "show", "tiny.yml", "--deepspeed", cwd=tmp_path).stdout
    assert json.loads(shown) == given
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

    shard = tmp_path / "checkpoints/global_step6/shards/rank-00000.safetensors"
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    damaged = neox("train", "tiny.yml", cwd=tmp_path)
    assert damaged.returncode != 0
    assert "shards/rank-00000.safetensors is damaged: its sha256 is not what was written" in damaged.stderr
    assert "training is complete" not in damaged.stderr


def test_log_dir_gets_a_copy_of_what_is_printed(tmp_path):
    write_data(tmp_path)
    write_config(tmp_path)
    done = neox("train", "tiny.yml", "log_dir=logs", "log_interval=3", "rope_fusion=true", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    copies = {path.name.rpartition("_")[2]: path.read_text() for path in (tmp_path / "logs").iterdir()}
    assert copies["stdout.txt"] == done.stdout
    assert "command line (rope_fusion=true): rope_fusion: has no effect: " in done.stderr
    assert "step" in done.stdout


def test_starts_of_the_same_moment_have_directories_of_their_own(tmp_path):
    assert len({new_directory(tmp_path) for _ in range(1000)}) > 100
    names = [new_directory(tmp_path).name for _ in range(3)]
    assert names == sorted(names)


def test_a_run_never_shares_a_directory(tmp_path, monkeypatch):
    write_data(tmp_path)
    monkeypatch.chdir(tmp_path)
    prepared = prepare(read_entries([write_config(tmp_path)], []), PluginManager(), default_name="tiny")
    prepared.job.run_dir.mkdir(parents=True)
    with pytest.raises(FileExistsError):
        launch(prepared, begun=0.0)
    assert not list(prepared.job.run_dir.iterdir())


@pytest.mark.parametrize("name", ["../elsewhere", "a/../../b", "/elsewhere", ".."])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path, name):
    write_data(tmp_path)
    write_config(tmp_path)
    done = neox("train", "tiny.yml", f"run_name={name}", "--dry-run", cwd=tmp_path)
    assert done.returncode == 2
    assert f"run_name: '{name}' leads out of the directory of runs" in done.stderr


def test_a_file_where_the_runs_should_be_is_told_in_a_sentence(tmp_path):
    write_data(tmp_path)
    write_config(tmp_path)
    (tmp_path / "runs").touch()
    done = neox("train", "tiny.yml", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "Not a directory" in done.stderr


def test_a_status_says_whose_run_it_is_while_it_lasts(tmp_path):
    write_data(tmp_path)
    write_config(tmp_path)
    (tmp_path / "look.py").write_text(
        "import json, pathlib\n"
        "def neox_train_start(run):\n"
        "    pathlib.Path('seen.json').write_text((run.directory / 'status.json').read_text())\n"
    )
    done = neox("-p", "look.py", "train", "tiny.yml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert seen["state"] == "running"
    assert seen["host"] == os.uname().nodename
    assert seen["pid"] > 1 and seen["started"] > 1e9


def test_a_status_says_that_a_run_failed_which_could_not_be_started(tmp_path):
    write_data(tmp_path)
    with socket.create_server(("", 0)) as taken:
        write_config(tmp_path, master_port=taken.getsockname()[1])
        done = neox("train", "tiny.yml", cwd=tmp_path)
    assert done.returncode == 2
    assert "is taken on this machine" in done.stderr
    (status,) = tmp_path.glob("runs/tiny/*/status.json")
    assert json.loads(status.read_text()) == {"state": "failed"}


def test_a_status_that_cannot_be_written_is_told(tmp_path, capsys):
    write_status(tmp_path / "gone", {"state": "done"})
    assert "status.json cannot be written: No such file or directory" in capsys.readouterr().err
