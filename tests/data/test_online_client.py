from __future__ import annotations

import os
import pickle
import re
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest
from online_servers import ServerProcess, answer, hears, line, request, says, scripted_server

from neox_core.data.online.addresses import Address
from neox_core.data.online.client import BatchClient
from neox_core.errors import UserError
from neox_core.launch import free_port


def client_of(address, timeout=20.0, reminder=30.0, told=None):
    return BatchClient(address, timeout=timeout, reminder=reminder, tell=[].append if told is None else told.append)


def completions(groups):
    return [np.asarray(ids).tolist() for group in groups for ids in group.completions]


def test_batches_come_over_one_connection():
    with scripted_server([says(answer(0), answer(1))]) as address:
        client = client_of(address)
        assert completions(client.batch(request(0))) == [[3], [4, 5]]
        assert completions(client.batch(request(1))) == [[3], [4, 5]]


@pytest.mark.parametrize("sent", [0, 1, 60, 125])
def test_answer_that_breaks_off_is_asked_for_again(sent):
    heard = []

    def breaks_off(connection):
        heard.append(hears(connection))
        connection.sendall(
            (line(batch=0, groups=[{"prefix": 1, "completions": [2], "rewards": [0]}], ids=3) + b"1234")[:sent]
        )

    def answers(connection):
        heard.append(hears(connection))
        connection.sendall(answer(0))

    with scripted_server([breaks_off, breaks_off, answers]) as address:
        assert completions(client_of(address).batch(request(0))) == [[3], [4, 5]]
    assert len(heard) == 3
    assert heard[0] == heard[1] == heard[2]


def test_server_that_is_killed_and_started_again_continues():
    with ServerProcess() as first:
        client = client_of(first.address)
        assert completions(client.batch(request(0))) == [[3, 0], [4]]
        assert completions(client.batch(request(1))) == [[3, 1], [4]]
        assert first.kill() == ["made 0", "made 1"]
    batches = []
    waiting = threading.Thread(target=lambda: batches.append(completions(client.batch(request(2)))))
    waiting.start()
    time.sleep(0.3)
    with ServerProcess(first.address.port) as second:
        waiting.join(timeout=20)
        assert batches == [[[3, 2], [4]]]
        assert second.kill() == ["made 2"]


def test_server_that_comes_late_is_waited_for_with_a_word():
    told, port = [], free_port()
    client = client_of(Address("127.0.0.1", port), reminder=0.2, told=told)
    batches = []
    waiting = threading.Thread(target=lambda: batches.append(completions(client.batch(request(0)))))
    waiting.start()
    time.sleep(0.5)
    with ServerProcess(port):
        waiting.join(timeout=20)
    assert batches == [[[3, 0], [4]]]
    where = f"127\\.0\\.0\\.1:{port} to make batch 0 of train for rank 0"
    assert re.fullmatch(rf"Waiting for [0-9]+ s of 20 for {where}: .*Connection refused\.", told[0])


def test_server_that_is_not_there_is_given_up():
    address = Address("127.0.0.1", free_port())
    begin = time.monotonic()
    with pytest.raises(
        UserError, match=r"Waited 0.5 s for .* in vain: .*Connection refused.*online_dataserver_timeout"
    ):
        client_of(address, timeout=0.5).batch(request(0))
    assert 0.5 <= time.monotonic() - begin < 5


def test_server_that_does_not_answer_is_given_up_with_words_before():
    told = []
    done = threading.Event()
    with scripted_server([lambda connection: done.wait(10)]) as address:
        with pytest.raises(UserError, match=r"Waited 0.7 s for .*: it has not answered"):
            client_of(address, timeout=0.7, reminder=0.3, told=told).batch(request(0))
        done.set()
    assert 1 <= len(told) <= 2
    assert "it has not answered" in told[0]


def test_server_that_drips_is_given_up():
    def drips(connection):
        for byte in answer(0):
            connection.sendall(bytes([byte]))
            time.sleep(0.05)

    with scripted_server([drips]) as address, pytest.raises(UserError, match=r"Waited 0.5 s"):
        client_of(address, timeout=0.5).batch(request(0))


def test_rest_of_an_answer_that_was_given_up_is_not_taken_for_the_next():
    given_up = threading.Event()

    def late(connection):
        hears(connection)
        given_up.wait(10)
        connection.sendall(answer(0))

    with scripted_server([late, says(answer(1))]) as address:
        client = client_of(address, timeout=0.4)
        with pytest.raises(UserError, match="Waited"):
            client.batch(request(0))
        given_up.set()
        assert len(client.batch(request(1))) == 1


def test_error_of_the_server_is_told_at_once():
    sentence = "cannot make batch 0 of train for rank 0: it says 'no prompts left'"
    with scripted_server([says(line(error="no prompts left"))]) as address, pytest.raises(UserError, match=sentence):
        client_of(address).batch(request(0))


def test_port_at_which_only_the_client_itself_is_has_no_server(monkeypatch):
    connect = socket.create_connection

    def itself(address, timeout):
        """What TCP makes of connecting to a port of this host from that same port."""
        monkeypatch.undo()
        alone = socket.socket()
        alone.bind(("127.0.0.1", 0))
        alone.connect(alone.getsockname())
        return alone

    assert socket.create_connection is connect
    with scripted_server([says(answer(0))]) as address:
        monkeypatch.setattr(socket, "create_connection", itself)
        assert len(client_of(address).batch(request(0))) == 1
    assert socket.create_connection is connect


GARBLED = {
    "pickle": (pickle.dumps([{"prefix": [1], "completions": [[2]], "rewards": [0.5]}]), "beginning of a JSON object"),
    "another protocol": (b"HTTP/1.1 400 Bad Request\r\n\r\n", "beginning of a JSON object"),
    "another version": (answer(protocol="neox-online/2"), "'protocol' is 'neox-online/2'"),
    "another batch": (answer(5), "'batch' is 5"),
    "huge length": (line(batch=0, groups=[], ids=2**62), "'ids' is 4611686018427387904"),
    "NaN": (answer(groups=[{"prefix": [1], "completions": [[2]], "rewards": [float("nan")]}]), "reward nan"),
    "negative id": (answer(groups=[{"prefix": [-1], "completions": [[2]], "rewards": [0]}]), "the token -1"),
    "id beyond": (answer(groups=[{"prefix": [1], "completions": [[100]], "rewards": [0]}]), "the token 100"),
    "two answers": (answer(0) * 2, "bytes follow it that it does not announce"),
}


@pytest.mark.parametrize(("message", "sentence"), GARBLED.values(), ids=GARBLED)
def test_wrong_answer_is_refused_in_a_sentence(message, sentence):
    with scripted_server([says(message)]) as address, pytest.raises(UserError, match=sentence) as refused:
        client_of(address).batch(request(0))
    assert str(refused.value).startswith(f"The answer of {address} to batch 0 of train for rank 0 is wrong: ")
    assert "docs/online.md" in str(refused.value)


FLOODED = """
import sys, resource
from online_servers import request
from neox_core.data.online.addresses import Address
from neox_core.data.online.client import BatchClient
from neox_core.errors import UserError

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    BatchClient(Address("127.0.0.1", int(sys.argv[1])), timeout=60, reminder=60, tell=print).batch(request(0))
except UserError as error:
    print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def flood(connection):
    hears(connection)
    connection.sendall(b'{"protocol": "neox-online/1", "groups": [')
    while True:
        connection.sendall(b"{}," * 20_000)


def test_endless_answer_takes_little_memory():
    with scripted_server([flood]) as address:
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            [sys.executable, "-c", FLOODED, str(address.port)],
            capture_output=True,
            text=True,
            env=environment,
            timeout=60,
            check=True,
        )
    sentence, mebibytes = done.stdout.splitlines()
    assert "a line has more than 16,777,216 bytes" in sentence
    assert int(mebibytes) < 100


DYING = textwrap.dedent(
    """
    import json, os, signal, sys
    from neox_core.data.online.addresses import Address
    from neox_core.data.online.client import BatchClient
    from neox_core.data.online.stream import SampleStream

    client = BatchClient(Address("127.0.0.1", int(sys.argv[1])), timeout=20, reminder=30, tell=print)
    stream = SampleStream(client.batch, split="train", rank=0, world_size=1, seq_length=8, vocab_size=100,
                          leave_one_out=False, tell=print)
    if sys.argv[2:]:
        stream.restore(json.loads(sys.argv[2]))
    for _ in range(3):
        print(stream.next_sample()["text"].tolist()[:4])
    print(json.dumps(stream.state()), flush=True)
    stream.next_sample(), stream.next_sample()
    os.kill(os.getpid(), signal.SIGKILL)
    """
)


def run_until_it_dies(port, *state):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", DYING, str(port), *state], capture_output=True, text=True, env=environment, timeout=60
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    *samples, left = done.stdout.splitlines()
    return samples, left


def test_run_that_is_killed_goes_on_from_its_state_and_misses_nothing():
    with ServerProcess() as server:
        first, state = run_until_it_dies(server.address.port)
        second, _ = run_until_it_dies(server.address.port, state)
        assert first == ["[1, 2, 3, 0]", "[1, 2, 4, 0]", "[1, 2, 3, 1]"]
        assert second == ["[1, 2, 4, 0]", "[1, 2, 3, 2]", "[1, 2, 4, 0]"]
        # Batch 2 was made for the first run, which had not used it up; the same again is not made again.
        assert server.kill() == ["made 0", "made 1", "made 2", "made 3"]
