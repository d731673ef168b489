from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given, strategies as st

from neox_core.data.blend import Blend
from neox_core.data.dataset import PackedDataset
from neox_core.data.loader import BatchLoader
from neox_core.data.split import DataPaths, SampleCounts, blended_datasets, split_boundaries, split_datasets
from neox_core.errors import UserError


@pytest.mark.parametrize(
    ("split", "documents", "boundaries"),
    [
        ("969, 30, 1", 1017, (0, 985, 1016, 1017)),
        ("900,60,40", 80, (0, 72, 77, 80)),
        ("969/30/1", 1017, (0, 985, 1016, 1017)),
        ("1", 10, (0, 10, 10, 10)),
        ("3,1", 8, (0, 6, 8, 8)),
        ("1,1,1,5", 9, (0, 3, 6, 9)),
        ("1,1,1", 10, (0, 4, 7, 10)),
        ("0,1,1", 3, (0, 0, 1, 3)),
    ],
)
def test_split_is_rounded_as_gpt_neox_rounds(split, documents, boundaries):
    assert split_boundaries(split, documents) == boundaries


@given(
    parts=st.lists(st.integers(0, 1000), min_size=1, max_size=3).filter(any),
    separator=st.sampled_from([",", ", ", "/"]),
    documents=st.integers(0, 10**7),
)
def test_boundaries_ascend_from_none_to_all(parts, separator, documents):
    boundaries = split_boundaries(separator.join(map(str, parts)), documents)
    assert boundaries[0] == 0
    assert boundaries[-1] == documents
    assert list(boundaries) == sorted(boundaries)


@pytest.mark.parametrize("split", ["", "a,b", "90,,10", "0,0,0", "9,-1,1", "nan", "inf,1", "9;1"])
def test_what_is_no_split_is_refused(split):
    with pytest.raises(UserError, match=rf"^split: {split!r} is no split; .*969, 30, 1"):
        split_boundaries(split, 10)


def test_counts_of_a_run():
    counts = SampleCounts.of_run(train_iters=2500, eval_interval=1000, eval_iters=10, batch_size=4)
    assert counts == SampleCounts(train=10000, valid=3 * 10 * 4, test=40)


def golden_datasets(config, directory):
    counts = SampleCounts.of_run(
        train_iters=config["train_iters"],
        eval_interval=config["eval_interval"],
        eval_iters=config["eval_iters"],
        batch_size=config["train_micro_batch_size_per_gpu"],
    )
    return split_datasets(
        str(directory / config["data_path"]),
        config["split"],
        counts=counts,
        seq_length=config["seq_length"],
        seed=config["seed"],
    )


@pytest.mark.parametrize("name", ["pythia", "base"])
def test_batches_equal_those_that_gpt_neox_trained_on(golden_directory, name):
    golden = json.loads((golden_directory / f"{name}.json").read_text())
    datasets = golden_datasets(golden["config"], golden_directory)
    loader = BatchLoader(datasets.train, golden["config"]["train_micro_batch_size_per_gpu"])
    for i, recorded in enumerate(golden["batches"]):
        batch = next(loader)
        if i == 0:
            assert batch["tokens"][0].tolist() == golden["tokens_row0"]
        for field in ("tokens", "labels"):
            assert hashlib.sha256(batch[field].numpy().tobytes()).hexdigest()[:16] == recorded[field]
        assert batch["loss_mask"].sum().item() == recorded["mask_sum"]


def test_splits_read_different_documents_under_gpt_neox_s_names(golden_directory):
    golden = json.loads((golden_directory / "base.json").read_text())
    datasets = golden_datasets(golden["config"], golden_directory)
    parts = [datasets.train, datasets.valid, datasets.test]
    assert [part.name for part in parts] == ["train", "valid", "test"]
    assert [sorted(set(part.index.doc_idx.tolist())) for part in parts] == [
        list(range(72)),
        list(range(72, 77)),
        list(range(77, 80)),
    ]


def test_split_without_documents_has_no_dataset(make_token_file):
    file = make_token_file([50, 50])
    counts = SampleCounts(train=4, valid=4, test=4)
    datasets = split_datasets(file.prefix, "1", counts=counts, seq_length=4, seed=1)
    assert datasets.train is not None
    assert (datasets.valid, datasets.test) == (None, None)


COUNTS = SampleCounts(train=32, valid=4, test=4)


def test_one_path_is_read_whole(make_token_file):
    file = make_token_file([50, 50])
    datasets = blended_datasets({"train": DataPaths([file.prefix])}, counts=COUNTS, seq_length=4, seed=1)
    assert isinstance(datasets.train, PackedDataset)
    assert datasets.train.name == "train_0"
    assert set(datasets.train.index.doc_idx.tolist()) == {0, 1}
    assert datasets.train.windows >= 33  # ceil(32 * 1.005)
    assert (datasets.valid, datasets.test) == (None, None)


def test_several_paths_are_blended_by_weight(make_token_file):
    prefixes = [make_token_file([500], name).prefix for name in ("a", "b")]
    paths = {"train": DataPaths(prefixes, [1, 3]), "valid": DataPaths(prefixes), "test": DataPaths([])}
    datasets = blended_datasets(paths, counts=COUNTS, seq_length=4, seed=1)
    assert isinstance(datasets.train, Blend)
    assert [dataset.name for dataset in datasets.train.datasets] == ["train_0", "train_1"]
    assert [dataset.name for dataset in datasets.valid.datasets] == ["valid_0", "valid_1"]
    assert datasets.test is None


def test_missing_data_path_is_named(tmp_path):
    with pytest.raises(UserError, match="nowhere"):
        split_datasets(str(tmp_path / "nowhere"), "1", counts=COUNTS, seq_length=4, seed=1)
