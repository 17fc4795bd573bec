"""A graph as a picture: inline SVG, nodes from top to bottom, coloured by device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise

from cosoc.converter.ir import Graph, Node

WIDTH, HEIGHT, GAP_X, GAP_Y, LANE = 216, 42, 28, 26, 26
"""Of a box, between boxes, and the width of an edge that passes by boxes."""


@dataclass
class Place:
    """A box, or a point of an edge that passes a row of boxes.

    Attributes:
        row: 0 is at the top.
        x: centre.
        above: the places that edges come from.
    """

    row: int
    width: float
    x: float = 0.0
    above: list[Place] = field(default_factory=list)
    box: bool = True


@dataclass(frozen=True)
class Layout:
    """Places of the nodes by name, and every edge as the places from its producer to its reader."""

    boxes: dict[str, Place]
    edges: list[list[Place]]
    rows: list[list[Place]]


def arrange(graph: Graph) -> Layout:
    """Every node below those that it reads, in straight lines where one follows another; longer edges pass on the right."""
    producers = {name: node.name for node in graph.nodes for name in node.outputs}
    boxes = {name: Place(0, WIDTH) for name in graph.inputs}
    rows: list[list[Place]] = [[*boxes.values()]]
    edges: list[list[Place]] = []
    for node in graph.nodes:
        wanted = [producers.get(name, name) for name in node.inputs if not graph.tensors[name].constant]
        sources = [boxes[name] for name in dict.fromkeys(wanted) if name in boxes]
        place = Place(1 + max((source.row for source in sources), default=-1), WIDTH)
        boxes[node.name] = place
        while len(rows) <= place.row:
            rows.append([])
        rows[place.row].append(place)
        for source in sorted(sources, key=lambda other: place.row - other.row):
            path = [source]
            for row in range(source.row + 1, place.row):
                path.append(Place(row, LANE, above=[path[-1]], box=False))
                rows[row].append(path[-1])
            place.above.append(path[-1])
            edges.append([*path, place])
    for row_places in rows:
        straighten(row_places)
    return Layout(boxes, edges, rows)


def straighten(row: list[Place]) -> None:
    """Puts the places of a row below the first of those above them, and apart from each other."""
    for place in row:
        place.x = place.above[0].x if place.above else 0.0
    row.sort(key=lambda place: (place.x, not place.box))
    for left, right in pairwise(row):
        right.x = max(right.x, left.x + (left.width + right.width) / 2 + GAP_X)


def draw(graph: Graph, colours: Mapping[str, str], notes: Mapping[str, str]) -> str:
    """The picture. Boxes link to `#node-<index>` of the page that it stands in.

    Args:
        colours: CSS class of each node, by its name.
        notes: second line of each box.
    """
    layout = arrange(graph)
    places = [place for row in layout.rows for place in row]
    left = min((place.x - place.width / 2 for place in places), default=0) - 12
    right = max((place.x + place.width / 2 for place in places), default=0) + 12
    height = len(layout.rows) * (HEIGHT + GAP_Y) + 12
    parts = [
        f'<svg class="graph" viewBox="{left:g} 0 {right - left:g} {height:g}" width="{right - left:g}" height="{height:g}" '
        'role="img" aria-label="graph of the model">'
    ]
    parts += [f'<path class="edge" d="{curve(edge)}"/>' for edge in layout.edges]
    for name in graph.inputs:
        parts.append(box(layout.boxes[name], "input", name, notes.get(name, "input"), ""))
    for index, node in enumerate(graph.nodes):
        parts.append(
            box(layout.boxes[node.name], colours[node.name], node.name, notes[node.name], f"#node-{index}", title(graph, node))
        )
    return "\n".join([*parts, "</svg>"])


def top(place: Place) -> float:
    """Upper side of a place."""
    return 8 + place.row * (HEIGHT + GAP_Y)


def curve(edge: list[Place]) -> str:
    """An edge from the lower side of its first box, past other rows, to the upper side of its last one."""
    x, y = edge[0].x, top(edge[0]) + HEIGHT
    path = f"M{x:g} {y:g}"
    for place in edge[1:]:
        end = top(place)
        middle = (y + end) / 2
        path += f"C{x:g} {middle:g} {place.x:g} {middle:g} {place.x:g} {end:g}"
        x, y = place.x, end
        if not place.box:
            y += HEIGHT
            path += f"V{y:g}"
    return path


def box(place: Place, kind: str, name: str, note: str, link: str, tooltip: str = "") -> str:
    """A rounded box with two lines of text."""
    x, y = place.x - WIDTH / 2, top(place)
    body = (
        f'<g class="{kind}"><title>{escape(tooltip or name)}</title>'
        f'<rect x="{x:g}" y="{y:g}" width="{WIDTH}" height="{HEIGHT}" rx="9"/>'
        f'<text x="{place.x:g}" y="{y + 17:g}">{escape(shortened(name, 30))}</text>'
        f'<text class="note" x="{place.x:g}" y="{y + 33:g}">{escape(shortened(note, 38))}</text></g>'
    )
    return f'<a href="{link}">{body}</a>' if link else body


def shortened(text: str, most: int) -> str:
    """A text of at most so many characters: the end, which tells layers apart, stays."""
    return text if len(text) <= most else f"…{text[-most + 1 :]}"


def title(graph: Graph, node: Node) -> str:
    """What a pointer over a box shows."""
    tensor = graph.tensors[node.outputs[0]]
    return f"{node.name}\n{node.function} → {tensor.dtype} {list(tensor.shape)}\n{node.source}".strip()
