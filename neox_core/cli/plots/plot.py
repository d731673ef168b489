"""What is plotted: named series of points over two axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from neox_core.cli.plots.axis import Axis

Point = tuple[float, float]
"""A place on a plot: from (0, 0) at the lower left to (1, 1) at the upper right."""


class Series(NamedTuple):
    """A line through points; a point that is not finite, or has no logarithm where one is needed, makes a gap in it.

    Args:
        name: what it is called in the legend.
        xs: the points' places along the horizontal axis, in the order in which they are joined.
        ys: as many values.
    """

    name: str
    xs: Sequence[float]
    ys: Sequence[float]


@dataclass(frozen=True, slots=True)
class Plot:
    """Series over common axes.

    Args:
        title: what the plot shows.
        x_label: what the horizontal axis is, with its unit.
        y_label: what the vertical axis is, with its unit.
        series: the lines, the later ones on top; more than one have a legend.
        log_x: whether the horizontal axis is logarithmic.
        log_y: whether the vertical axis is.
    """

    title: str
    x_label: str
    y_label: str
    series: Sequence[Series]
    log_x: bool = False
    log_y: bool = False

    def axes(self) -> tuple[Axis, Axis]:
        """The horizontal and the vertical axis, with room for all points."""
        xs = (x for series in self.series for x in series.xs)
        ys = (y for series in self.series for y in series.ys)
        return Axis.around(xs, log=self.log_x), Axis.around(ys, log=self.log_y)

    def strokes(self, series: Series) -> list[list[Point]]:
        """The unbroken parts of a line.

        Raises:
            ValueError: it has more places than values, or fewer.
        """
        horizontal, vertical = self.axes()
        strokes: list[list[Point]] = [[]]
        for x, y in zip(series.xs, series.ys, strict=True):
            across, up = horizontal.position(x), vertical.position(y)
            if across is not None and up is not None:
                strokes[-1].append((across, up))
            elif strokes[-1]:
                strokes.append([])
        return [stroke for stroke in strokes if stroke]
