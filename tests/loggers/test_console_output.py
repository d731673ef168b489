"""The console tells a run from its first line to its summary, in a terminal and in a file."""

from __future__ import annotations

import io
import math
import re
from pathlib import Path

import pytest
from neox_loggers import console
from neox_loggers.console import Console
from neox_loggers.terminal import CLEAR, Terminal

from neox_core.config import World
from neox_core.config.world import Host
from neox_core.training.run import Evaluation


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self):
        self.seconds = 1000.0

    def __call__(self):
        return self.seconds


class Watcher:
    """Somebody in front of a console, and the run that is shown there."""

    def __init__(self, run, columns=None, log_interval=10):
        self.run = run
        self.stream = io.StringIO()
        self.clock = Clock()
        self.measured = 0
        self.console = Console(
            Terminal(self.stream, columns), log_interval=log_interval, find_peak=self.measure, clock=self.clock
        )

    def measure(self):
        self.measured += 1
        return 2e9

    def start(self):
        self.console.neox_train_start(self.run)
        return self.take()

    def step(self, step):
        self.clock.seconds += step.seconds
        self.console.neox_step_end(self.run, step)
        return self.take()

    def end(self, error=None):
        self.console.neox_train_end(self.run, error)
        return self.take()

    def take(self):
        """What was written since the last time."""
        text = self.stream.getvalue()
        self.stream.seek(0)
        self.stream.truncate()
        return text


@pytest.fixture
def watch(make_run):
    def start(columns=None, log_interval=10, **changes):
        watcher = Watcher(make_run(**changes), columns, log_interval)
        watcher.start()
        return watcher

    return start


def test_a_run_is_introduced(make_run, tmp_path):
    text = Watcher(make_run()).start()
    assert text.splitlines() == [
        "tiny",
        "  model         12.6M parameters in fp32",
        "  steps         1 to 200, each of 512 tokens",
        "  machine       2 cpu ranks, measured matmul peak 2.00 GFLOP/s",
        f"  files         {tmp_path}",
    ]


def test_a_resumed_run_says_from_where(make_run):
    text = Watcher(make_run(start_iteration=100, resumed_from=Path("save/global_step100"))).start()
    assert "  steps         101 to 200, each of 512 tokens\n" in text
    assert text.endswith("  resumed from  save/global_step100\n")


def test_a_run_on_several_hosts_says_how_many(make_run, make_resolved):
    resolved = make_resolved(World((Host("a", 8), Host("b", 8)), "cuda"))
    text = Watcher(make_run(resolved=resolved)).start()
    assert "  machine       16 cuda ranks on 2 hosts, measured matmul peak" in text


def test_the_peak_is_measured_once_and_by_the_main_rank_only(make_run, make_step):
    main, other = Watcher(make_run()), Watcher(make_run(rank=1))
    for watcher in (main, other):
        watcher.start()
        watcher.step(make_step(1))
        watcher.end()
    assert (main.measured, other.measured) == (1, 0)


def test_other_ranks_write_nothing(make_run, make_step, checkpoint):
    watcher = Watcher(make_run(rank=1), columns=80)
    watcher.console.neox_checkpoint_saved(watcher.run, checkpoint)
    assert watcher.start() + watcher.step(make_step(1)) + watcher.end(ValueError("no")) == ""


def test_a_file_gets_a_line_at_the_first_and_last_step_and_every_log_interval(watch, make_step):
    watcher = watch(log_interval=10, train_iters=25)
    text = "".join(watcher.step(make_step(i)) for i in range(1, 26))
    assert [line.split()[0] for line in text.splitlines()] == ["1/25", "10/25", "20/25", "25/25"]
    assert "\x1b" not in text and "\r" not in text


def test_a_resumed_run_shows_its_first_step(watch, make_step):
    assert watch(start_iteration=123).step(make_step(124)).startswith("124/200  loss")


def test_a_line_tells_progress_loss_speed_and_remaining_time(watch, make_step):
    watcher = watch(log_interval=10)
    for i in range(1, 10):
        watcher.step(make_step(i))
    assert watcher.step(make_step(10, metrics={"z_loss": 0.125})) == (
        " 10/200  loss 4.5000  lr 3.00e-4  grad 1.25  1.02k tok/s  eta 1:35  51% peak  z_loss 0.1250\n"
    )


def test_a_line_tells_the_loss_scale_and_the_noise_scale(watch, make_step):
    watcher = watch(log_interval=1)
    watcher.step(make_step(1))
    measured = make_step(2, loss_scale=65536.0, noise_scale=12_345.0, measures={"gradient_norms/head.weight": 1.0})
    assert watcher.step(measured).endswith("51% peak  scale 65,536  noise 12.3k\n")


def test_a_stated_peak_is_not_measured(make_stated, make_run, make_step, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(console, "matmul_peak", lambda *arguments: pytest.fail("it was measured"))
    run = make_run(resolved=make_stated(0.001))
    made = console.build(run.resolved, tmp_path)
    made.neox_train_start(run)
    made.neox_step_end(run, make_step(1))
    made.neox_train_end(run, None)
    text = capsys.readouterr().out
    assert "2 cpu ranks, theoretical peak 2.00 GFLOP/s\n" in text
    assert "  51% peak\n" in text
    assert "51% of the theoretical peak, 2.00 GFLOP/s\n" in text


def test_a_line_copes_with_any_number(watch, make_step):
    watcher = watch(log_interval=1, train_iters=100_000)
    odd = make_step(1, loss=math.nan, learning_rate=1e-12, grad_norm=math.inf, tokens=10**12, seconds=40.0)
    assert watcher.step(odd) == (
        "     1/100000  loss nan  lr 1.00e-12  grad inf  25.0B tok/s  eta 46d 07:06:00  1250000000% peak\n"
    )
    assert "grad" not in watcher.step(make_step(2, grad_norm=None))


def test_a_terminal_gets_a_live_line_that_lasting_ones_replace(watch, make_step):
    watcher = watch(columns=200, log_interval=10)
    watcher.step(make_step(1))
    live = watcher.step(make_step(99))
    assert live.startswith(f"{CLEAR} 99/200  loss 4.5000")
    assert live.endswith("51% peak  [#######---------] 50%")
    lasting = watcher.step(make_step(100))
    assert lasting.startswith(f"{CLEAR}100/200  loss") and lasting.endswith("51% peak\n")


def test_all_that_matters_of_the_live_line_fits_a_terminal_of_80_columns(watch, make_step):
    watcher = watch(columns=80, train_iters=2000)
    watcher.step(make_step(1))
    live = watcher.step(make_step(2))
    assert live == f"{CLEAR}   2/2000  loss 4.5000  lr 3.00e-4  grad 1.25  1.02k tok/s  eta 16:39  51% peak"


def test_the_live_line_stays_on_one_row_of_a_narrow_terminal(watch, make_step):
    watcher = watch(columns=40)
    watcher.step(make_step(1))
    assert watcher.step(make_step(2)) == f"{CLEAR}  2/200  loss 4.5000  lr 3.00e-4"


def test_the_live_line_is_redrawn_ten_times_a_second_at_most(watch, make_step):
    watcher = watch(columns=80, log_interval=1000)
    drawn = sum(bool(watcher.step(make_step(i, seconds=0.01))) for i in range(2, 102))
    assert 9 <= drawn <= 11


def test_something_is_shown_while_the_first_step_runs(make_run):
    assert Watcher(make_run(), columns=80).start().endswith(f"{CLEAR}waiting for the first step")


def test_a_skipped_step_gives_its_reason(watch, make_step):
    step = make_step(7, applied=False, skip_reason="the gradient norm is nan on rank 1", skipped=2)
    assert watch().step(step) == "  7/200  skipped: the gradient norm is nan on rank 1 (2 so far)\n"


def test_evaluations_and_checkpoints_get_lines(watch, make_step, validation, checkpoint):
    watcher = watch(columns=200)
    watcher.step(make_step(1))
    text = watcher.step(make_step(2, evaluations=(validation,)))
    assert text.endswith(f"{CLEAR}  2/200  validation loss 2.0000  perplexity 7.3891  10 batches in 2.1 s\n")
    watcher.console.neox_checkpoint_saved(watcher.run, checkpoint)
    assert watcher.take() == "100/200  saved save/global_step100  11.44 MiB in 0.4 s\n"


def test_the_end_sums_up(watch, make_step, validation, checkpoint, tmp_path):
    watcher = watch(train_iters=3)
    worse = Evaluation(split="validation", loss=3.0, batches=10, seconds=1.0)
    broken = Evaluation(split="validation", loss=math.nan, batches=10, seconds=1.0)
    watcher.step(make_step(1, seconds=30.0, evaluations=(worse, broken)))
    watcher.step(make_step(2, evaluations=(validation,)))
    watcher.step(make_step(3, loss=1.25, applied=False, skip_reason="nan", skipped=1, evaluations=(worse,)))
    watcher.console.neox_checkpoint_saved(watcher.run, checkpoint)
    watcher.clock.seconds += 60
    watcher.take()
    assert watcher.end().splitlines() == [
        "done at step 3 of 3 after 1:31",
        "  loss        4.5000 at first, 1.2500 at last",
        "  validation  best loss 2.0000, perplexity 7.3891, at step 2",
        "  steps       3, 1 of them skipped",
        "  tokens      1.54k",
        "  speed       1.02k tokens/s, 51% of the measured matmul peak, 2.00 GFLOP/s",
        "  checkpoint  step 100 in save/global_step100",
        f"  logs        {tmp_path}",
    ]


@pytest.mark.parametrize(
    ("error", "headline"),
    [
        (None, "stopped early at step 2 of 200 after 0:01"),
        (KeyboardInterrupt(), "stopped by SIGINT at step 2 of 200 after 0:01"),
        (SystemExit(128 + 15), "stopped by SIGTERM at step 2 of 200 after 0:01"),
        (SystemExit(255), "stopped by signal 127 at step 2 of 200 after 0:01"),
        (SystemExit(1), "failed at step 2 of 200 after 0:01"),
        (ValueError("the disk\nis full"), "failed at step 2 of 200 after 0:01"),
    ],
)
def test_the_end_says_what_stopped_the_run(watch, make_step, error, headline):
    watcher = watch(columns=80)
    for i in (1, 2):
        watcher.step(make_step(i))
    assert watcher.end(error).removeprefix(CLEAR).splitlines()[0] == headline


def test_a_run_that_was_to_stop_early_says_so(watch, make_step, make_stated):
    resolved = make_stated(None, exit_interval=2)
    watcher = watch(columns=80, resolved=resolved)
    for i in (1, 2):
        watcher.step(make_step(i))
    said = watcher.end().removeprefix(CLEAR).splitlines()[0]
    assert said == "stopped early, as `exit_interval: 2` asks, at step 2 of 200 after 0:01"


def test_an_error_is_quoted_by_its_first_line(watch):
    assert "\n  error       ValueError: the disk\n  logs " in watch().end(ValueError("the disk\nis full"))


def test_a_run_that_had_nothing_left_to_do_is_done(make_run):
    watcher = Watcher(make_run(start_iteration=200))
    watcher.start()
    assert watcher.end().startswith("done at step 200 of 200 after 0:00\n  logs ")


def test_an_end_without_a_start_still_says_why(make_run):
    assert "failed at step 0 of 200" in Watcher(make_run()).end(RuntimeError("another logger failed"))


def test_the_factory_writes_to_the_standard_output_and_measures_the_machine(make_run, make_step, tmp_path, capsys):
    run = make_run()
    logger = console.build(run.resolved, tmp_path)
    logger.neox_train_start(run)
    for iteration in range(1, 101):
        logger.neox_step_end(run, make_step(iteration))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "tiny"
    assert re.search(r"matmul peak [\d.]+ .FLOP/s$", lines[3])
    assert [line[:8] for line in lines[5:]] == ["  1/200 ", "100/200 "]  # log_interval is 100
