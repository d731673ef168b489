"""What a run may go on from, and where it may save: found before anything is launched."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from pathlib import Path

import pytest
import torch
from plugin_distributions import neox
from plugin_runs import listing, write_config, write_data

from neox_core import file_locks
from neox_core.checkpoint import Reader, SoloGroup, save
from neox_core.checkpoint.resolution import resolved_with
from neox_core.config import NeoXArgs, World, dump_yaml
from neox_core.config.entries import entries_of
from neox_core.config.loading import read_file
from neox_core.errors import UserError
from neox_core.files import make_directory
from neox_core.plugins import PluginManager
from neox_core.training import lock as lock_module
from neox_core.training.fragments import whole
from neox_core.training.load_choice import NOTHING
from neox_core.training.lock import DirectoryLock
from neox_core.training.optimizer_resuming import check_same_optimizer, check_same_state
from neox_core.training.resuming import check_saving, checkpoint_to_resume
from neox_core.training.start import prepare


@pytest.fixture
def resolve(tmp_path, monkeypatch):
    """Resolves the tiny configuration with changes, in a directory of its own."""
    monkeypatch.chdir(tmp_path)
    write_data(tmp_path)

    def resolved(**changes):
        path = write_config(tmp_path, **changes)
        return NeoXArgs(read_file(path), PluginManager()).resolve(World.local())

    return resolved


def write_checkpoint(resolved, directory, iteration=3, rows=None, **files):
    state = resolved_with(resolved) | ({"padded_vocab_size": rows} if rows else {})
    save(
        directory,
        iteration=iteration,
        fragments=[],
        state=state,
        files={"settings.yml": dump_yaml(resolved.values), **files},
        random_state=None,
        group=SoloGroup(),
    )


def test_nothing_to_load_is_an_error_unless_the_run_saves_there(resolve, tmp_path):
    notices = []
    assert checkpoint_to_resume(resolve(load="here", save="here"), notices.append) == NOTHING
    assert notices == ["load: there is no checkpoint in here yet: training begins anew"]
    for changes in ({"load": "tpyo", "save": "here"}, {"load": "tpyo"}):
        with pytest.raises(UserError, match="there is no checkpoint in tpyo"):
            checkpoint_to_resume(resolve(**changes), notices.append)


def test_a_file_is_no_directory_of_checkpoints(resolve, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file is not a directory"):
        checkpoint_to_resume(resolve(load="file", save="file"), print)
    with pytest.raises(UserError, match=r"file is not a directory"):
        check_saving(resolve(save="file/inside"), None)


def test_what_another_run_began_with_is_not_taken_for_ones_own(resolve, tmp_path):
    write_checkpoint(resolve(), tmp_path / "saved", iteration=0)
    with pytest.raises(UserError, match="saved holds global_step0, with which another run began"):
        check_saving(resolve(save="saved"), None)
    check_saving(resolve(save="saved", load="saved"), tmp_path / "saved/global_step0")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_cannot_be_written_to_is_found_before_the_run(resolve, tmp_path):
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(UserError, match="closed cannot be written to"):
        check_saving(resolve(save="closed/inside"), None)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"hidden_size": 32}, "hidden_size 16 \\(now 32\\)"),
        ({"layernorm_epsilon": 1e-6}, "layernorm_epsilon 1e-05 \\(now 1e-06\\)"),
        ({"vocab_size": 63, "make_vocab_size_divisible_by": 1}, "64 rows of the embedding \\(now 63\\)"),
    ],
)
def test_a_checkpoint_of_another_model_is_refused(resolve, tmp_path, change, named):
    write_checkpoint(resolve(), tmp_path / "saved")
    with pytest.raises(UserError, match=named):
        checkpoint_to_resume(resolve(load="saved", **change), print)


def test_a_vocabulary_that_nothing_says_yet_is_not_held_against_the_checkpoint(resolve, tmp_path):
    write_checkpoint(resolve(), tmp_path / "saved")
    resolved = resolve(load="saved", vocab_size=None)
    assert resolved.padded_vocab_size is None
    assert checkpoint_to_resume(resolved, print).path == Path("saved/global_step3")


def test_rows_of_the_embedding_are_those_of_the_checkpoint(resolve, tmp_path):
    """As where there were three tensor-parallel ranks, and is one now; the parent and the ranks know it."""
    write_checkpoint(resolve(), tmp_path / "saved", rows=72)
    resolved = resolve(load="saved", save="saved", use_checkpoint_lr_scheduler=True)
    assert resolved.padded_vocab_size == 64
    prepared = prepare(entries_of(resolved.values, "settings"), PluginManager(), default_name="run")
    assert prepared.resolved.padded_vocab_size == 72
    assert prepared.handover.resolve()[1].padded_vocab_size == 72


@pytest.mark.parametrize("change", [{"vocab_size": 65}, {"make_vocab_size_divisible_by": 4}])
def test_rows_that_were_padded_otherwise_are_not_taken(resolve, tmp_path, change):
    write_checkpoint(resolve(), tmp_path / "saved", rows=76)
    with pytest.raises(UserError, match="was saved with 76 rows of the embedding"):
        checkpoint_to_resume(resolve(load="saved", **change), print)


@pytest.mark.parametrize("mine", ["sm3", "lion", "muon"])
def test_an_optimizer_that_remembers_other_things_is_refused(resolve, tmp_path, mine):
    write_checkpoint(resolve(optimizer={"type": "AdamW"}), tmp_path / "saved")
    path = tmp_path / "saved" / "global_step3"
    words = rf"saved with optimizer.type adamw, which remembers step, exp_avg, exp_avg_sq; {mine} needs .*initial_ckpt_path: "
    with pytest.raises(UserError, match=words):
        check_same_optimizer(path, resolve(optimizer={"type": mine}), PluginManager())
    for alike in ("adam", "cpu_adam", "lamb"):
        check_same_optimizer(path, resolve(optimizer={"type": alike}), PluginManager())


def test_a_parameter_that_was_not_saved_is_no_matter_of_the_optimizer(resolve, tmp_path):
    write_checkpoint(resolve(), tmp_path / "saved")
    check_same_state(Reader(tmp_path / "saved" / "global_step3"), [whole("unknown", torch.zeros(2), "exp_avg")])


def test_another_tokenizer_is_refused(resolve, tmp_path):
    (tmp_path / "mine.json").write_text("{}")
    settings = {"vocab_file": "mine.json", "tokenizer_type": "HFTokenizer", "load": "saved"}
    write_checkpoint(resolve(**settings), tmp_path / "saved", **{"tokenizer.json": "{}"})
    assert checkpoint_to_resume(resolve(**settings), print).path is not None
    (tmp_path / "mine.json").write_text("{ }")
    with pytest.raises(UserError, match=r"another tokenizer than mine\.json"):
        checkpoint_to_resume(resolve(**settings), print)


@pytest.mark.parametrize(
    ("change", "named"), [({"seed": 9}, "seed changed"), ({"train_iters": 7}, "train_iters changed"), ({}, None)]
)
def test_changes_of_the_data_are_told(resolve, tmp_path, change, named):
    write_checkpoint(resolve(lr_decay_iters=6), tmp_path / "saved")
    notices = []
    checkpoint_to_resume(resolve(load="saved", lr_decay_iters=6, **change), notices.append)
    assert [notice.partition(" since")[0] for notice in notices] == ([named] if named else [])


@pytest.mark.parametrize(
    ("before", "named"),
    [({"dataset_impl": "online"}, None), ({"data_path": "data/tokens"}, "seed, dataset_impl changed")],
)
def test_nothing_moves_a_servers_samples_but_another_origin(resolve, tmp_path, before, named):
    write_checkpoint(resolve(lr_decay_iters=6, **before), tmp_path / "saved")
    notices = []
    changes = {"dataset_impl": "online", "seed": 9, "train_iters": 7, "lr_decay_iters": 6}
    checkpoint_to_resume(resolve(load="saved", **changes), notices.append)
    assert [notice.partition(" since")[0] for notice in notices] == ([named] if named else [])


def test_a_directory_is_saved_into_by_one_run_at_a_time(tmp_path):
    lock = DirectoryLock(tmp_path / "shared")
    with pytest.raises(UserError, match=f"process {os.getpid()} on .* is saving into"):
        DirectoryLock(tmp_path / "shared")
    lock.release()
    DirectoryLock(tmp_path / "shared").release()


def test_a_lock_that_cannot_be_had_is_told_in_a_sentence(tmp_path):
    (tmp_path / "shared/.lock").mkdir(parents=True)
    with pytest.raises(UserError, match=r"save: .*shared/\.lock cannot be written: .*Is a directory"):
        DirectoryLock(tmp_path / "shared")


def test_a_directory_that_another_process_removes_meanwhile_is_made_again(tmp_path, monkeypatch):
    removed = []

    def make(path):
        make_directory(path)
        if not removed:
            path.rmdir()
            removed.append(path)

    monkeypatch.setattr(file_locks, "make_directory", make)
    DirectoryLock(tmp_path / "new/shared").release()
    assert removed == [tmp_path / "new/shared"]


def test_of_a_lock_that_cannot_be_had_no_directory_is_left(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(lock_module, "_opened", lambda directory: make_directory(directory) or full())
    with pytest.raises(UserError, match="No space left"):
        DirectoryLock(tmp_path / "new/shared")
    assert not list(tmp_path.iterdir())


def test_where_there_are_no_locks_a_run_saves_all_the_same_and_says_so(tmp_path, monkeypatch, caplog):
    def unsupported(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    DirectoryLock(tmp_path / "shared").release()
    assert "the file system of" in caplog.text
    assert "has no locks" in caplog.text


@pytest.mark.slow
def test_a_second_run_into_a_directory_ends_at_once_and_harms_nothing(tmp_path):
    write_data(tmp_path)
    write_config(tmp_path, save="shared", load="shared")
    lock = DirectoryLock(tmp_path / "shared")
    before = listing(tmp_path / "shared")
    done = neox("train", "tiny.yml", cwd=tmp_path)
    assert done.returncode == 2
    assert "is saving into shared" in done.stderr
    assert listing(tmp_path / "shared") == before
    lock.release()
    assert neox("train", "tiny.yml", cwd=tmp_path).returncode == 0


@pytest.mark.slow
def test_state_that_cannot_be_saved_is_found_after_the_first_step(tmp_path):
    write_data(tmp_path)
    write_config(tmp_path, save="saved", optimizer={"type": "counting", "params": {}})
    (tmp_path / "counting.py").write_text(
        "import types\n"
        "from neox_core.plugins import Optimizer\n"
        "def build(groups, params):\n"
        "    import torch\n"
        "    class Counting(torch.optim.SGD):\n"
        "        def step(self):\n"
        "            super().step()\n"
        "            for group in self.param_groups:\n"
        "                for p in group['params']:\n"
        "                    self.state[p]['steps'] = 1\n"
        "    return Counting(groups, lr=0.1)\n"
        "def neox_components():\n"
        "    return [Optimizer(name='counting', summary='counts in int', factory='counting:build')]\n"
    )
    done = neox("-p", "counting.py", "train", "tiny.yml", cwd=tmp_path)
    assert done.returncode == 2
    assert "its state 'steps' of embedding.weight is int, which cannot be saved" in done.stderr
    (metrics,) = tmp_path.glob("runs/*/*/metrics.jsonl")
    assert not any(json.loads(line)["event"] == "step" for line in metrics.read_text().splitlines())
