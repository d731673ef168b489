"""How ranks get a store and a watch in common, and what they say of an error that ends one of them."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest
import torch.distributed as dist
from places import place
from training_models import resolve

from neox_core.config import World
from neox_core.errors import UserError
from neox_core.launch import FailedElsewhere, Patience, Verdict, Watch, free_port
from neox_core.plugins import Switches
from neox_core.training.handover import Handover
from neox_core.training.one_rank import check_world
from neox_core.training.rendezvous import (
    collective_timeout,
    hang_limit,
    lost_contact,
    process_group,
    rendezvous,
    telling,
)

SAID = "[/src/third_party/gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:8. Check the other."


@pytest.mark.parametrize("rank", [0, 1])
def test_who_does_not_meet_the_others_gives_up_with_a_sentence(rank):
    expected = {0: "rank 1 of 2 did not come to the rendezvous within 0.5 s", 1: "rank 1 on .* did not reach rank 0 at"}
    with (
        pytest.raises(UserError, match=expected[rank]),
        rendezvous(place(rank, 2, free_port()), "runs/a", Patience(limit=0.5)),
    ):
        pass


def test_ranks_that_come_meet():
    port = free_port()
    found: dict[int, bytes] = {}

    def come(rank: int) -> None:
        with rendezvous(place(rank, 2, port), "runs/a", Patience(limit=10)) as (store, _):
            store.set(str(rank), "here")
            if rank == 1:
                time.sleep(0.2)  # rank 0 is done long before, and must not take the store away
            found[rank] = store.get(str(1 - rank))

    ranks = [threading.Thread(target=come, args=(rank,)) for rank in range(2)]
    for thread in ranks:
        thread.start()
    for thread in ranks:
        thread.join(15)
    assert found == {0: b"here", 1: b"here"}


def test_a_rank_that_is_alone_meets_itself():
    with rendezvous(place(0, 1), "runs/a") as (store, watch):
        store.set("key", "value")
        watch.fail("nobody hears it")
        assert watch.explanation(5.0) is None
        assert store.get("key") == b"value"


def test_the_process_group_is_destroyed_whatever_happens():
    resolved, _ = resolve()
    with (
        pytest.raises(ZeroDivisionError),
        rendezvous(place(0, 1), "runs/a") as (store, _),
        process_group(store, place(0, 1), resolved),
    ):
        assert dist.is_initialized()
        raise ZeroDivisionError
    assert not dist.is_initialized()


def test_what_gloo_says_of_a_lost_rank_is_cut_to_its_cause():
    expected = "lost contact with another rank: Connection closed by peer [127.0.0.1]:8"
    assert lost_contact(RuntimeError(SAID)) == expected
    assert lost_contact(dist.DistBackendError("NCCL error in: ProcessGroupNCCL.cpp:1")) is not None
    assert lost_contact(RuntimeError("shapes differ")) is None
    assert lost_contact(ValueError("gloo")) is None


def test_a_run_that_may_stand_still_for_ever_is_not_ended_by_a_collective():
    for_ever, default = (resolve(1, **changes)[0] for changes in ({"hang_timeout": 0}, {}))
    assert hang_limit(for_ever) is None
    assert collective_timeout(for_ever) >= timedelta(days=30)
    assert hang_limit(default) < collective_timeout(default).total_seconds() < 7200


class Recorded(Watch):
    """Keeps what the others would be told, and knows already who failed."""

    def __init__(self, verdict: Verdict | None) -> None:
        self.verdict, self.told = verdict, []

    def fail(self, reason: str, exit_code: int = 1) -> None:
        self.told.append((reason, exit_code))

    def explanation(self, seconds: float) -> Verdict | None:
        return self.verdict


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("odd"), ("ValueError: odd", 1)),
        (UserError("train_iters: 0"), ("train_iters: 0", 2)),
        (KeyboardInterrupt(), ("KeyboardInterrupt: ", 1)),
        (ValueError("x" * 1000), (f"ValueError: {'x' * 385}...", 1)),
        (RuntimeError(SAID), ("lost contact with another rank: Connection closed by peer [127.0.0.1]:8", 1)),
    ],
)
def test_the_others_are_told_of_an_error_of_this_rank_once(error, told):
    watch = Recorded(None)
    with pytest.raises(type(error)), telling(watch):
        raise error
    assert watch.told == [told]


def test_a_rank_that_has_lost_contact_says_who_failed():
    watch = Recorded(Verdict("rank 3 on a is gone", (3,)))
    with pytest.raises(FailedElsewhere, match=r"^rank 3 on a is gone$") as caught, telling(watch), telling(watch):
        raise RuntimeError(SAID)
    assert (caught.value.exit_code, watch.told) == (75, [])


def test_an_error_of_its_own_is_not_hidden_by_that_of_another():
    watch = Recorded(Verdict("rank 3 on a is gone", (3,)))
    with pytest.raises(ValueError, match="odd"), telling(watch):
        raise ValueError("odd")


def test_another_number_of_ranks_than_was_planned_is_named():
    handover = Handover(
        name="run",
        run_dir="runs/run",
        entries=(),
        switches=Switches(),
        world=World.local(4),
        vocabulary=10,
        eod_token=0,
        checkpoint=None,
    )
    check_world(place(0, 4), handover)
    with pytest.raises(
        UserError, match="WORLD_SIZE: 2 ranks were started for a run of 4; let the launcher start 4, or"
    ):
        check_world(place(0, 2), handover)
