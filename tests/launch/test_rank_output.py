"""What of a process's output goes to its log."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from neox_core.launch.output import CHUNK, CLEAR, Log, Stream


def logged(chunks: list[bytes], log: Log) -> bytes:
    """What is shown of these chunks, written one at a time, while `log` takes their lines."""
    shown: list[bytes] = []
    reader, writer = os.pipe()
    stream = Stream(open(reader, "rb", buffering=0), log, shown.append)  # noqa: PTH123, SIM115
    for chunk in chunks:
        os.write(writer, chunk)
        stream.pump()
    os.close(writer)
    stream.close()
    log.close()
    return b"".join(shown)


@pytest.mark.parametrize(
    ("chunks", "lines"),
    [
        ([b"one\ntwo\n"], [b"one", b"two"]),
        ([b"on", b"e\nt", b"wo"], [b"one", b"two"]),
        ([b"\r" + CLEAR + b"step 1", b"\r" + CLEAR + b"done\n"], [b"done"]),
        ([b"\r\x1b", b"[", b"Kdone\n"], [b"done"]),
        ([b"a\n\r" + CLEAR + b"step 9\r" + CLEAR], [b"a", b""]),
        ([b"\n\n"], [b"", b""]),
    ],
)
def test_whole_lines_are_kept_and_live_text_is_not(tmp_path, chunks, lines):
    log = Log(tmp_path / "deep" / "log")
    assert logged(chunks, log) == b"".join(chunks)
    assert (tmp_path / "deep" / "log").read_bytes() == b"".join(line + b"\n" for line in lines)
    assert list(log.tail) == lines


@given(st.lists(st.binary(min_size=1, max_size=40).map(lambda data: data.replace(CLEAR, b"")), max_size=8))
def test_bytes_of_any_kind_arrive_however_they_are_cut(chunks):
    whole = b"".join(chunks)
    log = Log(None)
    assert logged(chunks, log) == whole
    if CLEAR not in whole:
        assert list(log.tail) == (whole.removesuffix(b"\n").split(b"\n") if whole else [])[-20:]


def test_a_line_without_end_is_not_held_back_for_ever(tmp_path):
    log = Log(tmp_path / "log")
    logged([b"\r50%" * (CHUNK // 8)] * 4, log)
    assert len(log.tail) == 2
    assert (tmp_path / "log").stat().st_size == 4 * 4 * (CHUNK // 8) + 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no device that is always full")
def test_a_full_disk_costs_the_log_and_not_the_run(capfdbinary):
    log = Log(Path("/dev/full"))
    assert logged([b"one\ntwo\n"], log) == b"one\ntwo\n"
    assert list(log.tail) == [b"one", b"two"]
    assert capfdbinary.readouterr().err.count(b"No space left on device") == 1
