"""Who is named, by what the ranks have said and done, second by second."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from neox_core.launch.breadcrumbs import LONG, Breadcrumb, Breadcrumbs
from neox_core.launch.judge import Judge, ranks_in_words


def judge(ranks: int = 4, limit: int | None = 10) -> Judge:
    return Judge({rank: f"host-{rank // 2}" for rank in range(ranks)}, limit)


def run(judge: Judge, seconds: int) -> list[int]:
    """The seconds after which there is a verdict."""
    return [second for second in range(1, seconds + 1) if judge.tick() is not None]


def test_nobody_is_named_while_one_rank_goes_on():
    court = judge()
    for moves in range(100):
        court.hears(2, Breadcrumb("data", 7, None, moves))
        assert court.tick() is None


def test_ranks_that_wait_are_not_blamed_for_the_one_that_is_behind():
    court = judge()
    for rank in (0, 1, 3):
        court.hears(rank, Breadcrumb("backward", 7, 1, 40 + rank))
    court.hears(2, Breadcrumb("data", 7, None, 30))
    assert run(court, 11) == [10, 11]
    verdict = court.verdict
    assert verdict.culprits == (2,)
    assert verdict.hangs
    assert (
        "no rank has gone on for 10 s (hang_timeout): rank 2 on host-1 still in data of step 7, while ranks 0-1, 3 in "
        "backward of step 7, micro-batch 1; "
    ) in verdict.sentence
    assert [verdict.exit_code(rank) for rank in range(4)] == [75, 75, 1, 75]


def test_where_all_are_in_the_same_place_all_are_named():
    court = judge(2)
    for rank in range(2):
        court.hears(rank, Breadcrumb("evaluation", None, 3, 5))
    run(court, 10)
    assert "all are in evaluation, micro-batch 3; " in court.verdict.sentence
    assert court.verdict.culprits == (0, 1)


def test_the_step_counts_before_the_number_of_breadcrumbs():
    court = judge(2)
    court.hears(0, Breadcrumb("forward", 3, 1, 900))
    court.hears(1, Breadcrumb("forward", 4, 1, 20))
    run(court, 10)
    assert court.verdict.culprits == (0,)


def test_what_comes_after_a_step_is_further_than_the_step():
    court = judge(3)
    court.hears(0, Breadcrumb("evaluation", moves=41, after=7))
    court.hears(1, Breadcrumb("measures", 7, None, 40))
    court.hears(2, Breadcrumb("evaluation", moves=41, after=7))
    run(court, 10)
    assert court.verdict.culprits == (1,)
    assert "still in measures of step 7, while ranks 0, 2 in evaluation after step 7; " in court.verdict.sentence


def test_who_waits_for_others_is_not_blamed_though_it_is_behind():
    """The second stage of a pipeline has not begun a step in which the first one hangs."""
    court = judge(4)
    court.hears(0, Breadcrumb("backward", 7, 4, 60))
    court.hears(1, Breadcrumb("forward", 7, 1, 53))
    for rank in (2, 3):
        court.hears(rank, Breadcrumb("hooks", 6, None, 51, waits="stage 0"))
    run(court, 10)
    assert court.verdict.culprits == (1,)
    assert "rank 1 on host-0 still in forward of step 7, micro-batch 1, while " in court.verdict.sentence
    assert "ranks 2-3 in hooks of step 6, waiting for stage 0" in court.verdict.sentence


def test_where_all_wait_the_one_that_is_furthest_behind_is_named():
    court = judge(2)
    court.hears(0, Breadcrumb("forward", 7, 2, 9, waits="stage 1"))
    court.hears(1, Breadcrumb("forward", 7, 1, 8, waits="stage 0"))
    run(court, 10)
    assert court.verdict.culprits == (1,)


def test_what_takes_long_has_more_time():
    court = judge(2)
    court.hears(0, Breadcrumb("data", 1, None, 3))
    court.hears(1, Breadcrumb("saving", 1, None, 3, LONG))
    assert run(court, 10 * LONG) == [10 * LONG]
    assert run(judge(), 10 * LONG) == [10 * LONG], "the start does"


def test_without_a_limit_a_run_may_stand_still_for_ever():
    assert run(judge(limit=None), 10_000) == []


def test_a_rank_that_has_left_is_not_missed():
    court = judge()
    court.leaves(3)
    court.loses(3, "closed")
    court.sees_stopped(3, 5)
    assert court.tick() is None


def test_a_run_that_all_have_left_hangs_no_more():
    court = judge(1)
    court.leaves(0)
    assert run(court, 100) == []


@pytest.mark.parametrize(
    ("event", "sentence"),
    [
        (lambda court: court.loses(1, "reset"), "rank 1 on host-0 is gone without a word (reset); it was last seen {}"),
        (lambda court: court.fails(1, "OSError: full"), "rank 1 on host-0 failed {}: OSError: full"),
        (
            lambda court: court.sees_stopped(1, 5),
            "rank 1 on host-0 was stopped by a signal (SIGSTOP or SIGTSTP) and not continued for 5 s; it was last seen {}",
        ),
    ],
)
def test_the_rank_and_its_place_are_named(event, sentence):
    court = judge()
    court.hears(1, Breadcrumb("forward", 3, 2, 9))
    event(court)
    assert court.tick() == (sentence.format("in forward of step 3, micro-batch 2"), (1,), False)


def test_only_the_first_counts():
    court = judge()
    court.fails(2, "first")
    court.loses(1, "it waited for rank 2")
    assert court.verdict.culprits == (2,)


def test_breadcrumbs_count_and_are_patient_only_at_first():
    crumbs = Breadcrumbs()
    assert str(crumbs.last) == "in start"
    crumbs.at("data", 1)
    assert crumbs.last == Breadcrumb("data", 1, None, 1, LONG)
    crumbs.patience = 1
    assert [(item, crumbs.last) for item in crumbs.through("data", "ab", 2)] == [
        ("a", Breadcrumb("data", 2, None, 2)),
        ("b", Breadcrumb("data", 2, None, 3)),
    ]
    crumbs.at("saving", 2, patience=LONG)
    assert crumbs.last.patience == LONG


def test_breadcrumbs_know_the_step_that_they_come_after():
    crumbs = Breadcrumbs()
    crumbs.at("loading")
    assert str(crumbs.last) == "in loading"
    crumbs.at("hooks", 3)
    crumbs.at("evaluation")
    crumbs.at("the end of the run")
    assert str(crumbs.last) == "in the end of the run after step 3"
    assert crumbs.last.reached == 3


def test_a_rank_that_waits_for_another_does_not_move():
    crumbs = Breadcrumbs()
    crumbs.at("forward", 3, 2)
    before = crumbs.last
    with crumbs.waiting_for("stage 1"):
        assert str(crumbs.last) == "in forward of step 3, micro-batch 2, waiting for stage 1"
        assert crumbs.last.moves == before.moves
    assert crumbs.last == before


@given(st.sets(st.integers(0, 30), min_size=1))
def test_ranks_in_words_are_all_of_them(ranks):
    word, _, listed = ranks_in_words(ranks).partition(" ")
    assert word == ("rank" if len(ranks) == 1 else "ranks")
    found = []
    for part in listed.split(", "):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    assert found == sorted(ranks)
