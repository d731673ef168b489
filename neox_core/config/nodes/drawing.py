"""A drawing of a tree of nodes as SVG, by nothing but text: a box for each node, an arrow to each node that it holds."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from neox_core.config.nodes.comparing import explicit
from neox_core.config.nodes.node import CONTAINERS, Node, Partial
from neox_core.config.nodes.problems import NodeError
from neox_core.config.nodes.steps import Step
from neox_core.config.nodes.tree import children, nodes

LETTER, ROW, GAP, LONGEST = 7.3, 20, 60, 48
"""The width of a letter, the height of a row, the room between boxes, in pixels; and the letters that a row can have."""


class _Box:
    """A node with its rows: what it makes, then each argument."""

    def __init__(self, node: Node[Any]) -> None:
        self.node = node
        self.links: list[tuple[int, Node[Any]]] = []  # the row that an arrow begins at, and the node that it leads to
        self.rows = [("Partial " if isinstance(node, Partial) else "") + str(node._target)]
        rest = [(str(Step(index, item=True)), value) for index, value in enumerate(node._rest)]
        for name, value in [*rest, *explicit(node).items()]:
            self._add(name, value)
        self.width = max(len(row) for row in self.rows) * LETTER + 20
        self.height = len(self.rows) * ROW + 8
        self.x = self.y = 0.0

    def _add(self, name: str, value: Any) -> None:
        """A row for a value; one for each item of a container that holds nodes."""
        if isinstance(value, CONTAINERS) and list(nodes(value)):
            for step, item in children(value):
                self._add(name + step, item)
        elif isinstance(value, Node):
            self.links.append((len(self.rows), value))
            self.rows.append(name)
        else:
            row = f"{name} = {value!r}"
            self.rows.append(row if len(row) <= LONGEST else f"{row[: LONGEST - 1]}…")

    def svg(self) -> Iterator[str]:
        yield f'<rect x="{self.x:g}" y="{self.y:g}" width="{self.width:g}" height="{self.height:g}" rx="4"/>'
        for number, row in enumerate(self.rows):
            weight = ' font-weight="bold"' if number == 0 else ""
            yield f'<text x="{self.x + 10:g}" y="{self.row(number) + 4:g}"{weight}>{escape(row)}</text>'

    def row(self, number: int) -> float:
        """The middle of a row."""
        return self.y + 4 + (number + 0.5) * ROW


def draw(root: Any) -> str:
    """The SVG text of a tree of nodes. A node that is shared is one box, with an arrow from each place that holds it."""
    boxes = {id(node): _Box(node) for node in nodes(root)}
    columns = _columns(boxes)
    x = 10.0
    for column in columns:
        y = 10.0
        for box in column:
            box.x, box.y = x, y
            y += box.height + ROW
        x += max(box.width for box in column) + GAP
    height = max((box.y + box.height for box in boxes.values()), default=0.0) + 10
    arrows = [_arrow(box, row, boxes[id(node)]) for box in boxes.values() for row, node in box.links]
    shapes = [line for box in boxes.values() for line in box.svg()]
    return "\n".join(
        [_HEAD.format(width=f"{max(x - GAP, 0) + 10:g}", height=f"{height:g}"), *arrows, *shapes, "</svg>"]
    )


_HEAD = """<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="monospace" font-size="12">
<style>rect {{ fill: #f6f8fa; stroke: #57606a }} path {{ fill: none; stroke: #57606a }} text {{ fill: #1f2328 }}</style>
<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">
<path d="M 0 0 L 8 4 L 0 8"/></marker></defs>"""


def _columns(boxes: dict[int, _Box]) -> list[list[_Box]]:
    """The boxes by their distance from the root, as far as the longest way there."""
    depth = dict.fromkeys(boxes, 0)
    for _ in boxes:  # no way is longer than there are nodes; a node that holds itself stops here, too
        moved = False
        for key, box in boxes.items():
            for _, node in box.links:
                if depth[id(node)] <= depth[key] < len(boxes) - 1:
                    depth[id(node)], moved = depth[key] + 1, True
        if not moved:
            break
    return [[box for key, box in boxes.items() if depth[key] == column] for column in sorted(set(depth.values()))]


def _arrow(box: _Box, row: int, end: _Box) -> str:
    """From the end of a row to the head of a box."""
    x, y, end_x, end_y = box.x + box.width, box.row(row), end.x, end.row(0)
    bend = max(GAP, abs(end_x - x)) / 2
    curve = f"{x + bend:g} {y:g}, {end_x - bend:g} {end_y:g}, {end_x:g} {end_y:g}"
    return f'<path d="M {x:g} {y:g} C {curve}" marker-end="url(#tip)"/>'


def save_svg(root: Any, path: str | Path) -> None:
    """Write the drawing of a tree of nodes to a file.

    Raises:
        NodeError: the file's name does not end with `.svg`.
    """
    if Path(path).suffix != ".svg":
        raise NodeError(f"{path}: drawings are written as SVG; give it a name that ends with .svg")
    Path(path).write_text(draw(root), encoding="utf-8")
