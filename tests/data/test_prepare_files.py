from __future__ import annotations

import dataclasses
import json
import os
import random
from pathlib import Path

import numpy as np
import pytest
from byte_preparations import UINT16, byte_preparation, encode, outputs
from hypothesis import HealthCheck, given, settings, strategies as st
from text_files import json_lines, tar_of

from neox_core.data.preparing.forms.texts import TextForm
from neox_core.data.preparing.preparation import prepare_files
from neox_core.data.preparing.readers import ranges
from neox_core.data.preparing.records import BadDocument
from neox_core.data.preparing.shards import Shard
from neox_core.data.token_files import TokenFileWriter, open_tokens
from neox_core.errors import UserError


def texts_of(count, seed=1):
    chooser = random.Random(seed)
    return ["".join(chooser.choices("abc ü\n", k=chooser.randrange(0, 60))) for _ in range(count)]


TEXTS = texts_of(300)


def written_by_hand(prefix, documents, dtype=np.uint16, impl="mmap"):
    with TokenFileWriter(prefix, dtype, impl=impl) as writer:
        for document in documents:
            writer.add(document)


def by_bytes(texts, eod=0):
    return [[*text.encode(), eod] for text in texts if text]


@pytest.fixture
def corpus(tmp_path):
    """Two files of lines of JSON with TEXTS, and a tar archive with a text."""
    directory = tmp_path / "corpus"
    directory.mkdir()
    (directory / "a.jsonl").write_bytes(json_lines(TEXTS[:200]))
    (directory / "b.jsonl").write_bytes(json_lines(TEXTS[200:]))
    (directory / "c.tar").write_bytes(tar_of({"a.txt": b"the end"}))
    return directory


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(ranges, "BLOCK_BYTES", 500)


@pytest.mark.parametrize("impl", ["mmap", "cached"])
def test_token_files_hold_the_documents_in_order(corpus, tmp_path, impl):
    prepared = prepare_files(byte_preparation([corpus], tmp_path / "made/out", impl=impl))
    documents = by_bytes([*TEXTS, "the end"])
    (tmp_path / "by_hand").mkdir()
    written_by_hand(tmp_path / "by_hand/out_text_document", documents, impl=impl)
    assert outputs(tmp_path / "made") == outputs(tmp_path / "by_hand")
    counts = prepared.counts
    assert (counts.documents, counts.tokens) == (len(documents), sum(map(len, documents)))
    assert (counts.empty, counts.bad) == (len(TEXTS) + 1 - len(documents), 0)


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batch_bytes=st.integers(1, 3000), block_bytes=st.integers(1, 20000), shards=st.integers(1, 5), bad=st.booleans())
def test_result_depends_neither_on_batches_nor_on_shards(tmp_path_factory, batch_bytes, block_bytes, shards, bad):
    directory = tmp_path_factory.mktemp("shards")
    lines = json_lines(TEXTS).splitlines(keepends=True)
    if bad:
        lines[::7] = [b"broken\n"] * len(lines[::7])
    (directory / "a.jsonl").write_bytes(b"".join(lines))
    whole, parts = directory / "whole", directory / "parts"
    prepare_files(byte_preparation([directory / "a.jsonl"], whole / "out"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranges, "BLOCK_BYTES", block_bytes)
        preparation = byte_preparation([directory / "a.jsonl"], parts / "out")
        count = min(shards, len(preparation.inputs.blocks))
        for number in range(1, count + 1):
            options = {"batch_bytes": batch_bytes, "shard": Shard(number, count)}
            prepare_files(byte_preparation([directory / "a.jsonl"], parts / "out", **options))
    for kind in ("rejects.jsonl", "bin"):
        joined = b"".join(path.read_bytes() for path in sorted(parts.glob(f"*{kind}")))
        assert joined == b"".join(path.read_bytes() for path in whole.glob(f"*{kind}"))
    files = [open_tokens(str(path)[:-4]) for path in sorted(parts.glob("*.idx"))]
    assert (
        np.concatenate([file.sizes for file in files]).tolist()
        == open_tokens(whole / "out_text_document").sizes.tolist()
    )


def test_shards_have_names_in_their_order(corpus, tmp_path):
    prepare_files(byte_preparation([corpus], tmp_path / "made/out", shard=Shard(2, 3)))
    stem = "out_text_document.shard-0002-of-0003"
    assert set(outputs(tmp_path / "made")) == {f"{stem}.bin", f"{stem}.idx"}
    assert (tmp_path / "made/out.shard-0002-of-0003.prepared.json").is_file()


def test_each_key_has_a_file(tmp_path):
    documents = [{"a": "x", "b": "yy"}, {"a": "", "b": "left out"}, {"b": "bad"}, {"a": "u", "b": "v"}]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, documents)))
    prepared = prepare_files(byte_preparation([tmp_path / "in.jsonl"], tmp_path / "out", keys=("a", "b")))
    kept = {name: open_tokens(tmp_path / f"out_{name}_document") for name in "ab"}
    assert {name: [file.get(i).tolist() for i in range(len(file))] for name, file in kept.items()} == {
        "a": [[120, 0], [117, 0]],
        "b": [[121, 121, 0], [118, 0]],
    }
    assert (prepared.counts.documents, prepared.counts.empty, prepared.counts.bad) == (2, 1, 1)


def test_labels_are_written_beside_the_text(tmp_path):
    (tmp_path / "in.jsonl").write_bytes(json_lines(["q?a"]))
    prepare_files(byte_preparation([tmp_path / "in.jsonl"], tmp_path / "out", mask_before=[ord("?")]))
    labels = open_tokens(tmp_path / "out_label_document")
    assert (labels.dtype, labels.get(0).tolist()) == (np.int32, [-100, -100, 97, 0])
    assert open_tokens(tmp_path / "out_text_document").dtype == np.int32


BAD = [
    b'{"text": 1}',
    b"{broken",
    b'{"other": "a"}',
    b'{"text": "\xff"}',
    b'{"text": "\\udead"}',
    b'{"text": "' + b"x" * 500,
]


def test_bad_documents_are_told_with_their_place(tmp_path, small_blocks):
    good = json_lines(TEXTS).splitlines()
    lines = [
        line
        for number, line in enumerate(good)
        for line in ([line, b"", BAD[number // 50]] if number % 50 == 0 else [line])
    ]
    (tmp_path / "in.jsonl").write_bytes(b"\n".join(lines))
    (tmp_path / "more.tar").write_bytes(tar_of({"x.jsonl": b'{"text": "ok"}\n\n7\n', "y.txt": b"\xff"}))
    paths = [tmp_path / "in.jsonl", tmp_path / "more.tar"]
    prepared = prepare_files(byte_preparation(paths, tmp_path / "made/out", batch_bytes=300))
    rejects = [json.loads(line) for line in (tmp_path / "made/out.rejects.jsonl").read_text().splitlines()]
    assert prepared.counts.bad == len(rejects) == 8
    assert [(reject["file"], reject["line"]) for reject in rejects[:6]] == [
        (str(paths[0]), lines.index(line) + 1) for line in BAD
    ]
    assert [reject["reason"].split(":")[0].split(" at ")[0] for reject in rejects[:6]] == [
        "'text' is of kind number, where a text is expected",
        "invalid JSON",
        "no key 'text'; there are",
        "broken UTF-8",
        "U+DEAD",
        "invalid JSON",
    ]
    assert rejects[0]["text"] == '{"text": 1}'
    assert len(rejects[5]["text"]) == 200
    assert [{**reject, "reason": ""} for reject in rejects[6:]] == [
        {"file": str(paths[1]), "member": "x.jsonl", "line": 3, "reason": "", "text": "7"},
        {"file": str(paths[1]), "member": "y.txt", "reason": "", "text": "�"},
    ]
    tokens = open_tokens(tmp_path / "made/out_text_document")
    assert [tokens.get(i).tolist() for i in range(len(tokens))] == by_bytes([*TEXTS, "ok"])


def test_lines_are_counted_in_each_file(tmp_path, small_blocks):
    lines = json_lines(TEXTS).splitlines(keepends=True)
    for name, count in (("a", 100), ("b", 200)):
        (tmp_path / f"{name}.jsonl").write_bytes(b"".join([*lines[:count], b"7\n", lines[0], b"8\n"]))
    prepare_files(byte_preparation([tmp_path / "a.jsonl", tmp_path / "b.jsonl"], tmp_path / "out"))
    rejects = [json.loads(line) for line in (tmp_path / "out.rejects.jsonl").read_text().splitlines()]
    assert [(Path(reject["file"]).stem, reject["line"]) for reject in rejects] == [
        ("a", 101),
        ("a", 103),
        ("b", 201),
        ("b", 203),
    ]


class Numbers(TextForm):
    """Even numbers are refused when they are parsed, those that three divides when they are encoded."""

    def parse(self, fields):
        if int(fields["text"]) % 2 == 0:
            raise BadDocument("even")
        return super().parse(fields)

    def encode(self, documents):
        for document, made in zip(documents, super().encode(documents), strict=True):
            yield BadDocument("divisible") if int(document[0]) % 3 == 0 else made


@pytest.mark.parametrize("batch_bytes", [1, 10**6])
def test_bad_documents_are_told_in_their_order(tmp_path, batch_bytes):
    (tmp_path / "in.jsonl").write_bytes(json_lines(map(str, range(1, 13))))
    preparation = byte_preparation([tmp_path / "in.jsonl"], tmp_path / "out", batch_bytes=batch_bytes)
    prepare_files(dataclasses.replace(preparation, form=Numbers(encode, UINT16)))
    rejects = [json.loads(line) for line in (tmp_path / "out.rejects.jsonl").read_text().splitlines()]
    assert [reject["line"] for reject in rejects] == [2, 3, 4, 6, 8, 9, 10, 12]


def test_strict_stops_at_the_first_bad_document(tmp_path, small_blocks):
    (tmp_path / "in.jsonl").write_bytes(json_lines(TEXTS) + b"{broken\n" + json_lines(TEXTS) + b"7")
    with pytest.raises(UserError, match=r"in\.jsonl:301: invalid JSON: .* begins: '\{broken'.*leave out --strict"):
        prepare_files(byte_preparation([tmp_path / "in.jsonl"], tmp_path / "made/out", strict=True))
    assert list((tmp_path / "made").iterdir()) == []
    prepared = prepare_files(byte_preparation([tmp_path / "in.jsonl"], tmp_path / "made/out"))
    assert prepared.counts.bad == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the input has no documents"),
        (b"\n\n", "the input has no documents"),
        (json_lines(["", ""]), r"the input has no documents \(2 without tokens\)"),
        (b"7\n{broken\n", r"none of the 2 documents can be used\. .*in\.jsonl:1: a JSON number, .* begins: '7'\.$"),
    ],
)
def test_input_without_a_document_writes_nothing(tmp_path, content, message):
    (tmp_path / "in.jsonl").write_bytes(content)
    with pytest.raises(UserError, match=f"nothing is written, since {message}"):
        prepare_files(byte_preparation([tmp_path / "in.jsonl"], tmp_path / "made/out"))
    assert list((tmp_path / "made").iterdir()) == []


def test_file_that_is_cut_off_publishes_nothing(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(json_lines(TEXTS))
    (tmp_path / "b.dat").write_bytes(b"%016d" % 5 + b"whole" + b"%016d" % 9 + b"cut")
    with pytest.raises(UserError, match=r"b\.dat is damaged or cut off after 1 documents"):
        prepare_files(byte_preparation([tmp_path / "a.jsonl", tmp_path / "b.dat"], tmp_path / "made/out"))
    assert list((tmp_path / "made").iterdir()) == []


def replace(path):
    path.unlink()
    path.write_bytes(json_lines(["another"]))


def grow(path):
    with path.open("ab") as file:
        file.write(json_lines(["one more"]))


@pytest.mark.parametrize("change", [grow, replace, lambda path: os.truncate(path, 1000), Path.unlink])
def test_file_that_changes_while_it_is_read_publishes_nothing(tmp_path, small_blocks, change):
    path = tmp_path / "a.jsonl"
    path.write_bytes(json_lines(texts_of(300)))
    changes = iter([Path.exists, change])

    def disturb(progress):
        next(changes, Path.exists)(path)

    with pytest.raises(UserError, match=r"a\.jsonl (has changed while it was read|cannot be)"):
        prepare_files(byte_preparation([path], tmp_path / "made/out", batch_bytes=200), disturb)
    assert list((tmp_path / "made").iterdir()) == []


def test_tokens_that_do_not_fit_are_an_error(tmp_path):
    (tmp_path / "in.jsonl").write_bytes(json_lines(["a"]))
    with pytest.raises(UserError, match="ids from 97 to 70000, but uint16"):
        prepare_files(byte_preparation([tmp_path / "in.jsonl"], tmp_path / "out", eod=70000))


def times(directory):
    return {path: path.stat().st_mtime_ns for path in directory.iterdir()}


def test_what_is_finished_is_kept(corpus, tmp_path):
    first = prepare_files(byte_preparation([corpus], tmp_path / "made/out"))
    before = times(tmp_path / "made")
    again = prepare_files(byte_preparation([corpus], tmp_path / "made/out", batch_bytes=99, strict=True))
    assert (first.reused, again.reused, again.counts) == (False, True, first.counts)
    assert times(tmp_path / "made") == before
    assert not prepare_files(byte_preparation([corpus], tmp_path / "made/out", force=True)).reused


def touch(corpus):
    os.utime(corpus / "a.jsonl", ns=(1, 1))


@pytest.mark.parametrize(
    ("change", "options", "reason"),
    [
        (touch, {}, "other inputs"),
        (lambda corpus: (corpus / "z.txt").write_text("more"), {}, "other inputs"),
        (lambda corpus: None, {"eod": 1}, "other options"),
        (lambda corpus: None, {"impl": "cached"}, "other options"),
        (lambda corpus: None, {"tokenizer": "letters"}, "another tokenizer"),
        (touch, {"eod": 1, "tokenizer": "letters"}, "other inputs and other options and another tokenizer"),
    ],
)
def test_files_made_from_something_else_are_replaced_by_force_alone(corpus, tmp_path, change, options, reason):
    prepare_files(byte_preparation([corpus], tmp_path / "made/out"))
    before = outputs(tmp_path / "made")
    change(corpus)
    with pytest.raises(UserError, match=rf"out_text_document\.bin: .* already, made from {reason}; .*--force"):
        prepare_files(byte_preparation([corpus], tmp_path / "made/out", **options))
    assert outputs(tmp_path / "made") == before
    assert not prepare_files(byte_preparation([corpus], tmp_path / "made/out", force=True, **options)).reused


@pytest.mark.parametrize("damage", ["record", "index"])
def test_files_that_nobody_can_vouch_for_are_in_the_way(corpus, tmp_path, damage):
    prepare_files(byte_preparation([corpus], tmp_path / "out"))
    if damage == "record":
        (tmp_path / "out.prepared.json").unlink()
    else:
        with (tmp_path / "out_text_document.idx").open("ab") as file:
            file.write(b"more")
    with pytest.raises(UserError, match="--force"):
        prepare_files(byte_preparation([corpus], tmp_path / "out"))
    assert not prepare_files(byte_preparation([corpus], tmp_path / "out", force=True)).reused


def test_old_bad_documents_do_not_stay(tmp_path):
    (tmp_path / "in.jsonl").write_bytes(b"7\n" + json_lines(["a"]))
    prepare_files(byte_preparation([tmp_path / "in.jsonl"], tmp_path / "out"))
    assert (tmp_path / "out.rejects.jsonl").exists()
    (tmp_path / "in.jsonl").write_bytes(json_lines(["a"]))
    prepare_files(byte_preparation([tmp_path / "in.jsonl"], tmp_path / "out", force=True))
    assert not (tmp_path / "out.rejects.jsonl").exists()


def test_record_says_what_was_made_from_what(corpus, tmp_path):
    prepare_files(byte_preparation([corpus], tmp_path / "out"))
    record = json.loads((tmp_path / "out.prepared.json").read_text())
    paths = sorted(corpus.iterdir())
    assert [(source["path"], source["size"]) for source in record["source"]["inputs"]] == [
        (str(path), path.stat().st_size) for path in paths
    ]
    assert record["source"]["tokenizer"] == {"name": "bytes"}
    assert record["outputs"] == {
        f"out_text_document.{kind}": (tmp_path / f"out_text_document.{kind}").stat().st_size for kind in ("bin", "idx")
    }


def test_progress_counts_up_to_everything(corpus, tmp_path):
    steps = []
    prepared = prepare_files(byte_preparation([corpus], tmp_path / "out", batch_bytes=200), steps.append)
    assert len({step.read for step in steps}) > 10
    assert steps[-1].counts == prepared.counts
    assert steps[-1].read == steps[-1].total == sum(path.stat().st_size for path in corpus.iterdir())
    assert [step.read for step in steps] == sorted(step.read for step in steps)


def test_directory_that_cannot_be_made_is_an_error(corpus, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file cannot be made"):
        prepare_files(byte_preparation([corpus], tmp_path / "file/out"))


def test_two_at_once_are_refused(corpus, tmp_path):
    def second(progress):
        with pytest.raises(UserError, match="another process is writing"):
            prepare_files(byte_preparation([corpus], tmp_path / "out"))

    prepare_files(byte_preparation([corpus], tmp_path / "out"), second)
