"""A live line is redrawn in place and makes room for lasting ones; files get plain lines."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, strategies as st
from neox_loggers.terminal import CLEAR, Terminal, columns_of

from neox_core.errors import UserError


class Tty(io.StringIO):
    def isatty(self):
        return True


def test_a_file_gets_lasting_lines_only_and_no_escape_codes():
    stream = io.StringIO()
    terminal = Terminal(stream)
    terminal.live("step 1")
    terminal.line("step 2", "loss 3")
    assert stream.getvalue() == "step 2  loss 3\n"


def test_the_live_line_is_cleared_before_a_lasting_one_and_only_then():
    stream = io.StringIO()
    terminal = Terminal(stream, columns=80)
    terminal.line("first")
    terminal.live("step 1")
    terminal.live("step 2")
    terminal.line("second")
    terminal.line("third")
    assert stream.getvalue() == f"first\n{CLEAR}step 1{CLEAR}step 2{CLEAR}second\nthird\n"


def test_fields_that_do_not_fit_are_left_out_whole():
    stream = io.StringIO()
    Terminal(stream, columns=25).live("step 1", "loss 2.0000", "eta 1:00")
    assert stream.getvalue() == f"{CLEAR}step 1  loss 2.0000"


@given(st.lists(st.text("ab", min_size=1, max_size=30), min_size=1), st.integers(min_value=2, max_value=100))
def test_the_live_line_never_reaches_the_last_column(fields, columns):
    stream = io.StringIO()
    Terminal(stream, columns).live(*fields)
    assert 0 < len(stream.getvalue().removeprefix(CLEAR)) < columns


def test_a_launchers_word_on_the_width_comes_first():
    assert columns_of(io.StringIO(), {}) is None
    assert columns_of(io.StringIO(), {"NEOX_TERMINAL": "132"}) == 132
    assert columns_of(Tty(), {"NEOX_TERMINAL": "0"}) is None
    assert columns_of(Tty(), {}) > 0


@pytest.mark.parametrize("stated", ["wide", "-3", ""])
def test_a_width_that_is_no_number_is_refused(stated):
    with pytest.raises(UserError, match=f"NEOX_TERMINAL is '{stated}', but it is the number of columns"):
        columns_of(io.StringIO(), {"NEOX_TERMINAL": stated})
