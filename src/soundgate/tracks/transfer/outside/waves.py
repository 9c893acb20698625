"""What a delivered wave keeps: notes, harmony, bass, rhythm and drums, each deaf to the damage of the others."""

from __future__ import annotations

from typing import NamedTuple

import librosa
import numpy as np
import soxr
from scipy.ndimage import uniform_filter1d

from soundgate.audio.loudness import normalise_loudness
from soundgate.judges.notes import SOUNDING, Activations, note_overlap

SCORES = ("note_recall", "harmony", "bass", "rhythm", "drum_onsets")
_RATE, _HOP, _LUFS = 22_050, 512, -23.0
# Lowest note and octaves. Harmony is heard above the bass, in loudness (Stevens' power of the magnitude) so that soft
# chords count beside a melody, and over half a second, so that it does not depend on when a note begins.
_HARMONY, _BASS, _HARMONY_S, _LOUDNESS = ("C4", 2), ("C1", 2), 0.5, 0.3
_DRUMS_HZ = 3000.0
# Keys of the recogniser from middle C on: onsets of the bass are none of the melody's rhythm.
_RHYTHM_KEY = 60 - 21
_SMALLEST = 1e-9


class Heard(NamedTuple):
    """What is heard in a wave.

    Args:
        keys: which keys of a piano sound, bool [L, 88], by the outside recogniser.
        onsets: the strongest onset of a key from middle C on, float32 [L] in [0, 1], by the same.
        harmony: chroma of the harmonic part's loudness from C4 to B5, over half a second, float [12, F].
        bass: chroma of the harmonic part from C1 to B2, float [12, F].
        drums: rises of the percussive part's magnitude above 3 kHz, float [F'].
    """

    keys: np.ndarray
    onsets: np.ndarray
    harmony: np.ndarray
    bass: np.ndarray
    drums: np.ndarray


def hear(wav: np.ndarray, rate: int, found: Activations) -> Heard:
    """Hear a wave at -23 LUFS.

    Args:
        wav: float32 [T].
        rate: Hz.
        found: what the outside recogniser hears in it, whose own input does not depend on loudness.

    Source: harmonic and percussive part: Fitzgerald 2010, by librosa; constant-Q transform: Schörkhuber and Klapuri
        2010, by librosa.
    """
    wav = soxr.resample(np.asarray(wav, np.float32), rate, _RATE, quality="HQ") if rate != _RATE else wav
    wav, _ = normalise_loudness(wav, _RATE, _LUFS)
    harmonic, percussive = librosa.decompose.hpss(librosa.stft(wav))
    harmonic = librosa.istft(harmonic, length=len(wav))
    smooth = round(_HARMONY_S * _RATE / _HOP)
    high = np.abs(percussive)[librosa.fft_frequencies(sr=_RATE) >= _DRUMS_HZ]
    return Heard(
        found.sounding >= SOUNDING,
        found.onset[:, _RHYTHM_KEY:].max(axis=1),
        uniform_filter1d(_chroma(harmonic, *_HARMONY, _LOUDNESS), smooth, axis=1),
        _chroma(harmonic, *_BASS),
        np.maximum(np.diff(high, axis=1), 0).mean(axis=0),
    )


def compare(source: Heard, truth: Heard, found: Heard) -> dict[str, float]:
    """Score an output.

    Args:
        source: heard in the source, which notes, harmony, bass and rhythm are owed to.
        truth: heard in what the drums are owed to: the true rendering, or the source where there is none.
        found: heard in the output.

    Returns:
        ``note_recall`` in [0, 1], of each frame's notes; ``harmony`` and ``bass``, mean correlation over pitch
        classes, weighted by the reference's strength; ``rhythm``, correlation of the onsets; ``drum_onsets`` in
        [0, 1], 1 less the Bray-Curtis dissimilarity of the rises, to which drums that are missing, in the wrong place
        or too many all count. NaN where the reference has nothing of it.
    """
    return {
        "note_recall": _recall(source.keys, found.keys),
        "harmony": _chroma_correlation(source.harmony, found.harmony),
        "bass": _chroma_correlation(source.bass, found.bass),
        "rhythm": _correlation(source.onsets, found.onsets),
        "drum_onsets": _in_common(truth.drums, found.drums),
    }


def _chroma(wav: np.ndarray, lowest: str, octaves: int, power: float = 1.0) -> np.ndarray:
    bins = librosa.cqt(
        wav, sr=_RATE, hop_length=_HOP, fmin=librosa.note_to_hz(lowest), n_bins=12 * octaves, bins_per_octave=12
    )
    return (np.abs(bins) ** power).reshape(octaves, 12, -1).sum(axis=0)


def _same_length(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    length = min(first.shape[-1], second.shape[-1])
    return first[..., :length], second[..., :length]


def _recall(reference: np.ndarray, found: np.ndarray) -> float:
    if not reference.any():
        return float("nan")
    reference, found = _same_length(reference.T, found.T)
    return note_overlap(reference.T, found.T)["note_recall"] if found.any() else 0.0


def _chroma_correlation(reference: np.ndarray, found: np.ndarray) -> float:
    first, second = (one - one.mean(axis=0) for one in _same_length(reference, found))
    norms = [np.linalg.norm(one, axis=0) for one in (first, second)]
    if norms[0].max() < _SMALLEST:
        return float("nan")
    cosines = (first * second).sum(axis=0) / np.maximum(norms[0] * norms[1], _SMALLEST)
    return float(np.average(cosines, weights=norms[0]))


def _correlation(reference: np.ndarray, found: np.ndarray) -> float:
    first, second = (one - one.mean() for one in _same_length(reference, found))
    if np.linalg.norm(first) < _SMALLEST:
        return float("nan")
    return float(first @ second / max(np.linalg.norm(first) * np.linalg.norm(second), _SMALLEST))


def _in_common(reference: np.ndarray, found: np.ndarray) -> float:
    first, second = _same_length(reference, found)
    if first.sum() < _SMALLEST:
        return float("nan")
    return 1 - float(np.abs(first - second).sum() / (first + second).sum())
