from __future__ import annotations

import sys

import pytest
import sentence_piece_models
import sentencepiece
from hypothesis import given, strategies as st

from neox_core.data.corpora import load_corpus
from neox_core.data.tokenizers import load_tokenizer
from neox_core.data.tokenizers.encoding import BatchEncoder
from neox_core.errors import UserError

SENTENCES = [
    line[:200]
    for document in list(load_corpus("stdlib").documents())[:40]
    for line in document.text.splitlines()
    if line.strip()
][:4000]
EXACT = {"normalization_rule_name": "identity", "remove_extra_whitespaces": False, "byte_fallback": True}


def train(path, **options):
    return sentence_piece_models.train(path, SENTENCES, 600, **options)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("spm")


@pytest.fixture(scope="module")
def model(directory):
    return train(directory / "exact.model", **EXACT)


@pytest.fixture(scope="module")
def spm(model):
    return load_tokenizer("SPMTokenizer", model)


def test_ids_are_the_librarys_own(model, spm):
    theirs = sentencepiece.SentencePieceProcessor(model_file=str(model))
    assert spm.vocab_size == theirs.get_piece_size()
    for text in (*SENTENCES[:50], "", "  two  spaces ", "日本"):
        assert spm.encode(text) == theirs.encode(text)
        assert spm.decode(spm.encode(text)) == theirs.decode(theirs.encode(text))


@given(text=st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\u2581\0")))
def test_model_with_bytes_to_fall_back_on_gives_every_byte_back(spm, text):
    assert spm.decode_bytes(spm.encode(text)) == text.encode()


def test_model_without_the_space_before_a_text_gives_leading_spaces_back(directory):
    spm = load_tokenizer("SPMTokenizer", train(directory / "bare.model", add_dummy_prefix=False, **EXACT))
    assert spm.decode(spm.encode(" a b")) == " a b"


@pytest.mark.parametrize(
    ("options", "eod", "pad"),
    [
        ({"user_defined_symbols": ["<|endoftext|>"]}, "<|endoftext|>", None),
        ({"control_symbols": ["<|endoftext|>", "<|padding|>"]}, "<|endoftext|>", "<|padding|>"),
        ({"pad_id": 3}, "</s>", "<pad>"),
        ({"eos_id": -1}, None, None),
    ],
    ids=["own piece", "control pieces", "the model's own", "none"],
)
def test_end_of_document_is_its_own_piece_or_the_models_end_of_sentence(directory, options, eod, pad):
    spm = load_tokenizer("SPMTokenizer", train(directory / "other.model", **options))
    assert [None if token is None else spm.piece(token) for token in (spm.eod_id, spm.pad_id)] == [eod, pad]
    assert eod is None or spm.special_tokens[eod] == spm.eod_id
    assert eod is None or spm.decode([spm.eod_id]) == eod


@pytest.mark.parametrize("workers", [1, 2])
def test_batches_are_encoded_alike(spm, workers):
    encoded = BatchEncoder(spm, workers)(SENTENCES[:300])
    assert [ids.tolist() for ids in encoded] == [spm.encode(text) for text in SENTENCES[:300]]


def test_surrogate_is_refused(spm):
    for encode in (spm.encode_batch, lambda texts: spm.encode(texts[1])):
        with pytest.raises(UserError, match=r"U\+DC00"):
            encode(["a", "\udc00"])


def test_file_that_is_no_model_is_told(tmp_path):
    (tmp_path / "x.model").write_text("{}")
    with pytest.raises(UserError, match=r"vocab_file: .*x\.model is no SentencePiece model"):
        load_tokenizer("SPMTokenizer", tmp_path / "x.model")


def test_missing_package_is_told_with_what_installs_it(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(
        UserError, match=r"needs the package sentencepiece.*pip install 'neox-toolkit\[sentencepiece\]'"
    ):
        load_tokenizer("SPMTokenizer", model)
