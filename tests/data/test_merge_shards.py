"""`neox data merge` knows the parts of a preparation by their names."""

from __future__ import annotations

import pytest
from neox_commands.data_merge import main

from neox_core.data.preparing.shards import Shard
from neox_core.data.token_files import TokenFileWriter, open_tokens
from neox_core.errors import UserError


@pytest.fixture
def shards(tmp_path):
    """Write parts 1 to 3 of 3 of these wholes, and return the directory."""

    def write(*wholes):
        directory = tmp_path / "parts"
        directory.mkdir()
        for number in (1, 2, 3):
            for whole in wholes:
                with TokenFileWriter(f"{directory / whole}{Shard(number, 3).suffix}", "int32") as writer:
                    writer.add([number])
        return directory

    return write


def remove(directory, name):
    for kind in ("bin", "idx"):
        (directory / f"{name}.{kind}").unlink()


def test_index_files_name_parts(shards, tmp_path):
    paths = sorted(str(path) for path in shards("x_text", "x_label").glob("x_text*.idx"))
    assert main([*paths, "--output-prefix", str(tmp_path / "all")], None) == 0
    assert [tokens.tolist() for tokens in open_tokens(tmp_path / "all")] == [[1], [2], [3]]


@pytest.mark.parametrize("wholes", [("x_label", "x_text"), ("x_text",)])
def test_directory_with_parts_of_several_files_is_refused(shards, tmp_path, wholes):
    directory = shards(*wholes)
    if len(wholes) == 1:
        with TokenFileWriter(directory / "x_whole", "int32") as writer:
            writer.add([1])
    with pytest.raises(UserError, match=r"do not go into one file; name those of one, as in .*\.shard-\*\.idx"):
        main(["--input", str(directory), "--output-prefix", str(tmp_path / "all")], None)
    assert not list(tmp_path.glob("all*"))


def test_part_that_is_missing_in_a_directory_is_an_error(shards, tmp_path):
    directory = shards("x_text")
    remove(directory, "x_text.shard-0002-of-0003")
    with pytest.raises(UserError, match=r"x_text\.shard-0002-of-0003: is missing"):
        main(["--input", str(directory), "--output-prefix", str(tmp_path / "all")], None)


def test_part_that_is_not_named_is_told(shards, tmp_path, capsys):
    directory = shards("x_text")
    prefixes = [f"{directory}/x_text.shard-000{number}-of-0003" for number in (1, 3)]
    assert main([*prefixes, "--output-prefix", str(tmp_path / "all")], None) == 0
    assert "x_text.shard-0002-of-0003 is not among the parts" in capsys.readouterr().err
    assert [tokens.tolist() for tokens in open_tokens(tmp_path / "all")] == [[1], [3]]
