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
# Versions that all have this share exchanged: counting wrong labels orders none of them.
EQUAL_SHARE, N_EQUAL = 0.2, 8


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
    return [_exchanged(labels, share, generator) for share in SHARES]


def equally_wrong(labels: np.ndarray, generator: np.random.Generator) -> list[np.ndarray]:
    """Return `N_EQUAL` versions of the labels, the same number of them exchanged in each."""
    return [_exchanged(labels, EQUAL_SHARE, generator) for _ in range(N_EQUAL)]


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
        One row a version: ``kind`` (``growing``, see `perturbed`, or ``equal``, see `equally_wrong`), ``exchanged``
        (share of the labels), ``n_wrong``, ``model`` and ``renderer``: mean absolute distance to the true edit in the
        models' scale, on the raw recording's timeline.
    """
    truth = _rendered(recording, recording.edit, features, len(pair.raw))
    rows = []
    growing = perturbed(pair.labels, keyed_generator(seed, "editor-audit", f"versions {name}"))
    equal = equally_wrong(pair.labels, keyed_generator(seed, "editor-audit", f"equal versions {name}"))
    versions = [("growing", *own) for own in zip(SHARES, growing, strict=True)]
    for kind, share, labels in [*versions, *(("equal", EQUAL_SHARE, own) for own in equal)]:
        edit = from_labels(labels, recording.spans, recording.sample_rate, Tone())
        rows.append({
            "kind": kind,
            "exchanged": share,
            "n_wrong": int(np.count_nonzero(labels != pair.labels)),
            "model": float(np.abs(reconstruct_recording(model, pair.raw, pair.edges, labels) - pair.target).mean()),
            "renderer": float(np.abs(_rendered(recording, edit, features, len(pair.raw)) - truth).mean()),
        })  # fmt: skip
    return pd.DataFrame(rows)


def agreement(table: pd.DataFrame, by: str = "model") -> float:
    """Return Spearman's correlation of a column with the rendered audio's distance.

    What is the same for every version orders nothing: 0.

    Args:
        table: rows of one ``kind`` from `reward_against_renderer`.
        by: ``model``, or the control ``n_wrong``, which counts wrong labels and hears nothing.
    """
    if min(table[by].nunique(), table["renderer"].nunique()) < 2:
        return 0.0
    return float(spearmanr(table[by], table["renderer"])[0])


def _exchanged(labels: np.ndarray, share: float, generator: np.random.Generator) -> np.ndarray:
    chosen = generator.permutation(len(labels))[: round(share * len(labels))]
    other = labels.copy()
    other[chosen] = (labels[chosen] + generator.integers(1, len(BEAT_LABELS), len(chosen))) % len(BEAT_LABELS)
    return other


def _rendered(recording: Recording, edit: EditList, features: Features, n_frames: int) -> np.ndarray:
    rate = features.settings.sample_rate
    played = resample(render(recording.wav, edit), recording.sample_rate, rate)[0]
    hop = features.settings.hop_length * recording.sample_rate / rate
    return heard_on_raw_timeline(features(played), edit, hop, n_frames)
