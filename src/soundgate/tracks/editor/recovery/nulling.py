"""The null test: what is left of an edit when what was recovered is rendered and taken away."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from soundgate.tracks.editor.edit_list import EditList
from soundgate.tracks.editor.recovery.sound import Shifted, exact_lags
from soundgate.tracks.editor.rendering import pieces_of, render

_REACH = 2_048
_FLOOR_DB = -120.0


class Null(NamedTuple):
    """A null test.

    Args:
        residual_db: energy of what is left, relative to the edit.
        spans_db: the same of each piece that is played, [n].
        edges: where pieces begin, and the last ends, in samples of the edit, [n + 1].
        gains: by which each piece was scaled, [n].
        rendered: what was taken away, float32 [T].
    """

    residual_db: float
    spans_db: np.ndarray
    edges: np.ndarray
    gains: np.ndarray
    rendered: np.ndarray


def null_test(raw: np.ndarray, edit: np.ndarray, edit_list: EditList) -> Null:
    """Render an edit list and take it from the edit, each piece at the delay and the gain that leave least.

    Args:
        raw: mono float32 [N] at the list's rate.
        edit: mono float32 [T], by the raw recording's clock and the right way up.
        edit_list: of the raw recording.

    Returns:
        The residual, per piece and in all.
    """
    played = render(raw[None], edit_list)[0]
    edges = np.array([piece.position for piece in pieces_of(edit_list)] + [edit_list.output_samples])
    shifted, result = Shifted(played), np.zeros(len(edit), np.float32)
    residuals, gains = np.zeros(len(edges) - 1), np.ones(len(edges) - 1)
    left, offset = np.zeros(2), 0.0
    for number, (start, stop) in enumerate(zip(edges[:-1], np.minimum(edges[1:], len(edit)), strict=True)):
        here = edit[start:stop]
        if not len(here):
            continue
        if len(here) > _REACH:
            [place], [correlation] = exact_lags(here[: 2**18], played, [round(start + offset)], _REACH)
            offset = float(place) - start if correlation > 0 else offset
        there = shifted.at(start + offset, len(here))
        energy = float(there @ there)
        gains[number] = max(float(here @ there), 0.0) / energy if energy else 0.0
        result[start:stop] = there * np.float32(gains[number])
        own = float(np.square(here - result[start:stop], dtype=np.float64).sum()), float(here @ here)
        residuals[number] = _decibels(*own)
        left += own
    return Null(_decibels(*left), residuals, edges, gains, result)


def _decibels(left: float, whole: float) -> float:
    return float(max(10 * np.log10(max(left, 1e-30) / max(whole, 1e-30)), _FLOOR_DB))
