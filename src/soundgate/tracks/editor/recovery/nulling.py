"""The null test: what is left of an edit when what was recovered is rendered and taken away."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np

from soundgate.tracks.editor.edit_list import EditList
from soundgate.tracks.editor.recovery.sound import Shifted, exact_lags
from soundgate.tracks.editor.rendering import pieces_of, render

_REACH = 2_048
_FLOOR_DB = -120.0
# Lengths of the joins that are tried: the one that leaves least is the edit's.
_CROSSFADES_S = (0.005, 0.01, 0.02)


class Null(NamedTuple):
    """A null test.

    Args:
        residual_db: energy of what is left, relative to the edit.
        spans_db: the same of each piece that is played, [n].
        edges: where pieces begin, and the last ends, in samples of the edit, [n + 1].
        gains: by which each piece was scaled, [n].
        delays: by which each piece was read later, samples, [n].
        linear_joins: whether joins were straight lines; else of constant power.
        rendered: what was taken away, float32 [T].
    """

    residual_db: float
    spans_db: np.ndarray
    edges: np.ndarray
    gains: np.ndarray
    delays: np.ndarray
    linear_joins: bool
    rendered: np.ndarray


def best_null(raw: np.ndarray, edit: np.ndarray, edit_list: EditList) -> tuple[EditList, Null]:
    """Try lengths and shapes of joins; return the list with the length that leaves least, and its null test.

    Args:
        raw: see `null_test`.
        edit: likewise.
        edit_list: likewise.
    """
    best, delays = None, None
    for length_s, linear in product(_CROSSFADES_S, (False, True)):
        own = edit_list.model_copy(update={"crossfade_s": length_s})
        null = null_test(raw, edit, own, linear, delays)
        delays = null.delays
        if best is None or null.residual_db < best[1].residual_db:
            best = own, null
    return best


def null_test(
    raw: np.ndarray, edit: np.ndarray, edit_list: EditList, linear_joins: bool = False,
    delays: np.ndarray | None = None,
) -> Null:  # fmt: skip
    """Render an edit list and take it from the edit, each piece at the delay and the gain that leave least.

    Args:
        raw: mono float32 [N] at the list's rate.
        edit: mono float32 [T], by the raw recording's clock and the right way up.
        edit_list: of the raw recording.
        linear_joins: whether joins are straight lines; else of constant power.
        delays: of the pieces, where they are known.

    Returns:
        The residual, per piece and in all.
    """
    played = render(raw[None], edit_list, linear_joins=linear_joins)[0]
    edges = np.array([piece.position for piece in pieces_of(edit_list)] + [edit_list.output_samples])
    delays = _delays(played, edit, edges) if delays is None else delays
    shifted, result = Shifted(played), np.zeros(len(edit), np.float32)
    residuals, gains = np.zeros(len(edges) - 1), np.ones(len(edges) - 1)
    left = np.zeros(2)
    for number, (start, stop) in enumerate(zip(edges[:-1], np.minimum(edges[1:], len(edit)), strict=True)):
        here = edit[start:stop]
        if not len(here):
            continue
        there = shifted.at(start + delays[number], len(here))
        energy = float(there @ there)
        gains[number] = max(float(here @ there), 0.0) / energy if energy else 0.0
        result[start:stop] = there * np.float32(gains[number])
        own = float(np.square(here - result[start:stop], dtype=np.float64).sum()), float(here @ here)
        residuals[number] = _decibels(*own)
        left += own
    return Null(_decibels(*left), residuals, edges, gains, delays, linear_joins, result)


def _delays(played: np.ndarray, edit: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return by how many samples each piece lies later in what is played; short ones as the one before them."""
    delays, delay = np.zeros(len(edges) - 1), 0.0
    for number, (start, stop) in enumerate(zip(edges[:-1], np.minimum(edges[1:], len(edit)), strict=True)):
        here = edit[start:stop]
        if len(here) > _REACH:
            [place], [correlation] = exact_lags(here[: 2**18], played, [round(start + delay)], _REACH)
            delay = float(place) - start if correlation > 0 else delay
        delays[number] = delay
    return delays


def _decibels(left: float, whole: float) -> float:
    return float(max(10 * np.log10(max(left, 1e-30) / max(whole, 1e-30)), _FLOOR_DB))
