from __future__ import annotations

import subprocess

import numpy as np
import pytest

from neox_core.data.token_files import ResumableWriter, TokenFileWriter, open_tokens
from neox_core.errors import UserError


def test_layout_to_the_byte(tmp_path):
    with TokenFileWriter(tmp_path / "one", "uint16") as writer:
        writer.add([7, 8, 9])
    index = (tmp_path / "one.idx").read_bytes()
    assert index.hex() == (
        "4d4d49444944580000"
        "0100000000000000"
        "08"
        "0100000000000000"
        "0200000000000000"
        "03000000"
        "0000000000000000"
        "00000000000000000100000000000000"
    )
    assert (tmp_path / "one.bin").read_bytes() == bytes([7, 0, 8, 0, 9, 0])


def test_recorded_file_is_written_to_the_byte(tmp_path, golden_tokens, golden_directory):
    with TokenFileWriter(tmp_path / "again", golden_tokens.dtype) as writer:
        for document in golden_tokens:
            writer.add(document)
    for kind in ("bin", "idx"):
        assert (tmp_path / f"again.{kind}").read_bytes() == (golden_directory / f"tokens_a.{kind}").read_bytes()


@pytest.mark.parametrize("token", [-1, 65536])
def test_id_that_does_not_fit_is_refused(tmp_path, token):
    says = f"t: document 1 has the token {token}, and uint16 holds 0 to 65535"
    with pytest.raises(UserError, match=says), TokenFileWriter(tmp_path / "t", "uint16") as writer:
        writer.add([1])
        writer.add([2, token])
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_after_an_error(tmp_path):
    with pytest.raises(RuntimeError), TokenFileWriter(tmp_path / "t", "uint16") as writer:
        writer.add([1])
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_older_files_survive_an_error(tmp_path):
    with TokenFileWriter(tmp_path / "t", "uint16") as writer:
        writer.add([1, 2])
    with pytest.raises(RuntimeError), TokenFileWriter(tmp_path / "t", "uint16") as writer:
        writer.add([3])
        raise RuntimeError
    assert open_tokens(tmp_path / "t")[0].tolist() == [1, 2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t.bin", "t.idx"]


def test_older_files_are_replaced_at_the_end_only(tmp_path):
    for tokens in ([1, 2], [3]):
        with TokenFileWriter(tmp_path / "t", "uint16") as writer:
            writer.add(tokens)
            before = open_tokens(tmp_path / "t")[0].tolist() if (tmp_path / "t.idx").exists() else None
    assert before == [1, 2]
    assert open_tokens(tmp_path / "t")[0].tolist() == [3]


def test_negative_labels_are_kept_in_signed_files(tmp_path):
    with TokenFileWriter(tmp_path / "labels", "int32") as writer:
        writer.add(np.array([-100, 5]))
    assert open_tokens(tmp_path / "labels")[0].tolist() == [-100, 5]


@pytest.mark.parametrize("wrong", [[1.5], [[1, 2]], 7, ["a"], [True]])
def test_what_is_no_sequence_of_ids_is_refused(tmp_path, wrong):
    with (
        pytest.raises(TypeError, match="t: document 0: an array of"),
        TokenFileWriter(tmp_path / "t", "uint16") as writer,
    ):
        writer.add(wrong)


def test_rewards_keep_their_fractions(tmp_path):
    with TokenFileWriter(tmp_path / "t", "float32") as writer:
        writer.add([0.25, -1])
    assert open_tokens(tmp_path / "t")[0].tolist() == [0.25, -1]


def test_sequence_longer_than_an_index_can_say_is_refused(tmp_path):
    endless = np.broadcast_to(np.uint16(1), 1 << 31)
    with pytest.raises(UserError, match="2147483647 are the most"), TokenFileWriter(tmp_path / "t", "uint16") as writer:
        writer.add(endless)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("a full disk needs a small tmpfs, which only root can mount")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_full_disk_is_told_and_nothing_is_left(small_disk):
    with TokenFileWriter(small_disk / "t", "uint16") as writer:
        writer.add([1, 2])
    says = r"t: the token files cannot be written \(No space left on device\). Free space"
    with pytest.raises(UserError, match=says), TokenFileWriter(small_disk / "t", "uint16") as writer:
        while True:
            writer.add(np.zeros(5000, np.uint16))
    assert sorted(path.name for path in small_disk.iterdir()) == ["t.bin", "t.idx"]
    assert open_tokens(small_disk / "t")[0].tolist() == [1, 2]


def test_disk_that_is_full_at_the_end_is_told_too(small_disk):
    sequences = [[1]] * 9000  # 18 kB of tokens, 36 kB of sizes, 72 kB of documents, and 198 kB of index
    with (
        pytest.raises(UserError, match="No space left on device"),
        TokenFileWriter(small_disk / "t", "uint16") as writer,
    ):
        for sequence in sequences:
            writer.add(sequence)
    assert list(small_disk.iterdir()) == []


def test_full_disk_leaves_what_a_resumable_writer_can_go_on_with(small_disk):
    filler = small_disk / "filler"
    filler.write_bytes(bytes(200 << 10))
    with ResumableWriter(small_disk / "t", "uint16") as writer:
        writer.add([1, 2])
        state = writer.checkpoint()
        writer.add(np.zeros(40000, np.uint16))
        with pytest.raises(UserError, match="No space left on device"):
            writer.checkpoint()
    filler.unlink()
    with ResumableWriter(small_disk / "t", "uint16", state=state) as writer:
        writer.add([3])
        writer.finish()
    assert [sequence.tolist() for sequence in open_tokens(small_disk / "t")] == [[1, 2], [3]]
