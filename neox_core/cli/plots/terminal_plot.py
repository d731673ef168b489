"""A plot for the terminal: braille dots for one series, a mark for each of several, colours where they are wanted."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator, Sequence
from typing import TextIO

from neox_core.cli.plots.axis import Tick
from neox_core.cli.plots.plot import Plot, Point
from neox_core.cli.report import has_colours

_BRAILLE = 0x2800
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""The bit of each dot within a braille character, by row and column."""

_MARKS = {True: "*+ox#@%&", False: "●○■□▲△◆◇"}
_LINES = {True: ("|", "+", "-", "+", "+"), False: ("│", "┤", "─", "┴", "└")}
"""Side, side with a tick, bottom, bottom with a tick, corner."""

_COLOURS = (36, 33, 32, 35, 34, 31)
_LEAST_ROWS, _LEAST_COLUMNS = 3, 16


def terminal(plot: Plot, width: int = 80, height: int = 20, *, ascii_only: bool = False, colour: bool = False) -> str:
    """The plot as text.

    Args:
        plot: what to show.
        width: columns that there are; a plot needs some 30.
        height: lines that there are, title and labels among them; a plot needs some 8.
        ascii_only: whether to do without braille and lines.
        colour: whether the terminal has colours; several series are then told apart by them, else by marks.
    """
    horizontal, vertical = plot.axes()
    colour = colour and len(plot.series) > 1
    legend = list(_legend(plot, ascii_only, colour)) if len(plot.series) > 1 else []
    rows = max(height - 5 - len(legend), _LEAST_ROWS)
    scale = vertical.ticks(max(2, rows // 2))
    margin = max((len(tick.label) for tick in scale), default=0)
    columns = max(width - margin - 2, _LEAST_COLUMNS)
    cells = _cells(plot, columns, rows, ascii_only, colour)
    side, side_tick, *bottom = _LINES[ascii_only]
    labels = {_row(tick.position, rows): tick.label for tick in scale}
    left = (f"{labels.get(row, ''):>{margin}} {side_tick if row in labels else side}" for row in range(rows))
    under = horizontal.ticks(max(2, columns // 12))
    lines = [
        f"{plot.title:^{width}}".rstrip(),
        plot.y_label,
        *(edge + line for edge, line in zip(left, cells, strict=True)),
        " " * (margin + 1) + _bottom(under, columns, bottom),
        " " * (margin + 2) + _labels(under, columns),
        f"{plot.x_label:>{margin + 2 + columns}}",
        *legend,
    ]
    return "\n".join(line.rstrip() for line in lines)


def for_stream(plot: Plot, stream: TextIO, height: int = 20) -> str:
    """The plot as text for a stream: as wide as the terminal, with the letters and colours that it has."""
    width = shutil.get_terminal_size().columns
    return terminal(plot, width, height, ascii_only=not _has_braille(stream), colour=has_colours(stream))


def _has_braille(stream: TextIO) -> bool:
    try:
        f"{chr(_BRAILLE)}{''.join(_LINES[False])}{_MARKS[False]}".encode(stream.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def _legend(plot: Plot, ascii_only: bool, colour: bool) -> Iterator[str]:
    for number, series in enumerate(plot.series):
        mark = "⣿" if colour and not ascii_only else _mark(number, ascii_only)
        yield f"  {_painted(mark, number, colour)} {series.name}"


def _cells(plot: Plot, columns: int, rows: int, ascii_only: bool, colour: bool) -> list[str]:
    """The lines of the plot's inner part."""
    dotted = not ascii_only and (colour or len(plot.series) == 1)
    down, across = (4, 2) if dotted else (1, 1)
    bits: dict[tuple[int, int], int] = {}
    owner: dict[tuple[int, int], int] = {}
    for number, series in enumerate(plot.series):
        for stroke in plot.strokes(series):
            for x, y in _dots(stroke, columns * across, rows * down):
                cell = (y // down, x // across)
                bits[cell] = bits.get(cell, 0) | _DOTS[y % down][x % across]
                owner[cell] = number

    def drawn(cell: tuple[int, int]) -> str:
        if cell not in owner:
            return " "
        character = chr(_BRAILLE + bits[cell]) if dotted else _mark(owner[cell], ascii_only)
        return _painted(character, owner[cell], colour)

    return ["".join(drawn((row, column)) for column in range(columns)) for row in range(rows)]


def _dots(stroke: Sequence[Point], columns: int, rows: int) -> Iterator[tuple[int, int]]:
    """The dots of a line, counted from the upper left; straight from each of its points to the next."""
    places = [(_column(x, columns), _row(y, rows)) for x, y in stroke]
    yield places[0]
    for (x, y), (to_x, to_y) in itertools.pairwise(places):
        steps = max(abs(to_x - x), abs(to_y - y))
        for step in range(1, steps + 1):
            yield x + round((to_x - x) * step / steps), y + round((to_y - y) * step / steps)


def _column(position: float, columns: int) -> int:
    return round(position * (columns - 1))


def _row(position: float, rows: int) -> int:
    return round((1 - position) * (rows - 1))


def _bottom(ticks: Sequence[Tick], columns: int, characters: Sequence[str]) -> str:
    """The line beneath."""
    plain, marked, corner = characters
    at = {_column(tick.position, columns) for tick in ticks}
    return corner + "".join(marked if column in at else plain for column in range(columns))


def _labels(ticks: Sequence[Tick], columns: int) -> str:
    """The numbers beneath the line, each under its tick; one that would touch the one before it is left out."""
    line = ""
    for tick in ticks:
        start = min(_column(tick.position, columns) - len(tick.label) // 2, columns - len(tick.label))
        start = max(start, 0)
        if not line or start > len(line):
            line = line.ljust(start) + tick.label
    return line


def _mark(number: int, ascii_only: bool) -> str:
    return _MARKS[ascii_only][number % len(_MARKS[ascii_only])]


def _painted(text: str, number: int, colour: bool) -> str:
    return f"\x1b[{_COLOURS[number % len(_COLOURS)]}m{text}\x1b[0m" if colour else text
