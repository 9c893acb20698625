"""Whether a conversion has the source's melody at the target's height."""

from __future__ import annotations

import numpy as np

# Frames voiced in both recordings, below which a correlation says nothing.
_FEWEST_FRAMES = 10


def f0_correlation(made: np.ndarray, said: np.ndarray) -> float:
    """Return the correlation of the logarithms of two fundamentals where both are voiced.

    It does not change with either one's mean and spread, so it needs no normalising.

    Args:
        made: float [L1] in Hz, 0 where unvoiced.
        said: float [L2]; the longer one is cut.

    Returns:
        In [-1, 1]; 0 where too little is voiced in both or one stays the same throughout; nan where too little was
        voiced in what was said.
    """
    if np.count_nonzero(said) < _FEWEST_FRAMES:
        return float("nan")
    length = min(len(made), len(said))
    made, said = made[:length], said[:length]
    both = (made > 0) & (said > 0)
    if np.count_nonzero(both) < _FEWEST_FRAMES:
        return 0.0
    logs = np.log(np.stack([made[both], said[both]]))
    return float(np.corrcoef(logs)[0, 1]) if np.all(logs.std(axis=1) > 1e-4) else 0.0


def mean_f0_hz(made: np.ndarray) -> float:
    """Return the geometric mean of a fundamental's voiced frames; nan where too few are.

    Args:
        made: float [L] in Hz, 0 where unvoiced.
    """
    voiced = made[made > 0]
    return float(np.exp(np.log(voiced).mean())) if len(voiced) >= _FEWEST_FRAMES else float("nan")


def f0_error_semitones(made: np.ndarray, log_f0_mean: float) -> float:
    """Return how far the mean of a fundamental is from a speaker's, in semitones.

    Args:
        made: float [L] in Hz, 0 where unvoiced.
        log_f0_mean: of the speaker, natural logarithm.

    Returns:
        At least 0; an octave (12) where too little is voiced.
    """
    semitones = abs(np.log(mean_f0_hz(made)) - log_f0_mean) * 12 / np.log(2)
    return float(semitones) if np.isfinite(semitones) else 12.0
