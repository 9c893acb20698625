"""The pipeline as a drawing: a lane a track, stages in the order they run, what they took, what is out of date."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import networkx as nx

from soundgate.pipeline.reproduce import SHARED, track_of

# Of the drawing, in its own units.
BOX, GAP_X, GAP_Y, MARGIN = (144, 38), 26, 10, 6
# Stages every track has, that say nothing about how its results are made.
_LEFT_OUT = ("code", "gates-summary", "corpus-files")


@dataclass(frozen=True)
class Box:
    """One stage.

    Args:
        name: without its variant.
        x: left edge.
        y: upper edge.
        seconds: that its runs took, all variants together; None: not known.
        stale: whether a variant is out of date; None: not known.
    """

    name: str
    x: int
    y: int
    seconds: float | None
    stale: bool | None


@dataclass(frozen=True)
class Lane:
    """The stages of a track and the corpora they read.

    Args:
        track: its name.
        boxes: its stages.
        arrows: ``(x1, y1, x2, y2)`` from the right edge of a stage to the left edge of one that reads it.
        width: of the drawing.
        height: of the drawing.
    """

    track: str
    boxes: tuple[Box, ...]
    arrows: tuple[tuple[int, int, int, int], ...]
    width: int
    height: int


def lanes(
    graph: nx.DiGraph, seconds: Mapping[str, float], stale: Collection[str] | None, tracks: Iterable[str]
) -> list[Lane]:
    """Return one lane for each track that has stages.

    Args:
        graph: addresses of stages (``voice-train@embedded``), an edge from each to every stage that it needs.
        seconds: that a stage's last run took, by address.
        stale: addresses out of date; None: not known.
        tracks: in their order.
    """
    folded = _by_name(graph)
    found = []
    for track in tracks:
        own = [name for name in folded if track_of(name) == track]
        if own:
            needed = {name for stage in own for name in folded.successors(stage) if track_of(name) in SHARED}
            found.append(_lane(track, folded.subgraph([*own, *needed]), seconds, stale))
    return found


def _name(address: str) -> str:
    return address.partition("@")[0]


def _by_name(graph: nx.DiGraph) -> nx.DiGraph:
    """Return the graph with the variants of a stage as one."""
    folded = nx.DiGraph()
    folded.add_nodes_from(sorted({_name(stage) for stage in graph}))
    folded.add_edges_from(sorted({(_name(one), _name(other)) for one, other in graph.edges}))
    folded.remove_edges_from(list(nx.selfloop_edges(folded)))
    folded.remove_nodes_from([name for name in folded if name.startswith(_LEFT_OUT)])
    return folded


def _lane(track: str, graph: nx.DiGraph, seconds: Mapping[str, float], stale: Collection[str] | None) -> Lane:
    shown = nx.transitive_reduction(graph.reverse())
    places: dict[str, tuple[int, int]] = {}
    height = 0
    for column, names in enumerate(nx.topological_generations(shown)):
        ordered = sorted(names, key=lambda name: (_mean_row(shown, name, places), name))
        height = max(height, len(ordered))
        places |= {name: (column, row) for row, name in enumerate(ordered)}
    corners = {
        name: (MARGIN + column * (BOX[0] + GAP_X), MARGIN + row * (BOX[1] + GAP_Y))
        for name, (column, row) in places.items()
    }
    boxes = tuple(Box(name, *corners[name], _sum(seconds, name), _any(stale, name)) for name in sorted(corners))
    arrows = tuple(
        (corners[one][0] + BOX[0], corners[one][1] + BOX[1] // 2, corners[other][0], corners[other][1] + BOX[1] // 2)
        for one, other in sorted(shown.edges)
    )
    columns = 1 + max(column for column, _ in places.values())
    size = 2 * MARGIN + columns * (BOX[0] + GAP_X) - GAP_X, 2 * MARGIN + height * (BOX[1] + GAP_Y) - GAP_Y
    return Lane(track, boxes, arrows, *size)


def _mean_row(graph: nx.DiGraph, name: str, places: Mapping[str, tuple[int, int]]) -> float:
    """Return the mean row of what a stage reads: beside it, arrows are short."""
    rows = [places[one][1] for one in graph.predecessors(name)]
    return sum(rows) / len(rows) if rows else 0.0


def _sum(seconds: Mapping[str, float], name: str) -> float | None:
    own = [took for address, took in seconds.items() if _name(address) == name]
    return sum(own) if own else None


def _any(stale: Collection[str] | None, name: str) -> bool | None:
    return None if stale is None else any(_name(address) == name for address in stale)
