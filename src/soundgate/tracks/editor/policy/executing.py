"""What the frozen reconstruction makes of a batch of labels, however long its windows are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from soundgate.tracks.editor.reconstruct.model import Reconstruction
from soundgate.tracks.editor.vocabulary import Label
from soundgate.tracks.editor.windows import Batch, beat_windows, own_parts, spread


class _Piece(NamedTuple):
    """The frames ``first:last`` of a sample, of which ``start:stop`` are used."""

    sample: int
    first: int
    last: int
    start: int
    stop: int


@torch.no_grad()
def execute(model: Reconstruction, batch: Batch, labels: Tensor) -> Tensor:
    """Return the edits that labels make, float32 [B, T, M] in [0, 1].

    As `reconstruct_recording` does it for one recording: samples longer than the model's windows are cut into
    overlapping ones.

    Args:
        model: phase 1's, in evaluation mode.
        batch: gives the raw recordings.
        labels: int64 [B, N], PAD in padding.
    """
    frame_labels = spread(labels, batch.beat_of_frame)
    if batch.raw.shape[1] <= model.settings.n_frames:
        return model(batch.raw, frame_labels).float().clamp(0, 1)
    pieces = _pieces(batch, model.settings.n_frames)
    longest = max(piece.last - piece.first for piece in pieces)
    raw = batch.raw.new_zeros(len(pieces), longest, batch.raw.shape[2])
    said = frame_labels.new_full((len(pieces), longest), Label.PAD)
    for number, (sample, first, last, _, _) in enumerate(pieces):
        raw[number, : last - first] = batch.raw[sample, first:last]
        said[number, : last - first] = frame_labels[sample, first:last]
    made, edits = model(raw, said).float().clamp(0, 1), torch.zeros_like(batch.raw)
    for number, (sample, first, _, start, stop) in enumerate(pieces):
        edits[sample, start:stop] = made[number, start - first : stop - first]
    return edits


def _pieces(batch: Batch, n_frames: int) -> list[_Piece]:
    """Cut every sample into windows of whole beats, of at most so many frames."""
    pieces = []
    n_beats = batch.labels.shape[1]
    for sample, numbers in enumerate(batch.beat_of_frame.cpu().numpy()):
        lengths = np.bincount(numbers, minlength=n_beats + 1)[:n_beats]
        edges = np.concatenate([[0], np.cumsum(lengths[lengths > 0])])
        windows = beat_windows(edges, n_frames)
        for window, part in zip(windows, own_parts(windows), strict=True):
            pieces.append(_Piece(sample, *(int(edges[beat]) for beat in (*window, *part))))
    return pieces
