from __future__ import annotations

import json
import random

import numpy as np
import pytest

from neox_core.data.corpora import Corpus, Document
from neox_core.data.preparing.embedded import prepare
from neox_core.data.token_files import open_tokens
from neox_core.data.tokenizers import load_tokenizer
from neox_core.errors import UserError


def corpus_of(seeds, name="tiny"):
    def documents():
        for seed in seeds:
            words = random.Random(seed).choices(["alpha", "beta", "gamma", "delta", "epsilon"], k=80)
            yield Document(f"text-{seed}", f"{seed * 7919} " + " ".join(words))

    return Corpus(name, documents)


CORPUS = corpus_of(range(150))


def outputs(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.fixture
def prepared(tmp_path):
    return prepare(CORPUS, tmp_path, vocab_size=300)


def test_files_hold_the_documents(prepared):
    tokenizer = load_tokenizer("HFTokenizer", prepared.tokenizer_file)
    decoded = {}
    for split in ("train", "valid"):
        file = open_tokens(prepared.prefix(split))
        counts = getattr(prepared, split)
        assert (len(file), int(file.sizes.sum())) == (counts.documents, counts.tokens)
        assert file.dtype == np.uint16
        assert all(document[-1] == tokenizer.eod_id for document in file)
        decoded[split] = [tokenizer.decode(document[:-1].tolist()) for document in file]
        assert sum(map(len, decoded[split])) == counts.bytes
    texts = [document.text for document in CORPUS.documents()]
    assert sorted(decoded["train"] + decoded["valid"]) == sorted(texts)
    assert decoded["train"] == [text for text in texts if text in set(decoded["train"])]
    assert len(decoded["valid"]) > 0


def test_end_of_document_can_be_left_out(tmp_path):
    prepared = prepare(CORPUS, tmp_path, vocab_size=300, append_eod=False)
    assert all(0 not in document for document in open_tokens(prepared.prefix("train")))


def test_second_time_changes_nothing(prepared, tmp_path):
    times = {path: path.stat().st_mtime_ns for path in prepared.directory.iterdir()}
    again = prepare(CORPUS, tmp_path, vocab_size=300)
    assert again.reused
    assert not prepared.reused
    assert (again.train, again.valid, again.vocab_size) == (prepared.train, prepared.valid, prepared.vocab_size)
    assert {path: path.stat().st_mtime_ns for path in prepared.directory.iterdir()} == times


def test_same_source_gives_the_same_bytes(prepared, tmp_path):
    other = prepare(CORPUS, tmp_path / "other", vocab_size=300)
    assert outputs(other.directory) == outputs(prepared.directory)


@pytest.mark.parametrize(
    ("corpus", "options"),
    [
        (corpus_of(range(151)), {"vocab_size": 300}),
        (CORPUS, {"vocab_size": 290}),
        (CORPUS, {"vocab_size": 300, "append_eod": False}),
        (CORPUS, {"vocab_size": 300, "force": True}),
    ],
)
def test_other_text_other_options_or_force_prepare_again(prepared, tmp_path, corpus, options):
    assert not prepare(corpus, tmp_path, **options).reused


@pytest.mark.parametrize(
    "name",
    ["prepared.json", "tokenizer.json", "train_text_document.bin", "valid_text_document.idx"],
)
@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_damaged_output_is_made_again(prepared, tmp_path, name, damage):
    before = outputs(prepared.directory)
    path = prepared.directory / name
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-3])
    assert not prepare(CORPUS, tmp_path, vocab_size=300).reused
    assert outputs(prepared.directory) == before


def test_record_says_what_was_made_from_what(prepared):
    record = json.loads((prepared.directory / "prepared.json").read_text())
    assert record["source"]["corpus"] == "tiny"
    assert set(record["outputs"]) == {path.name for path in prepared.directory.iterdir()} - {"prepared.json"}
    assert record["counts"]["train"]["documents"] == prepared.train.documents


def test_interrupted_preparation_is_not_taken_for_a_finished_one(prepared, tmp_path):
    def interrupt(stage, done, total):
        if "valid" in stage:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(CORPUS, tmp_path, vocab_size=300, force=True, progress=interrupt)
    assert not list(prepared.directory.glob(".*"))
    assert not prepare(CORPUS, tmp_path, vocab_size=300).reused


def test_progress_goes_through_the_stages(tmp_path):
    calls = []
    prepare(CORPUS, tmp_path, vocab_size=300, progress=lambda *call: calls.append(call))
    assert list(dict.fromkeys(stage for stage, _, _ in calls)) == [
        "reading",
        "holding out",
        "training the tokenizer",
        "tokenizing train_text_document",
        "tokenizing valid_text_document",
    ]
    assert all(done <= total for _, done, total in calls if total)
    finished = {stage for stage, done, total in calls if done == total}
    assert finished == {stage for stage, _, _ in calls}


def test_corpus_too_small_to_split_is_refused_and_nothing_written(tmp_path):
    with pytest.raises(UserError, match="both need at least one"):
        prepare(corpus_of(range(1)), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_too_small_vocabulary_leaves_what_was_there(prepared, tmp_path):
    before = outputs(prepared.directory)
    with pytest.raises(UserError, match="vocab_size"):
        prepare(CORPUS, tmp_path, vocab_size=10)
    assert outputs(prepared.directory) == before


def test_directory_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file/tiny cannot be made"):
        prepare(CORPUS, tmp_path / "file", vocab_size=300)
