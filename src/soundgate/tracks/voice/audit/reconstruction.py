"""How near a waveform is to the recording it was made of."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from auraloss.freq import MultiResolutionSTFTLoss
from pystoi import stoi

from soundgate.audio.mel import MelSettings, MelTransform, invert_power
from soundgate.tracks.voice.audit.pairs import Pair
from soundgate.tracks.voice.audit.systems import COPY_SYNTHESIS, IDENTITY, RANDOM, System
from soundgate.tracks.voice.baselines.methods import KNN, WORLD_OT
from soundgate.tracks.voice.cache import VoiceCache
from soundgate.tracks.voice.features import FeatureSettings, LogMel
from soundgate.tracks.voice.speaking import spoken

GRIFFIN_LIM, OTHER = "griffin_lim", "other_utterance"
METHODS = (COPY_SYNTHESIS, WORLD_OT, KNN, GRIFFIN_LIM, RANDOM, OTHER, IDENTITY)
FIGURES = ("mel_db", "stft", "stoi")
_SIZES = (512, 1024, 2048)
# What lies further below the loudest value of the truth counts as silence.
_RANGE_DB = 60.0
_NEPER_DB = 20 / np.log(10)


class Distances:
    """Measures made sound against the true one.

    Args:
        features: whose mel spectrograms are compared.
    """

    def __init__(self, features: FeatureSettings) -> None:
        self.log_mel, self.sample_rate = LogMel(features), features.sample_rate
        self.stft = MultiResolutionSTFTLoss(_SIZES, [size // 4 for size in _SIZES], _SIZES)

    @torch.no_grad()
    def __call__(self, made: np.ndarray, truth: np.ndarray) -> dict[str, float]:
        """Return ``FIGURES`` of two recordings [T]; the longer one is cut.

        ``mel_db``: mean distance of log-mel values in dB, over a range of 60 dB. ``stft``: spectral convergence plus
        distance of log magnitudes, at three sizes (Yamamoto et al. 2020, eq. 4 to 6, by auraloss). ``stoi``:
        `intelligibility`.
        """
        length = min(len(made), len(truth))
        both = torch.from_numpy(np.stack([np.asarray(wav[:length], np.float32) for wav in (made, truth)]))
        mels = self.log_mel(both) * _NEPER_DB
        mels = mels.clamp(min=float(mels[1].max()) - _RANGE_DB)
        return {
            "mel_db": float((mels[0] - mels[1]).abs().mean()),
            "stft": float(self.stft(both[None, :1], both[None, 1:])),
            "stoi": intelligibility(made[:length], truth[:length], self.sample_rate),
        }


def intelligibility(made: np.ndarray, truth: np.ndarray, sample_rate: int) -> float:
    """Return the short-time objective intelligibility of a recording, 1 at most.

    Args:
        made: float [T].
        truth: float [T], clean speech that says the same at the same time.
        sample_rate: of both, Hz.

    Returns:
        nan where less than 0.4 s of the truth is speech.

    Source: Taal et al. 2011, "An algorithm for intelligibility prediction of time-frequency weighted noisy speech",
        by pystoi. Not the extended one, whose implementation draws noise from NumPy's global state.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # What it has instead of an error.
        try:
            return float(stoi(truth, made, sample_rate))
        except RuntimeWarning:
            return float("nan")


class Reconstruction(NamedTuple):
    """What reconstructions are held against.

    Args:
        systems: ``copy_synthesis``, ``random_weights`` and baselines, to the source's own voice.
        griffin_lim_iterations: of the copy-synthesis that needs no model.
        duration_s: of each utterance.
    """

    systems: dict[str, System]
    griffin_lim_iterations: int
    duration_s: float


def reconstruction_table(cache: VoiceCache, pairs: list[Pair], setup: Reconstruction) -> pd.DataFrame:
    """Measure every utterance that is converted.

    Returns:
        One row for each utterance and method: ``source``, ``row``, ``method`` (``METHODS``), ``FIGURES``.
        ``griffin_lim`` is made from the true mel spectrogram, ``other_utterance`` is real sound of the same speaker.
    """
    distances, rows = Distances(cache.settings), []
    for pair in {pair.row: pair._replace(target=pair.source) for pair in pairs}.values():
        truth = spoken(cache, pair.row, setup.duration_s).wav
        made = {name: system.make(pair) for name, system in setup.systems.items()}
        made[GRIFFIN_LIM] = _griffin_lim(truth, cache.settings, setup.griffin_lim_iterations)
        made[OTHER] = spoken(cache, pair.other_row, setup.duration_s).wav
        made[IDENTITY] = truth
        named = {"source": pair.source, "row": pair.row}
        rows += [named | {"method": method} | distances(wav, truth) for method, wav in made.items()]
    return pd.DataFrame(rows)


def _griffin_lim(wav: np.ndarray, features: FeatureSettings, n_iter: int) -> np.ndarray:
    settings = MelSettings(
        sample_rate=features.sample_rate, n_fft=features.n_fft, hop_length=features.hop_length,
        n_mels=features.n_mels, f_min=0.0,
    )  # fmt: skip
    power = MelTransform(settings).power(torch.from_numpy(np.asarray(wav, np.float32)))
    return invert_power(power, settings, n_iter).numpy()
