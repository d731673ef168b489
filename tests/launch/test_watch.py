"""Ranks that wait for ever for one that died, was stopped, failed or hangs: each ends, and says which it was."""

from __future__ import annotations

import json
import signal
import time

import pytest
from watched_ranks import send, start

from neox_core.launch import ELSEWHERE

COLLECTIVE = "collective()"
WHERE = "backward of step 3, micro-batch 1"


@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_rank_is_named_by_all_others(tmp_path, victim):
    ranks = start(tmp_path, *[COLLECTIVE] * 3)
    for rank in ranks:
        rank.is_ready()
    time.sleep(0.6)  # so that all have said where they are
    send(ranks.pop(victim), signal.SIGKILL)
    begun = time.monotonic()
    for rank in ranks:
        code, said = rank.end()
        assert code == ELSEWHERE
        assert f"error: rank {victim} on " in said
        assert f"is gone without a word (the connection was closed); it was last seen in {WHERE}" in said
        assert f"rank {rank.number} was in {WHERE}" in said
    assert time.monotonic() - begun < 20
    facts = json.loads((tmp_path / "run" / "failure.json").read_text())
    assert facts["failure"].startswith(f"rank {victim} on ")
    assert facts["ranks"][str(victim)] == f"in {WHERE}"


@pytest.mark.parametrize("victim", [0, 1])
def test_a_stopped_rank_is_named_by_all_others(tmp_path, victim):
    ranks = start(tmp_path, *[COLLECTIVE] * 3)
    for rank in ranks:
        rank.is_ready()
    stopped = ranks.pop(victim)
    send(stopped, signal.SIGSTOP)
    begun = time.monotonic()
    for rank in ranks:
        code, said = rank.end()
        assert code == ELSEWHERE
        assert f"error: rank {victim} on " in said
        assert "was stopped by a signal (SIGSTOP or SIGTSTP) and not continued" in said
    assert time.monotonic() - begun < 20
    stopped.process.kill()


def test_a_rank_that_is_stopped_for_a_moment_does_no_harm(tmp_path):
    program = "ready()\ntime.sleep(2.5)"
    ranks = start(tmp_path, program, program)
    send(ranks[1], signal.SIGSTOP)
    time.sleep(0.4)
    send(ranks[1], signal.SIGCONT)
    assert [rank.end() for rank in ranks] == [(0, ""), (0, "")]


def test_a_whole_run_may_be_stopped_for_longer_than_its_limit(tmp_path):
    program = "ready()\nfor step in range(20): watch.crumbs.at('data', step); time.sleep(0.1)"
    ranks = start(tmp_path, program, program)
    for number in (signal.SIGSTOP, signal.SIGCONT):
        for rank in ranks:
            send(rank, number)
        time.sleep(5.0)
    assert [rank.end() for rank in ranks] == [(0, ""), (0, "")]


def test_a_rank_that_fails_is_named_with_its_reason_before_it_is_gone(tmp_path):
    failing = "watch.crumbs.at('data', 4)\nwatch.fail('OSError: no such sample', 2)\ntime.sleep(0.5)\nsys.exit(2)"
    ranks = start(tmp_path, COLLECTIVE, failing, COLLECTIVE)
    ends = [rank.end() for rank in ranks]
    assert [code for code, _ in ends] == [ELSEWHERE, 2, ELSEWHERE]
    for _, said in (ends[0], ends[2]):
        assert "failed in data of step 4: OSError: no such sample" in said


def test_a_failing_rank_that_cannot_end_is_ended_with_its_own_code(tmp_path):
    ranks = start(tmp_path, COLLECTIVE, "watch.fail('OSError: full', 2)\nmodule.LAST_WORDS = 0.1\ncollective()")
    assert ranks[1].end()[0] == 2
    assert ranks[0].end()[0] == ELSEWHERE


def test_rank_0_that_fails_is_named(tmp_path):
    ranks = start(tmp_path, "watch.fail('ValueError: odd')\nsys.exit(1)", COLLECTIVE)
    assert ranks[0].end()[0] == 1
    code, said = ranks[1].end()
    assert code == ELSEWHERE
    assert f"failed in {WHERE}: ValueError: odd" in said


def test_a_main_thread_that_notices_may_say_its_last_words(tmp_path):
    last = "verdict = watch.explanation(20)\ntime.sleep(3)\nprint('told:', verdict.culprits)\nsys.exit(5)"
    ranks = start(tmp_path, last, "sys.exit(os.kill(os.getpid(), signal.SIGKILL))")
    assert ranks[0].end() == (5, "told: (1,)\n")


def test_a_rank_that_comes_no_further_is_named_with_its_stack(tmp_path):
    stuck = "watch.crumbs.at('data', 3)\ndef reading():\n    collective()\nreading()"
    waiting = "watch.crumbs.at('data', 3)\nwatch.crumbs.at('backward', 3, 1)\ncollective()"
    ranks = start(tmp_path, waiting, waiting, stuck)
    ends = [rank.end() for rank in ranks]
    assert [code for code, _ in ends] == [ELSEWHERE, ELSEWHERE, 1]
    for _, said in ends:
        assert "s (hang_timeout): rank 2 on " in said
        assert f" still in data of step 3, while ranks 0-1 in {WHERE}; " in said
    assert " in reading\n" in (tmp_path / "run" / "stacks" / "rank-2.txt").read_text()
    facts = json.loads((tmp_path / "run" / "failure.json").read_text())
    assert facts["failure"] in ends[0][1]
    assert facts["ranks"] == {"0": f"in {WHERE}", "1": f"in {WHERE}", "2": "in data of step 3"}


def test_a_run_that_goes_on_slowly_does_not_hang(tmp_path):
    slow = "for step in range(4): watch.crumbs.at('evaluation', step); time.sleep(1.5)"
    ranks = start(tmp_path, slow, "time.sleep(6)")
    assert [rank.end() for rank in ranks] == [(0, ""), (0, "")]


def test_a_rank_that_leaves_early_is_not_missed(tmp_path):
    ranks = start(tmp_path, "time.sleep(1)", "pass", "time.sleep(2.5)")
    assert [rank.end() for rank in ranks] == [(0, "")] * 3


def test_a_rank_whose_interpreter_is_held_is_not_taken_for_dead(tmp_path):
    held = "import ctypes\nready()\nctypes.PyDLL(None).sleep(3)"  # PyDLL keeps the interpreter's lock
    ranks = start(tmp_path, "time.sleep(4)", held)
    assert [rank.end() for rank in ranks] == [(0, ""), (0, "")]
