"""Whether two recordings say the same at the same time: units of a classifier trained here, a proxy of content."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

# Frames further below the loudest one say nothing.
_AUDIBLE_DB = -40.0


class Units:
    """Reads the units of recordings.

    Args:
        classifier: [B, T] to log-probabilities [B, L', n_units].
    """

    def __init__(self, classifier: nn.Module) -> None:
        self.classifier = classifier

    @torch.no_grad()
    def __call__(self, wav: np.ndarray) -> np.ndarray:
        """Return the likeliest unit of each frame, int64 [L'], -1 where nothing is audible.

        Args:
            wav: float32 [T].
        """
        device = next(self.classifier.parameters()).device
        batch = torch.from_numpy(np.ascontiguousarray(wav, np.float32))[None].to(device)
        units = self.classifier(batch)[0].argmax(dim=-1).cpu().numpy()
        return np.where(audible(wav, len(units)), units, -1)


def audible(wav: np.ndarray, n_frames: int) -> np.ndarray:
    """Return which of so many equal parts of a recording are within 40 dB of its loudest one, bool [n_frames]."""
    powers = np.array([np.mean(np.square(part), dtype=np.float64) for part in np.array_split(wav, n_frames)])
    return powers > powers.max() * 10 ** (_AUDIBLE_DB / 10)


def agreement(made: np.ndarray, said: np.ndarray) -> float:
    """Return the share of the frames audible in what was said whose unit is the same in what was made.

    Args:
        made: int64 [L1], from `Units`.
        said: int64 [L2]; the longer one is cut.

    Returns:
        In [0, 1]; nan where nothing was said.
    """
    length = min(len(made), len(said))
    made, said = made[:length], said[:length]
    counted = said >= 0
    return float(np.mean(made[counted] == said[counted])) if counted.any() else float("nan")
