"""Whether one take plays again what another one has played."""

from __future__ import annotations

from typing import NamedTuple

import librosa
import numpy as np

from soundgate.tracks.editor.deciding.hearing import HOP_S, Heard

# Frames that are compared as one, and how many of those in a row.
_MEANED = 4
_STACKED = 6
STEP_S = _MEANED * HOP_S
# What is so far below a moment's strongest band tells the room, not the music.
_RANGE_DB = 40.0
# Cosine of two moments from which they count as alike. Unrelated ones lie around 0.
_ALIKE = 0.45
# So far the path is moved at least, to ask whether it would be as alike elsewhere.
_MOVED_S, _INSIDE_S = 1.0, 2.0


class Match(NamedTuple):
    """What two takes have in common.

    Args:
        first: steps of the earlier take, int64 [n], rising or level.
        second: steps of the later take, int64 [n], likewise.
        likeness: mean cosine along the path.
        contrast: by how much the mean cosine falls, at least, where the path is moved within either take: of a drone,
            or of bars that come again there, not at all.
    """

    first: np.ndarray
    second: np.ndarray
    likeness: float
    contrast: float


def describe(heard: Heard) -> np.ndarray:
    """Return what moments of ``STEP_S`` are compared by, float32 [n, D], each of length 1.

    Pitch classes tell harmony, bands tell drums and timbre; each less the recording's mean, so that what all moments
    share tells nothing.

    Args:
        heard: the recording.
    """
    n_steps = max(heard.n_frames // _MEANED, 1)
    bands, pitches = (
        np.stack([part.mean(axis=0) for part in np.array_split(own, n_steps)])
        for own in (heard.bands_db, heard.pitches)
    )
    bands = np.maximum(bands, bands.max(axis=1, keepdims=True) - _RANGE_DB)
    bands = bands - bands.mean(axis=1, keepdims=True)
    sounding = np.stack([part.max() for part in np.array_split(heard.level_db, n_steps)]) > -25
    return np.concatenate([unit_rows(own, sounding) for own in (bands, pitches)], axis=1) / np.sqrt(2)


def match_takes(first: np.ndarray, second: np.ndarray) -> Match | None:
    """Return the longest passage that two takes share, at tempi that may differ; None where there is none.

    Args:
        first: [n, D], from `describe`.
        second: [m, D], likewise.

    Source: Serra, Serra and Andrzejak 2009, "Cross recurrence quantification for cover song identification", by
    librosa. Differs: likenesses are summed, not counted.
    """
    shorter = min(len(first), len(second))
    n_stacked = min(_STACKED, shorter)
    if shorter < 2:
        return None
    likeness = sum(
        first[lag : len(first) - n_stacked + 1 + lag] @ second[lag : len(second) - n_stacked + 1 + lag].T
        for lag in range(n_stacked)
    )
    likeness /= n_stacked
    linked = np.where(likeness > _ALIKE, likeness - _ALIKE, 0)
    if not linked.any():
        return None
    _, path = librosa.sequence.rqa(linked, gap_onset=0.5, gap_extend=0.5, knight_moves=True)
    if not len(path):
        return None
    path = path.astype(np.int64)
    own = float(likeness[path[:, 0], path[:, 1]].mean())
    return Match(path[:, 0], path[:, 1], own, _contrast(likeness, path))


def _contrast(likeness: np.ndarray, path: np.ndarray) -> float:
    """Return by how much less alike a path is that is moved by more than a second within one of both takes, at least.

    Two seconds of it, or half where that is less, must still lie inside; the path itself is measured there alone.
    """
    moved, fewest = round(_MOVED_S / STEP_S), min(round(_INSIDE_S / STEP_S), -(-len(path) // 2))
    own, differences = likeness[path[:, 0], path[:, 1]], [float(likeness[path[:, 0], path[:, 1]].mean())]
    for side in (0, 1):
        for shift in range(-likeness.shape[side], likeness.shape[side]):
            there = path[:, side] + shift
            inside = (there >= 0) & (there < likeness.shape[side])
            if abs(shift) >= moved and inside.sum() >= fewest:
                places = [path[inside, 0], path[inside, 1]]
                places[side] = there[inside]
                differences.append(float(own[inside].mean() - likeness[tuple(places)].mean()))
    return min(differences)


def unit_rows(rows: np.ndarray, sounding: np.ndarray) -> np.ndarray:
    """Return rows [n, D] less the mean of those that sound, bool [n], each of length 1."""
    centred = rows - rows[sounding].mean(axis=0) if sounding.any() else rows
    return (centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-9)).astype(np.float32)
