"""From token files to the datasets of a run."""

from __future__ import annotations

import numpy as np
import pytest

from neox_core.data.datasets import Mixing, Sampling, cut_datasets, epoch_samples, listed_datasets
from neox_core.data.named import Part
from neox_core.data.samples.blend import Blend
from neox_core.data.samples.blending import Stage, blend_index
from neox_core.data.samples.building import Builder
from neox_core.data.samples.document_files import DocumentFiles
from neox_core.data.samples.documents import Documents
from neox_core.data.samples.text import TextDataset
from neox_core.data.splits import SampleCounts
from neox_core.data.token_files import TokenFileWriter
from neox_core.errors import UserError

COUNTS = SampleCounts(train=32, valid=4, test=4)
FOUR = Sampling(seq_length=4, seed=1)


def part(*files, **options):
    return Part(tuple(DocumentFiles(file.prefix) for file in files), **options)


def origins(dataset, count=None):
    """The file that each sample comes from, by the last letter of its name."""
    return "".join(dataset.sources(i)["text"][0].prefix[-1] for i in range(count or len(dataset)))


def test_parts_read_different_documents_under_gpt_neox_s_names(make_token_file):
    file = make_token_file([10] * 80)
    datasets = cut_datasets(DocumentFiles(file.prefix), "900,60,40", COUNTS, FOUR)
    parts = [datasets.train, datasets.valid, datasets.test]
    assert [found.name for found in parts] == ["train", "valid", "test"]
    assert [sorted(set(found.index.doc_idx.tolist())) for found in parts] == [
        list(range(72)),
        list(range(72, 77)),
        list(range(77, 80)),
    ]


@pytest.mark.parametrize("pack", ["pack_until_overflow", "unpacked"])
def test_whole_documents_are_those_of_their_part_except_in_gpt_neox(make_token_file, pack):
    file = make_token_file([3] * 20)
    counts = SampleCounts(train=40, valid=40, test=40)
    sampling = {"seq_length": 6, "seed": 1, "pack": pack}
    found = cut_datasets(DocumentFiles(file.prefix), "10,5,5", counts, Sampling(**sampling))
    assert set(found.valid.index.doc_idx.tolist()) == set(range(10, 15))
    theirs = cut_datasets(DocumentFiles(file.prefix), "10,5,5", counts, Sampling(**sampling, compat=True))
    assert set(theirs.valid.index.doc_idx.tolist()) == set(range(5))


def test_a_part_without_documents_has_no_dataset(make_token_file):
    datasets = cut_datasets(DocumentFiles(make_token_file([50, 50]).prefix), "1", COUNTS, FOUR)
    assert datasets.train is not None
    assert (datasets.valid, datasets.test) == (None, None)


def test_one_path_is_read_whole(make_token_file):
    datasets = listed_datasets({"train": part(make_token_file([50, 50]))}, COUNTS, FOUR)
    assert isinstance(datasets.train, TextDataset)
    assert datasets.train.name == "train_0"
    assert set(datasets.train.index.doc_idx.tolist()) == {0, 1}
    assert datasets.train.windows >= 33  # ceil(32 * 1.005)
    assert (datasets.valid, datasets.test) == (None, None)


def test_several_paths_are_blended_by_weight(make_token_file):
    files = [make_token_file([500], name) for name in ("a", "b")]
    paths = {"train": part(*files, weights=[1, 3]), "valid": part(*files)}
    datasets = listed_datasets(paths, COUNTS, FOUR)
    assert isinstance(datasets.train, Blend)
    assert [dataset.name for dataset in datasets.train.datasets] == ["train_0", "train_1"]
    assert [dataset.name for dataset in datasets.valid.datasets] == ["valid_0", "valid_1"]
    assert origins(datasets.train, 100).count("b") == 75
    assert origins(datasets.valid, 100).count("b") == 50
    assert datasets.test is None


def test_paths_are_weighed_by_their_documents(make_token_file):
    files = [make_token_file([40] * 10, "a"), make_token_file([40] * 90, "b")]
    mixing = Mixing(by_documents=True, alpha=0.5)
    found = listed_datasets({"train": part(*files)}, COUNTS, FOUR, mixing).train
    assert origins(found, 200).count("a") == 50  # sqrt(0.1) : sqrt(0.9) = 1 : 3


def test_weights_change_from_stage_to_stage(make_token_file):
    files = [make_token_file([2000], name) for name in ("a", "b", "c")]
    stages = (Stage(20, (1.0, 0.0, 0.0)), Stage(30, (0.5, 0.5, 0.0)), Stage(10, (0.0, 0.0, 1.0)))
    found = listed_datasets({"train": part(*files)}, COUNTS, FOUR, Mixing(stages=stages)).train
    assert len(found) == 60
    names = origins(found)
    assert (names[:20], names[50:]) == ("a" * 20, "c" * 10)
    assert (names[20:50].count("a"), names[20:50].count("b")) == (15, 15)
    tokens = [tuple(found[i]["text"].tolist()) for i in range(60)]
    numbered = list(zip(names, tokens, strict=True))
    assert len(set(numbered)) == 60  # each file goes on where it was


def test_a_file_that_runs_out_gives_its_last_window_before_it_begins_again(make_token_file):
    files = [make_token_file([4 * 10 + 1], "a"), make_token_file([400], "b")]
    stages = (Stage(40, (0.5, 0.5)),)
    sampling = Sampling(seq_length=4, seed=1, compat=True)
    datasets = listed_datasets({"train": part(*files)}, COUNTS, sampling, Mixing(stages=stages)).train.datasets
    blend = Blend(datasets, blend_index([Stage(60, (1.0, 0.0))]))
    windows = datasets[0].windows
    assert [blend[i]["text"].tolist() for i in range(windows + 2)] == [
        datasets[0][i]["text"].tolist()
        for i in (*range(windows), windows % (windows - 1), (windows + 1) % (windows - 1))
    ]


def test_stages_are_those_of_training_only(make_token_file):
    files = [make_token_file([2000], name) for name in ("a", "b")]
    mixing = Mixing(stages=(Stage(20, (1.0, 0.0)),))
    found = listed_datasets({"train": part(*files), "valid": part(*files)}, COUNTS, FOUR, mixing)
    assert origins(found.train) == "a" * 20
    assert origins(found.valid, 4).count("b") == 2


def test_samples_say_where_documents_begin_if_they_are_to(make_token_file):
    sampling = Sampling(seq_length=4, seed=1, with_documents=True)
    found = listed_datasets({"train": part(make_token_file([3] * 20))}, COUNTS, sampling).train
    assert found.names == {"text", "document"}
    assert found[0]["document"][0] == 0


def test_the_seed_decides_the_order(make_token_file):
    file = make_token_file([3] * 40)
    orders = [
        listed_datasets({"train": part(file)}, COUNTS, Sampling(seq_length=4, seed=seed)).train.index.doc_idx.tolist()
        for seed in (1, 2, 2)
    ]
    assert orders[0] != orders[1] == orders[2]


@pytest.mark.parametrize(
    ("pack", "compat", "serve"),
    [
        ("unpacked", False, {1, 2}),
        ("unpacked", True, {0, 1}),
        ("pack_until_overflow", False, {0, 1, 2}),
        ("pack_until_overflow", True, {0, 1, 2}),
    ],
)
def test_labels_are_looked_for_where_they_are_predicted(make_token_file, tmp_path, pack, compat, serve):
    file = make_token_file([6, 6, 6, 6])
    with TokenFileWriter(tmp_path / "labels", "int32") as writer:
        for place in (0, 3, 4, 5):  # the last one is beyond a sample
            writer.add(np.where(np.arange(6) == place, 1, -100))
    files = DocumentFiles(file.prefix, label=str(tmp_path / "labels"))
    sampling = Sampling(seq_length=4, seed=1, pack=pack, compat=compat)
    found = listed_datasets({"train": Part((files,))}, COUNTS, sampling).train
    assert set(found.index.doc_idx.tolist()) == serve


def test_warming_up_reads_all_files_that_are_opened(make_token_file, monkeypatch):
    warmed = []
    monkeypatch.setattr(Documents, "warm", lambda documents: warmed.append(documents.files.text))
    files = [make_token_file([50], name) for name in ("a", "b")]
    for warm in (False, True):
        listed_datasets({"train": part(*files)}, COUNTS, Sampling(seq_length=4, seed=1, warm=warm))
    assert warmed == [file.prefix for file in files]


def test_an_epoch_takes_every_sample_of_every_file_once(make_token_file):
    files = [make_token_file([401], "a"), make_token_file([41], "b")]
    sampling = Sampling(seq_length=4, seed=1)
    found = listed_datasets({"train": part(*files)}, SampleCounts.of_one_epoch(), sampling).train
    assert (len(found), origins(found).count("b")) == (100 + 10, 10)
    assert len({(name, *found[i]["text"].tolist()) for i, name in enumerate(origins(found))}) == 110
    assert epoch_samples(part(*files), "1", sampling) == 110
    theirs = Sampling(seq_length=4, seed=1, compat=True)
    compat = listed_datasets({"train": part(*files)}, SampleCounts.of_one_epoch(), theirs).train
    assert origins(compat).count("b") == 54
    assert epoch_samples(part(*files), "1", theirs) == len(compat) == 99 + 9


@pytest.mark.parametrize("pack", ["packed", "pack_until_overflow", "unpacked"])
def test_a_run_has_as_many_samples_as_it_takes(make_token_file, pack):
    file = make_token_file([5] * 30)
    counts = SampleCounts(train=40, valid=0, test=0)
    found = cut_datasets(DocumentFiles(file.prefix), "1", counts, Sampling(seq_length=4, seed=1, pack=pack)).train
    assert len(found) >= 40


def test_an_epoch_of_a_cut_file_is_that_of_its_training_part(make_token_file):
    files = DocumentFiles(make_token_file([30, 11, 500]).prefix)
    assert epoch_samples(files, "2,1", FOUR) == len(cut_datasets(files, "2,1", SampleCounts.of_one_epoch(), FOUR).train)


def test_missing_data_path_is_named(tmp_path):
    with pytest.raises(UserError, match="nowhere"):
        cut_datasets(DocumentFiles(str(tmp_path / "nowhere")), "1", COUNTS, FOUR)


def test_blended_files_of_which_only_some_have_labels_are_refused(make_token_file):
    one, other = (make_token_file([100], name) for name in ("a", "b"))
    files = (DocumentFiles(one.prefix, label=one.prefix), DocumentFiles(other.prefix))
    with pytest.raises(UserError, match="Some of the 2 datasets that are blended have label"):
        listed_datasets({"train": Part(files)}, COUNTS, FOUR)


def test_indices_are_kept_beside_the_files_or_where_they_are_wanted(make_token_file, tmp_path):
    file = make_token_file([500])
    kept = tmp_path / "kept"
    kept.mkdir()
    name = "tokens_train_0_indexmap_33ns_4sl_1s_packedpi_ac_doc_idx.npy"
    for directory, expected in ((None, tmp_path), (kept, kept)):
        sampling = Sampling(seq_length=4, seed=1, directory=directory, builder=Builder())
        stored = listed_datasets({"train": part(file)}, COUNTS, sampling).train
        assert (expected / name).exists()
        assert np.array_equal(stored.index.doc_idx, np.load(expected / name))
    in_memory = listed_datasets({"train": part(file)}, COUNTS, FOUR).train
    assert [in_memory[i]["text"].tolist() for i in range(40)] == [stored[i]["text"].tolist() for i in range(40)]


def test_long_documents_are_left_out_where_they_must_not_be_cut(make_token_file):
    file = make_token_file([3, 9, 5, 4])
    sampling = Sampling(seq_length=4, seed=1, pack="unpacked", allow_chopped=False)
    found = listed_datasets({"train": part(file)}, COUNTS, sampling).train
    assert set(found.index.doc_idx.tolist()) == {0, 2, 3}


def test_documents_without_anything_to_predict_are_left_out(make_token_file, tmp_path):
    file = make_token_file([3, 3, 3])
    with TokenFileWriter(tmp_path / "labels", "int32") as writer:
        for labels in ([-100, 1, 2], [-100, -100, -100], [6, 7, 8]):
            writer.add(np.array(labels))
    files = DocumentFiles(file.prefix, label=str(tmp_path / "labels"))
    sampling = Sampling(seq_length=4, seed=1, pack="unpacked")
    found = listed_datasets({"train": Part((files,))}, COUNTS, sampling).train
    assert set(found.index.doc_idx.tolist()) == {0, 2}
