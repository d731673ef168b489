"""What is left of a preparation that was killed, and that it goes on to the same bytes."""

from __future__ import annotations

import itertools
import os
import random
import signal
import sys
import time

import pytest
from byte_preparations import byte_preparation, outputs
from checkpoint_worlds import fork, wait
from text_files import COMPRESS, json_lines

from neox_core.data.preparing.feeding import batches
from neox_core.data.preparing.preparation import prepare_files
from neox_core.data.preparing.readers import ranges
from neox_core.data.token_files import open_tokens
from neox_core.errors import UserError

CHANGES = {"os.rename", "os.remove", "os.truncate", "open"}


@pytest.fixture(autouse=True)
def no_waiting_for_disks(monkeypatch):
    """What a killed process wrote is there without it; waiting takes most of the time."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    """Lines of JSON in a plain file of several blocks and in a compressed one, with bad documents among them."""
    monkeypatch.setattr(ranges, "BLOCK_BYTES", 3000)
    directory = tmp_path / "corpus"
    directory.mkdir()
    chooser = random.Random(3)
    texts = ["".join(chooser.choices("abcdef", k=chooser.randrange(80))) for _ in range(200)]
    lines = json_lines(texts).splitlines(keepends=True)
    lines[::40] = [b'{"text": 7}\n'] * len(lines[::40])
    (directory / "a.jsonl").write_bytes(b"".join(lines[:130]))
    (directory / "b.jsonl.gz").write_bytes(COMPRESS[".gz"](b"".join(lines[130:])))
    return directory


def preparation(corpus, prefix, journal_seconds=0.0, batch_bytes=1000, **options):
    options = {**options, "journal_seconds": journal_seconds, "batch_bytes": batch_bytes}
    return byte_preparation([corpus], prefix, mask_before=[ord("d"), ord("e")], **options)


def ended(child):
    """Whether a child came to its end, and was not killed."""
    code = wait(child)
    assert code <= 0, "the child failed"
    return code == 0


def killed_at(change, work):
    """Do some work in a process that is killed at its `change`th change of a file's name or opening for writing; whether it ended."""
    counter = itertools.count()

    def hook(event, arguments):
        is_change = event in CHANGES and (event != "open" or arguments[2] & (os.O_WRONLY | os.O_RDWR))
        if is_change and next(counter) == change:
            os.kill(os.getpid(), signal.SIGKILL)

    def watched():
        sys.addaudithook(hook)
        work()

    return ended(fork(watched))


def token_files(directory):
    """What a reader finds: the tokens of each pair of files that it can open."""
    found = {}
    for path in directory.glob("*.idx"):
        try:
            tokens = open_tokens(str(path.with_suffix("")))
            found[path.stem] = [tokens.get(number).tolist() for number in range(len(tokens))]
        except UserError as error:
            pytest.fail(f"a reader finds {error}")
    return found


@pytest.fixture
def undisturbed(corpus, tmp_path):
    """The files of a preparation that nobody killed."""
    prepare_files(preparation(corpus, tmp_path / "undisturbed/out"))
    return tmp_path / "undisturbed"


def killed_after(steps, seconds, work):
    """Do some work, which takes a function to call at each step, in a process that is killed so long after its `steps`th step."""
    reading, writing = os.pipe()
    child = fork(lambda: work(lambda progress: os.write(writing, b".")))
    os.close(writing)
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        while steps > 0 and pipe.read(1):
            steps -= 1
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    ended(child)


def test_killed_at_any_moment_it_goes_on_to_the_same_bytes(corpus, undisturbed, tmp_path):
    moments = random.Random(7)
    resumed = 0
    for number in range(20):
        prefix = tmp_path / f"killed-{number}/out"

        def work(progress, prefix=prefix):
            prepare_files(preparation(corpus, prefix), progress)

        killed_after(moments.randrange(16), moments.uniform(0, 0.02), work)
        if prefix.parent.exists():
            seen = token_files(prefix.parent)
            assert seen.items() <= token_files(undisturbed).items()
        prepared = prepare_files(preparation(corpus, prefix, journal_seconds=1e9))
        resumed += prepared.resumed > 0
        assert outputs(prefix.parent) == outputs(undisturbed)
    assert resumed > 2


def test_killed_again_and_again_it_comes_to_an_end(corpus, undisturbed, tmp_path):
    prefix = tmp_path / "killed/out"
    moments = random.Random(9)
    kills = 0
    while kills < 40:
        child = fork(lambda: prepare_files(preparation(corpus, prefix), lambda progress: time.sleep(0.03)))
        time.sleep(moments.uniform(0.04, 0.15))
        os.kill(child, signal.SIGKILL)
        if ended(child):
            break
        kills += 1
    assert kills > 1
    prepare_files(preparation(corpus, prefix))
    assert outputs(prefix.parent) == outputs(undisturbed)


@pytest.mark.parametrize("force", [False, True])
def test_killed_at_any_change_of_a_file_it_goes_on_to_the_same_bytes(corpus, undisturbed, tmp_path, force):
    """Also while the finished files get their names, where older ones may be."""
    final = token_files(undisturbed)
    changes = itertools.count()
    for change in changes:
        directory = tmp_path / f"killed-{change}"
        prefix = directory / "out"
        older = {}
        if force:
            (tmp_path / "older.txt").write_text("de older")
            prepare_files(byte_preparation([tmp_path / "older.txt"], prefix, mask_before=[1]))
            older = token_files(directory)

        def work(prefix=prefix):
            prepare_files(preparation(corpus, prefix, journal_seconds=1e9, force=force))

        if killed_at(change, work):
            break
        for name, tokens in token_files(directory).items():
            assert tokens in (final[name], older.get(name))
        if (directory / "out.prepared.json").exists():
            assert token_files(directory) in (final, older)
        prepare_files(preparation(corpus, prefix, journal_seconds=1e9, force=force))
        assert outputs(directory) == outputs(undisturbed)
    assert change > 20


def counted_batches(monkeypatch):
    starts = []

    def noted(inputs, blocks, start, form, batch_bytes):
        starts.append((start.block, start.records))
        return batches(inputs, blocks, start, form, batch_bytes)

    monkeypatch.setattr("neox_core.data.preparing.preparation.batches", noted)
    return starts


class Stopped(Exception):
    pass


def stop_after(steps):
    left = iter(range(steps))

    def progress(_):
        if next(left, None) is None:
            raise Stopped

    return progress


def test_what_is_done_is_not_done_again(corpus, undisturbed, tmp_path, monkeypatch):
    starts = counted_batches(monkeypatch)
    for steps in (2, 3, 4):
        with pytest.raises(Stopped):
            prepare_files(preparation(corpus, tmp_path / "made/out"), stop_after(steps))
    prepared = prepare_files(preparation(corpus, tmp_path / "made/out"))
    assert starts[0] == (0, 0)
    assert starts == sorted(set(starts))
    assert prepared.resumed > 0
    assert outputs(tmp_path / "made") == outputs(undisturbed)


@pytest.mark.parametrize("change", ["inputs", "options", "tokenizer", "journal", "working files"])
def test_work_on_something_else_begins_again(corpus, undisturbed, tmp_path, monkeypatch, change):
    options = {"options": {"eod": 1}, "tokenizer": {"tokenizer": "letters"}}.get(change, {})
    with pytest.raises(Stopped):
        prepare_files(preparation(corpus, tmp_path / "made/out", **options), stop_after(3))
    if change == "inputs":
        content = (corpus / "a.jsonl").read_bytes()
        (corpus / "a.jsonl").write_bytes(content)
    if change == "journal":
        (tmp_path / "made/.out.journal.json").write_text('{"source": ')
    if change == "working files":
        next((tmp_path / "made").glob(".*tokens.part")).unlink()
    starts = counted_batches(monkeypatch)
    prepare_files(preparation(corpus, tmp_path / "made/out"))
    assert starts[-1] == (0, 0)
    assert outputs(tmp_path / "made") == outputs(undisturbed)


def test_bad_documents_that_have_their_name_are_taken_back(corpus, tmp_path):
    """An interruption after they were published must not cost the work that was done."""
    with pytest.raises(Stopped), pytest.MonkeyPatch.context() as patch:
        patch.setattr("neox_core.data.preparing.preparation.write_record", lambda *arguments: stop_after(0)(None))
        prepare_files(preparation(corpus, tmp_path / "made/out"))
    assert (tmp_path / "made/out.rejects.jsonl").exists()
    prepared = prepare_files(preparation(corpus, tmp_path / "made/out"))
    assert prepared.resumed == prepared.counts.documents
