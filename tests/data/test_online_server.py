from __future__ import annotations

import json
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest
from online_servers import request

from neox_core.data.online.addresses import Address
from neox_core.data.online.client import BatchClient
from neox_core.data.online.groups import Group
from neox_core.data.online.messages import request_message
from neox_core.data.online.server import BatchServer
from neox_core.errors import UserError


def one_group(request):
    return [Group([1], [[2, request.batch]], [0.5])]


@contextmanager
def serving(make_batch):
    with BatchServer(make_batch, port=0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def client_of(server):
    return BatchClient(server.address, timeout=20, reminder=30, tell=[].append)


def batches_made(made):
    def make_batch(request):
        made.append((request.split, request.rank, request.batch))
        return one_group(request)

    return make_batch


def test_listens_to_this_machine_alone_unless_told():
    with BatchServer(one_group, port=0) as server:
        assert server.address.host == "127.0.0.1"


def test_same_question_of_another_connection_gets_the_same_answer():
    made = []
    with serving(batches_made(made)) as server:
        first = client_of(server).batch(request(3))
        again = client_of(server).batch(request(3))
    assert made == [("train", 0, 3)]
    assert [ids.tolist() for ids in again[0].completions] == [ids.tolist() for ids in first[0].completions]


def test_other_questions_get_answers_of_their_own():
    made = []
    with serving(batches_made(made)) as server:
        client = client_of(server)
        for asked in (request(0), request(1), request(1, rank=1), request(1, split="valid"), request(0), request(1)):
            client.batch(asked)
    assert made == [
        ("train", 0, 0),
        ("train", 0, 1),
        ("train", 1, 1),
        ("valid", 0, 1),
        ("train", 0, 0),
        ("train", 0, 1),
    ]


def test_ranks_are_served_at_the_same_time():
    together = threading.Barrier(4, timeout=20)

    def make_batch(request):
        together.wait()
        return one_group(request)

    with serving(make_batch) as server:
        clients = [client_of(server) for _ in range(4)]
        threads = [
            threading.Thread(target=client.batch, args=(request(0, rank=rank, world_size=4),))
            for rank, client in enumerate(clients)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=30)
    assert together.n_waiting == 0
    assert not together.broken


def test_batch_that_is_being_made_is_not_made_twice_for_who_comes_back():
    made, go = [], threading.Event()

    def make_batch(request):
        made.append(request.batch)
        go.wait(20)
        return one_group(request)

    with serving(make_batch) as server:
        with socket.create_connection((server.address.host, server.address.port)) as lost:
            lost.sendall(request_message(request(0)))
            while not made:
                time.sleep(0.01)
        threading.Timer(0.2, go.set).start()
        assert len(client_of(server).batch(request(0))) == 1
    assert made == [0]


def test_exception_of_make_batch_ends_the_run_that_asked_and_not_the_server(caplog):
    def make_batch(request):
        if request.batch == 0:
            raise KeyError("prompts.txt")
        return one_group(request)

    with serving(make_batch) as server:
        with pytest.raises(UserError, match=r"cannot make batch 0 .* it says .*KeyError: 'prompts.txt'"):
            client_of(server).batch(request(0))
        assert len(client_of(server).batch(request(1))) == 1
    assert "Traceback" in caplog.text


def test_connection_error_of_make_batch_is_an_exception_like_any(caplog):
    def make_batch(request):
        raise ConnectionRefusedError("no engine")

    with serving(make_batch) as server, pytest.raises(UserError, match="ConnectionRefusedError: no engine"):
        client_of(server).batch(request(0))
    assert "Traceback" in caplog.text


def test_wrong_groups_are_told_on_both_sides(caplog):
    sentence = "it says 'MessageError: group 0: the reward nan"
    with serving(lambda _: [Group([1], [[2]], [float("nan")])]) as server, pytest.raises(UserError, match=sentence):
        client_of(server).batch(request(0))
    assert "group 0: the reward nan" in caplog.text


@pytest.mark.parametrize(
    "sent", [b"train", b"GET / HTTP/1.1\r\n\r\n", b'{"protocol": "neox-online/1"}\n', b"{" * 100_000]
)
def test_what_is_no_request_gets_an_error_and_the_end(sent, caplog):
    with serving(one_group) as server:
        with socket.create_connection((server.address.host, server.address.port), timeout=10) as connection:
            connection.sendall(sent)
            reply = b""
            try:
                while chunk := connection.recv(4096):
                    reply += chunk
            except ConnectionResetError:
                pass  # what was sent beyond the line was not read
        assert reply == b"" or json.loads(reply)["error"].startswith("MessageError: ")
        assert len(client_of(server).batch(request(0))) == 1


@pytest.mark.parametrize("asked", [b"", request_message(request(0))], ids=["before it asks", "after it asked"])
def test_connection_that_is_reset_leaves_the_server_in_peace(asked, caplog):
    making, go = threading.Event(), threading.Event()

    def make_batch(request):
        making.set()
        go.wait(20)
        return one_group(request)

    with serving(make_batch) as server:
        connection = socket.create_connection((server.address.host, server.address.port))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(asked)
        if asked:
            making.wait(20)
        connection.close()  # with an RST
        go.set()
        assert len(client_of(server).batch(request(0))) == 1
        time.sleep(0.2)
    assert "Traceback" not in caplog.text


SERVING = """
import sys
from neox_core.data.online.groups import Group
from neox_core.data.online.server import serve
serve(lambda request: [Group([1], [[2]], [0.5])], port=int(sys.argv[1]))
"""


def test_serving_goes_on_until_it_is_interrupted():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-c", SERVING, str(port)], stderr=subprocess.PIPE, text=True)
    client = BatchClient(Address("127.0.0.1", port), timeout=20, reminder=30, tell=[].append)
    assert len(client.batch(request(0))) == 1
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20)[1] == ""
    assert process.returncode == 0


KILLED = """
import os, signal, socket, sys
from neox_core.data.online.messages import Request, request_message
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as connection:
    connection.sendall(request_message(Request("train", 0, 1, 0, 8, 100)))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_client_that_is_killed_leaves_the_server_in_peace(caplog):
    def make_batch(request):
        time.sleep(0.3)
        return one_group(request)

    with serving(make_batch) as server:
        done = subprocess.run([sys.executable, "-c", KILLED, str(server.address.port)], timeout=60, check=False)
        assert done.returncode == -signal.SIGKILL
        assert len(client_of(server).batch(request(1))) == 1
        time.sleep(0.3)
    assert "Traceback" not in caplog.text
