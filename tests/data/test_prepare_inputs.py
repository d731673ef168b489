from __future__ import annotations

import os
from pathlib import Path

import pytest
from text_files import json_lines

from neox_core.data.preparing.inputs import find_inputs
from neox_core.errors import UserError


@pytest.fixture
def directory(tmp_path):
    """A directory with a.jsonl, b.txt, c,d.jsonl, notes.md, .hidden.jsonl and e/f.jsonl.gz."""
    (tmp_path / "e").mkdir()
    for name in ("a.jsonl", "b.txt", "c,d.jsonl", "notes.md", ".hidden.jsonl", "e/f.jsonl.gz"):
        (tmp_path / name).write_bytes(json_lines([name]))
    return tmp_path


def names(directory, *arguments):
    sources = find_inputs([argument.replace("DIR", str(directory)) for argument in arguments]).sources
    return [str(Path(source.path).relative_to(directory)) for source in sources]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["DIR/a.jsonl"], ["a.jsonl"]),
        (["DIR/b.txt", "DIR/a.jsonl"], ["b.txt", "a.jsonl"]),
        (["DIR/b.txt,DIR/a.jsonl"], ["b.txt", "a.jsonl"]),
        (["DIR/c,d.jsonl"], ["c,d.jsonl"]),
        (["DIR/a.jsonl,DIR/a.jsonl"], ["a.jsonl", "a.jsonl"]),
        (["DIR/*.jsonl"], ["a.jsonl", "c,d.jsonl"]),
        (["DIR/[ab].*,DIR/e/*"], ["a.jsonl", "b.txt", "e/f.jsonl.gz"]),
        (["DIR/**/*.gz"], ["e/f.jsonl.gz"]),
        (["DIR"], ["a.jsonl", "b.txt", "c,d.jsonl", "e/f.jsonl.gz"]),
    ],
)
def test_files_come_in_the_order_of_the_arguments_and_by_name(directory, arguments, expected):
    assert names(directory, *arguments) == expected


def test_file_whose_name_looks_like_a_glob_is_itself(tmp_path):
    (tmp_path / "[a].jsonl").write_bytes(b"")
    assert names(tmp_path, "DIR/[a].jsonl") == ["[a].jsonl"]


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("DIR/none.jsonl", "none.jsonl cannot be read"),
        ("DIR/none*", "nothing matches"),
        ("DIR/notes.md", "does not say what it is"),
        ("DIR/e/f.jsonl.gz,", "nothing matches '' in .*f.jsonl.gz,;"),
    ],
)
def test_what_is_not_there_or_of_no_known_kind_is_an_error(directory, argument, message):
    with pytest.raises(UserError, match=message):
        names(directory, argument)


def test_directory_of_inputs_may_be_that_of_the_outputs(directory):
    before = names(directory, "DIR")
    for name in ("mine.prepared.json", "mine.shard-0001-of-0002.rejects.jsonl", "mine_text_document.bin"):
        (directory / name).write_text("{}")
    assert names(directory, "DIR") == before


def test_link_to_nowhere_is_told(directory):
    (directory / "z.jsonl").symlink_to(directory / "gone.jsonl")
    with pytest.raises(UserError, match=r"z\.jsonl cannot be read"):
        names(directory, "DIR")


def test_directory_without_texts_is_an_error(tmp_path):
    (tmp_path / "notes.md").write_text("")
    with pytest.raises(UserError, match="holds no file of a known kind"):
        names(tmp_path, "DIR")


def test_source_is_known_again_by_size_and_time(directory):
    path = directory / "a.jsonl"
    before = find_inputs([str(path)]).sources
    assert find_inputs([os.path.relpath(path)]).sources == before
    os.utime(path, ns=(1, 2))
    assert find_inputs([str(path)]).sources != before


def test_data_set_on_disk_gives_its_files_in_its_own_order(tmp_path):
    (tmp_path / "state.json").write_text('{"_data_files": [{"filename": "z.arrow"}, {"filename": "a.arrow"}]}')
    for name in ("a.arrow", "z.arrow", "cache-1.arrow"):
        (tmp_path / name).write_bytes(b"")
    assert names(tmp_path, "DIR") == ["z.arrow", "a.arrow"]


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("state.json", "{}", "not the state of a data set"),
        ("state.json", '{"_data_files": [], "_indices_data_files": [{"filename": "i.arrow"}]}', "flatten_indices"),
        ("dataset_dict.json", '{"splits": ["train"]}', "several data sets"),
    ],
)
def test_data_set_that_is_not_simply_its_files_is_an_error(tmp_path, file, content, message):
    (tmp_path / file).write_text(content)
    with pytest.raises(UserError, match=message):
        names(tmp_path, "DIR")
