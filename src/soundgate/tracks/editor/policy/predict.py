"""Labels of a whole recording, of any length."""

from __future__ import annotations

import numpy as np
import torch

from soundgate.tracks.editor.policy.model import EditPredictor
from soundgate.tracks.editor.windows import beat_numbers, beat_windows, own_parts


@torch.no_grad()
def predict_labels(model: EditPredictor, raw: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Label the beats of a recording.

    A recording longer than the model's windows is read in overlapping ones, each beat's label taken from the one in
    which more of its surroundings are heard.

    Args:
        model: in evaluation mode, on any device.
        raw: float32 [F, M] in the models' scale.
        edges: int64 [N + 1], each beat's first frame, and F.

    Returns:
        The likeliest labels, int64 [N], and the probabilities of all, float32 [N, 8].
    """
    device = next(model.parameters()).device
    # One beat is the least that can be looked at, however long it is.
    windows = beat_windows(edges, max(model.settings.n_frames, int(np.diff(edges).max())))
    parts = []
    for (first, last), (start, stop) in zip(windows, own_parts(windows), strict=True):
        heard = torch.from_numpy(raw[edges[first] : edges[last]])[None].to(device)
        numbers = torch.from_numpy(beat_numbers(edges[first : last + 1]))[None].to(device)
        logits = model(heard, numbers, last - first)[0, start - first : stop - first]
        parts.append(torch.softmax(logits, -1).cpu().numpy())
    probabilities = np.concatenate(parts)
    return probabilities.argmax(1), probabilities
