"""A plot as SVG: one file that needs nothing else, is read aloud by its title, and follows light and dark surroundings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

from neox_core.cli.plots.plot import Plot, Point

_WIDTH, _HEIGHT = 640, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 92, 24, 48, 56
_LETTER = 7.2
"""Width of a letter of the legend, roughly."""

_MARKED = 24
"""Series of no more points than this have a mark at each of them."""

_LIGHT = ("#0072b2", "#d55e00", "#00805e", "#a3467f", "#8a6d00", "#56606a")
_DARK = ("#6cb8ee", "#ff9a56", "#4fd1a5", "#e79cc6", "#e6c84f", "#b3bcc5")
_DASHES = ("none", "8 4", "2 4", "10 3 2 3", "5 3", "1 3")
"""Lines differ in more than their colours."""

_STYLE = "\n".join(
    [
        "text { font: 13px system-ui, sans-serif; fill: #24292f; }",
        "text.title { font-size: 16px; font-weight: 600; }",
        ".paper { fill: #ffffff; }",
        ".grid { stroke: #d8dee4; }",
        ".frame { stroke: #6e7781; fill: none; }",
        ".line { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }",
        *(f".line.s{n} {{ stroke: {colour}; }} .mark.s{n} {{ fill: {colour}; }}" for n, colour in enumerate(_LIGHT)),
        *(f".line.s{n} {{ stroke-dasharray: {dashes}; }}" for n, dashes in enumerate(_DASHES)),
        "@media (prefers-color-scheme: dark) {",
        "text { fill: #e6edf3; } .paper { fill: #0d1117; } .grid { stroke: #30363d; } .frame { stroke: #8b949e; }",
        *(f".line.s{n} {{ stroke: {colour}; }} .mark.s{n} {{ fill: {colour}; }}" for n, colour in enumerate(_DARK)),
        "}",
    ]
)


class _Frame(NamedTuple):
    """The rectangle that lines are drawn in, in the units of the picture."""

    left: float
    top: float
    width: float
    height: float

    def place(self, point: Point) -> tuple[float, float]:
        """Where a point of the plot lies in the picture, of which y grows downwards."""
        return round(self.left + point[0] * self.width, 2), round(self.top + (1 - point[1]) * self.height, 2)


def svg(plot: Plot) -> str:
    """The plot as a complete SVG document."""
    named = [series.name for series in plot.series] if len(plot.series) > 1 else []
    legend = 56 + _LETTER * max(map(len, named)) if named else 0
    width = round(_WIDTH + legend)
    frame = _Frame(_LEFT, _TOP, _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM)
    names = ", ".join(series.name for series in plot.series)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {_HEIGHT}" width="{width}" height="{_HEIGHT}" role="img">',
        f"<title>{escape(plot.title)}</title>",
        f"<desc>{escape(f'{plot.y_label} over {plot.x_label}: {names}')}</desc>",
        f"<style>\n{_STYLE}\n</style>",
        f'<rect class="paper" width="{width}" height="{_HEIGHT}"/>',
        f'<text class="title" x="{_LEFT}" y="28">{escape(plot.title)}</text>',
        *_grid(plot, frame),
        *(element for number in range(len(plot.series)) for element in _line(plot, number, frame)),
        *_legend(named),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _grid(plot: Plot, frame: _Frame) -> Iterator[str]:
    """Lines at round numbers, the numbers, and what the axes are."""
    horizontal, vertical = plot.axes()
    bottom, right = frame.top + frame.height, frame.left + frame.width
    for tick in horizontal.ticks(8):
        x, _ = frame.place((tick.position, 0))
        yield f'<line class="grid" x1="{x}" x2="{x}" y1="{frame.top}" y2="{bottom}"/>'
        yield f'<text x="{x}" y="{bottom + 20}" text-anchor="middle">{tick.label}</text>'
    for tick in vertical.ticks(7):
        _, y = frame.place((0, tick.position))
        yield f'<line class="grid" x1="{frame.left}" x2="{right}" y1="{y}" y2="{y}"/>'
        yield f'<text x="{frame.left - 8}" y="{y + 4}" text-anchor="end">{tick.label}</text>'
    yield f'<rect class="frame" x="{frame.left}" y="{frame.top}" width="{frame.width}" height="{frame.height}"/>'
    middle = frame.left + frame.width / 2
    yield f'<text x="{middle}" y="{_HEIGHT - 12}" text-anchor="middle">{escape(plot.x_label)}</text>'
    x, y = 18, frame.top + frame.height / 2
    yield f'<text x="{x}" y="{y}" text-anchor="middle" transform="rotate(-90 {x} {y})">{escape(plot.y_label)}</text>'


def _line(plot: Plot, number: int, frame: _Frame) -> Iterator[str]:
    """The line of a series, and marks at its points where they are few."""
    series, kind = plot.series[number], f"s{number % len(_LIGHT)}"
    strokes = [[frame.place(point) for point in stroke] for stroke in plot.strokes(series)]
    if strokes:
        yield f'<path class="line {kind}" d="{" ".join(map(_path, strokes))}"/>'
    if len(series.xs) <= _MARKED:
        yield from (f'<circle class="mark {kind}" cx="{x}" cy="{y}" r="3.5"/>' for stroke in strokes for x, y in stroke)


def _path(stroke: Sequence[tuple[float, float]]) -> str:
    """A stroke in SVG's words; a single point is a line of no length, which its round ends show as a dot."""
    first, *others = (f"{x} {y}" for x, y in stroke)
    return f"M{first}" + ("".join(f"L{place}" for place in others) or "h0")


def _legend(names: Sequence[str]) -> Iterator[str]:
    """A piece of each line with its name, beside the frame."""
    for number, name in enumerate(names):
        y = _TOP + 10 + 20 * number
        yield f'<path class="line s{number % len(_LIGHT)}" d="M{_WIDTH} {y}h30"/>'
        yield f'<text x="{_WIDTH + 38}" y="{y + 4}">{escape(name)}</text>'
