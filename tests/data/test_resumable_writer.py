from __future__ import annotations

import json
from dataclasses import asdict
from functools import partial

import pytest
from hypothesis import given, settings, strategies as st
from killed_processes import killed_at
from token_bytes import index_bytes, tokens_bytes

from neox_core.data.token_files import (
    ResumableWriter,
    State,
    TokenFileWriter,
    WorkingFilesError,
    open_tokens,
    remove_working_files,
)
from neox_core.errors import UserError

DOCUMENTS = [[[1, 2, 3]], [[4], []], [], [[5, 6], [7]], [[8]]]


def stored(prefix):
    return [prefix.with_name(f"{prefix.name}.{kind}").read_bytes() for kind in ("bin", "idx")]


def expected(documents, dtype="uint16", impl="mmap"):
    return [tokens_bytes(documents, dtype), index_bytes(documents, dtype, impl)]


def names(directory):
    return sorted(path.name for path in directory.iterdir())


@settings(max_examples=40, deadline=None)
@given(
    documents=st.lists(st.lists(st.lists(st.integers(0, 65535), max_size=4), max_size=3), max_size=12),
    stops=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=4),
    impl=st.sampled_from(["mmap", "cached"]),
)
def test_interruptions_leave_no_trace(tmp_path_factory, documents, stops, impl):
    prefix = tmp_path_factory.mktemp("resumed") / "tokens"
    state = None
    for checkpoint, stop in stops:
        done = 0 if state is None else state.documents
        with ResumableWriter(prefix, "uint16", impl, state) as writer:
            for number, document in enumerate(documents[done:], start=done):
                if number == checkpoint:
                    state = State(**json.loads(json.dumps(asdict(writer.checkpoint()))))
                if number >= max(checkpoint, stop):
                    break
                writer.add(*document)
    with ResumableWriter(prefix, "uint16", impl, state) as writer:
        for document in documents[writer.documents :]:
            writer.add(*document)
        writer.finish()
    assert stored(prefix) == expected(documents, impl=impl)
    assert names(prefix.parent) == ["tokens.bin", "tokens.idx"]


def write_with_journal(prefix, journal):
    """Write DOCUMENTS with a checkpoint after each, as a preparation does that may be killed."""
    state = State(**json.loads(journal.read_text())) if journal.exists() else None
    with ResumableWriter(prefix, "uint16", state=state) as writer:
        for document in DOCUMENTS[writer.documents :]:
            writer.add(*document)
            keep(writer.checkpoint(), journal)
        writer.publish()
        journal.unlink()
        writer.discard()


def keep(state, journal):
    journal.with_suffix(".new").write_text(json.dumps(asdict(state)))
    journal.with_suffix(".new").rename(journal)


def test_killed_at_any_operation_it_goes_on_to_the_same_bytes(tmp_path):
    operation, killed = 0, True
    while killed:
        prefix = tmp_path / f"at_{operation}" / "tokens"
        prefix.parent.mkdir()
        journal = prefix.with_suffix(".journal")
        killed = killed_at(operation, partial(write_with_journal, prefix, journal))
        if stored_names := {"tokens.bin", "tokens.idx"} & set(names(prefix.parent)):
            assert stored_names == {"tokens.bin"} or stored(prefix) == expected(DOCUMENTS)
        if killed and (journal.exists() or not (prefix.parent / "tokens.idx").exists()):
            write_with_journal(prefix, journal)
        assert stored(prefix) == expected(DOCUMENTS)
        remove_working_files(prefix)
        assert set(names(prefix.parent)) <= {"tokens.bin", "tokens.idx", ".tokens.lock", "tokens.new"}
        operation += 1
    assert operation > 20


def test_killed_twice_while_it_publishes(tmp_path):
    prefix, journal = tmp_path / "tokens", tmp_path / "journal"
    for operation in range(40, 0, -1):
        if not killed_at(operation, partial(write_with_journal, prefix, journal)):
            assert stored(prefix) == expected(DOCUMENTS)
    write_with_journal(prefix, journal)
    assert stored(prefix) == expected(DOCUMENTS)


@pytest.mark.parametrize("part", ["tokens", "sizes", "documents"])
def test_lost_working_files_are_told(tmp_path, part):
    with ResumableWriter(tmp_path / "t", "uint16") as writer:
        writer.add([1, 2])
        state = writer.checkpoint()
    (tmp_path / f".t.{state.run}.{part}.part").write_bytes(b"\0\0")
    with pytest.raises(WorkingFilesError, match=rf"{part}\.part: what was begun is not there any more"):
        ResumableWriter(tmp_path / "t", "uint16", state=state)
    (tmp_path / f".t.{state.run}.{part}.part").unlink()
    with pytest.raises(WorkingFilesError, match=r"part: what was begun is not there any more"):
        ResumableWriter(tmp_path / "t", "uint16", state=state)


def test_published_pair_stays_when_its_working_files_are_half_removed(tmp_path):
    with ResumableWriter(tmp_path / "t", "uint16") as writer:
        writer.add([1, 2])
        state = writer.checkpoint()
        writer.publish()
    (tmp_path / f".t.{state.run}.documents.part").unlink()
    with pytest.raises(WorkingFilesError):
        ResumableWriter(tmp_path / "t", "uint16", state=state)
    assert open_tokens(tmp_path / "t")[0].tolist() == [1, 2]


@pytest.mark.parametrize(("dtype", "impl"), [("int32", "mmap"), ("uint16", "cached")])
def test_other_files_are_not_gone_on_with(tmp_path, dtype, impl):
    with ResumableWriter(tmp_path / "t", "uint16") as writer:
        state = writer.checkpoint()
    with pytest.raises(WorkingFilesError, match=f"mmap files of uint16 were begun here, and {impl} files of {dtype}"):
        ResumableWriter(tmp_path / "t", dtype, impl, state)


def test_beginning_anew_removes_what_was_left_of_this_prefix_only(tmp_path):
    for name in ("t", "t.x", "tt"):
        with ResumableWriter(tmp_path / name, "uint16") as writer:
            writer.add([1])
    with TokenFileWriter(tmp_path / "t", "uint16") as writer:
        writer.add([2])
    left = [name.split(".")[1:-3] for name in names(tmp_path) if name.endswith(".part")]
    assert left == [["t", "x"]] * 3 + [["tt"]] * 3
    with pytest.raises(WorkingFilesError):
        ResumableWriter(tmp_path / "t", "uint16", state=State("0" * 12, "mmap", "uint16"))
    assert open_tokens(tmp_path / "t")[0].tolist() == [2]


def test_second_writer_is_refused_while_the_first_lives(tmp_path):
    with ResumableWriter(tmp_path / "t", "uint16") as writer:
        for _ in range(2):  # refusing must not take the lock away
            with pytest.raises(UserError, match="t: another process is writing these token files"):
                TokenFileWriter(tmp_path / "t", "uint16")
        assert killed_at(999, lambda: refused(tmp_path / "t")) is False
        writer.add([1])
        writer.finish()
    with TokenFileWriter(tmp_path / "t", "uint16") as second:
        second.add([2])
    assert names(tmp_path) == ["t.bin", "t.idx"]


def refused(prefix):
    from neox_core.data.token_files import locking

    locking._held.clear()  # as in a process that was not forked from the writer
    with pytest.raises(UserError, match="another process is writing"):
        TokenFileWriter(prefix, "uint16")


def test_directory_that_is_not_there_is_told(tmp_path):
    with pytest.raises(UserError, match=r"none/t: the token files cannot be written \(No such file or directory\)"):
        ResumableWriter(tmp_path / "none" / "t", "uint16")
