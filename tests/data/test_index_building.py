"""Several processes, and processes that are killed: an index is made once, and nobody sees a part of one."""

from __future__ import annotations

import errno
import fcntl
import os
import random
import signal
import time
from dataclasses import replace

import numpy as np
import pytest
from checkpoint_worlds import fork, wait
from counted_lines import Lines

from neox_core.data.samples import building
from neox_core.data.samples.array_files import ArrayFiles
from neox_core.data.samples.array_search import Recipe
from neox_core.data.samples.building import Builder, stored_arrays
from neox_core.data.samples.index_files import stored_index
from neox_core.data.samples.index_request import IndexRequest
from neox_core.errors import UserError

TRIALS = int(os.environ.get("NEOX_CRASH_TRIALS", "20"))
NAMES = ("doc_idx", "sample_idx", "shuffle_idx")
REQUEST = IndexRequest(
    pack="packed",
    sizes=np.arange(1, 60, dtype=np.int32),
    documents=np.arange(59, dtype=np.int32),
    demand=2000,
    seq_length=8,
    seed=7,
)
EXPECTED = REQUEST.build()


def is_right(index):
    return all(np.array_equal(getattr(index, name), getattr(EXPECTED, name)) for name in NAMES)


def make(base, **options):
    assert is_right(stored_index(base, REQUEST, Builder(**options)))


def contents(directory):
    """What there is, but for the lock, which is nobody's when whoever held it was killed."""
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.suffix != ".lock"}


def kill_in(work, line):
    def doomed():
        with Lines(kill_at=line, package="samples"):
            work()

    assert wait(fork(doomed)) == -signal.SIGKILL


def test_a_build_killed_at_any_moment_is_completed_by_the_next_while_another_rank_looks_on(tmp_path):
    seed = int(os.environ.get("NEOX_CRASH_SEED", random.randrange(2**32)))
    print(f"NEOX_CRASH_SEED={seed}")
    (tmp_path / "whole").mkdir()
    with Lines(package="samples") as lines:
        make(tmp_path / "whole" / "base")
    whole = contents(tmp_path / "whole")
    moments = random.Random(seed).choices(range(1, lines.count + 1), k=TRIALS)
    for trial, line in enumerate([*moments, lines.count]):
        directory = tmp_path / str(trial)
        reader = fork(lambda base=directory / "base": make(base, builds=False, limit=20))
        kill_in(lambda base=directory / "base": make(base), line)
        make(directory / "base")
        assert contents(directory) == whole
        assert wait(reader) == 0


def test_an_index_killed_while_it_replaces_an_incomplete_one_is_completed(tmp_path):
    def incomplete(directory):
        make(directory / "base")
        (directory / "base_shuffle_idx.npy").unlink()

    incomplete(tmp_path / "count")
    with Lines(package="samples") as lines:
        make(tmp_path / "count" / "base")
    whole = contents(tmp_path / "count")
    for trial, line in enumerate(random.choices(range(1, lines.count + 1), k=TRIALS // 4)):
        incomplete(tmp_path / str(trial))
        kill_in(lambda base=tmp_path / str(trial) / "base": make(base), line)
        make(tmp_path / str(trial) / "base")
        assert contents(tmp_path / str(trial)) == whole


def test_processes_that_start_together_make_one_index(tmp_path):
    def build():
        with (tmp_path / "built").open("a") as stream:
            stream.write("x")
        time.sleep(0.2)
        return {"numbers": np.arange(5)}

    def work(builds):
        arrays = stored_arrays(ArrayFiles(tmp_path / "base", ("numbers",)), Recipe("d", build), Builder(builds=builds))
        assert arrays["numbers"].tolist() == [0, 1, 2, 3, 4]

    children = [fork(lambda builds=rank % 2 == 0: work(builds)) for rank in range(8)]
    assert [wait(child) for child in children] == [0] * 8
    assert (tmp_path / "built").read_text() == "x"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base_index.json", "base_numbers.npy", "built"]


def test_a_rank_that_waits_says_so_and_gives_up_at_its_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(building, "_NEWS", 0.05)
    said = []
    with pytest.raises(UserError, match=r"base_index\.json did not appear in .* use_shared_fs: false"):
        stored_index(tmp_path / "base", REQUEST, Builder(builds=False, say=said.append, limit=0.3))
    assert 2 <= len(said) <= 6
    assert f"Waiting for {tmp_path}/base_index.json" in said[0]
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_is_not_given_back_is_named(tmp_path):
    with (tmp_path / ".base.lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        with pytest.raises(UserError, match=r"held the lock .*/\.base\.lock .*data_cache_path"):
            stored_index(tmp_path / "base", REQUEST, Builder(limit=0.1))
    make(tmp_path / "base")


def test_a_file_system_without_locks_will_do(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    (tmp_path / ".base_doc_idx.npy.1.tmp").write_text("another process may be writing this")
    make(tmp_path / "base")
    assert (tmp_path / ".base_doc_idx.npy.1.tmp").exists()


def test_what_a_killed_process_left_is_removed(tmp_path):
    apart = f"base_{REQUEST.digest()[:8]}"
    for left in (".base_doc_idx.npy.1.tmp", f".{apart}_doc_idx.npy.1.tmp", ".base.lock"):
        (tmp_path / left).write_text("half an array")
    make(tmp_path / "base")
    assert sorted(contents(tmp_path)) == [
        "base_doc_idx.npy",
        "base_index.json",
        "base_sample_idx.npy",
        "base_shuffle_idx.npy",
    ]


def test_arrays_of_other_data_are_checked_once_while_a_rank_waits(tmp_path):
    files = ArrayFiles(tmp_path / "base", ("numbers",))
    np.save(files.path("numbers"), np.arange(3))
    looked = []

    def adopts(arrays):
        looked.append(arrays["numbers"].tolist())
        return False

    recipe = Recipe("d", lambda: {"numbers": np.arange(4)}, adopts)
    with pytest.raises(UserError, match="did not appear"):
        stored_arrays(files, recipe, Builder(builds=False, limit=0.3))
    assert looked == [[0, 1, 2]]


def test_an_index_that_is_replaced_stays_readable_where_it_is_mapped(tmp_path):
    mapped = stored_index(tmp_path / "base", REQUEST, Builder())
    (tmp_path / "base_doc_idx.npy").unlink()
    stored_index(tmp_path / "base", replace(REQUEST, seed=8), Builder())
    make(tmp_path / "base")
    assert is_right(mapped)
