from __future__ import annotations

import json

import pytest
from gpt2_vocabularies import END, SAMPLE, random_vocabulary
from hypothesis import given, settings, strategies as st

from neox_core.data.tokenizers import load_tokenizer
from neox_core.errors import UserError

VOCABULARY = random_vocabulary()
TEXTS = st.text() | st.lists(
    st.sampled_from([END, "'ll", " the", "\n\n", "  ", "é", "12", "argument", "\t", "日本"])
).map("".join)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return VOCABULARY.write(tmp_path_factory.mktemp("gpt2"))


@pytest.fixture(scope="module")
def gpt2(files):
    return load_tokenizer("GPT2BPETokenizer", *files)


@pytest.mark.parametrize("seed", range(8))
def test_ids_are_those_of_a_plain_encoder_whatever_the_merges(seed, tmp_path):
    vocabulary = random_vocabulary(seed=seed)
    ours = load_tokenizer("GPT2BPETokenizer", *vocabulary.write(tmp_path))
    for text in (SAMPLE, SAMPLE.upper(), SAMPLE + END + SAMPLE[::-1]):
        assert ours.encode(text) == vocabulary.encode(text)


@settings(max_examples=300)
@given(text=TEXTS)
def test_any_text_has_the_ids_of_a_plain_encoder(gpt2, text):
    assert gpt2.encode(text) == VOCABULARY.encode(text)


def test_what_the_vocabulary_lacks_is_the_end_of_a_document_as_in_gpt2s_encoder(tmp_path):
    lacking = VOCABULARY._replace(ids={token: number for token, number in VOCABULARY.ids.items() if token not in "zZ"})
    ours = load_tokenizer("GPT2BPETokenizer", *lacking.write(tmp_path))
    end = lacking.ids[END]
    assert ours.encode("az!") == [lacking.ids["a"], end, lacking.ids["!"]]


@given(text=TEXTS)
def test_decoding_gives_every_byte_back(gpt2, text):
    ids = gpt2.encode(text)
    assert gpt2.decode_bytes(ids) == text.encode()
    assert gpt2.decode(ids) == text


def test_a_part_of_a_character_keeps_its_bytes(gpt2):
    ids = gpt2.encode("\U0001f600")
    assert len(ids) > 1
    assert b"".join(gpt2.decode_bytes([token]) for token in ids) == "\U0001f600".encode()
    assert "\ufffd" in gpt2.decode(ids[:1])


def test_sizes_are_those_of_the_vocabulary(gpt2):
    assert (gpt2.vocab_size, gpt2.eod_id, gpt2.pad_id) == (len(VOCABULARY.ids), VOCABULARY.ids[END], None)


def test_hugging_faces_own_gives_the_same_ids_and_one_entry_for_padding(files):
    transformers = pytest.importorskip("transformers")
    directory = files[0].parent
    theirs = transformers.GPT2TokenizerFast.from_pretrained(directory)
    theirs.add_special_tokens({"pad_token": "<|padding|>"})
    ours = load_tokenizer("HFGPT2Tokenizer", directory)
    assert (ours.vocab_size, ours.eod_id, ours.pad_id) == (len(theirs), theirs.eos_token_id, theirs.pad_token_id)
    for text in (SAMPLE, f"a<|padding|>b{END}", "  \n "):
        assert ours.encode(text) == theirs.encode(text)


def test_hugging_faces_files_may_be_named_in_three_ways(files, tmp_path):
    vocab_file, merge_file = files
    apart = load_tokenizer("HFGPT2Tokenizer", vocab_file, merge_file)
    (tmp_path / "tokenizer.json").write_text(apart.to_json())
    for named in (tmp_path, tmp_path / "tokenizer.json", vocab_file.parent):
        tokenizer = load_tokenizer("HFGPT2Tokenizer", named)
        assert (tokenizer.vocab_size, tokenizer.encode(SAMPLE)) == (apart.vocab_size, apart.encode(SAMPLE))


def test_directory_without_files_says_which(tmp_path):
    (tmp_path / "vocab.json").write_text("{}")
    with pytest.raises(UserError, match=r"has no merges\.txt, and no tokenizer\.json; give"):
        load_tokenizer("HFGPT2Tokenizer", tmp_path)


def spoil(files, vocabulary=None, merges=None):
    for file, content in zip(files, (vocabulary, merges), strict=True):
        if content is not None:
            file.write_text(content)
    return load_tokenizer("GPT2BPETokenizer", *files)


LETTERS_ALONE = json.dumps(
    {token: number for token, number in VOCABULARY.ids.items() if len(token) == 1 or token == END}
)


@pytest.mark.parametrize(
    ("vocabulary", "merges", "sentence"),
    [
        ("#version: 0.2\na b\n", None, r"vocab_file: .*vocab\.json is no GPT-2 vocabulary .*seems to be the merges"),
        ('{"model": {}}', None, r"vocab\.json .*seems to be a tokenizer\.json, which HFTokenizer reads"),
        ('{"a": 0', None, r"vocab\.json .*it is no JSON"),
        ("[1]", None, r"vocab\.json .*does not map tokens to ids"),
        ('{"a": 0}', None, r"vocab\.json has no <\|endoftext\|> among its 1 entries"),
        (None, "a b\n", r"merge_file: .*merges\.txt .*first line is 'a b' instead of `#version"),
        (None, "#version: 0.2\na b c\n", r"merges\.txt .*line 2, 'a b c', is not two parts"),
        (LETTERS_ALONE, None, r"merges\.txt does not belong to .*vocab\.json"),
    ],
    ids=["merges as vocabulary", "tokenizer.json", "damaged", "a list", "no end", "no header", "three parts", "other"],
)
def test_file_that_is_something_else_is_told(tmp_path, vocabulary, merges, sentence):
    with pytest.raises(UserError, match=sentence):
        spoil(VOCABULARY.write(tmp_path), vocabulary, merges)


def test_merges_must_be_set_and_there(files, tmp_path):
    with pytest.raises(UserError, match=r"merge_file: .*none is set"):
        load_tokenizer("GPT2BPETokenizer", files[0])
    with pytest.raises(UserError, match=r"merge_file: .*absent cannot be read"):
        load_tokenizer("GPT2BPETokenizer", files[0], tmp_path / "absent")
