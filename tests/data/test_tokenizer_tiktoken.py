from __future__ import annotations

import base64
import hashlib
import sys
from dataclasses import replace

import pytest
import tiktoken
from hypothesis import given, strategies as st
from tiktoken_ext import openai_public

from neox_core.data.tokenizers import load_tokenizer
from neox_core.data.tokenizers.encoding import BatchEncoder
from neox_core.data.tokenizers.tiktoken_encodings import ENCODINGS
from neox_core.errors import UserError

RANKS = [*(bytes((byte,)) for byte in range(256)), b"th", b"the", b" the", b"\n\n", b"12", b"  ", b"re", b"\xc3\xa9"]


def content(tokens=RANKS):
    return b"".join(base64.b64encode(token) + b" %d\n" % rank for rank, token in enumerate(tokens))


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("tiktoken") / "cl100k_base.tiktoken"
    path.write_bytes(content())
    return path


@pytest.fixture(scope="module")
def ours(file):
    return load_tokenizer("TiktokenTokenizer", file)


def published(name, monkeypatch):
    """What the library says about one of its encodings, without its ranks."""
    monkeypatch.setattr(openai_public, "load_tiktoken_bpe", lambda address, expected_hash: (address, expected_hash))
    return openai_public.ENCODING_CONSTRUCTORS[name]()


@pytest.mark.parametrize("name", sorted(set(ENCODINGS) - {"gpt2"}))
def test_encodings_are_as_the_library_publishes_them(name, monkeypatch):
    theirs, ours = published(name, monkeypatch), ENCODINGS[name]
    address, digest = theirs["mergeable_ranks"]
    assert (ours.pattern, dict(ours.special_tokens)) == (theirs["pat_str"], theirs["special_tokens"])
    assert (ours.file, ours.sha256) == (address.rpartition("/")[2], digest)
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", "/cache")
    assert str(ours.cached) == f"/cache/{hashlib.sha1(address.encode()).hexdigest()}"


def test_ids_are_those_of_the_library(ours, monkeypatch):
    known = published("cl100k_base", monkeypatch) | {
        "mergeable_ranks": {token: rank for rank, token in enumerate(RANKS)}
    }
    theirs = tiktoken.Encoding(**known)
    assert (ours.vocab_size, ours.eod_id, ours.pad_id) == (theirs.n_vocab, theirs.eot_token, None)
    for text in ("the 1234 theatre\n\n\n  é!", "the<|endoftext|>", "<|endofprompt|> x", ""):
        assert ours.encode(text) == theirs.encode(text, allowed_special="all")


@given(text=st.text())
def test_decoding_gives_every_byte_back(ours, text):
    assert ours.decode_bytes(ours.encode(text)) == text.encode()


def test_an_id_between_ranks_and_special_tokens_is_no_text(ours):
    assert ours.decode([*ours.encode("the"), 99999]) == "the\ufffd"


@pytest.mark.parametrize("fast", [True, False])
def test_batches_are_encoded_alike(ours, fast, monkeypatch):
    if not fast:
        monkeypatch.setitem(sys.modules, "fastokens", None)
    texts = [f"the theatre {number} é\n\n<|endoftext|>" * (number % 7) for number in range(200)]
    encoder = BatchEncoder(ours, 2)
    assert (encoder.notice is None) == fast
    assert [ids.tolist() for ids in encoder(texts)] == [ours.encode(text) for text in texts]


def test_surrogate_is_refused(ours):
    for encode in (ours.encode_batch, BatchEncoder(ours)):
        with pytest.raises(UserError, match=r"U\+D800"):
            encode(["a\ud800"])


def test_name_of_an_encoding_means_the_file_in_the_librarys_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    with pytest.raises(
        UserError, match=r"the ranks of cl100k_base are not here .*give the path of a cl100k_base\.tiktoken"
    ):
        load_tokenizer("TiktokenTokenizer", "cl100k_base")
    known = ENCODINGS["cl100k_base"]
    known.cached.write_bytes(content())
    with pytest.raises(UserError, match=r"its sha256 is not that of cl100k_base\.tiktoken"):
        load_tokenizer("TiktokenTokenizer", "cl100k_base")
    monkeypatch.setitem(ENCODINGS, "cl100k_base", replace(known, sha256=hashlib.sha256(content()).hexdigest()))
    assert load_tokenizer("TiktokenTokenizer", "cl100k_base").eod_id == 100257
    renamed = tmp_path / "ranks.bin"
    renamed.write_bytes(content())
    assert load_tokenizer("TiktokenTokenizer", renamed).eod_id == 100257


@pytest.mark.parametrize(
    ("name", "written", "sentence"),
    [
        ("mine.tiktoken", content(), r"nothing says how .*mine\.tiktoken cuts texts"),
        ("r50k_base.tiktoken", b"{}", r"line 1, b'{}', is not a token in base64 and a number"),
        ("r50k_base.tiktoken", content(RANKS[:65]), r"it lacks 191 of the 256 bytes, 0x41 for one"),
        ("r50k_base.tiktoken", content() + b"YWI= 7\n", "two tokens have the same rank"),
        ("r50k_base.tiktoken", content() + b"YWI= 50256\n", "the rank of a special token"),
    ],
    ids=["no encoding", "not ranks", "no bytes", "twice", "special"],
)
def test_file_that_has_no_ranks_is_told(tmp_path, name, written, sentence):
    (tmp_path / name).write_bytes(written)
    with pytest.raises(UserError, match=sentence):
        load_tokenizer("TiktokenTokenizer", tmp_path / name)


def test_missing_package_is_told_with_what_installs_it(file, monkeypatch):
    monkeypatch.setitem(sys.modules, "tiktoken", None)
    with pytest.raises(UserError, match=r"pip install 'neox-toolkit\[tiktoken\]'"):
        load_tokenizer("TiktokenTokenizer", file)
