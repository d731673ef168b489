"""`neox data fetch`, as people and programs call it."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
from file_server import Fault, Served, file_server
from neox_commands.data import GROUP
from neox_commands.data_fetch import main
from neox_commands.data_fetch_progress import Lines, watching

from neox_core.errors import UserError

CONTENT = random.Random(3).randbytes(2_000_000)


@pytest.fixture
def server():
    with file_server() as server:
        server.files["/a.jsonl"] = Served(CONTENT)
        server.files["/b.jsonl"] = Served(b"b")
        yield server


@pytest.fixture
def mine(server, tmp_path, monkeypatch):
    """The path of a catalogue with two files on the server."""
    monkeypatch.chdir(tmp_path)
    for variable in ("DATA_DIR", "NEOX_DATA_MIRROR"):
        monkeypatch.delenv(variable, raising=False)
    return catalogue(tmp_path, server.address)


def catalogue(directory, address):
    files = [("a.jsonl", CONTENT), ("b.jsonl", b"b")]
    rows = [
        f'{{ name = "{n}", bytes = {len(c)}, digest = "sha256:{hashlib.sha256(c).hexdigest()}" }}' for n, c in files
    ]
    path = directory / "mine.toml"
    path.write_text(
        f'[mine]\nkind = "corpus"\nsummary = "My texts"\nlicence = "mine"\nbase = ["{address}"]\nfiles = [{", ".join(rows)}]\n'
    )
    return str(path)


def run(*words):
    return main([str(word) for word in words], None)


def start(*words, **variables):
    command = "import sys; from neox_commands.data import main; sys.exit(main(sys.argv[1:], None))"
    return subprocess.Popen(
        [sys.executable, "-c", command, "fetch", *map(str, words)],
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_fetch_is_a_verb():
    assert GROUP.verbs["fetch"].module == "neox_commands.data_fetch"


def test_files_are_fetched_and_one_line_says_so(mine, tmp_path, capsys):
    assert run(mine) == 0
    assert (tmp_path / "data" / "mine" / "a.jsonl").read_bytes() == CONTENT
    shown = capsys.readouterr()
    assert shown.out == "mine: 2 files, from data/mine/a.jsonl (2.0 MB): fetched\n"
    assert shown.err.splitlines()[0] == "fetching a.jsonl (2.0 MB)"
    assert run(mine) == 0
    assert "was there already" in capsys.readouterr().out
    (tmp_path / "data" / "mine" / "b.jsonl").unlink()
    run(mine)
    assert "1 fetched, the others were there already" in capsys.readouterr().out


def test_data_directory_comes_from_the_option_or_the_environment(mine, tmp_path, monkeypatch):
    run(mine, "-d", tmp_path / "here")
    assert (tmp_path / "here" / "mine" / "b.jsonl").read_bytes() == b"b"
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "there"))
    run(mine)
    assert (tmp_path / "there" / "mine" / "b.jsonl").read_bytes() == b"b"


def test_dry_run_asks_no_server(mine, server, capsys):
    assert run(mine, "20B-slim-weights", "--dry-run") == 0
    shown = capsys.readouterr().out
    assert "mine: would fetch 2 of 2 files (2.0 MB)\n" in shown
    assert f"  data/mine/a.jsonl  2.0 MB  {server.address}a.jsonl\n" in shown
    assert "would fetch what https://the-eye.eu/public/AI/models/GPT-NeoX-20B/slim_weights/ lists" in shown
    assert server.asked == []
    run(mine)
    run(mine, "--dry-run")
    assert "mine: nothing is missing" in capsys.readouterr().out


def test_verify_says_what_is_not_whole_and_exits_with_1(mine, tmp_path, capsys):
    assert run(mine, "--verify") == 1
    assert "mine: 0 of 2 files are whole\n  data/mine/a.jsonl  missing\n" in capsys.readouterr().out
    run(mine)
    assert run(mine, "--verify") == 0
    assert "mine: 2 of 2 files are whole" in capsys.readouterr().out
    (tmp_path / "data" / "mine" / "b.jsonl").write_bytes(b"c")
    assert run(mine, "--verify") == 1
    assert "data/mine/b.jsonl  damaged" in capsys.readouterr().out
    assert run("20B-full-weights", "--verify") == 1
    assert "was never fetched here" in capsys.readouterr().out


def test_force_fetches_again(mine, tmp_path, capsys):
    run(mine)
    (tmp_path / "data" / "mine" / "b.jsonl").write_bytes(b"other")
    with pytest.raises(UserError, match="--force"):
        run(mine)
    assert run(mine, "--force") == 0
    assert (tmp_path / "data" / "mine" / "b.jsonl").read_bytes() == b"b"


def test_json_is_for_programs(mine, capsys):
    run(mine, "--json")
    first, second = json.loads(capsys.readouterr().out)
    assert first == {
        "item": "mine",
        "file": "a.jsonl",
        "bytes": len(CONTENT),
        "digest": f"sha256:{hashlib.sha256(CONTENT).hexdigest()}",
        "path": "data/mine/a.jsonl",
        "state": "whole",
        "fetched": True,
    }
    assert second["file"] == "b.jsonl"
    run("--list", "--json")
    listed = {item["name"]: item for item in json.loads(capsys.readouterr().out)}
    assert listed["enwik8"]["bytes"] == 36_445_475
    assert listed["20B-slim-weights"]["files"] is None
    assert run(mine, "--verify", "--json") == 0
    assert [file["state"] for file in json.loads(capsys.readouterr().out)] == ["whole", "whole"]
    run(mine, "--dry-run", "--json")
    assert len(json.loads(capsys.readouterr().out)) == 2


def test_list_shows_all_and_with_names_everything_that_is_known(mine, capsys):
    run("--list")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines][:2] == ["enron", "pile_subset"]
    assert any(line.startswith("enwik8 ") and "36.4 MB" in line and "gone" not in line for line in lines)
    assert any(line.startswith("pile ") and "unknown" in line and "gone: " in line for line in lines)
    run("--list", "pile", mine)
    shown = capsys.readouterr().out
    assert "gone       The Eye took the Pile" in shown
    assert "instead    The Pile, deduplicated" in shown
    assert "mine: My texts\n" in shown


def test_nothing_named_and_nothing_known_are_sentences(mine):
    with pytest.raises(UserError, match="name what to fetch"):
        run()
    with pytest.raises(UserError, match=r"nothing called 'enwik9'"):
        run("enwik9")
    with pytest.raises(UserError, match="'nfs:/data' is no address"):
        run(mine, "--from", "nfs:/data")


@pytest.mark.parametrize("by", ["option", "environment"])
def test_mirror_takes_the_place_of_the_addresses(tmp_path, server, monkeypatch, by):
    path = catalogue(tmp_path, "http://nobody.invalid/")
    server.files = {f"/copy/mine{name}": served for name, served in server.files.items()}
    words = ["--from", f"{server.address}copy"] if by == "option" else []
    if by == "environment":
        monkeypatch.setenv("NEOX_DATA_MIRROR", f"{server.address}copy/")
    assert run(path, "-d", tmp_path / "data", *words) == 0
    assert (tmp_path / "data" / "mine" / "a.jsonl").read_bytes() == CONTENT


def test_proxy_of_the_environment_is_asked(tmp_path, server):
    path = catalogue(tmp_path, "http://nobody.invalid/")
    server.files = {f"http://nobody.invalid{name}": served for name, served in server.files.items()}
    process = start(path, "-d", tmp_path / "data", http_proxy=server.address, no_proxy="")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert [asked for asked, _ in server.asked] == ["http://nobody.invalid/a.jsonl", "http://nobody.invalid/b.jsonl"]
    assert (tmp_path / "data" / "mine" / "a.jsonl").read_bytes() == CONTENT


def test_killed_fetch_goes_on_where_it_was(mine, server, tmp_path):
    server.files["/a.jsonl"].faults += [Fault(stall_after=400_000)] * 3
    part = tmp_path / "data" / "mine" / "a.jsonl.part"
    for there in (400_000, 800_000, 1_200_000):
        process = start(mine, "-d", tmp_path / "data")
        deadline = time.monotonic() + 60
        while not (part.exists() and part.stat().st_size == there) and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        assert sorted(path.name for path in part.parent.iterdir()) == ["a.jsonl.part", "a.jsonl.part.json"]
    process = start(mine, "-d", tmp_path / "data")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert part.with_name("a.jsonl").read_bytes() == CONTENT
    assert server.ranges() == [None, "bytes=400000-", "bytes=800000-", "bytes=1200000-", None]
    assert "MB are there)" in errors


def test_lost_connection_is_told(mine, server, capsys):
    server.files["/a.jsonl"].faults.append(Fault(status=503, retry_after="0"))
    run(mine)
    assert "a.jsonl: the server says 503 Service Unavailable; trying again in 0 s" in capsys.readouterr().err


def test_lines_say_speed_and_time_left_every_ten_seconds(capsys):
    now = [0.0]
    lines = Lines(clock=lambda: now[0])
    for second in range(25):
        now[0] = float(second)
        lines.advance("x", 10_000_000 + second * 1_000_000, 100_000_000)
    assert capsys.readouterr().err.splitlines() == [
        "fetching x (100.0 MB, 10.0 MB are there)",
        "x: 20.0 of 100.0 MB, 1.0 MB/s, 80 s left",
        "x: 30.0 of 100.0 MB, 1.0 MB/s, 70 s left",
    ]
    lines.advance("y", 0, None)
    now[0] += 10
    lines.advance("y", 5_000_000, None)
    assert capsys.readouterr().err.splitlines() == [
        "fetching y (unknown size)",
        "y: 5.0 of unknown size, 0.5 MB/s",
    ]


def test_terminal_gets_a_bar(mine, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with watching() as bars:
        bars.advance("x", 1_000_000, 4_000_000)
        bars.notice("the connection was lost")
        bars.advance("x", 4_000_000, 4_000_000)
    shown = capsys.readouterr().err
    assert "x: 100%" in shown and "4.00M/4.00M" in shown
    assert "the connection was lost\n" in shown


def test_help_imports_nothing_heavy():
    program = (
        "import sys\nfrom neox_commands.data_fetch import main\n"
        "try: main(['--help'], None)\nexcept SystemExit: pass\n"
        "print(sorted({'numpy', 'torch', 'pydantic', 'tqdm'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("usage: neox data fetch")
    assert done.stdout.endswith("[]\n")
