"""Whether what an edit keeps is what was recorded, bit for bit."""

from __future__ import annotations

import math

import numpy as np

from soundgate.tracks.editor.edit_list import EditList
from soundgate.tracks.editor.rendering import pieces_of, render


def identical_share(wav: np.ndarray, edit: EditList, shift: int = 0) -> float:
    """Return the share of kept and looped samples, outside of crossfades, that the output has as they were recorded.

    Args:
        wav: the raw recording [C, T].
        edit: of that recording.
        shift: compare with the recording so many samples later; anything but 0 is a control.

    Returns:
        1 where nothing was touched; nan where nothing is kept.
    """
    out, margin = render(wav, edit), math.ceil(edit.crossfade_s * edit.sample_rate / 2)
    same = n_samples = 0
    for piece in pieces_of(edit):
        length = piece.segment.length - 2 * margin - shift
        if not piece.plain or length <= 0:
            continue
        source = piece.segment.start + margin + shift
        played = out[:, piece.position + margin : piece.position + margin + length]
        same += int(np.count_nonzero(played == wav[:, source : source + length]))
        n_samples += played.size
    return same / n_samples if n_samples else float("nan")
