"""The judge of the content: which of a few dozen sounds is heard when, whoever makes it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits
from torch import Tensor, nn
from torch.nn import functional

from soundgate.runtime.config import parse_section
from soundgate.runtime.randomness import keyed_seed
from soundgate.tracks.voice.cache import VoiceCache
from soundgate.tracks.voice.features import FeatureSettings
from soundgate.tracks.voice.judge.cepstra import Cepstra
from soundgate.tracks.voice.judge.settings import UnitSettings
from soundgate.training.weights import read_model, save_model

_KERNEL = 5
_MOST_ITERATIONS = 50
# Frames to either side that the slope of the cepstra is taken over.
_SLOPE_FRAMES = 2


class Teacher:
    """Finds the units of speakers whose other utterances are known: the nearest centre of normalised cepstra.

    Args:
        cepstra: see `Cepstra`.
        centres: float32 [n_units, 2 · n_cepstra].
    """

    def __init__(self, cepstra: Cepstra, centres: Tensor) -> None:
        self.cepstra, self.centres = cepstra, centres

    def __call__(self, wav: Tensor, normaliser: Tensor) -> Tensor:
        """Return int64 [B, L], the unit of every frame.

        Args:
            wav: float32 [B, T].
            normaliser: float32 [B, 2, n_cepstra], of the speakers; see `normalisers`.
        """
        described = _described(self.cepstra, wav, normaliser)
        # Half of the squared distances, less the square of what is described.
        return (0.5 * self.centres.square().sum(dim=1) - described @ self.centres.T).argmin(dim=-1)


class UnitClassifier(nn.Module):
    """Waveforms to units, of speakers it knows nothing of.

    A proxy of content: agreement of units says that the same sounds follow one another, not that words are understood.

    Args:
        settings: see `UnitSettings`.
        features: the track's.

    Source: Hsu et al. 2021, HuBERT, section II.A (units by k-means of cepstra); van Niekerk et al. 2022, "A comparison
        of discrete and soft speech units for improved voice conversion" (units without the speaker).
    """

    def __init__(self, settings: UnitSettings, features: FeatureSettings) -> None:
        super().__init__()
        self.settings, self.features = settings, features
        self.cepstra = Cepstra(settings.n_cepstra, settings.f_max_hz, features)
        layers: list[nn.Module] = []
        for width in [settings.n_cepstra] + [settings.width] * (settings.n_layers - 1):
            layers += [nn.Conv1d(width, settings.width, _KERNEL, padding=_KERNEL // 2), nn.GroupNorm(1, settings.width)]
            layers += [nn.GELU()]
        self.layers = nn.Sequential(*layers, nn.Conv1d(settings.width, settings.n_units, 1))

    def forward(self, wav: Tensor) -> Tensor:
        """Return log-probabilities [B, 1 + T // hop_length, n_units] from float32 [B, T] at the features' rate."""
        return self.classify(self.cepstra.spectrum(wav))

    def classify(self, spectrum: Tensor) -> Tensor:
        """Return log-probabilities [B, L, n_units] from log magnitudes [B, bins, L]."""
        cepstra = self.cepstra(spectrum)
        return functional.log_softmax(self.layers(cepstra - cepstra.mean(dim=-1, keepdim=True)), dim=1).mT


def fit_units(cache: VoiceCache, rows: np.ndarray, settings: UnitSettings, seed: int, stage: str) -> Teacher:
    """Cluster the frames of utterances.

    Args:
        cache: of the utterances.
        rows: which.
        settings: see `UnitSettings`.
        seed: of the clusters' starts.
        stage: keys it.
    """
    cepstra = Cepstra(settings.n_cepstra, settings.f_max_hz, cache.settings)
    known = normalisers(cepstra, cache, rows)
    frames = torch.cat([
        _described(cepstra, torch.from_numpy(cache.wave(row))[None], known[cache.speaker_codes[row]][None])[0]
        for row in rows
    ])  # fmt: skip
    # One thread: sums in another order would move centres.
    with threadpool_limits(1):
        means = KMeans(
            settings.n_units, n_init=1, max_iter=_MOST_ITERATIONS, random_state=keyed_seed(seed, stage, "units")
        ).fit(frames.numpy())
    return Teacher(cepstra, torch.from_numpy(means.cluster_centers_))


def normalisers(cepstra: Cepstra, cache: VoiceCache, rows: np.ndarray) -> dict[int, Tensor]:
    """Return mean and deviation of the cepstra of each speaker of the rows, float32 [2, n_cepstra] by speaker code."""
    codes = cache.speaker_codes[rows]
    result = {}
    for code in np.unique(codes):
        waves = [torch.from_numpy(cache.wave(row))[None] for row in rows[codes == code]]
        own = torch.cat([cepstra(cepstra.spectrum(wave))[0] for wave in waves], dim=-1)
        result[int(code)] = torch.stack([own.mean(dim=-1), own.std(dim=-1).clamp(min=1e-5)])
    return result


def _described(cepstra: Cepstra, wav: Tensor, normaliser: Tensor) -> Tensor:
    """Return normalised cepstra and their slopes, [B, L, 2 · n_cepstra]."""
    values = (cepstra(cepstra.spectrum(wav)) - normaliser[:, 0, :, None]) / normaliser[:, 1, :, None]
    around = functional.pad(values, (_SLOPE_FRAMES, _SLOPE_FRAMES), mode="replicate")
    return torch.cat([values, around[..., 2 * _SLOPE_FRAMES :] - around[..., : -2 * _SLOPE_FRAMES]], dim=1).mT


def save_units(folder: str | Path, model: UnitClassifier) -> None:
    """Write the weights, and the settings of network and features."""
    save_model(folder, model, {"network": model.settings.model_dump(), "features": model.features.model_dump()})


def load_units(folder: str | Path) -> UnitClassifier:
    """Read what `save_units` wrote, on the CPU.

    Raises:
        WeightsError: a file is missing or damaged.
        ConfigError: the settings in it are not such of a classifier of units.
    """
    config, tensors = read_model(folder)
    model = UnitClassifier(
        parse_section("network", config["network"], UnitSettings),
        parse_section("features", config["features"], FeatureSettings),
    )
    model.load_state_dict(tensors)
    return model.eval()
