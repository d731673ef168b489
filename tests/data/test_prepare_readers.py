from __future__ import annotations

import codecs
import json
import subprocess
import sys

import pytest
from text_files import COMPRESS, dat, json_lines, read_documents, read_records, tar_of, zip_of

from neox_core.data.preparing.readers import READERS
from neox_core.data.preparing.records import BadDocument
from neox_core.data.preparing.training_texts import training_texts
from neox_core.errors import UserError

TEXTS = ["one", "two\nlines", "", "ünïcödé ☃", "x" * 100_000, "last"]
OBJECTS = [{"text": text} for text in TEXTS]


@pytest.fixture(params=list(COMPRESS))
def packed(request):
    """A suffix and what compresses so."""
    if request.param == ".zst":
        pytest.importorskip("zstandard")
    return request.param, COMPRESS[request.param]


@pytest.fixture(params=[suffix for suffix in COMPRESS if suffix])
def compressed(request):
    """As `packed`, but never the identity."""
    if request.param == ".zst":
        pytest.importorskip("zstandard")
    return request.param, COMPRESS[request.param]


@pytest.mark.parametrize("suffix", [".jsonl", ".ndjson", ".jsonlines", ".json"])
def test_lines_of_json(tmp_path, packed, suffix):
    path = tmp_path / f"a{suffix}{packed[0]}"
    path.write_bytes(packed[1](b"\n" + json_lines(TEXTS[:3]) + b" \r\n" + json_lines(TEXTS[3:])))
    assert read_documents(path) == OBJECTS
    assert [record.row for _, record in read_records(path)] == [1, 2, 3, 5, 6, 7]


def test_last_line_needs_no_end(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(json_lines(TEXTS).rstrip())
    assert read_documents(path) == OBJECTS


def test_array_of_json(tmp_path, packed):
    path = tmp_path / f"a.json{packed[0]}"
    path.write_bytes(packed[1](b"\n " + json.dumps([*OBJECTS, "bare"], indent=1).encode()))
    assert read_documents(path) == [*OBJECTS, "bare"]


def test_damaged_array_is_an_error(tmp_path):
    (tmp_path / "a.json").write_text('[{"text": "a"}, ')
    with pytest.raises(UserError, match=r"a\.json is damaged or cut off after 0 documents .* JSON array"):
        read_documents(tmp_path / "a.json")


def test_text_file_is_one_document(tmp_path, packed):
    path = tmp_path / f"a.TXT{packed[0]}"
    path.write_bytes(packed[1]("two\r\nlines ☃\n".encode()))
    assert read_documents(path) == ["two\r\nlines ☃\n"]


def test_length_prefixed_texts(tmp_path, packed):
    path = tmp_path / f"a.dat{packed[0]}"
    path.write_bytes(packed[1](dat(TEXTS)))
    assert read_documents(path) == TEXTS


@pytest.mark.parametrize("cut", [-1, -10, -110, 7])
def test_length_prefixed_texts_that_are_cut_off_are_an_error(tmp_path, cut):
    (tmp_path / "a.dat").write_bytes(dat([*TEXTS[:2], "x" * 100])[:cut])
    with pytest.raises(UserError, match="damaged or cut off after"):
        read_documents(tmp_path / "a.dat")


MEMBERS = {
    "d/a.jsonl": json_lines(TEXTS[:2]),
    "b.txt": b"whole\ntext",
    "c.jsonl.gz": COMPRESS[".gz"](json_lines(TEXTS[2:])),
    "enwik": b"no suffix",
}
MEMBER_DOCUMENTS = [*OBJECTS[:2], "whole\ntext", *OBJECTS[2:], "no suffix"]


def test_zip_archive(tmp_path):
    (tmp_path / "a.zip").write_bytes(zip_of({"d/": b"", **MEMBERS}))
    assert read_documents(tmp_path / "a.zip") == MEMBER_DOCUMENTS


def test_tar_archive(tmp_path, packed):
    path = tmp_path / f"a.tar{packed[0]}"
    path.write_bytes(packed[1](tar_of(MEMBERS)))
    assert read_documents(path) == MEMBER_DOCUMENTS
    places = [(record.member, record.row) for _, record in read_records(path)]
    assert places[:4] == [("d/a.jsonl", 0), ("d/a.jsonl", 1), ("b.txt", None), ("c.jsonl.gz", 0)]


def test_archive_of_compressed_lines_as_the_openwebtext2_corpus_has_it(tmp_path):
    pytest.importorskip("zstandard")
    path = tmp_path / "a.jsonl.zst.tar"
    path.write_bytes(tar_of({f"{name}.jsonl.zst": COMPRESS[".zst"](json_lines([name])) for name in "ab"}))
    assert read_documents(path) == [{"text": "a"}, {"text": "b"}]


@pytest.mark.parametrize("name", ["a.tgz", "a.tar.gz"])
def test_tar_archive_by_either_name(tmp_path, name):
    (tmp_path / name).write_bytes(COMPRESS[".gz"](tar_of(MEMBERS)))
    assert read_documents(tmp_path / name) == MEMBER_DOCUMENTS


def test_tar_archive_that_is_cut_off_or_damaged_anywhere_is_an_error(tmp_path):
    whole = tar_of({"a.txt": b"one", "b.txt": b"two"})  # headers at 0 and 1024, the end from 2048 on
    for length in range(0, 2049, 64):
        (tmp_path / "a.tar").write_bytes(whole[:length])
        with pytest.raises(UserError, match="is damaged or cut off"):
            read_documents(tmp_path / "a.tar")
    (tmp_path / "a.tar").write_bytes(whole[:1030] + b"?" + whole[1031:])
    with pytest.raises(UserError, match="cut off after 1 documents that could be read: bad checksum, where a member"):
        read_documents(tmp_path / "a.tar")
    (tmp_path / "a.tar").write_bytes(whole[:2560])
    assert read_documents(tmp_path / "a.tar") == ["one", "two"]


@pytest.mark.parametrize("kind", [".jsonl", ".txt", ".tar", ".dat", ".json"])
def test_compressed_file_that_is_cut_off_is_an_error(tmp_path, compressed, kind):
    suffix, compress = compressed
    numbers = [f"{number * 7919}" * 50 for number in range(2000)]
    content = {".tar": tar_of({"a.jsonl": json_lines(numbers)}), ".dat": dat(numbers), ".txt": json_lines(numbers)}
    whole = compress(content.get(kind, json_lines(numbers)))
    path = tmp_path / f"a{kind}{suffix}"
    for length in (len(whole) // 2, len(whole) - 5, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match=rf"a\{kind}\{suffix} is damaged or cut off after \d+ documents"):
            read_documents(path)


def test_damage_in_the_middle_is_an_error(tmp_path, compressed):
    suffix, compress = compressed
    whole = bytearray(compress(json_lines([f"{number * 7919}" * 50 for number in range(2000)])))
    whole[len(whole) // 2 : len(whole) // 2 + 40] = b"\x00" * 40
    path = tmp_path / f"a.jsonl{suffix}"
    path.write_bytes(whole)
    with pytest.raises(UserError, match="damaged or cut off"):
        read_documents(path)


def test_several_compressed_streams_in_one_file_are_read_on(tmp_path, packed):
    path = tmp_path / f"a.jsonl{packed[0]}"
    path.write_bytes(packed[1](json_lines(TEXTS[:2])) + packed[1](json_lines(TEXTS[2:])))
    assert read_documents(path) == OBJECTS


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.parquet", "a.arrow", "a.jsonl.gz"])
def test_file_that_is_something_else_is_an_error(tmp_path, name):
    if name in ("a.parquet", "a.arrow"):
        pytest.importorskip("pyarrow")
    (tmp_path / name).write_bytes(b"this is no such file" * 100)
    with pytest.raises(UserError, match=r"a\.\w+"):
        read_documents(tmp_path / name)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{broken", "invalid JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"text": "\xff"}', "broken UTF-8 at byte 10"),
        (b"[1, 2]", "a JSON array"),
        (b"null", "a JSON null"),
        (b"12", "a JSON number"),
    ],
)
def test_bad_line_says_why(tmp_path, line, reason):
    (tmp_path / "a.jsonl").write_bytes(json_lines(["a"]) + line + b"\n" + json_lines(["b"]))
    records = [record for _, record in read_records(tmp_path / "a.jsonl")]
    assert [records[0].decode(records[0].raw), records[2].decode(records[2].raw)] == [{"text": "a"}, {"text": "b"}]
    with pytest.raises(BadDocument, match=reason):
        records[1].decode(records[1].raw)


def test_byte_order_mark_is_no_part_of_the_first_document(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(codecs.BOM_UTF8 + json_lines(["a", "b"]))
    assert read_documents(tmp_path / "a.jsonl") == [{"text": "a"}, {"text": "b"}]


def test_text_that_is_no_utf8_is_a_bad_document(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"ok \xe9")
    with pytest.raises(BadDocument, match="broken UTF-8 at byte 3"):
        read_documents(tmp_path / "a.txt")


@pytest.fixture
def table():
    pa = pytest.importorskip("pyarrow")
    return pa.table({"text": TEXTS, "other": list(range(len(TEXTS)))})


def test_parquet_row_groups_are_blocks(tmp_path, table):
    import pyarrow.parquet

    pyarrow.parquet.write_table(table, tmp_path / "a.parquet", row_group_size=4)
    assert read_documents(tmp_path / "a.parquet") == OBJECTS
    places = [(block.start, block.first_row, record.row) for block, record in read_records(tmp_path / "a.parquet")]
    assert places == [(0, 0, 0), (0, 0, 1), (0, 0, 2), (0, 0, 3), (1, 4, 0), (1, 4, 1)]


def test_only_the_columns_that_are_used_are_read(tmp_path, table):
    import pyarrow.parquet

    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    assert read_documents(tmp_path / "a.parquet", keys=("other", "none"))[:2] == [{"other": 0}, {"other": 1}]
    assert read_documents(tmp_path / "a.parquet", keys=("none",)) == [{}] * len(TEXTS)


@pytest.mark.parametrize("opener", ["new_file", "new_stream"])
def test_arrow_files_of_both_kinds(tmp_path, table, opener):
    import pyarrow.ipc

    with getattr(pyarrow.ipc, opener)(tmp_path / "a.arrow", table.schema) as writer:
        writer.write_table(table, max_chunksize=4)
    assert read_documents(tmp_path / "a.arrow") == OBJECTS
    whole = (tmp_path / "a.arrow").read_bytes()
    (tmp_path / "a.arrow").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="damaged or cut off"):
        read_documents(tmp_path / "a.arrow")


def test_standard_input_is_lines_of_json():
    program = "from text_files import read_documents; print(read_documents('-'))"
    environment = {"PYTHONPATH": ":".join(sys.path)}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, input=json_lines(["a", "b"]), capture_output=True, check=True, env=environment)
    assert done.stdout.decode().strip() == "[{'text': 'a'}, {'text': 'b'}]"


def test_addresses_are_read_through_fsspec():
    fsspec = pytest.importorskip("fsspec")
    for name, packed in (("a.jsonl", ""), ("b.jsonl.gz", ".gz")):
        with fsspec.open(f"memory://corpus/{name}", "wb") as file:
            file.write(COMPRESS[packed](json_lines(TEXTS)))
    assert read_documents("memory://corpus/a.jsonl", "memory://corpus/b.jsonl.gz") == OBJECTS * 2


def test_address_that_is_not_there_is_an_error():
    pytest.importorskip("fsspec")
    with pytest.raises(UserError, match=r"memory://nowhere/a\.jsonl cannot be read"):
        read_documents("memory://nowhere/a.jsonl")
    with pytest.raises(UserError, match="carrier-pigeon"):
        read_documents("carrier-pigeon://a.jsonl")


@pytest.mark.parametrize(
    ("name", "package"), [("a.jsonl.zst", "zstandard"), ("a.parquet", "pyarrow"), ("a.arrow", "pyarrow")]
)
def test_missing_package_is_named(tmp_path, monkeypatch, name, package):
    (tmp_path / name).write_bytes(b"")
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setitem(sys.modules, "pyarrow.ipc", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(UserError, match=rf"missing: pip install 'neox-toolkit\[{package}\]'"):
        read_documents(tmp_path / name)


def test_texts_to_train_a_tokenizer_on(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(json_lines(TEXTS, key="body"))
    (tmp_path / "b.tar").write_bytes(tar_of({"x.jsonl": json_lines(["x"], key="body") + b"7\n"}))
    texts = training_texts([str(tmp_path / "*.jsonl"), str(tmp_path / "b.tar")], "body")
    assert [next(texts) for _ in range(len(TEXTS) + 1)] == [*TEXTS, "x"]
    with pytest.raises(UserError, match=r"b\.tar:x\.jsonl:2: a JSON number, where an object or a string is expected"):
        next(texts)


def test_every_reader_is_by_a_lower_case_suffix():
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in READERS)
