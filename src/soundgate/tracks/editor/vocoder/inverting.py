"""Log-mel frames to sound without training: Griffin-Lim, where there is no vocoder."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from soundgate.audio.mel import invert_power, linear_power
from soundgate.runtime.arithmetic import square_root
from soundgate.tracks.editor.features import Features


def griffin_lim_unit(features: Features, unit: np.ndarray, n_iter: int = 32) -> np.ndarray:
    """Turn frames into a waveform that has about these frames, at their level.

    Args:
        features: that the frames are of.
        unit: float32 [F, n_mels] in the models' scale.
        n_iter: iterations of the phase search, from zero phase.

    Returns:
        float32 [(F - 1) · hop_length].

    Source: Griffin and Lim 1984; see `invert_power`.
    """
    if len(unit) < 2:
        return np.zeros(0, np.float32)
    return invert_power(_power(features, unit), features.settings, n_iter).numpy()


def random_phase_unit(features: Features, unit: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return noise with the spectrum that frames have: what magnitudes are worth without phases.

    Args:
        features: that the frames are of.
        unit: float32 [F, n_mels] in the models' scale, F > 1.
        generator: of the phases.

    Returns:
        float32 [(F - 1) · hop_length].
    """
    settings = features.settings
    magnitude = square_root(linear_power(_power(features, unit), settings))
    angle = torch.from_numpy(generator.uniform(0, 2 * np.pi, magnitude.shape)).float()
    spectrum = torch.polar(magnitude, angle)
    return torch.istft(spectrum, settings.n_fft, settings.hop_length, window=torch.hann_window(settings.n_fft)).numpy()


def _power(features: Features, unit: np.ndarray) -> Tensor:
    return torch.pow(10.0, torch.from_numpy(features.to_db(unit).T) / 10)
