"""Log-mel frames to sound by a linear map that is fitted in closed form: a vocoder must be better than this."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torchaudio.transforms import GriffinLim

from soundgate.runtime.errors import CorpusError
from soundgate.tracks.editor.features import Features
from soundgate.tracks.editor.vocoder.settings import ClosedFormSettings
from soundgate.tracks.editor.vocoder.waves import Waves

# Magnitudes below count as this: about 100 dB below the loudest bin of music with its peak at full scale.
_SMALLEST = 1e-3


class ClosedForm:
    """A ridge regression from neighbouring frames to the log magnitudes of the middle one, then Griffin-Lim.

    Args:
        features: what the frames are.
        weights: float32 [(2 · context + 1) · n_mels + 1, n_fft / 2 + 1], the last row of them the constant.
        n_iter: iterations of the phase search.

    Source: Hoerl and Kennard 1970, ridge regression.
    """

    def __init__(self, features: Features, weights: np.ndarray, n_iter: int) -> None:
        self.features, self.weights, self.n_iter = features, weights, n_iter
        self.context = (len(weights) - 1) // (2 * features.settings.n_mels)

    @classmethod
    def fit(cls, features: Features, waves: Waves, settings: ClosedFormSettings, n_iter: int) -> ClosedForm:
        """Fit on the middles of the training split's recordings.

        Raises:
            CorpusError: no recording of the training split has a frame.
        """
        n_samples = round(settings.seconds * features.settings.sample_rate)
        square, product, n_frames = 0.0, 0.0, 0
        for row in waves.rows("train"):
            wave = waves.middle(int(row), n_samples)
            heard = _neighbours(features(wave), settings.context).astype(np.float64)
            wanted = np.log(np.maximum(magnitudes(features, wave), _SMALLEST)).astype(np.float64)
            square, product, n_frames = square + heard.T @ heard, product + heard.T @ wanted, n_frames + len(heard)
        if not n_frames:
            raise CorpusError("editor-vocoder", expected="recordings to fit on", found="none in the training split")
        penalty = settings.ridge * n_frames * np.eye(len(square))
        penalty[-1, -1] = 0  # The constant is free.
        return cls(features, np.linalg.solve(square + penalty, product).astype(np.float32), n_iter)

    def __call__(self, unit: np.ndarray) -> np.ndarray:
        """Return float32 [(F - 1) · hop_length] from frames, float32 [F, n_mels] in the models' scale, F > 1."""
        return wave_of(self.features, np.exp(_neighbours(unit, self.context) @ self.weights), self.n_iter)


def magnitudes(features: Features, wave: np.ndarray) -> np.ndarray:
    """Return the magnitudes that frames are made of, float32 [F, n_fft / 2 + 1]; a recording is silent beyond its ends.

    Args:
        features: the frames'.
        wave: float32 [T].
    """
    settings = features.settings
    window = torch.hann_window(settings.n_fft)
    spectrum = torch.stft(
        torch.from_numpy(wave), settings.n_fft, settings.hop_length, window=window, pad_mode="constant",
        return_complex=True,
    )  # fmt: skip
    return spectrum.abs().T.numpy()


def wave_of(features: Features, magnitude: np.ndarray, n_iter: int) -> np.ndarray:
    """Return a waveform that has about these magnitudes, float32 [(F - 1) · hop_length].

    Args:
        features: of whose transform the magnitudes are.
        magnitude: float32 [F, n_fft / 2 + 1].
        n_iter: iterations of the phase search, from zero phase.

    Source: Griffin and Lim 1984; Perraudin et al. 2013 (momentum).
    """
    settings = features.settings
    search = GriffinLim(settings.n_fft, n_iter, hop_length=settings.hop_length, power=1.0, rand_init=False)
    spectrum: Tensor = torch.from_numpy(np.ascontiguousarray(magnitude.T, np.float32))
    return search(spectrum).numpy()


def _neighbours(unit: np.ndarray, context: int) -> np.ndarray:
    """Return each frame with those around it and a constant, float32 [F, (2 · context + 1) · n_mels + 1]."""
    padded = np.pad(unit, ((context, context), (0, 0)))
    beside = [padded[offset : offset + len(unit)] for offset in range(2 * context + 1)]
    return np.concatenate([*beside, np.ones((len(unit), 1), np.float32)], axis=1)
