"""The catalogue against GPT-NeoX's tables, and what users may write in theirs."""

from __future__ import annotations

import re

import pytest

from neox_core.data.corpora import Corpus, load_corpus
from neox_core.data.corpora.catalogue import OWN, catalogue, find_items, read_catalogue
from neox_core.data.corpora.downloaded import DownloadedCorpus
from neox_core.errors import UserError

EYE = "https://the-eye.eu/public/AI/pile_preliminary_components"
GPT_NEOX = {
    "enron": ("enron", ["http://eaidata.bmk.sh/data/enron_emails.jsonl.zst"]),
    "pile_subset": ("pile_00", ["https://the-eye.eu/public/AI/pile/train/00.jsonl.zst"]),
    "pile": ("pile", [f"https://the-eye.eu/public/AI/pile/train/{i:02}.jsonl.zst" for i in range(30)]),
    "github": ("github", ["http://eaidata.bmk.sh/data/github_small.jsonl.zst"]),
    "arxiv": ("arxiv", [f"{EYE}/2020-09-08-arxiv-extracts-nofallback-until-2007-068.tar.gz"]),
    "europarl": ("europarl", [f"{EYE}/EuroParliamentProceedings_1996_2011.jsonl.zst"]),
    "freelaw": ("freelaw", [f"{EYE}/FreeLaw_Opinions.jsonl.zst"]),
    "nih": ("nih", [f"{EYE}/NIH_ExPORTER_awarded_grant_text.jsonl.zst"]),
    "pubmed": ("pubmed", [f"{EYE}/PMC_extracts.tar.gz"]),
    "books1": ("books1", [f"{EYE}/books1.tar.gz"]),
    "books3": ("books3", [f"{EYE}/books3.tar.gz"]),
    "hackernews": ("hackernews", [f"{EYE}/hn.tar.gz"]),
    "openwebtext2": (
        "openwebtext2",
        ["https://huggingface.co/datasets/segyges/OpenWebText2/resolve/main/openwebtext2.jsonl.zst.tar"],
    ),
    "stackexchange": ("stackexchange", [f"{EYE}/stackexchange_dataset.tar"]),
    "ubuntu_irc": ("ubuntu_irc", [f"{EYE}/ubuntu_irc_until_2020_9_1.jsonl.zst"]),
    "youtube_subtitles": ("youtube_subtitles", [f"{EYE}/yt_subs.jsonl.zst"]),
    "c4": ("c4", [f"https://the-eye.eu/eleuther_staging/c4/en/c4-train.{i:05}-of-01024.json.gz" for i in range(1024)]),
    "c4_openwebtext": (
        "c4_openwebtext",
        [f"https://the-eye.eu/eleuther_staging/c4/realnewslike/c4-train.{i:05}-of-00512.json.gz" for i in range(512)],
    ),
    "enwik8": ("enwik8", ["http://mattmahoney.net/dc/enwik8.zip"]),
    "pass": ("pass", []),
}
"""Its corpora: the directory of each, and the addresses."""

ENTRY = """
[mine]
kind = "corpus"
summary = "Mine"
licence = "mine"
base = ["https://example.org/data/"]
files = [{ name = "a.jsonl", bytes = 3, digest = "md5:900150983cd24fb0d6963f7d28e17f72" }]
"""


@pytest.fixture
def mine(tmp_path):
    """`mine(text)` writes a catalogue and returns its path."""

    def write(text=ENTRY):
        path = tmp_path / "mine.toml"
        path.write_text(text)
        return path

    return write


def test_corpora_are_those_of_gpt_neox():
    ours = [name for name, item in catalogue().items() if item.kind == "corpus"]
    assert ours == list(GPT_NEOX)


@pytest.mark.parametrize("name", GPT_NEOX)
def test_corpus_has_the_directory_and_the_addresses_of_gpt_neox(name):
    directory, addresses = GPT_NEOX[name]
    item = catalogue()[name]
    assert item.directory == directory
    ours = [{base + file.name for base in item.base} for file in item.files]
    assert len(ours) == len(addresses)
    assert all(address in all_of_ours for address, all_of_ours in zip(addresses, ours, strict=True))


def test_vocabularies_and_weights_lie_where_gpt_neox_looks_for_them():
    items = catalogue()
    assert [file.name for file in items["gpt2-vocab"].files] == ["gpt2-vocab.json", "gpt2-merges.txt"]
    assert items["gpt2-vocab"].directory == ""
    assert [file.name for file in items["20B-tokenizer"].files] == ["20B_tokenizer.json"]
    for name in ("20B-tokenizer", "20B-slim-weights", "20B-full-weights"):
        assert items[name].directory == "20B_checkpoints"
    assert items["20B-slim-weights"].listing and items["20B-full-weights"].listing


@pytest.mark.parametrize("item", catalogue().values(), ids=list(catalogue()))
def test_entry_says_all_that_a_user_needs(item):
    assert item.summary and item.licence
    assert item.base or item.name == "pass"
    assert item.gone is None or item.gone.endswith(").")  # says where that was said
    assert not any(base.startswith("https://the-eye.eu/") and item.gone is None for base in item.base[:1])
    digests = [file.digest.digits for file in item.files if file.digest]
    assert len(set(digests)) == len(digests)


def test_sizes_of_c4_are_those_that_its_makers_published():
    items = catalogue()
    assert items["c4"].bytes == 326_778_635_540
    assert items["c4_openwebtext"].bytes == 15_419_740_744
    assert all(file.digest for name in ("c4", "c4_openwebtext") for file in items[name].files)


def test_every_digest_is_written_in_the_catalogue_or_said_to_be_unknown():
    lines = [line for line in OWN.read_text().splitlines() if line.startswith("  { name =")]
    form = r'  \{ name = "[^"]+", bytes = (\d+|"unknown"), digest = "(sha256:[0-9a-f]{64}|unknown)" \},'
    assert lines and all(re.fullmatch(form, line) for line in lines)


def test_user_can_add_a_corpus(mine):
    [item] = find_items([str(mine())])
    assert (item.name, item.directory, item.bytes) == ("mine", "mine", 3)
    corpus = load_corpus(str(mine()))
    assert isinstance(corpus, DownloadedCorpus)
    assert (corpus.name, corpus.stem) == ("mine", "mine")


def test_sums_may_be_in_a_file_of_their_own(mine, tmp_path):
    (tmp_path / "sums").write_text(f"{'a' * 64} 5 sub/a.jsonl\n{'b' * 64} unknown b.jsonl\n")
    path = mine(re.sub("files = .*", 'sums = "sums"', ENTRY))
    [item] = find_items([str(path)])
    assert [(file.name, file.bytes) for file in item.files] == [("sub/a.jsonl", 5), ("b.jsonl", None)]
    (tmp_path / "sums").write_text(f"{'a' * 64} a.jsonl\n")
    with pytest.raises(UserError, match=r"sums:1 is no line of the form 'SHA256 BYTES NAME'"):
        find_items([str(path)])


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('digest = "md5:900150983cd24fb0d6963f7d28e17f72"', 'digest = "unknown"', "a.jsonl has no digest"),
        (
            "md5:900150983cd24fb0d6963f7d28e17f72",
            "sha256:900150983cd24fb0",
            "is no digest; write 'sha256:' and 64 digits",
        ),
        ("bytes = 3", 'bytes = "3"', "mine.files.0.bytes: Input should be a valid integer"),
        ("bytes = 3", "bytes = -3", "greater than or equal to 0"),
        ("a.jsonl", "../a.jsonl", "must be a relative path without '.' and '..'"),
        ("a.jsonl", "/etc/passwd", "must be a relative path"),
        ("a.jsonl", "a\\\\b", "has a character that a file's name must not have"),
        ("https://example.org", "file:///etc", "is no address; it must begin with http:// or https://"),
        ('kind = "corpus"', 'kind = "text"', "'corpus', 'vocabulary' or 'weights'"),
        ('licence = "mine"', "", "mine.licence: Field required"),
        ('licence = "mine"', 'license = "mine"', "mine.license: Unexpected"),
        ('summary = "Mine"', 'summary = "Mine"\ndirectory = ".."', "must be a relative path"),
        (
            "files = [",
            'files = [{ name = "a.jsonl.json", bytes = 1, digest = "unknown" }, ',
            "name of another file's record",
        ),
        ("files = ", "listing = true\nfiles = ", "it must have one of them"),
        (re.compile("files = .*"), "listing = true", "a listing has no digest"),
        ('["https://example.org/data/"]', "[]", "has files but no address"),
        ("[mine]", "[mine", "cannot be read as a catalogue"),
        (re.compile("files = .*"), 'sums = "nowhere"', "cannot be read as a catalogue"),
    ],
)
def test_mistakes_in_a_catalogue_are_sentences(mine, old, new, sentence):
    text = old.sub(new, ENTRY) if isinstance(old, re.Pattern) else ENTRY.replace(old, new)
    assert text != ENTRY
    with pytest.raises(UserError, match=re.escape(sentence)) as caught:
        find_items([str(mine(text))])
    assert "mine.toml" in str(caught.value)


def test_all_mistakes_are_reported_together(mine):
    with pytest.raises(UserError) as caught:
        read_catalogue(mine(ENTRY.replace("bytes = 3", "bytes = -3").replace("a.jsonl", "../a")))
    assert len(str(caught.value).splitlines()) == 2


def test_unknown_name_gets_the_nearest():
    with pytest.raises(UserError, match=r"nothing called 'enwik9' to fetch; did you mean 'enwik8'\?"):
        find_items(["enwik9"])


def test_what_comes_with_python_needs_no_fetching():
    with pytest.raises(UserError, match="'stdlib' needs no fetching"):
        find_items(["stdlib"])


def test_things_asked_for_twice_come_once():
    assert [item.name for item in find_items(["enwik8", "enron", "enwik8"])] == ["enwik8", "enron"]


def test_corpora_are_loaded_by_name():
    assert isinstance(load_corpus("stdlib"), Corpus)
    corpus = load_corpus("pile_subset")
    assert isinstance(corpus, DownloadedCorpus)
    assert (corpus.name, corpus.stem) == ("pile_subset", "pile_00")


@pytest.mark.parametrize("name", ["gpt2-vocab", "20B-slim-weights"])
def test_what_is_no_corpus_is_not_loaded_as_one(name):
    with pytest.raises(UserError, match=f"'{name}' is no corpus"):
        load_corpus(name)


def test_several_corpora_in_a_catalogue_are_not_one(mine):
    with pytest.raises(UserError, match="has 2 items"):
        load_corpus(str(mine(ENTRY + ENTRY.replace("[mine]", "[other]"))))
