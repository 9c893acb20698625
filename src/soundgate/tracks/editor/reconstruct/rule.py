"""What labels say by their definitions, without any model: the baseline of phase 1, and what it starts from."""

from __future__ import annotations

import numpy as np

from soundgate.tracks.editor.edit_list import EditList, Tone
from soundgate.tracks.editor.timeline import Effect, effect_runs, from_labels, target_on_raw_timeline

# Below every range of the models' scale: what is cut.
SILENT_DB = -400.0
# No rate plays a part: a frame is a sample here, and by definition an EFFECT does nothing.
_RATE = 44_100


def edit_of_frames(labels: np.ndarray, edges: np.ndarray) -> EditList:
    """Return the edit that labels alone describe, in frames; see `soundgate.tracks.editor.timeline.from_labels`.

    Args:
        labels: int64 [N], values of `Label`, PAD not among them.
        edges: int64 [N + 1], frames; see `soundgate.tracks.editor.cache.CachedPair`.
    """
    nothing = {start: Effect() for start, _ in effect_runs(labels)}
    return from_labels(labels, np.stack([edges[:-1], edges[1:]], axis=1), _RATE, Tone(), nothing)


def gains_db(edit: EditList) -> np.ndarray:
    """Return the gain of each frame of an edit in frames, float32 [F] in dB: 0 where it is kept, `SILENT_DB` if cut."""
    silence = np.zeros((1, edit.n_samples), np.float32)
    return target_on_raw_timeline(silence, edit, 1.0, SILENT_DB, np.array([1_000.0]))[0]


def rule_recording(raw: np.ndarray, edges: np.ndarray, labels: np.ndarray, range_db: float) -> np.ndarray:
    """Apply the labels' definitions to frames: CUT is silent, KEEP, LOOP and EFFECT copy, fades and transitions fade.

    What an EFFECT does no label says; here it does nothing. A TRANSITION keeps each of its sides on the raw timeline,
    at equal power.

    Args:
        raw: float32 [F, n_mels] in [0, 1].
        edges: int64 [N + 1], frames.
        labels: int64 [N].
        range_db: of the models' scale.

    Returns:
        float32 [F, n_mels] in [0, 1].
    """
    return np.maximum(raw + gains_db(edit_of_frames(labels, edges))[:, None] / np.float32(range_db), 0)
