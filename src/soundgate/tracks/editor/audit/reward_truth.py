"""Whether the reward, which asks the frozen model, orders edits as the renderer's own audio does."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import spearmanr
from torch import nn

from soundgate.audio.io import read_audio, resample
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.editor.audit.heard import heard_on_raw_timeline
from soundgate.tracks.editor.cache import CachedPair
from soundgate.tracks.editor.edit_list import EditList, Tone
from soundgate.tracks.editor.features import Features
from soundgate.tracks.editor.reconstruct.model import reconstruct_recording
from soundgate.tracks.editor.rendering import render
from soundgate.tracks.editor.timeline import from_labels
from soundgate.tracks.editor.vocabulary import BEAT_LABELS

# Shares of the beats whose true label is exchanged for another one.
SHARES = (0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0)


class Recording(NamedTuple):
    """A raw recording with its true edit.

    Args:
        wav: mono float32 [1, T].
        sample_rate: Hz.
        edit: the true edit list.
        spans: int64 [N, 2], the beats, in samples.
    """

    wav: np.ndarray
    sample_rate: int
    edit: EditList
    spans: np.ndarray

    @classmethod
    def open(cls, path: str | Path, edit: EditList, spans: np.ndarray) -> Recording:
        """Read the raw audio of a pair."""
        sound = read_audio(path, mono=True)
        return cls(sound.wav, sound.sample_rate, edit, spans)


def perturbed(labels: np.ndarray, generator: np.random.Generator) -> list[np.ndarray]:
    """Return the labels with growing shares of them exchanged, one version for each of `SHARES`."""
    versions = []
    for share in SHARES:
        chosen = generator.permutation(len(labels))[: round(share * len(labels))]
        other = labels.copy()
        other[chosen] = (labels[chosen] + generator.integers(1, len(BEAT_LABELS), len(chosen))) % len(BEAT_LABELS)
        versions.append(other)
    return versions


def reward_against_renderer(
    pair: CachedPair, recording: Recording, model: nn.Module, features: Features, seed: int, name: str
) -> pd.DataFrame:
    """Compare, for versions of the true labels, the frozen model's distance with that of the rendered audio.

    Args:
        pair: from the cache.
        recording: the same pair's audio and truth.
        model: the frozen reconstruction model.
        features: of the cache.
        seed: of the experiment.
        name: of the pair; keys the draws.

    Returns:
        One row a version: ``exchanged`` (share of the labels), ``model`` and ``renderer``: mean absolute distance
        to the true edit in the models' scale, on the raw recording's timeline.
    """
    truth = _rendered(recording, recording.edit, features, len(pair.raw))
    rows = []
    versions = perturbed(pair.labels, keyed_generator(seed, "editor-audit", f"versions {name}"))
    for share, labels in zip(SHARES, versions, strict=True):
        edit = from_labels(labels, recording.spans, recording.sample_rate, Tone())
        rows.append({
            "exchanged": share,
            "model": float(np.abs(reconstruct_recording(model, pair.raw, pair.edges, labels) - pair.target).mean()),
            "renderer": float(np.abs(_rendered(recording, edit, features, len(pair.raw)) - truth).mean()),
        })  # fmt: skip
    return pd.DataFrame(rows)


def agreement(table: pd.DataFrame) -> tuple[float, float]:
    """Return Spearman's correlation of both distances, and that with the versions turned by half: the control.

    A model that has the same distance for every version orders nothing: 0.
    """
    renderer = table["renderer"].to_numpy()
    if table["model"].nunique() < 2:
        return 0.0, 0.0
    half = np.roll(renderer, len(table) // 2)
    return float(spearmanr(table["model"], renderer)[0]), float(spearmanr(table["model"], half)[0])


def _rendered(recording: Recording, edit: EditList, features: Features, n_frames: int) -> np.ndarray:
    rate = features.settings.sample_rate
    played = resample(render(recording.wav, edit), recording.sample_rate, rate)[0]
    hop = features.settings.hop_length * recording.sample_rate / rate
    return heard_on_raw_timeline(features(played), edit, hop, n_frames)
