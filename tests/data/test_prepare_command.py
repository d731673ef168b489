"""`neox data prepare --input`, as people call it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from byte_preparations import outputs
from file_server import Served, file_server
from neox_commands.data_prepare import main
from text_files import COMPRESS, json_lines, zip_of

from neox_core.data.token_files import open_tokens
from neox_core.data.tokenizers.training import train_bpe
from neox_core.errors import UserError

TEXTS = [f"{number} a text of words, number {number * number}" for number in range(500)]


@pytest.fixture(scope="module")
def tokenizer_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    path.write_text(train_bpe(TEXTS, 300).to_json())
    return path


@pytest.fixture
def texts(tmp_path):
    path = tmp_path / "texts.jsonl"
    path.write_bytes(json_lines(TEXTS))
    return path


@pytest.fixture
def prepare(texts, tmp_path, tokenizer_file):
    """Call the command on the texts, with an HFTokenizer unless `tokenizer` is empty."""

    def call(*words, tokenizer=("--tokenizer-type", "HFTokenizer", "--vocab-file", tokenizer_file)):
        return main(
            [str(word) for word in ("--input", texts, "--output-prefix", tmp_path / "out", *tokenizer, *words)], None
        )

    return call


def documents(prefix):
    tokens = open_tokens(prefix)
    return [tokens.get(number).tolist() for number in range(len(tokens))]


def encoded(tokenizer_file, texts, end):
    from tokenizers import Tokenizer

    backend = Tokenizer.from_file(str(tokenizer_file))
    return [[*backend.encode(text).ids, *end] for text in texts]


@pytest.mark.parametrize(("words", "end"), [((), []), (("--append-eod",), [0])])
@pytest.mark.parametrize("impl", ["mmap", "cached"])
def test_files_of_text_become_token_files(prepare, tmp_path, tokenizer_file, words, end, impl):
    assert prepare(*words, "--dataset-impl", impl, "--workers", "1") == 0
    assert documents(tmp_path / "out_text_document") == encoded(tokenizer_file, TEXTS, end)
    assert open_tokens(tmp_path / "out_text_document").format == impl


def test_summary_says_what_was_made(prepare, texts, tmp_path, capsys):
    with texts.open("ab") as file:
        file.write(b'{broken\n{"text": ""}\n')
    prepare()
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == f"{tmp_path}/out_text_document.{{bin,idx}}"
    assert printed[1].startswith(
        f"500 documents, {sum(map(len, documents(tmp_path / 'out_text_document'))):,} tokens, "
    )
    assert "MB/s" in printed[1]
    assert printed[2:] == [
        "1 document without tokens left out",
        f"1 document could not be used: see {tmp_path}/out.rejects.jsonl",
        f"{tmp_path}/out prepared",
    ]
    prepare()
    assert "was there already" in capsys.readouterr().out


def test_progress_is_a_line_every_so_many_documents(prepare, capsys):
    prepare("--log-interval", "500", "--num-docs", "500")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("500/500 documents, ")
    assert all(unit in lines[0] for unit in ("docs/s", "MB/s", "tokens/s"))
    assert " 0 docs/s" not in lines[0]


def test_terminal_gets_a_bar(prepare, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    prepare()
    assert "100%" in capsys.readouterr().err


def test_options_of_the_other_tools_make_labels(prepare, tmp_path, tokenizer_file, capsys):
    (comma,) = encoded(tokenizer_file, [","], [])
    capsys.readouterr()
    prepare("--mask-before-token", ",".join(map(str, comma)), "--append-eod")
    labels, tokens = documents(tmp_path / "out_label_document"), documents(tmp_path / "out_text_document")
    first = tokens[0].index(comma[0]) + 1
    assert labels[0] == [-100] * first + tokens[0][first:]
    learned = sum(label != -100 for each in labels for label in each)
    assert f"\n{learned:,} tokens are learned\n" in capsys.readouterr().out


def test_labels_that_are_all_masked_are_told(prepare, texts, tmp_path, capsys):
    texts.write_text('{"text": "aba"}\n{"text": "xa"}\n')
    prepare("--mask-before-token", "97", tokenizer=("-t", "CharLevelTokenizer"))
    assert documents(tmp_path / "out_label_document") == [[-100, 98, 97], [-100, -100]]
    assert "\n2 tokens are learned\n" in capsys.readouterr().out
    texts.write_text('{"text": "xa"}\n')
    prepare("--mask-before-token", "97", "--force", tokenizer=("-t", "CharLevelTokenizer"))
    assert "\n0 tokens are learned: every label is masked\n" in capsys.readouterr().out


def test_conversations(tmp_path, tokenizer_file):
    directory = tmp_path / "tokenizer"
    directory.mkdir()
    (directory / "tokenizer.json").write_text(tokenizer_file.read_text())
    (directory / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|endoftext|>"}))
    template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}"
    (tmp_path / "chat.jinja").write_text(template)
    chat = [{"role": "user", "content": "a text"}, {"role": "assistant", "content": "of words"}]
    rows = [{"conversation": chat, "score": 0.5}, {"conversation": [], "score": 1}]
    (tmp_path / "chats.jsonl").write_text("\n".join(map(json.dumps, rows)))
    words = ["--input", tmp_path / "chats.jsonl", "--output-prefix", tmp_path / "out", "--tokenizer-path", directory]
    words += ["--chat-template", tmp_path / "chat.jinja", "--reward-key", "score"]
    assert main([str(word) for word in words], None) == 0
    prompt, answer = encoded(tokenizer_file, ["user: a text\nassistant:", " of words\n"], [])
    assert documents(tmp_path / "out_conversation_document") == [[*prompt, *answer, 0]]
    assert documents(tmp_path / "out_conversation_label_document") == [[-100] * len(prompt) + [*answer, 0]]
    assert documents(tmp_path / "out_conversation_reward_document") == [[0.5]]
    assert "an empty list" in (tmp_path / "out.rejects.jsonl").read_text()


def test_end_of_text_that_the_vocabulary_lacks_is_an_error(tmp_path, texts, tokenizer_file):
    (tmp_path / "tokenizer.json").write_text(tokenizer_file.read_text())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"eos_token": "</s>", "chat_template": "x"}))
    with pytest.raises(UserError, match=r"eos_token of tokenizer_config.json, '</s>', is not in tokenizer\.json"):
        main(["--input", str(texts), "--output-prefix", str(tmp_path / "out"), "--tokenizer-path", str(tmp_path)], None)


def test_slower_encoder_is_told(prepare, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "fastokens", None)
    prepare()
    assert "note: " in capsys.readouterr().err


def test_shards_put_together_are_the_whole(prepare, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("neox_core.data.preparing.readers.ranges.BLOCK_BYTES", 4000)
    prepare()
    whole = outputs(tmp_path)["out_text_document.bin"]
    for number in (3, 1, 2):
        prepare("--shard", f"{number}/3")
    parts = [tmp_path / f"out_text_document.shard-000{number}-of-0003.bin" for number in (1, 2, 3)]
    assert b"".join(part.read_bytes() for part in parts) == whole
    assert all(part.stat().st_size for part in parts)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--shard", "0/3"], "'0/3' is no part; the parts of four are 1/4"),
        (["--shard", "4/3"], "is no part"),
        (["--shard", "half"], "is no part"),
        (["--shard", "1/2"], "cut into 1 blocks only"),
        (["--shard", "1/1", "--num-docs", "5"], "--num-docs counts the documents of the whole input"),
        (["--dataset-impl", "lazy"], "its files are of the format cached"),
        (["--dataset-impl", "fast"], "no format 'fast'; there are: mmap, cached"),
        (["--mask-before-token", "1,two"], "'1,two' is no list of token ids"),
        (["--mask-before-token", "1,300"], "300 is no token of this tokenizer; its ids are 0 to 299"),
        (["--mask-before-token", "-1"], "-1 is no token of this tokenizer"),
        (["--jsonl-keys", "a", "b", "a"], "'a' is named twice"),
        (["--vocab-size", "500"], "--vocab-size has a meaning only for a corpus"),
        (["--data-dir", "data"], "--data-dir has a meaning only for a corpus"),
        (["--workers", "many"], "'many' is not a positive number"),
        (["--work", "2", "--worker-count", "2"], "there is no option --worker-count"),
        (["--only-last"], "--only-last has a meaning only with --tokenizer-path"),
        (["--generation-role", "bot"], "--generation-role has a meaning only with --tokenizer-path"),
        (["--tokenizer-path", "."], "--tokenizer-type has a meaning only without --tokenizer-path"),
        (["--jsonl-keys", "a", "--strict"], r"texts\.jsonl:1: no key 'a'"),
    ],
)
def test_what_cannot_be_is_a_sentence(prepare, tmp_path, words, message):
    with pytest.raises(UserError, match=message):
        prepare(*words)
    assert not list(tmp_path.glob("out*"))


def test_what_is_missing_is_a_sentence(prepare, texts):
    with pytest.raises(UserError, match="--tokenizer-type: say which tokenizer"):
        prepare(tokenizer=())
    with pytest.raises(UserError, match="--output-prefix: say what"):
        main(["--input", str(texts), "-t", "CharLevelTokenizer"], None)
    with pytest.raises(UserError, match="--output-prefix has a meaning only with --input"):
        main(["--output-prefix", "out"], None)
    with pytest.raises(UserError, match="corpus 'stdlib' and --input are both given"):
        main(["stdlib", "--input", str(texts)], None)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--no-mask", "--for-rm"], "--no-mask and --for-rm each say what the labels are"),
        (["--for-rm", "--only-last"], "--for-rm and --only-last each say what the labels are"),
        (["--binary-reward"], "--binary-reward has a meaning only with --reward-key"),
        (["--append-eod"], "--append-eod has a meaning only without --tokenizer-path"),
    ],
)
def test_options_of_conversations_do_not_contradict_each_other(prepare, tmp_path, words, message):
    with pytest.raises(UserError, match=message):
        prepare(*words, tokenizer=("--tokenizer-path", tmp_path))


@pytest.mark.parametrize("words", [["-t", "CharLevelTokenizer"], ["--dataset-impl", "cached"], ["--ftfy"]])
def test_embedded_corpus_takes_no_options_of_other_tokenizers(words):
    with pytest.raises(UserError, match="says nothing about stdlib, which gets a tokenizer of its own"):
        main(["stdlib", *words], None)


@pytest.mark.parametrize("prefix", [".", "..", "/", "some/directory/"])
def test_prefix_is_more_than_a_directory(texts, prefix):
    with pytest.raises(UserError, match="is a directory; add what the files' names begin with"):
        main(["--input", str(texts), "-t", "CharLevelTokenizer", "--output-prefix", prefix], None)


def test_end_of_document_needs_a_token_for_it(prepare, tmp_path, tokenizer_file):
    other = tmp_path / "other.json"
    other.write_text(tokenizer_file.read_text().replace("<|endoftext|>", "<|end|>"))
    with pytest.raises(UserError, match="--append-eod: the tokenizer has no end-of-document token"):
        prepare("--append-eod", tokenizer=("-t", "HFTokenizer", "-v", other))


def test_broken_unicode_can_be_mended(tmp_path, prepare, texts, tokenizer_file, monkeypatch):
    pytest.importorskip("ftfy")
    texts.write_bytes(json_lines(["schÃ¶n â€œquotedâ€\x9d"]))
    prepare("--ftfy")
    assert documents(tmp_path / "out_text_document") == encoded(tokenizer_file, ['schön "quoted"'], [])
    monkeypatch.setitem(sys.modules, "ftfy", None)
    with pytest.raises(UserError, match=r"missing: pip install 'neox-toolkit\[ftfy\]'"):
        prepare("--ftfy", "--force")


def test_standard_input(tmp_path):
    program = "import sys; from neox_commands.data_prepare import main; sys.exit(main(sys.argv[1:], None))"
    command = [sys.executable, "-c", program, "--input", "-", "--output-prefix", str(tmp_path / "out")]
    command += ["--tokenizer-type", "CharLevelTokenizer"]
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    for force in ([], ["--force"]):
        subprocess.run([*command, *force], input=json_lines(["ab", "c"]), check=True, env=environment)
        assert documents(tmp_path / "out_text_document") == [[97, 98], [99]]
    again = subprocess.run(command, input=json_lines(["ab"]), capture_output=True, check=False, env=environment)
    assert b"made from what came by standard input" in again.stderr


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A catalogue with a corpus of two files, which a server has."""
    monkeypatch.delenv("NEOX_DATA_MIRROR", raising=False)
    files = {"a.jsonl.gz": COMPRESS[".gz"](json_lines(["ab", "c"])), "b.zip": zip_of({"enwik": b"whole"})}
    with file_server() as server:
        rows = []
        for name, content in files.items():
            server.files[f"/{name}"] = Served(content)
            digest = hashlib.sha256(content).hexdigest()
            rows.append(f'{{ name = "{name}", bytes = {len(content)}, digest = "sha256:{digest}" }}')
        entry = f'kind = "corpus"\nsummary = "My texts"\nlicence = "mine"\nbase = ["{server.address}"]\n'
        (tmp_path / "mine.toml").write_text(f"[mine]\n{entry}files = [{', '.join(rows)}]\n")
        yield server


def test_corpus_is_fetched_and_prepared_as_upstream_lays_it_out(served, tmp_path, capsys):
    words = [str(tmp_path / "mine.toml"), "-t", "CharLevelTokenizer", "-d", str(tmp_path / "data")]
    assert main(words, None) == 0
    assert documents(tmp_path / "data/mine/mine_text_document") == [[97, 98, 0], [99, 0], [*b"whole", 0]]
    asked = len(served.asked)
    main(words, None)
    assert "was there already" in capsys.readouterr().out
    assert len(served.asked) == asked
    main([*words, "-f"], None)
    assert len(served.asked) > asked


def test_vocabulary_has_as_many_entries_as_the_tokenizer_that_is_named(served, tmp_path):
    with pytest.raises(UserError, match="--vocab-size has a meaning only for stdlib"):
        main([str(tmp_path / "mine.toml"), "--vocab-size", "500"], None)


def test_ids_of_a_large_vocabulary_have_room(prepare, tmp_path):
    assert prepare(tokenizer=("-t", "CharLevelTokenizer")) == 0
    assert open_tokens(tmp_path / "out_text_document").dtype == np.uint16


def test_where_no_corpus_is_named_it_is_enwik8_and_what_needs_no_network_is_told(served, tmp_path, monkeypatch):
    monkeypatch.setenv("NEOX_DATA_MIRROR", f"{served.address}nothing/")
    with pytest.raises(UserError, match=r"enwik8(.|\n)*`neox data prepare stdlib` needs no network"):
        main(["-t", "CharLevelTokenizer", "-d", str(tmp_path)], None)
    with pytest.raises(UserError) as named:
        main(["enwik8", "-t", "CharLevelTokenizer", "-d", str(tmp_path)], None)
    assert "stdlib" not in str(named.value)
