"""Line plots for the terminal and as SVG, without any dependency."""

from neox_core.cli.plots.plot import Plot as Plot, Series as Series
from neox_core.cli.plots.svg_plot import svg as svg
from neox_core.cli.plots.terminal_plot import for_stream as for_stream, terminal as terminal
