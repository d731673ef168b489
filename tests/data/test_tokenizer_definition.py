from __future__ import annotations

import base64
import json
import subprocess
import sys

import pytest
from gpt2_vocabularies import SAMPLE, random_vocabulary

from neox_core.data.tokenizers import (
    BESIDE,
    load_tokenizer,
    read_definition,
    read_source,
    restore_tokenizer,
    stored_source,
)
from neox_core.data.tokenizers.training import train_bpe
from neox_core.errors import UserError


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    """What names a tokenizer of each kind that needs no training."""
    directory = tmp_path_factory.mktemp("tokenizers")
    vocab_file, merge_file = random_vocabulary().write(directory)
    (directory / "tokenizer.json").write_text(train_bpe([SAMPLE], 300).to_json())
    ranks = b"".join(base64.b64encode(bytes((byte,))) + b" %d\n" % byte for byte in range(256))
    (directory / "cl100k_base.tiktoken").write_bytes(ranks)
    return {
        "GPT2BPETokenizer": (vocab_file, merge_file),
        "HFTokenizer": (directory / "tokenizer.json",),
        "HFGPT2Tokenizer": (directory / "tokenizer.json",),
        "TiktokenTokenizer": (directory / "cl100k_base.tiktoken",),
        "CharLevelTokenizer": (),
    }


KINDS = ["GPT2BPETokenizer", "HFTokenizer", "HFGPT2Tokenizer", "TiktokenTokenizer", "CharLevelTokenizer"]


@pytest.mark.parametrize("kind", KINDS)
def test_definition_in_one_file_makes_the_same_tokenizer(named, kind, tmp_path):
    original = load_tokenizer(kind, *named[kind])
    (tmp_path / "kept").write_bytes(original.source.dump())
    restored = restore_tokenizer(tmp_path / "kept")
    assert type(restored) is type(original)
    assert restored.fingerprint == original.fingerprint == read_definition(tmp_path / "kept").fingerprint
    assert (
        restored.definition == original.definition or kind == "HFTokenizer"
    )  # whose file has the name that it was given
    assert restored.encode(SAMPLE) == original.encode(SAMPLE)


def test_definition_of_an_hf_tokenizer_is_its_file(named):
    tokenizer = load_tokenizer("HFTokenizer", *named["HFTokenizer"])
    assert tokenizer.source.dump() == named["HFTokenizer"][0].read_bytes()


def test_definition_says_which_in_a_few_lines(named):
    tokenizer = load_tokenizer("GPT2BPETokenizer", *named["GPT2BPETokenizer"])
    found = json.loads(json.dumps(tokenizer.definition))
    assert len(json.dumps(found)) < 1000
    assert found["tokenizer_type"] == "GPT2BPETokenizer"
    assert found["files"]["merge_file"]["name"] == "merges.txt"
    assert (found["vocab_size"], found["eod_id"], found["pad_id"]) == (
        tokenizer.vocab_size,
        tokenizer.eod_id,
        tokenizer.pad_id,
    )


def test_fingerprint_follows_kind_and_content_and_not_the_place(named, tmp_path):
    vocab_file, merge_file = named["GPT2BPETokenizer"]
    original = load_tokenizer("GPT2BPETokenizer", vocab_file, merge_file).fingerprint
    moved = tmp_path / "renamed", tmp_path / "merged"
    moved[0].write_bytes(vocab_file.read_bytes())
    moved[1].write_bytes(merge_file.read_bytes())
    assert load_tokenizer("GPT2BPETokenizer", *moved).fingerprint == original
    assert load_tokenizer("HFGPT2Tokenizer", *moved).fingerprint != original
    moved[1].write_bytes(merge_file.read_bytes().rsplit(b"\n", 2)[0] + b"\n")
    assert load_tokenizer("GPT2BPETokenizer", *moved).fingerprint != original


def test_fingerprint_of_ranks_follows_their_encoding(named, tmp_path):
    (content,) = (path.read_bytes() for path in named["TiktokenTokenizer"])
    prints = set()
    for name in ("cl100k_base.tiktoken", "cl100k_base-copy.tiktoken", "o200k_base.tiktoken"):
        (tmp_path / name).write_bytes(content)
        prints.add(load_tokenizer("TiktokenTokenizer", tmp_path / name).fingerprint)
    assert len(prints) == 2


def test_fingerprint_is_the_same_in_another_process(named):
    program = (
        "import sys; from neox_core.data.tokenizers import load_tokenizer;"
        "print(load_tokenizer('GPT2BPETokenizer', *sys.argv[1:]).fingerprint)"
    )
    files = named["GPT2BPETokenizer"]
    done = subprocess.run([sys.executable, "-c", program, *files], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == load_tokenizer("GPT2BPETokenizer", *files).fingerprint


@pytest.mark.parametrize("kind", ["HFTokenizer", "HFGPT2Tokenizer"])
def test_files_beside_a_tokenizer_go_along_and_are_no_part_of_what_it_is(named, tmp_path, kind):
    path = tmp_path / "tokenizer.json"
    path.write_bytes(named["HFTokenizer"][0].read_bytes())
    alone = read_source(kind, path)
    assert alone.stored() == {"tokenizer.json": alone.dump()}
    contents = {name: bytes([255, number]) for number, name in enumerate(BESIDE)}
    for name, content in {**contents, "config.json": b"{}"}.items():
        (tmp_path / name).write_bytes(content)
    source = read_source(kind, path)
    assert source.stored() == {"tokenizer.json": alone.dump(), **contents}
    assert (source.fingerprint, source.summary) == (alone.fingerprint, alone.summary)
    again = stored_source(tmp_path, source.stored().keys(), source.stored().__getitem__)
    assert again is not None
    assert (again.stored(), again.fingerprint) == (source.stored(), source.fingerprint)
    assert stored_source(tmp_path, contents.keys(), contents.__getitem__) is None


def test_a_tokenizer_of_another_name_takes_nothing_along_that_may_be_of_others(named, tmp_path):
    (tmp_path / "20B_tokenizer.json").write_bytes(named["HFTokenizer"][0].read_bytes())
    (tmp_path / "tokenizer_config.json").write_text("{}")
    assert read_source("HFTokenizer", tmp_path / "20B_tokenizer.json").beside == {}


def test_a_directory_of_gpt2_takes_along_what_lies_in_it(tmp_path):
    random_vocabulary().write(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text("{}")
    assert read_source("HFGPT2Tokenizer", tmp_path).beside["tokenizer_config.json"].content == b"{}"


@pytest.mark.parametrize(
    "content",
    [
        b"\xff",
        b"[]",
        b'{"neox_tokenizer": {}}',
        b'{"neox_tokenizer": {"tokenizer_type": "X", "variant": "", "files": {"a": 1}}}',
    ],
)
def test_file_that_defines_no_tokenizer_is_told(tmp_path, content):
    (tmp_path / "kept").write_bytes(content)
    with pytest.raises(UserError, match="kept "):
        restore_tokenizer(tmp_path / "kept")


def test_kind_that_is_unknown_is_told(tmp_path):
    content = {"neox_tokenizer": {"tokenizer_type": "SPMTokeniser", "variant": "", "files": {}}}
    (tmp_path / "kept").write_text(json.dumps(content))
    with pytest.raises(UserError, match="did you mean 'SPMTokenizer'"):
        restore_tokenizer(tmp_path / "kept")
