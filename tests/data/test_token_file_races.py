"""Whoever reads while others write, and are killed, finds an older pair or the newer one, and no mixture."""

from __future__ import annotations

import os
import random
import signal
import time

import numpy as np

from neox_core.data.token_files import TokenFileWriter, open_tokens
from neox_core.errors import UserError


def write(prefix, generation):
    """Two sequences of 100 tokens in all, which say their generation; the first one's length says it too."""
    first = generation % 50 + 1
    with TokenFileWriter(prefix, "uint16") as writer:
        writer.add(np.full(first, generation, np.uint16))
        writer.add(np.full(100 - first, generation, np.uint16))


def is_one_generation(tokens):
    values = {value for sequence in tokens for value in sequence.tolist()}
    return len(values) == 1 and values.pop() % 50 + 1 == tokens.sizes[0] and tokens.sizes.sum() == 100


def write_and_die(prefix, seed):
    """Write one generation after the other, in processes of which every other one is killed at some moment."""
    moments = random.Random(seed)
    for generation in range(1, 60000):
        process = os.fork()
        if process == 0:
            write(prefix, generation)
            os._exit(0)
        if generation % 2:
            time.sleep(moments.uniform(0, 0.004))
            os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)


def test_reader_never_sees_a_mixture_of_two_pairs(tmp_path):
    prefix = tmp_path / "t"
    write(prefix, 1)
    process = os.fork()
    if process == 0:
        write_and_die(prefix, seed=0)
    opened, absent = set(), 0
    try:
        until = time.monotonic() + 60
        while len(opened) < 40 and time.monotonic() < until:
            try:
                tokens = open_tokens(prefix)
            except UserError as error:
                assert "No such file" in str(error)
                absent += 1
                continue
            assert is_one_generation(tokens)
            opened.add(int(tokens[0][0]))
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
    assert len(opened) == 40


def test_pair_that_changes_between_its_two_files_is_opened_again(tmp_path, monkeypatch):
    write(tmp_path / "t", 1)
    stepped = iter([True])
    from neox_core.data.token_files import token_file

    map_file = token_file._map

    def map_and_replace(path):
        mapped = map_file(path)
        if path.suffix == ".idx" and next(stepped, False):
            write(tmp_path / "t", 2)
        return mapped

    monkeypatch.setattr(token_file, "_map", map_and_replace)
    assert is_one_generation(open_tokens(tmp_path / "t"))


def test_open_file_stays_what_it_was(tmp_path):
    write(tmp_path / "t", 1)
    tokens = open_tokens(tmp_path / "t")
    write(tmp_path / "t", 2)
    assert is_one_generation(tokens)
    assert tokens[0][0] == 1
