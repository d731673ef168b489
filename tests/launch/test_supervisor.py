"""What a launcher does with its ranks, seen with real processes."""

from __future__ import annotations

import os
import pty
import signal
import time
from pathlib import Path

import pytest
from launching import eventually, is_running, launch

from neox_core.errors import UserError
from neox_core.launch import Command, LaunchPlan, supervise
from neox_core.launch.process import LocalProcess
from neox_core.launch.supervisor import SAME_WISH

SAVES = """
    def save(number, frame):
        time.sleep(0.2)
        Path(f"saved-{rank}").touch()
        sys.exit(128 + number)
    signal.signal(signal.SIGTERM, save)
    signal.signal(signal.SIGUSR1, save)
    ready()
    wait()
"""
INTERRUPTED = "interrupted: the ranks are asked to save and end (SIGTERM); again, a second or more later, to end at once, unsaved\n"
STUBBORN = """
    signal.signal(signal.SIGTERM, lambda *_: Path(f"asked-{rank}").touch())
    child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(30)"])
    Path(f"child-{rank}").write_text(str(child.pid))
    ready()
    wait()
"""


@pytest.mark.parametrize("ranks", [1, 2, 8])
def test_ends_with_0_when_every_rank_does(tmp_path, ranks):
    assert launch(tmp_path, *["print(f'hello from {rank}')"] * ranks).end() == (0, "hello from 0\n", "")
    assert sorted(path.name for path in (tmp_path / "logs").iterdir()) == [f"rank-{rank}.log" for rank in range(ranks)]


def test_waits_without_using_the_processor(tmp_path):
    before = time.process_time()
    command = Command(argv=("/bin/sleep", "0.5"), host="localhost", rank=0)
    assert supervise(LaunchPlan(launcher="test", commands=(command,))) == 0
    assert time.process_time() - before < 0.1


def test_shows_both_streams_of_rank_0_only_and_logs_all(tmp_path):
    source = "print('out', rank); sys.stdout.flush(); print('err', rank, file=sys.stderr)"
    launched = launch(tmp_path, source, source)
    assert launched.end() == (0, "out 0\n", "err 0\n")
    assert sorted(launched.log(0).splitlines()) == ["err 0", "out 0"]
    assert launched.log(1) == "out 1\nerr 1\n"


def test_logs_are_appended_to(tmp_path):
    for _ in range(2):
        launched = launch(tmp_path, "print('again')")
        launched.end()
    assert launched.log(0) == "again\nagain\n"


def test_output_is_shown_as_it_comes(tmp_path):
    launched = launch(tmp_path, "sys.stdout.write('no line yet'); sys.stdout.flush(); wait()")
    assert launched.process.stdout.read(11) == b"no line yet"
    launched.send(signal.SIGTERM)
    launched.end()


def test_live_text_is_shown_but_not_logged(tmp_path):
    text = r"\r\x1b[Kstep 1\r\x1b[Kstep 2\r\x1b[Ksaved\n\r\x1b[Kstep 3"
    launched = launch(tmp_path, f"sys.stdout.write('{text}')")
    assert launched.end()[1] == "\r\x1b[Kstep 1\r\x1b[Kstep 2\r\x1b[Ksaved\n\r\x1b[Kstep 3"
    assert launched.log(0) == "saved\nstep 3\n"


def test_a_failing_rank_is_reported_with_its_last_lines_and_its_code(tmp_path):
    launched = launch(tmp_path, "wait()", "for line in range(30): print('line', line)\nsys.exit(3)")
    code, out, err = launched.end()
    tail = "".join(f"[rank 1] line {line}\n" for line in range(10, 30))
    assert (code, out, err) == (3, "", f"rank 1 on localhost exited with code 3 (log: logs/rank-1.log)\n{tail}")


def test_the_lines_of_a_failing_rank_0_are_not_repeated(tmp_path):
    code, out, err = launch(tmp_path, "sys.exit('bad')", "wait()").end()
    assert (code, out, err) == (1, "", "bad\nrank 0 on localhost exited with code 1 (log: logs/rank-0.log)\n")


def test_a_report_begins_on_a_line_of_its_own(tmp_path):
    launched = launch(tmp_path, "sys.stdout.write('step 5'); sys.stdout.flush(); ready(); wait()", "ready(); wait()")
    _, second = launched.pids(["ready-0", "ready-1"])
    assert launched.process.stdout.read(6) == b"step 5"
    os.kill(second, signal.SIGKILL)
    assert launched.end()[2].startswith("\nrank 1 on localhost was killed")


def test_a_killed_rank_ends_the_job_with_the_signals_code(tmp_path):
    launched = launch(tmp_path, "ready(); wait()", "ready(); wait()")
    first, second = launched.pids(["ready-0", "ready-1"])
    os.kill(second, signal.SIGKILL)
    code, _, err = launched.end()
    assert code == 128 + 9
    assert err.startswith("rank 1 on localhost was killed by signal 9 (SIGKILL)")
    assert not is_running(first)


def test_when_rank_0_is_killed_another_one_tells_of_it(tmp_path):
    told = "ready()\nwhile not Path('killed').exists(): time.sleep(0.01)\nprint('rank 0 is gone'); sys.exit(75)"
    launched = launch(tmp_path, "ready(); wait()", f"signal.signal(signal.SIGTERM, signal.SIG_IGN)\n{told}", grace=60.0)
    first, _ = launched.pids(["ready-0", "ready-1"])
    os.kill(first, signal.SIGKILL)
    (tmp_path / "killed").touch()
    code, _, err = launched.end()
    assert code == 128 + 9
    assert "rank 0 on localhost was killed by signal 9 (SIGKILL), as where memory has run out" in err
    assert "[rank 1] rank 0 is gone" in err


def test_only_the_first_failure_counts(tmp_path):
    second = """
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
        ready()
        wait()
    """
    first = "while not Path('ready-1').exists(): time.sleep(0.01)\nsys.exit(5)"
    code, _, err = launch(tmp_path, first, second).end()
    assert code == 5
    assert "rank 1" not in err


def test_a_rank_that_ends_because_of_another_is_not_the_one_that_failed(tmp_path):
    ending = "while not Path('ready-1').exists(): time.sleep(0.01)\nready(); sys.exit(75)"
    failing = "while not Path('ready-0').exists(): time.sleep(0.01)\ntime.sleep(0.3)\nsys.exit(4)"
    ignoring = "signal.signal(signal.SIGTERM, signal.SIG_IGN); ready()"
    code, _, err = launch(tmp_path, ending, f"{ignoring}\n{failing}", grace=60.0).end()
    assert code == 4
    assert err.startswith("rank 1 on localhost exited with code 4")


def test_where_the_rank_that_failed_is_elsewhere_one_that_says_so_is_shown(tmp_path):
    code, _, err = launch(tmp_path, "wait()", "print('error: rank 7 is gone'); sys.exit(75)").end()
    assert code == 75
    assert err.startswith("rank 1 on localhost ended because another rank failed (log: logs/rank-1.log)")
    assert err.endswith("[rank 1] error: rank 7 is gone\n")


def test_a_stopped_rank_that_another_one_waited_for_is_named_and_killed(tmp_path):
    stopped = "ready(); os.kill(os.getpid(), signal.SIGSTOP); wait()"
    waiting = "while not Path('ready-0').exists(): time.sleep(0.01)\ntime.sleep(0.5)\nprint('rank 0 is stopped'); sys.exit(75)"
    launched = launch(tmp_path, stopped, waiting, grace=60.0)
    code, _, err = launched.end()
    assert code == 128 + signal.SIGSTOP
    assert err.startswith(
        "rank 0 on localhost was stopped by signal 19 (SIGSTOP), and is killed (log: logs/rank-0.log)"
    )
    assert err.endswith("[rank 1] rank 0 is stopped\n")


def test_a_rank_that_has_ended_meanwhile_was_not_stopped():
    process = LocalProcess(Command(argv=("/bin/sh", "-c", "exit 3"), host="localhost", rank=1))
    os.waitid(os.P_PID, process.group, os.WEXITED | os.WNOWAIT)
    assert not process.find_stopped()
    assert process.poll()
    assert (process.code, process.ending) == (3, "exited with code 3")
    process.close()


def test_a_rank_that_ignores_sigterm_is_killed_with_its_children_after_the_grace(tmp_path):
    failing = "while not Path('ready-0').exists(): time.sleep(0.01)\nsys.exit(3)"
    launched = launch(tmp_path, STUBBORN, failing, grace=0.5)
    pids = launched.pids(["ready-0", "child-0"])
    assert launched.end()[0] == 3
    assert (tmp_path / "asked-0").exists()
    eventually(lambda: not any(map(is_running, pids)))


def test_what_a_rank_leaves_behind_ends_with_it(tmp_path):
    launched = launch(tmp_path, "child = subprocess.Popen(['sleep', '30']); Path('child').write_text(str(child.pid))")
    assert launched.end() == (0, "", "")
    (child,) = launched.pids(["child"])
    eventually(lambda: not is_running(child), seconds=5)


@pytest.mark.parametrize(
    ("received", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129), (signal.SIGUSR1, 138)]
)
def test_a_signal_reaches_every_rank_and_is_no_failure(tmp_path, received, code):
    launched = launch(tmp_path, SAVES, SAVES, grace=0.01)
    launched.pids(["ready-0", "ready-1"])
    launched.send(received)
    ended = launched.end()
    assert ended[:2] == (code, "")
    assert ended[2] == ("" if received != signal.SIGINT else INTERRUPTED)
    assert (tmp_path / "saved-0").exists()
    assert (tmp_path / "saved-1").exists()


@pytest.mark.parametrize(("received", "code"), [(signal.SIGTERM, 143), (signal.SIGUSR1, 138)])
def test_ranks_that_do_not_handle_a_signal_end_in_order_too(tmp_path, received, code):
    launched = launch(tmp_path, "ready(); wait()", "ready(); wait()")
    launched.pids(["ready-0", "ready-1"])
    launched.send(received)
    assert launched.end() == (code, "", "")


@pytest.mark.parametrize(("received", "code"), [("SIGTERM", 143), ("SIGUSR1", 0)])
def test_ranks_that_end_with_0_were_stopped_by_sigterm_but_not_by_sigusr1(tmp_path, received, code):
    ending = f"signal.signal(signal.{received}, lambda *_: sys.exit(0)); ready(); wait()"
    launched = launch(tmp_path, ending, grace=60.0)
    launched.pids(["ready-0"])
    launched.send(signal.Signals[received])
    assert launched.end()[0] == code


def test_a_rank_that_fails_to_save_is_a_failure(tmp_path):
    launched = launch(tmp_path, SAVES, "signal.signal(signal.SIGTERM, lambda *_: sys.exit(9)); ready(); wait()")
    launched.pids(["ready-0", "ready-1"])
    launched.send(signal.SIGTERM)
    code, _, err = launched.end()
    assert code == 9
    assert err.startswith("rank 1 on localhost exited with code 9")


def test_a_second_sigint_kills_at_once(tmp_path):
    launched = launch(tmp_path, STUBBORN, grace=60.0)
    pids = launched.pids(["ready-0", "child-0"])
    launched.send(signal.SIGINT)
    eventually(lambda: (tmp_path / "asked-0").exists())
    assert launched.process.poll() is None
    time.sleep(SAME_WISH)
    launched.send(signal.SIGINT)
    assert launched.end() == (130, "", f"{INTERRUPTED}interrupted again: the ranks are killed\n")
    eventually(lambda: not any(map(is_running, pids)))


def test_what_passes_a_sigint_on_twice_does_not_kill(tmp_path):
    launched = launch(tmp_path, SAVES, grace=60.0)
    launched.pids(["ready-0"])
    launched.send(signal.SIGINT)
    time.sleep(0.05)
    launched.send(signal.SIGINT)
    assert launched.end() == (130, "", INTERRUPTED)
    assert (tmp_path / "saved-0").exists()


def test_a_signal_that_the_launcher_was_started_to_ignore_stays_ignored(tmp_path):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        launched = launch(tmp_path, "ready(); time.sleep(0.5)")
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    launched.pids(["ready-0"])
    launched.send(signal.SIGHUP)
    assert launched.end()[0] == 0


def test_nothing_outlives_a_launcher_that_is_killed(tmp_path):
    launched = launch(tmp_path, STUBBORN, STUBBORN)
    pids = launched.pids(["ready-0", "ready-1", "child-0", "child-1"])
    launched.send(signal.SIGKILL)
    eventually(lambda: not any(map(is_running, pids)), seconds=5)
    launched.end()


def test_leaves_no_child_and_no_handler_behind():
    others = children()  # such as the ranks that other tests keep
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGUSR1)]
    command = Command(argv=("/bin/true",), host="localhost", rank=0)
    supervise(LaunchPlan(launcher="test", commands=(command,)))
    after = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGUSR1)]
    assert after == before
    assert children() == others


def children() -> set[str]:
    """Process ids of this process's children, zombies included."""
    tasks = Path("/proc/self/task").iterdir()
    return {pid for task in tasks for pid in (task / "children").read_text().split()}


def test_a_program_that_is_not_there_is_a_user_error_and_stops_what_was_started(tmp_path):
    commands = (
        Command(argv=("/bin/sleep", "30"), host="localhost", rank=0),
        Command(argv=("no-such-program",), host="localhost", rank=1),
    )
    start = time.monotonic()
    with pytest.raises(UserError, match=r"'no-such-program' cannot be started in this directory: No such file"):
        supervise(LaunchPlan(launcher="test", commands=commands))
    assert time.monotonic() - start < 20


def test_files_of_the_plan_are_written_before_the_start(tmp_path):
    path = tmp_path / "made" / "job.txt"
    command = Command(argv=("/bin/grep", "-q", "for you", str(path)), host="localhost", rank=0)
    assert supervise(LaunchPlan(launcher="test", commands=(command,), files={str(path): "for you"})) == 0


def test_the_run_goes_on_when_nobody_reads_its_output(tmp_path):
    launched = launch(tmp_path, "ready()\nfor _ in range(200): print('x' * 1000, flush=True)\nprint('end')")
    launched.process.stdout.close()
    assert launched.process.wait(timeout=20) == 0
    assert launched.log(0).endswith("end\n")


def test_rank_0_alone_is_told_of_a_terminal_and_its_width(tmp_path):
    source = "print(os.environ.get('NEOX_TERMINAL'))"
    leader, follower = pty.openpty()
    launched = launch(tmp_path, source, source, environment={"COLUMNS": "123"}, stdout=follower)
    assert launched.process.wait(timeout=20) == 0
    assert os.read(leader, 100) == b"123\r\n"
    assert launched.log(1) == "None\n"
    os.close(leader)
    os.close(follower)


def test_without_a_terminal_nobody_is_told_of_one(tmp_path):
    assert launch(tmp_path, "print(os.environ.get('NEOX_TERMINAL'))").end()[1] == "None\n"
