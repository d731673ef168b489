"""`neox deepy ./work.py`: DeepSpeed's own launcher starts a program of the user's on ranks of this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
from launching import eventually, is_running
from plugin_distributions import NEOX, environment, neox

from neox_core.config import NeoXArgs
from neox_core.launch import free_port

pytestmark = pytest.mark.slow

MODEL = {"num_layers": 2, "hidden_size": 16, "num_attention_heads": 2, "seq_length": 8, "max_position_embeddings": 8}
TRAINING = {
    "train_iters": 5,
    "train_batch_size": 8,
    "train_micro_batch_size_per_gpu": 2,
    "optimizer": {"type": "adamw", "params": {"lr": 0.01}},
    "wandb_run_name": "with 'quotes' and $HOME",
}

WORKER = """
import json
from pathlib import Path

import torch
import torch.distributed as dist

from neox_core import NeoXArgs

args = NeoXArgs.consume_neox_args()
args.configure_distributed_args()
dist.init_process_group("gloo")
ranks = torch.tensor([args.rank])
dist.all_reduce(ranks)
seen = {
    "place": [args.local_rank, args.rank, args.world_size],
    "joined": [dist.get_rank(), dist.get_world_size(), ranks.item()],
    "settings": args.to_dict(),
    "origin": str(args.origin("num_layers")),
    "script": args.user_script,
    "batch": [args.deepspeed_config[key] for key in ("train_batch_size", "gradient_accumulation_steps")],
}
Path(f"seen-{args.rank}.json").write_text(json.dumps(seen))
dist.destroy_process_group()
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working directory with two configurations for ranks on CPUs, and an environment in which nobody says who and where."""
    for name in ("DS_ACCELERATOR", "LOCAL_SIZE", "MASTER_ADDR", "DLTS_HOSTFILE", "RANK", "LOCAL_RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "model.yml").write_text(json.dumps(MODEL))
    (tmp_path / "conf" / "training.yml").write_text(json.dumps({**TRAINING, "device": "cpu"}))
    return tmp_path


def test_every_rank_has_the_settings_and_its_place(place):
    (place / "work.py").write_text(WORKER)
    words = ["./work.py", "-d", "conf", "model", "training.yml", "num_gpus=2", "--wandb_group", "g"]
    done = neox("deepy", *words, cwd=place, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("settings:\n")
    files = [place / "conf" / "model.yml", place / "conf" / "training.yml"]
    expected = NeoXArgs.from_ymls(files, {"wandb_group": "g"}, overrides=["num_gpus=2"])
    for rank in range(2):
        assert json.loads((place / f"seen-{rank}.json").read_text()) == {
            "place": [rank, rank, 2],
            "joined": [rank, 2, 1],
            "settings": expected.to_dict(),
            "origin": "handed over",
            "script": "./work.py",
            "batch": [8, 2],
        }


def test_main_of_its_launcher_takes_the_words_as_they_are(place, monkeypatch):
    """The way of a wrapper script: nothing of ours is between the settings and DeepSpeed."""
    (place / "work.py").write_text(
        "from neox_core import NeoXArgs\nopen('seen', 'a').write(str(NeoXArgs.consume_neox_args().seed))\n"
    )
    (place / "wrapper.py").write_text(
        "from deepspeed.launcher import runner\n"
        "from neox_core import NeoXArgs\n"
        "args = NeoXArgs.consume_deepy_args()\n"
        "runner.main(args.get_deepspeed_main_args())\n"
    )
    words = [
        "wrapper.py",
        "work.py",
        "-d",
        "conf",
        "model",
        "training",
        "num_gpus=2",
        "seed=7",
        f"master_port={free_port()}",
    ]
    done = subprocess.run(
        [sys.executable, *words],
        cwd=place,
        env=environment(DS_ACCELERATOR="cpu"),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert (place / "seen").read_text() == "77"


def test_the_exit_code_is_that_of_the_rank_that_failed(place):
    (place / "work.py").write_text("raise SystemExit(7)\n")
    hosts = place / "hosts"
    hosts.write_text("localhost slots=1\n")  # no ssh is needed to reach this machine
    done = neox("deepy", "./work.py", "-d", "conf", "model", "training", "-H", "hosts", cwd=place, timeout=120)
    assert done.returncode == 7, done.stderr


def test_what_deepspeed_refuses_is_said_in_a_sentence(place):
    (place / "work.py").touch()
    (place / "hosts").write_text("localhost slots=2\nelsewhere slots=2\n")
    words = ["-H", "hosts", "launcher=slurm", "no_ssh_check=true", "master_addr=127.0.0.1"]
    done = neox("deepy", "./work.py", "-d", "conf", "model", "training", *words, cwd=place, timeout=120, PATH="")
    assert done.returncode == 2
    assert "error: DeepSpeed's launcher: launcher 'slurm' not installed." in done.stderr


def test_ending_it_ends_the_ranks(place):
    (place / "work.py").write_text(
        "import os, time\nopen(f'pid-{os.environ[\"RANK\"]}', 'w').write(str(os.getpid()))\ntime.sleep(60)\n"
    )
    command = [str(NEOX), "deepy", "./work.py", "-d", "conf", "model", "training", "num_gpus=2"]
    process = subprocess.Popen(
        command,
        cwd=place,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    files = [place / "pid-0", place / "pid-1"]
    try:
        eventually(lambda: all(file.exists() and file.read_text() for file in files), seconds=60)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 128 + signal.SIGTERM
        assert not [file.name for file in files if is_running(int(file.read_text()))]
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
