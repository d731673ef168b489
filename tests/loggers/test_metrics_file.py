"""metrics.jsonl holds every event exactly, survives a kill, and reads back as one curve after any number of resumes."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, strategies as st
from neox_loggers import jsonl
from neox_loggers.curve import curve, read
from neox_loggers.jsonl import JsonLines

from neox_core.training.run import Run, Step


@pytest.fixture
def path(tmp_path):
    return tmp_path / "metrics.jsonl"


def life(logger, run, steps, error=None):
    """One process of the run, from its start to its end."""
    logger.neox_train_start(run)
    for step in steps:
        logger.neox_step_end(run, step)
    logger.neox_train_end(run, error)


def test_every_event_is_a_line_with_its_time(path, make_run, make_step, validation, checkpoint):
    logger = JsonLines(path, clock=iter(range(100, 110)).__next__)
    run = make_run()
    logger.neox_train_start(run)
    logger.neox_step_end(run, make_step(1, metrics={"z_loss": 0.5}, evaluations=(validation,)))
    logger.neox_checkpoint_saved(run, checkpoint)
    logger.neox_train_end(run, ValueError("too hot"))
    start, step, evaluation, saved, end = read(path)
    assert [event["time"] for event in (start, step, evaluation, saved, end)] == [100, 101, 102, 103, 104]
    assert start["event"] == "start" and start["iteration"] == 0 and start["parameters"] == 12_600_000
    assert step["event"] == "step" and step["loss"] == 4.5 and step["metrics"] == {"z_loss": 0.5}
    assert evaluation["event"] == "evaluation" and evaluation["iteration"] == 1 and evaluation["split"] == "validation"
    assert saved["event"] == "checkpoint" and saved["path"] == "save/global_step100"
    assert end["event"] == "end" and end["error"] == "ValueError: too hot"


def test_a_line_is_on_disk_as_soon_as_its_step_ends(path, make_run, make_step):
    logger = JsonLines(path)
    logger.neox_train_start(make_run())
    logger.neox_step_end(make_run(), make_step(1))
    assert [event["event"] for event in read(path)] == ["start", "step"]


@given(st.floats())
def test_losses_read_back_exactly(tmp_path_factory, loss):
    directory = tmp_path_factory.mktemp("metrics")
    run = Run(
        name="tiny", directory=directory, resolved=None, rank=0, world_size=1, start_iteration=0, train_iters=1,
        parameters=1, flops_per_token=1.0,
    )  # fmt: skip
    step = Step(iteration=1, loss=loss, learning_rate=0.1, grad_norm=None, tokens=1, samples=1, seconds=1.0)
    life(JsonLines(directory / "metrics.jsonl"), run, [step])
    [(_, value)] = curve([directory / "metrics.jsonl"], "loss")
    assert value == loss or (math.isnan(value) and math.isnan(loss))


def test_numbers_that_json_lacks_are_strings(path, make_run, make_step):
    life(JsonLines(path), make_run(), [make_step(1, loss=math.nan, metrics={"a": math.inf, "b": -math.inf})])

    def refuse(constant):
        raise AssertionError(constant)

    step = json.loads(path.read_text().splitlines()[1], parse_constant=refuse)
    assert step["loss"] == "nan"
    assert step["metrics"] == {"a": "inf", "b": "-inf"}


def test_only_the_main_rank_writes(path, make_run, make_step):
    life(JsonLines(path), make_run(rank=1), [make_step(1)])
    assert not path.exists()


def test_an_end_without_a_start_writes_nothing(path, make_run):
    JsonLines(path).neox_train_end(make_run(), RuntimeError("no start"))
    assert not path.exists()


@pytest.mark.parametrize("rest", ["", '{"event": "step", "itera', "{"])
def test_a_half_written_line_is_cut_off_on_resume(path, make_run, make_step, rest):
    life(JsonLines(path), make_run(), [make_step(1)])
    whole = path.read_text()
    path.write_text(whole + rest)
    life(JsonLines(path), make_run(start_iteration=1), [make_step(2)])
    text = path.read_text()
    assert text.startswith(whole)
    assert [json.loads(line)["event"] for line in text.splitlines()] == ["start", "step", "end"] * 2


def test_a_file_that_is_one_half_line_starts_anew(path, make_run):
    path.write_text('{"event": "sta')
    life(JsonLines(path), make_run(), [])
    assert [event["event"] for event in read(path)] == ["start", "end"]


def test_a_reader_leaves_out_the_line_that_is_being_written(path, make_run, make_step):
    life(JsonLines(path), make_run(), [make_step(1)])
    with path.open("a") as file:
        file.write('{"event": "step"')
    assert curve([path], "loss") == [(1, 4.5)]


def test_a_resume_undoes_the_steps_after_it_and_the_last_value_wins(tmp_path, make_run, make_step):
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    life(JsonLines(first), make_run(), [make_step(i, loss=float(i)) for i in (1, 2, 3, 4, 5)])
    life(JsonLines(second), make_run(start_iteration=2), [make_step(i, loss=10.0 * i) for i in (3, 4)])
    assert curve([first, second], "loss") == [(1, 1.0), (2, 2.0), (3, 30.0), (4, 40.0)]


def test_curves_of_metrics_and_of_evaluations(path, make_run, make_step, validation):
    steps = [make_step(1, metrics={"z_loss": 0.5}), make_step(2, grad_norm=None, evaluations=(validation,))]
    life(JsonLines(path), make_run(), steps)
    assert curve([path], "z_loss") == [(1, 0.5)]
    assert curve([path], "grad_norm") == [(1, 1.25)]
    assert curve([path], "loss", split="validation") == [(2, 2.0)]
    assert curve([path], "loss", split="test") == []


def test_what_is_measured_is_in_the_step_and_makes_curves(path, make_run, make_step):
    measures = {"gradient_norms/head.weight": 0.1}
    life(JsonLines(path), make_run(), [make_step(1), make_step(2, measures=measures, noise_scale=1e3, loss_scale=2.0)])
    assert curve([path], "gradient_norms/head.weight") == [(2, 0.1)]
    assert curve([path], "noise_scale") == [(2, 1e3)]
    assert curve([path], "loss_scale") == [(2, 2.0)]


def test_files_of_earlier_versions_make_curves(path, make_run, make_step):
    life(JsonLines(path), make_run(), [make_step(1)])
    events = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps({k: v for k, v in e.items() if k != "measures"}) + "\n" for e in events))
    assert curve([path], "loss") == [(1, 4.5)]


def test_the_utilisation_is_told_where_the_peak_is_stated(tmp_path, path, make_run, make_step, make_stated):
    life(jsonl.build(make_stated(0.001), tmp_path), make_run(), [make_step(1)])
    assert curve([path], "model_flops_utilization") == [(1, 1024e6 / 2e9)]
    path.unlink()
    life(jsonl.build(make_run().resolved, tmp_path), make_run(), [make_step(1)])
    assert curve([path], "model_flops_utilization") == []


def test_the_factory_writes_in_the_runs_directory(tmp_path, make_run):
    run = make_run()
    life(jsonl.build(run.resolved, tmp_path), run, [])
    assert (tmp_path / "metrics.jsonl").exists()
