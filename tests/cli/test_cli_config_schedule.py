"""`neox config schedule`."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

LONG = ("train_iters=1000", "lr_decay_style=cosine", "warmup=0.1", "min_lr=0.0001")


def rows(text):
    """The lines of two columns, by the first."""
    cells = (line.split("  ", 1) for line in text.splitlines() if line[:1].isalnum() and "  " in line)
    return {first: other.strip() for first, other in cells}


def test_the_rates_of_a_run_are_plotted_and_written_out(neox):
    done = neox("config", "schedule", "tiny.yml", *LONG)
    assert done.code == 0, done.err
    assert "Learning rate: cosine" in done.out
    assert any(0x2800 < ord(letter) < 0x2900 for letter in done.out)
    shown = rows(done.out)
    assert shown["schedule"] == "cosine, lr_semantics clamped"
    assert (shown["peak"], shown["minimum"]) == ("0.001", "0.0001")
    assert shown["end of the warm-up"] == "after 100 steps"
    assert shown["end of the decay"] == "after 1000 steps"
    assert float(shown["1"]) == pytest.approx(1e-5)
    assert float(shown["101"]) == pytest.approx(1e-3)
    assert float(shown["600"]) == pytest.approx(5e-4, rel=0.15)


def test_colours_stay_away_from_what_is_no_terminal(neox):
    assert "\x1b" not in neox("config", "schedule", "tiny.yml").out


def test_a_run_that_ends_before_its_decay_is_told(neox):
    shown = rows(neox("config", "schedule", "tiny.yml", *LONG, "lr_decay_iters=4000").out)
    assert shown["end of the decay"] == "after 4000 steps; the run ends after 1000"


def test_the_final_decay_and_deepspeeds_schedules_have_their_own_words(neox):
    shown = rows(neox("config", "schedule", "tiny.yml", "train_iters=1000", "lr_decay_style=wsd").out)
    assert shown["begin of the decay"] == "after 900 steps"
    assert shown["901"] == "0.001"
    shown = rows(
        neox("config", "schedule", "tiny.yml", "scheduler={type: WarmupLR, params: {warmup_num_steps: 4}}").out
    )
    assert (shown["schedule"], shown["warmup_num_steps"]) == ("DeepSpeed's WarmupLR", "4")
    assert shown["warmup_type"] == "log", "defaults are shown too"


def test_a_warm_up_of_less_than_a_step_is_none_but_for_gpt_neox(neox):
    words = ("config", "schedule", "tiny.yml", "train_iters=20", "warmup=0.01")
    assert rows(neox(*words).out)["end of the warm-up"] == "there is none"
    theirs = neox(*words, "compat=gpt-neox")
    assert rows(theirs.out)["end of the warm-up"] == "after 0.2 steps"
    assert "the first step has 5 times the peak rate, as in GPT-NeoX" in theirs.err


def test_steps_and_rates_are_written_to_files(neox):
    done = neox("config", "schedule", "tiny.yml", *LONG, "--csv", "rates.csv", "--svg", "rates.svg", "--points", "4")
    assert done.code == 0, done.err
    head, *lines = (neox.directory / "rates.csv").read_text().splitlines()
    assert head == "step,learning_rate"
    found = {int(step): float(rate) for step, rate in (line.split(",") for line in lines)}
    assert list(found) == [1, 101, 334, 667, 1000], "the end of the warm-up is among them"
    assert found[101] == max(found.values()) == 1e-3
    ElementTree.parse(neox.directory / "rates.svg")
    assert done.out.endswith("written: rates.svg\nwritten: rates.csv\n")


def test_directories_of_files_to_write_are_made_and_nothing_is_written_by_a_refused_command(neox):
    refused = neox("config", "schedule", "tiny.yml", "--svg", "new/rates.svg", "--csv", ".")
    assert (refused.code, (neox.directory / "new").exists()) == (2, False)
    assert neox("config", "schedule", "tiny.yml", "--svg", "new/rates.svg").code == 0
    ElementTree.parse(neox.directory / "new" / "rates.svg")


def test_every_step_of_a_short_run_is_looked_at(neox):
    neox("config", "schedule", "tiny.yml", "--csv", "rates.csv")
    lines = (neox.directory / "rates.csv").read_text().splitlines()[1:]
    assert [line.split(",")[0] for line in lines] == ["1", "2", "3", "4", "5", "6"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("lr_decay_style=cosin",), "there is no schedule 'cosin'; did you mean 'cosine'?"),
        (("~train_iters", "train_epochs=2"), "give train_iters"),
        (("--points", "0"), "0 is not a whole number > 0"),
        (("--svg", "a", "--csv", "./a"), "--svg and --csv both name a; give each a file of its own"),
        (("--svg", "."), "argument --svg: . is a directory; give the name of a file, such as FILE"),
        (("--csv", "tiny.yml/rates.csv"), "argument --csv: tiny.yml/rates.csv cannot be written: tiny.yml is a file"),
    ],
)
def test_mistakes_are_told(neox, words, sentence):
    done = neox("config", "schedule", "tiny.yml", *words)
    assert done.code == 2
    assert sentence in done.err
