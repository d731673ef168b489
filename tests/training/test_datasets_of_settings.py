"""From settings to datasets: which files, in which parts, for how long."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_settings import MODEL

from neox_core.config import NeoXArgs, World
from neox_core.data.named import listed_parts
from neox_core.data.samples.building import Builder
from neox_core.data.token_files import TokenFileWriter
from neox_core.training.batches import Batches
from neox_core.training.datasets import open_datasets


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("a", "b", "c", "d")):
        with TokenFileWriter(name, "uint16") as writer:
            for _ in range(60):
                writer.add(np.full(9, 10 * number))
    return tmp_path


def resolve(ranks=1, **values):
    return NeoXArgs.from_dict({**MODEL, "vocab_size": 64, "num_workers": 0, **values}).resolve(World.local(ranks), 64)


def file_of(dataset, i):
    return dataset.sources(i)["text"][0].prefix


def test_stages_end_after_their_steps(data):
    stages = [{"weights": [1, 0], "until": 3}, {"weights": [0, 1], "until": 5}, {"weights": [1, 0]}]
    resolved = resolve(
        train_iters=6, train_batch_size=4, train_data_paths=["a", "b"], valid_data_paths=["c"], train_data_stages=stages
    )
    train = open_datasets(resolved).train
    assert "".join(file_of(train, i) for i in range(len(train))) == "a" * 12 + "b" * 8 + "a" * 4


def test_stages_beyond_the_end_are_left_out(data):
    stages = [{"weights": [1, 0], "until": 4}, {"weights": [0, 1], "until": 400}, {"weights": [1, 0]}]
    resolved = resolve(train_iters=6, train_batch_size=4, train_data_paths=["a", "b"], train_data_stages=stages)
    train = open_datasets(resolved).train
    assert "".join(file_of(train, i) for i in range(len(train))) == "a" * 16 + "b" * 8


PAIRS = {
    f"{side}_{part}_data_paths": [f"{side}/{part}"] for side in ("pos", "neg") for part in ("train", "valid", "test")
}
PAIR_LABELS = {key.replace("_data", "_label_data"): [f"{value[0]}/label"] for key, value in PAIRS.items()}


def test_each_side_of_each_part_has_its_own_files():
    parts = listed_parts(resolve(dataset_impl="pairwise", pack_impl="unpacked", **PAIRS, **PAIR_LABELS))
    assert {
        (split, side): [(files.text, files.label) for files in found]
        for split, part in parts.items()
        for side, found in (("pos", part.files), ("neg", part.against))
    } == {
        (split, side): [(f"{side}/{split}", f"{side}/{split}/label")]
        for split in ("train", "valid", "test")
        for side in ("pos", "neg")
    }


def test_each_part_of_text_has_its_own_files():
    texts = {f"{part}_data_paths": [part] for part in ("train", "valid", "test")}
    others = {
        f"{part}_{kind}_data_paths": [f"{part}/{kind}"]
        for part in ("train", "valid", "test")
        for kind in ("label", "reward")
    }
    weights = {"train_data_weights": [1.0], "valid_data_weights": [2.0], "test_data_weights": [3.0]}
    parts = listed_parts(resolve(**texts, **others, **weights, precompute_model_name="M"))
    for weight, (split, part) in enumerate(parts.items(), start=1):
        (files,) = part.files
        assert (files.text, files.label, files.reward) == (split, f"{split}/label", f"{split}/reward")
        assert (files.ref, list(part.weights), part.key) == (f"{split}_M", [weight], f"{split}_data_paths")


def test_indices_lie_where_they_are_wanted(data):
    open_datasets(resolve(data_path="a", split="1", data_cache_path="cache"), Builder())
    assert list(Path("cache").glob("a_train_indexmap_*_ac_doc_idx.npy"))
    assert not list(Path().glob("*indexmap*"))


def test_the_name_of_an_index_says_whether_long_documents_are_cut(data):
    for cut in (True, False):
        open_datasets(resolve(data_path="a", split="1", pack_impl="unpacked", allow_chopped=cut), Builder())
    names = sorted(path.name.split("unpackedpi")[1] for path in Path().glob("*_doc_idx.npy"))
    assert names == ["_ac_doc_idx.npy", "_doc_idx.npy"]


@pytest.mark.parametrize(("compat", "epoch"), [(None, 60), ("gpt-neox", 66)])
def test_the_end_of_the_data_does_not_depend_on_how_a_step_is_divided(data, compat, epoch):
    """With the defect it does: there, what fills micro-batches of all ranks is taken."""
    shared = {"data_path": "a", "split": "1", "seq_length": 8, "train_epochs": 3, "train_iters": None, "compat": compat}
    resolved = resolve(**shared, train_batch_size=12, train_micro_batch_size_per_gpu=6)
    train = open_datasets(resolved).train
    assert len(train) == (66 if compat else 67)
    batches = Batches(train, resolved, 0, (), None)
    assert batches.numbers(epoch) == batches.numbers(0) == list(range(6))
