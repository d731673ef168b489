from __future__ import annotations

import gzip
import json
import subprocess
import sys

import pytest
from gpt2_vocabularies import SAMPLE, random_vocabulary
from neox_commands.data import main as data

from neox_core.data.corpora import load_corpus
from neox_core.data.preparing.training_texts import training_texts
from neox_core.data.tokenizers import load_tokenizer
from neox_core.data.tokenizers.training import train_bpe
from neox_core.errors import UserError

TEXTS = [SAMPLE, "ﬁne text", f"{SAMPLE[::-1]}\n\n"]


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """`neox data tokenizer ...` in an empty directory; gives what it prints."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        assert data(["tokenizer", *words], None) == 0
        return capsys.readouterr().out

    return run


@pytest.fixture
def texts(tmp_path):
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n\n" for text in TEXTS))
    return "texts.jsonl"


def test_training_writes_the_tokenizer_of_the_texts(command, texts, tmp_path):
    printed = command("train", texts, "--output", "out/tokenizer.json", "--vocab-size", "300")
    assert printed == "written: out/tokenizer.json: 300 entries\n"
    expected = train_bpe(TEXTS, 300, normalizer="nfkc").to_json()
    assert (tmp_path / "out/tokenizer.json").read_text() == expected
    assert load_tokenizer("HFTokenizer", "out/tokenizer.json").eod_id == 0


def test_options_reach_the_training(command, texts, tmp_path):
    options = ["--normalizer", "none", "--add-prefix-space", "--special", "<a>", "<b>", "<c>"]
    command("train", texts, "--output", "t.json", "--vocab-size", "300", *options)
    expected = train_bpe(TEXTS, 300, add_prefix_space=True, special=["<a>", "<b>", "<c>"]).to_json()
    assert (tmp_path / "t.json").read_text() == expected


def test_all_kinds_of_files_are_read_in_order(command, tmp_path):
    (tmp_path / "a.txt").write_text(TEXTS[0])
    with gzip.open("b.jsonl.gz", "wt") as file:
        file.write(json.dumps({"body": TEXTS[1]}))
    with gzip.open("c.txt.gz", "wt") as file:
        file.write(TEXTS[2])
    inputs = ["a.txt", "b.jsonl.gz", "c.txt.gz"]
    command("train", *inputs, "--output", "t.json", "--vocab-size", "300", "--jsonl-key", "body")
    assert (tmp_path / "t.json").read_text() == train_bpe(TEXTS, 300, normalizer="nfkc").to_json()


def test_the_standard_library_is_an_input(command):
    expected = next(iter(load_corpus("stdlib").documents())).text
    assert next(training_texts(["stdlib"])) == expected


def test_a_line_for_each_stage_goes_to_stderr(tmp_path, texts, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    data(["tokenizer", "train", texts, "--output", "t.json", "--vocab-size", "300"], None)
    assert capsys.readouterr().err.splitlines() == ["reading texts ...", "learning merges ..."]


def test_what_is_there_is_kept_unless_forced(command, texts, tmp_path):
    (tmp_path / "t.json").write_text("precious")
    with pytest.raises(UserError, match=r"t\.json exists; .*--force"):
        command("train", texts, "--output", "t.json")
    assert (tmp_path / "t.json").read_text() == "precious"
    command("train", texts, "--output", "t.json", "--vocab-size", "300", "--force")
    assert load_tokenizer("HFTokenizer", "t.json").vocab_size == 300


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("x.csv", b"a", r"x\.csv: its name does not say what it is"),
        ("x.jsonl", b'{"text": "a"}\n{"text"\n', r"x\.jsonl:2: invalid JSON"),
        (
            "x.jsonl",
            b'{"text": "a"}\n{"content": "b"}\n',
            r"x\.jsonl:2: no key 'text'; there are: content.*--jsonl-key",
        ),
        ("x.jsonl", b'{"text": "\\ud800"}\n', r"x\.jsonl:1: U\+D800 at character 0"),
        ("x.txt", b"\xff", r"x\.txt: broken UTF-8 at byte 0"),
        ("x.txt.gz", gzip.compress(b"some text")[:-12], r"x\.txt\.gz is damaged or cut off"),
        ("x.txt.gz", b"some text", r"x\.txt\.gz is damaged or cut off"),
        ("x.jsonl", b"\n", r"the inputs have no text"),
        ("x.txt", b"", r"the inputs have no text"),
        ("absent.txt", None, r"absent\.txt cannot be read \(No such file"),
    ],
    ids=["kind", "json", "key", "surrogate", "utf-8", "truncated", "not gzip", "no line", "empty", "absent"],
)
def test_input_that_cannot_be_used_is_told_and_nothing_is_written(command, tmp_path, name, content, sentence):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=sentence):
        command("train", name, "--output", "t.json", "--vocab-size", "300")
    assert [path for path in tmp_path.iterdir() if path.name not in (name, "plugins")] == []


def test_showing_tells_kind_entries_and_special_tokens(command, tmp_path):
    tokenizer = train_bpe(TEXTS, 300)
    (tmp_path / "t.json").write_text(tokenizer.to_json())
    lines = command("show", "t.json").splitlines()
    assert lines[:4] == [
        "kind             HFTokenizer",
        "entries          300",
        "end of document  0 <|endoftext|>",
        "padding          1 <|padding|>",
    ]
    assert lines[4].split()[0] == "fingerprint"
    assert [line.split() for line in lines[5:]] == [
        ["special", "tokens", "2"],
        ["0", "<|endoftext|>"],
        ["1", "<|padding|>"],
    ]


def test_showing_a_text_tells_its_ids_and_entries(command, tmp_path):
    vocabulary = random_vocabulary()
    vocabulary.write(tmp_path)
    text = "they've said"
    lines = command("show", "vocab.json", "--merge-file", "merges.txt", "--text", text).splitlines()
    rows = [line.split() for line in lines[lines.index("") + 2 :]]
    assert [int(number) for number, _ in rows] == vocabulary.encode(text)
    assert [vocabulary.ids[piece.strip("'")] for _, piece in rows if "'" not in piece[1:-1]]
    assert lines[0].split()[1] == "GPT2BPETokenizer"


def test_kind_is_known_by_the_files_name_or_named(command, tmp_path):
    vocabulary = random_vocabulary()
    vocabulary.write(tmp_path)
    assert command("show", ".").split()[1] == "HFGPT2Tokenizer"
    assert command("show", "--tokenizer-type", "charleveltokenizer").split()[1] == "CharLevelTokenizer"
    gpt2 = load_tokenizer("GPT2BPETokenizer", "vocab.json", "merges.txt")
    (tmp_path / "kept.json").write_bytes(gpt2.source.dump())
    assert command("show", "kept.json").split()[1] == "GPT2BPETokenizer"
    with pytest.raises(UserError, match=r"merges\.txt is not a tokenizer .*seems to be the merges"):
        command("show", "merges.txt")


def test_something_to_show_is_required(command, capsys):
    with pytest.raises(SystemExit) as caught:
        command("show")
    assert caught.value.code == 2
    assert "name a file" in capsys.readouterr().err


def test_help_imports_nothing_heavy():
    program = (
        "import sys\nfrom neox_commands.data import main\n"
        "for verb in ('train', 'show'):\n"
        "    try: main(['tokenizer', verb, '--help'], None)\n    except SystemExit: pass\n"
        "print(sorted({'numpy', 'torch', 'tokenizers', 'tqdm', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "usage: neox data tokenizer train" in done.stdout
    assert done.stdout.endswith("[]\n")
