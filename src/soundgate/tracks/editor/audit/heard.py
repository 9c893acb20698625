"""What an edit's own audio has for each frame of the raw recording: the truth that models are held against."""

from __future__ import annotations

import numpy as np

from soundgate.tracks.editor.edit_list import EditList
from soundgate.tracks.editor.rendering import Piece, pieces_of


def heard_on_raw_timeline(edited: np.ndarray, edit: EditList, hop_length: float, n_frames: int) -> np.ndarray:
    """Lay the spectrogram of a rendered edit back onto the raw recording.

    Args:
        edited: float [F', n_mels] in the models' scale, of the audio that `render` made of ``edit``.
        edit: that list.
        hop_length: samples of the raw recording from frame to frame; need not be whole where rates differ.
        n_frames: of the raw recording.

    Returns:
        float [n_frames, n_mels]: each frame as the edit plays it for the first time, 0 where it never does. Of a
        TRANSITION each side has the frames in which it is the louder one.
    """
    centres = np.arange(n_frames) * hop_length
    laid = np.zeros((n_frames, edited.shape[1]), edited.dtype)
    filled = np.zeros(n_frames, bool)
    for piece in pieces_of(edit):
        for start, stop, first in _heard_spans(piece):
            inside = (centres >= start) & (centres < stop) & ~filled
            frames = np.rint((centres[inside] - start + first) / hop_length).astype(int)
            laid[inside] = edited[np.minimum(frames, len(edited) - 1)]
            filled |= inside
    return laid


def _heard_spans(piece: Piece) -> list[tuple[int, int, int]]:
    """Return (first sample, one past the last, their position in the output) of the spans that a piece lets hear."""
    segment = piece.segment
    if segment.partner is None:
        return [(segment.start, segment.stop, piece.position)]
    half = segment.length // 2
    later = segment.partner + half
    return [
        (segment.start, segment.start + half, piece.position),
        (later, segment.partner + segment.length, piece.position + half),
    ]
