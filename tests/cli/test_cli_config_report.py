"""The error report: order, quotes, marks, colour."""

from __future__ import annotations

import io

import pytest

from neox_core.cli.report import Paint, block, in_order, quoted
from neox_core.config import read_text
from neox_core.errors import Origin, Problem


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self):
        return True


def origin(line, text, source="a.yml"):
    return Origin(source=source, line=line, text=text)


def mark(text, message):
    (entry,) = read_text(text, "a.yml")
    line, under = quoted(entry.origin, Problem(keys=(entry.key,), message=message))
    return line[len(under) - under.count("^") : len(under)]


def test_the_report_of_a_file_is_as_documented(neox):
    neox.write("bad.yml", "precision: fp61\nhiden_size: 3\n")
    done = neox("config", "check", "tiny.yml", "bad.yml", "seed=big")
    assert done.code == 2
    assert done.err == (
        "error: bad.yml:1: precision: 'fp61' is not one of fp32, fp16, bfloat16 or null\n"
        "  1 | precision: fp61\n"
        "    |            ^^^^\n"
        "  did you mean 'fp16'?\n"
        "error: bad.yml:2: hiden_size: there is no such setting\n"
        "  2 | hiden_size: 3\n"
        "    | ^^^^^^^^^^\n"
        "  did you mean 'hidden_size'?\n"
        "error: command line (seed=big): seed: 'big' is not a whole number > 0 and <= 4294967295\n"
        "3 problems; whether the values fit together will be seen once they are mended\n"
    )


def test_what_is_about_two_places_quotes_both(neox):
    neox.write("twice.yml", "hidden-size: 3\n")
    done = neox("config", "check", "tiny.yml", "twice.yml")
    assert "  twice.yml:1 | hidden-size: 3\n              | ^^^^^^^^^^^\n" in done.err
    assert "   tiny.yml:2 | hidden_size: 16\n              | ^^^^^^^^^^^\n" in done.err


def test_a_quoted_line_that_is_not_the_problem_s_own_place_has_its_file(neox):
    done = neox("config", "check", "tiny.yml", "train_micro_batch_size_per_gpu=3", "vocab_size=64")
    assert "error: tiny.yml:7, command line (train_micro_batch_size_per_gpu=3): train_batch_size, " in done.err
    assert "  7 | train_batch_size: 4\n" in done.err
    neox.write("micro.yml", train_batch_size=None, train_micro_batch_size_per_gpu="2", vocab_size="64")
    done = neox("config", "check", "micro.yml", "train_batch_size=7")
    assert "error: command line (train_batch_size=7): train_batch_size, " in done.err
    assert "  micro.yml:8 | train_micro_batch_size_per_gpu: 2\n" in done.err


def test_what_is_about_places_of_the_command_line_alone_names_them_all(neox):
    done = neox("config", "check", "tiny.yml", "hidden_size=9", "num_attention_heads=2", "vocab_size=64")
    assert "error: command line (hidden_size=9), command line (num_attention_heads=2): hidden_size, num_" in done.err
    assert " | " not in done.err


def test_a_key_of_a_plugin_that_is_switched_off_names_it(neox):
    done = neox("-p", "no:neox-toolkit:loggers", "config", "check", "tiny.yml", "wandb_team=x")
    assert done.code == 2
    assert "neox-toolkit:loggers has it, which is switched off by -p no:neox-toolkit:loggers" in done.err


def test_problems_come_once_and_in_order_of_file_and_line():
    late, early = Problem(message="x", origin=origin(9, "b: 1")), Problem(message="x", origin=origin(2, "a: 1"))
    override = Problem(message="y", origin=Origin(source="command line (a=1)"))
    nowhere = Problem(message="z")
    assert in_order([nowhere, override, late, early, late]) == [early, late, override, nowhere]


@pytest.mark.parametrize(
    ("text", "message", "marked"),
    [
        ("seed: big", "'big' is not a whole number > 0", "big"),
        ('{"seed": "big"}', "'big' is not a whole number > 0", '"big"'),
        ("seed: seed", "'seed' is not a whole number > 0", "seed"),
        ("num-layers: 2", "there is no such setting", "num-layers"),
        ("seed: 0", "0 is not a whole number > 0", "0"),
        ("1e1_1: 1e1", "10 is too much", "1e1"),
        ("seed: yes", "True is not a whole number", "yes"),
        ("seed: true", "true is not a whole number", "true"),
        ("seed: ~", "None is not a whole number", "~"),
        ("seed: null", "null is not a whole number", "null"),
        ("seed: 1", "True is not a whole number", "seed"),
        ("seed: 2", "4 ranks cannot be cut", "seed"),
        ("seed: {a: 1,\n  b: 2}", "{'a': 1, 'b': 2} is not a whole number", "{a: 1,"),
        ("seed: [1, 2]  # two", "[1, 2] is not a whole number", "[1, 2]"),
        ("seed:\n  a: 1", "{'a': 1} is not a whole number", "seed"),
        ("seed:", "None is not a whole number", "seed"),
        ("  max_grad_norm: 1", "is given elsewhere", "max_grad_norm"),
    ],
)
def test_the_mark_is_under_the_value_where_the_message_begins_with_it(text, message, marked):
    assert mark(text, message) == marked


def test_a_line_without_columns_is_marked_whole():
    line, under = quoted(origin(1, "  a: 1 "), Problem(message="x"))
    assert (line, under) == ("a: 1", "^^^^")


def test_what_is_no_yaml_is_quoted(neox):
    neox.write("bad.yml", "seed: 1\nfp16: {enabled: true\nnorm: rmsnorm\n")
    assert neox("config", "check", "bad.yml").err == (
        "error: bad.yml:2: the '{' that begins here is not closed\n"
        "  2 | fp16: {enabled: true\n"
        "    |       ^\n"
        "  add '}' at its end\n"
    )


def test_a_file_named_twice_is_one_sentence(neox):
    assert neox("config", "check", "tiny.yml", "./tiny.yml").err == (
        "error: ./tiny.yml: the file is named twice; name it once\n"
    )


def test_a_long_line_is_cut_around_the_mark():
    text = "{" + ", ".join(f"key_{number}: {number}" for number in range(100)) + "}"
    place = read_text(text, "a.yml")[57].origin
    line, under = quoted(place, Problem(keys=("key_57",), message="there is no such setting"))
    assert len(line) <= 110
    assert line[under.index("^") : len(under)] == "key_57"


def test_there_is_colour_on_a_terminal_only(monkeypatch):
    problem = Problem(keys=("seed",), message="there is no such setting", origin=origin(1, "seed: 1"))
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    assert "\x1b[" in "".join(block(problem, Paint(Terminal())))
    assert "\x1b[" not in "".join(block(problem, Paint(io.StringIO())))
    monkeypatch.setenv("TERM", "dumb")
    assert "\x1b[" not in "".join(block(problem, Paint(Terminal())))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "")
    assert "\x1b[" in "".join(block(problem, Paint(Terminal())))
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in "".join(block(problem, Paint(Terminal())))
