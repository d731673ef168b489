from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from neox_commands.data import main

from neox_core.data.splits import split_boundaries
from neox_core.data.token_files import TokenFileWriter, open_tokens
from neox_core.errors import UserError

GOLDEN_BYTES = 143136


@pytest.fixture
def golden(golden_directory):
    return str(golden_directory / "tokens_a")


@pytest.fixture
def run(capsys):
    """Run a verb, and return its exit code, what it prints, and what it says on standard error."""

    def run(*words):
        code = main([str(word) for word in words], None)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def test_counts_are_those_of_the_files(run, golden):
    code, printed, _ = run("count", golden, golden, "--json")
    counts = {"documents": 80, "sequences": 80, "tokens": 71568, "bytes": GOLDEN_BYTES}
    assert (code, json.loads(printed)) == (0, [{"prefix": golden, **counts}] * 2)
    rows = [line.split() for line in run("count", golden, golden)[1].splitlines()]
    assert rows[0] == ["documents", "sequences", "tokens", "bytes"]
    assert rows[1] == [golden, "80", "80", "71,568", "143,136"]
    assert rows[3] == ["total", "160", "160", "143,136", "286,272"]


def test_facts_are_shown(run, golden):
    shown = json.loads(run("show", golden, "--json")[1])
    sizes = open_tokens(golden).sizes
    assert (shown["format"], shown["dtype"], shown["tokens"]) == ("mmap", "uint16", 71568)
    assert (shown["shortest"], shown["median"], shown["longest"]) == (sizes.min(), int(np.median(sizes)), sizes.max())
    assert ["tokens", "71,568"] in [line.split() for line in run("show", golden)[1].splitlines()]


def test_file_without_documents_is_shown(run, tmp_path):
    with TokenFileWriter(tmp_path / "empty", "uint16"):
        pass
    assert json.loads(run("show", tmp_path / "empty", "--json")[1])["longest"] == 0


def test_document_is_shown_as_ids(run, golden):
    ids = open_tokens(golden)[3].tolist()
    assert run("show", golden, "--document", 3)[1] == " ".join(map(str, ids)) + "\n"
    part = json.loads(run("show", golden, "--document", 3, "--offset", 2, "--length", 4, "--json")[1])
    assert (part["document"], part["offset"], part["ids"]) == (3, 2, ids[2:6])


def test_document_is_shown_as_text_and_masked_labels_as_they_are(run, tmp_path):
    with TokenFileWriter(tmp_path / "labels", "int32") as writer:
        writer.add([-100, -100, *b"text"])
    words = ["show", tmp_path / "labels", "--document", 0]
    assert run(*words)[1] == "-100 -100 116 101 120 116\n"
    shown = run(*words, "--tokenizer-type", "CharLevelTokenizer")[1]
    assert shown == "-100 -100 116 101 120 116\n\ntext\n"


def test_numbers_that_json_lacks_are_null(run, tmp_path):
    with TokenFileWriter(tmp_path / "rewards", "float32") as writer:
        writer.add([0.5, float("nan")])
    assert json.loads(run("show", tmp_path / "rewards", "--document", 0, "--json")[1])["ids"] == [0.5, None]


def test_document_that_there_is_not_is_told(run, golden):
    with pytest.raises(UserError, match="there is no document 80; it has 80, counted from 0"):
        run("show", golden, "--document", 80)
    with pytest.raises(UserError, match="-1 is not a whole number >= 0"):
        run("show", golden, "--document=-1")


def test_id_that_the_tokenizer_lacks_is_told(run, tmp_path):
    with TokenFileWriter(tmp_path / "t", "int32") as writer:
        writer.add([5000])
    with pytest.raises(UserError, match="document 0 has 5000, and the tokenizer 512 entries"):
        run("show", tmp_path / "t", "--document", 0, "--tokenizer-type", "CharLevelTokenizer")


def test_parts_of_a_split_merge_to_the_whole(run, tmp_path, golden):
    parts = tmp_path / "parts"
    parts.mkdir()
    code, printed, _ = run("split", golden, "--split", "8,1,1", "--output-prefix", parts / "t", "--json")
    counts = [part["documents"] for part in json.loads(printed)]
    boundaries = split_boundaries("8,1,1", 80)
    assert (code, counts) == (0, [b - a for a, b in pairwise(boundaries)])
    names = [parts / f"t_{part}" for part in ("train", "valid", "test")]
    code, printed, _ = run("merge", *names, "--output-prefix", tmp_path / "again")
    assert printed.split()[-4:] == ["80", "80", "71,568", "143,136"]
    for kind in ("bin", "idx"):
        assert (tmp_path / f"again.{kind}").read_bytes() == Path(f"{golden}.{kind}").read_bytes()


def test_directory_is_merged_in_the_order_of_names(run, tmp_path):
    (tmp_path / "shards").mkdir()
    for name, token in (("b", 2), ("a", 1)):
        with TokenFileWriter(tmp_path / "shards" / name, "uint16") as writer:
            writer.add([token])
    code, printed, _ = run("merge", "--input", tmp_path / "shards", "--output-prefix", tmp_path / "all", "--json")
    assert code == 0
    assert json.loads(printed)["inputs"] == [str(tmp_path / "shards" / name) for name in "ab"]
    assert [sequence.tolist() for sequence in open_tokens(tmp_path / "all")] == [[1], [2]]


def test_prefixes_or_a_directory_are_merged_not_both_or_none(run, tmp_path, golden):
    for words in ([golden, "--input", tmp_path], []):
        with pytest.raises(UserError, match="or their directory with --input: one of the two"):
            run("merge", *words, "--output-prefix", tmp_path / "all")


def test_split_that_would_overwrite_its_input_is_refused_before_anything_is_written(run, tmp_path):
    with TokenFileWriter(tmp_path / "t_test", "uint16") as writer:
        writer.add([1])
    with pytest.raises(UserError, match="t_test: is read, and cannot be written"):
        run("split", tmp_path / "t_test", "--output-prefix", tmp_path / "t")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t_test.bin", "t_test.idx"]


def test_whole_files_are_verified(run, golden):
    code, printed, said = run("verify", golden, "--vocab-size", 500, "--sha256")
    assert (code, said) == (0, "")
    rows = [line.split() for line in printed.splitlines()]
    assert dict(zip(rows[0], rows[1][1:], strict=True)) == {
        "documents": "80",
        "sequences": "80",
        "empty": "0",
        "tokens": "71,568",
        "masked": "0",
        "lowest": "0",
        "highest": "499",
        "wrong": "0",
    }
    assert [row[1] for row in rows[2:]] == [f"{golden}.bin", f"{golden}.idx"]


def test_wrong_places_are_told_with_exit_code_2(run, tmp_path, golden):
    code, printed, said = run("verify", golden, tmp_path / "none", "--vocab-size", 499, "--json")
    whole, absent = json.loads(printed)
    assert code == 2
    assert whole["wrong"] == sum(int((sequence == 499).sum()) for sequence in open_tokens(golden))
    assert len(whole["places"]) == 10
    assert "No such file" in absent["error"]
    lines = said.splitlines()
    assert lines[0].startswith(f"error: {golden}: sequence ")
    assert "499 is beyond a vocabulary of 499" in lines[0]
    assert lines[10] == f"error: {golden}: and {whole['wrong'] - 10:,} more"
    assert "No such file" in lines[11]


def test_notices_are_on_standard_error(run, tmp_path):
    with TokenFileWriter(tmp_path / "t", "uint16") as writer:
        writer.add([1])
    index = bytearray((tmp_path / "t.idx").read_bytes())
    index[26] = 1
    (tmp_path / "t.idx").write_bytes(bytes(index[:-8]))
    for words in (["count"], ["show"], ["verify"], ["merge", "--output-prefix", tmp_path / "m"]):
        _, printed, said = run(*words, tmp_path / "t")
        assert "the document index does not cover" in said
        assert "does not cover" not in printed


@pytest.mark.parametrize("verb", ["merge", "split", "count", "show", "verify"])
def test_mistakes_on_the_command_line_are_told(run, verb):
    with pytest.raises(UserError, match=f"neox data {verb}: "):
        run(verb, "--jsno")


@pytest.mark.parametrize("verb", ["merge", "split", "count", "show", "verify"])
def test_every_verb_has_help(verb, capsys):
    with pytest.raises(SystemExit):
        main([verb, "--help"], None)
    assert capsys.readouterr().out.startswith(f"usage: neox data {verb}")


def test_the_directory_of_what_is_written_is_made(tmp_path, capsys):
    with TokenFileWriter(tmp_path / "t", "uint16") as writer:
        for size in (3, 4, 5):
            writer.add(range(size))
    assert main(["merge", str(tmp_path / "t"), "--output-prefix", str(tmp_path / "some/where/m")], None) == 0
    assert (
        main(["split", str(tmp_path / "t"), "--split", "1,1,1", "--output-prefix", str(tmp_path / "parts/p")], None)
        == 0
    )
    assert len(open_tokens(tmp_path / "some/where/m")) == 3
    assert len(open_tokens(tmp_path / "parts/p_train")) == 1
