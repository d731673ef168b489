from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import fastokens
import numpy as np
import pytest
from gpt2_vocabularies import END, SAMPLE, random_vocabulary
from hypothesis import given, settings, strategies as st

from neox_core.data.tokenizers import CharLevelTokenizer, HFTokenizer, load_tokenizer
from neox_core.data.tokenizers.encoding import BatchEncoder, dtype_of_ids
from neox_core.data.tokenizers.fast_encoding import CHECKED_EVERY, TRICKY
from neox_core.data.tokenizers.training import train_bpe
from neox_core.errors import UserError

BPE = train_bpe([SAMPLE] * 3, 400)
TEXTS = [*TRICKY, SAMPLE, f"a{END}b <|padding|>", ""]


@pytest.fixture
def without_fastokens(monkeypatch):
    monkeypatch.setitem(sys.modules, "fastokens", None)


def as_lists(encoded):
    return [ids.tolist() for ids in encoded]


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    return load_tokenizer("GPT2BPETokenizer", *random_vocabulary().write(tmp_path_factory.mktemp("gpt2")))


@pytest.mark.parametrize("normalizer", ["none", "nfc", "nfkc"])
def test_fast_way_gives_the_ids_of_the_tokenizer(normalizer):
    tokenizer = train_bpe([SAMPLE] * 3, 400, normalizer=normalizer)
    encoder = BatchEncoder(tokenizer)
    assert as_lists(encoder(TEXTS)) == [tokenizer.encode(text) for text in TEXTS]


def test_byte_level_bpe_goes_the_fast_way(gpt2):
    for tokenizer in (BPE, gpt2):
        encoder = BatchEncoder(tokenizer)
        assert encoder.notice is None
        assert as_lists(encoder(TEXTS)) == [tokenizer.encode(text) for text in TEXTS]


@settings(max_examples=200)
@given(texts=st.lists(st.text() | st.sampled_from([END, f"x{END} ", "\r\n \n", "  'll"]), max_size=5))
def test_any_batch_has_the_ids_of_the_tokenizer(texts):
    assert as_lists(ENCODER(texts)) == BPE.encode_batch(texts)


ENCODER = BatchEncoder(BPE)


def test_without_fastokens_ids_are_the_same_and_it_is_told(without_fastokens):
    encoder = BatchEncoder(BPE)
    assert "pip install 'neox-toolkit[fastokens]'" in encoder.notice
    assert as_lists(encoder(TEXTS)) == as_lists(ENCODER(TEXTS))


def test_ids_have_the_smallest_dtype_that_holds_them():
    assert {ids.dtype for ids in ENCODER(TEXTS)} == {np.dtype(np.uint16)}
    assert [dtype_of_ids(size) for size in (65536, 65537, 2**31, 2**31 + 1)] == [
        np.uint16,
        np.int32,
        np.int32,
        np.int64,
    ]


def test_characters_are_bytes_in_two():
    assert as_lists(BatchEncoder(CharLevelTokenizer())(["aé", ""])) == [[97, 0xC3, 0xA9], []]


def test_tokenizer_that_fastokens_does_not_have_encodes_by_itself():
    from tokenizers import Tokenizer, models

    tokenizer = HFTokenizer.from_backend(
        Tokenizer(models.Unigram([("<unk>", 0.0), ("a", -1.0), ("b", -2.0)], 0, False))
    )
    encoder = BatchEncoder(tokenizer)
    assert "fastokens does not have this tokenizer" in encoder.notice
    assert as_lists(encoder(["ab", "ba"])) == tokenizer.encode_batch(["ab", "ba"])


class Wrong:
    """What `fastokens` gives, but for texts with a word, of which it loses the last id."""

    def __init__(self, word):
        self._word, self._right = word, fastokens.Tokenizer.from_json_str(BPE.backend.to_str())

    def encode_batch_flat(self, texts, add_special_tokens):
        cut = [text[:-1] if self._word in text else text for text in texts]
        return self._right.encode_batch_flat(cut, add_special_tokens)


def wrong_about(word):
    made = SimpleNamespace(from_json_str=lambda text: Wrong(word), encode_batch_flat=None)
    return SimpleNamespace(Tokenizer=made)


def test_library_that_is_too_old_is_not_used(monkeypatch):
    monkeypatch.setitem(sys.modules, "fastokens", SimpleNamespace(Tokenizer=SimpleNamespace()))
    encoder = BatchEncoder(BPE)
    assert "too old: pip install" in encoder.notice
    assert as_lists(encoder(TEXTS[:3])) == BPE.encode_batch(TEXTS[:3])


def test_library_that_is_wrong_about_a_tricky_text_is_not_used(monkeypatch):
    monkeypatch.setitem(sys.modules, "fastokens", wrong_about("日本語の文章"))
    encoder = BatchEncoder(BPE)
    assert "fastokens encodes '日本語の文章" in encoder.notice
    assert as_lists(encoder(TEXTS)) == BPE.encode_batch(TEXTS)


@pytest.mark.parametrize("place", [0, CHECKED_EVERY, 3 * CHECKED_EVERY])
def test_library_that_turns_out_wrong_stops_the_encoding(monkeypatch, place):
    monkeypatch.setitem(sys.modules, "fastokens", wrong_about("xylophone"))
    encoder = BatchEncoder(BPE)
    assert encoder.notice is None
    texts = ["a"] * (3 * CHECKED_EVERY + 10)
    texts[place] = "the xylophones"
    batches = [texts[start : start + 640] for start in range(0, len(texts), 640)]
    with pytest.raises(UserError, match=r"begins with 'the xylophones'.*uninstall it \(pip uninstall fastokens\)"):
        for batch in batches:
            encoder(batch)


@pytest.mark.parametrize("missing", [True, False])
def test_surrogate_is_refused(monkeypatch, missing):
    if missing:
        monkeypatch.setitem(sys.modules, "fastokens", None)
    with pytest.raises(UserError, match=r"U\+D800"):
        BatchEncoder(BPE)(["a", "b\ud800"])


COUNTED = """
import os, sys
from neox_core.data.tokenizers import load_tokenizer
from neox_core.data.tokenizers.encoding import BatchEncoder
def threads(): return len(os.listdir("/proc/self/task"))
tokenizer = load_tokenizer("HFTokenizer", sys.argv[1])
before = threads()
encoder = BatchEncoder(tokenizer, int(sys.argv[2]))
encoder(["some text", "more text"] * 500)
tokenizer.encode_batch(["a", "b"])
print(threads() - before)
"""


def test_workers_limit_the_threads(tmp_path):
    (tmp_path / "tokenizer.json").write_text(BPE.to_json())
    counted = [
        int(subprocess.check_output([sys.executable, "-c", COUNTED, tmp_path / "tokenizer.json", workers], text=True))
        for workers in ("1", "5")
    ]
    assert counted[1] - counted[0] >= 4
    assert counted[0] <= 2
