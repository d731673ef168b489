"""What is told of a run's data before it starts: the key that names the file, and what is wrong with it."""

from __future__ import annotations

import numpy as np
import pytest
from small_settings import MODEL

from neox_core.config import NeoXArgs, World
from neox_core.data.token_files import TokenFileWriter
from neox_core.training.data_checks import data_problems
from neox_core.training.datasets import count_epoch_samples, sampling_of


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        with TokenFileWriter(name, "uint16") as writer:
            for _ in range(20):
                writer.add(np.arange(9))
    return tmp_path


def resolve(**values):
    return NeoXArgs.from_dict({**MODEL, "vocab_size": 64, **values}).resolve(World.local(1), 64)


PAIRS = {"dataset_impl": "pairwise", "pack_impl": "unpacked", "pos_train_data_paths": ["a"]}


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"train_data_paths": ["no"]}, "train_data_paths: no.idx"),
        ({"train_data_paths": ["a"], "train_label_data_paths": ["no"]}, "train_label_data_paths: no.idx"),
        ({"train_data_paths": ["a"], "train_reward_data_paths": ["no"]}, "train_reward_data_paths: no.idx"),
        ({"train_data_paths": ["a"], "precompute_model_name": "M"}, "precompute_model_name: a_M.idx"),
        ({**PAIRS, "neg_train_data_paths": ["no"]}, "neg_train_data_paths: no.idx"),
        ({"data_path": "a", "split": "0,1"}, "split: '0,1' leaves nothing for training"),
        ({"data_path": "a", "split": "9,1", "data_cache_path": "a.bin"}, "data_cache_path: a.bin is a file"),
        ({"data_path": "a", "split": "9,1", "data_cache_path": "a.bin/x/y"}, "data_cache_path: a.bin is a file"),
    ],
)
def test_a_problem_is_that_of_the_key_that_names_the_file(data, values, says):
    (problem,) = data_problems(resolve(**values))
    assert says in str(problem)


def test_files_that_are_in_order_are_no_problem(data):
    values = {**PAIRS, "neg_train_data_paths": ["b"], "data_cache_path": "not/there/yet"}
    assert data_problems(resolve(**values)) == []
    assert not (data / "not").exists()


@pytest.mark.parametrize("wanted", [True, False])
def test_files_are_read_before_by_one_process_of_each_host_if_that_is_wanted(data, wanted):
    resolved = resolve(data_path="a", mmap_warmup=wanted)
    assert [sampling_of(resolved, warms=warms).warm for warms in (True, False)] == [wanted, False]


def test_without_training_data_no_epoch_is_counted(data):
    assert count_epoch_samples(resolve(train_iters=None, train_epochs=1, valid_data_paths=["a"])) is None
    assert count_epoch_samples(resolve(train_iters=None, train_epochs=1, train_data_paths=["a"])) == 22


def test_a_part_that_nobody_takes_may_be_empty(data):
    (problem,) = data_problems(resolve(data_path="a", split="90, 9, 1"))
    assert "'90, 9, 1' leaves test none of the 20 documents" in str(problem)
    assert data_problems(resolve(data_path="a", split="90, 9, 1", eval_iters=0)) == []
