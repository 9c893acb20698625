"""Are the notes still there? Chroma and onsets of spectrograms against the score they were rendered from."""

from __future__ import annotations

import librosa
import numpy as np
import pandas as pd

from soundgate.audio.mel import MelSettings

# Bands that notes' fundamentals and first harmonics fall on.
CHROMA_HZ = (110.0, 2100.0)
ONSET_WINDOW_S = 0.05
PITCHED = ("melody", "chords", "bass")


def score_chroma(notes: pd.DataFrame, start_s: float, n_frames: int, frame_rate: float) -> np.ndarray:
    """Return which pitch classes sound when, [12, F]: the sum of the velocities of pitched notes.

    Args:
        notes: of one score, drums among them or not: ``part``, ``onset_s``, ``offset_s``, ``midi``, ``velocity``.
        start_s: of the first frame.
        n_frames: F.
        frame_rate: Hz.
    """
    chroma = np.zeros((12, n_frames))
    times = start_s + np.arange(n_frames) / frame_rate
    sounding = (notes["offset_s"] > times[0]) & (notes["onset_s"] <= times[-1])
    for note in notes[sounding & notes["part"].isin(PITCHED)].itertuples():
        chroma[int(note.midi) % 12, (times >= note.onset_s) & (times < note.offset_s)] += note.velocity
    return chroma


def mel_chroma(decibels: np.ndarray, settings: MelSettings) -> np.ndarray:
    """Return [12, F] from [n_mels, F] dB: each band's power goes to the pitch class of its centre."""
    hz = librosa.mel_frequencies(settings.n_mels + 2, fmin=settings.f_min, fmax=settings.sample_rate / 2)[1:-1]
    chroma = np.zeros((12, decibels.shape[1]))
    for band in np.flatnonzero((hz >= CHROMA_HZ[0]) & (hz <= CHROMA_HZ[1])):
        chroma[round(librosa.hz_to_midi(hz[band])) % 12] += np.power(10.0, decibels[band].astype(float) / 20)
    return chroma


def chroma_similarity(first: np.ndarray, second: np.ndarray) -> float:
    """Return the correlation over pitch classes of two chromas [12, F], the mean over frames in which both sound."""
    centred = [values - values.mean(0) for values in (first, second)]
    norms = [np.linalg.norm(values, axis=0) for values in centred]
    sounding = (norms[0] > 1e-9) & (norms[1] > 1e-9)
    if not sounding.any():
        return float("nan")
    return float(((centred[0] * centred[1]).sum(0)[sounding] / (norms[0] * norms[1])[sounding]).mean())


def onset_f1(decibels: np.ndarray, onsets: np.ndarray, settings: MelSettings) -> float:
    """Return the F1 of onsets found in a spectrogram against the score's, each matched once within 50 ms.

    Args:
        decibels: [n_mels, F].
        onsets: s from the first frame; those outside the spectrogram are left out.
        settings: of the spectrogram.

    Returns:
        NaN where the score has no onset here.
    """
    frame_rate = settings.sample_rate / settings.hop_length
    wanted = np.unique(onsets[(onsets >= 0) & (onsets < decibels.shape[1] / frame_rate)])
    if not len(wanted):
        return float("nan")
    envelope = librosa.onset.onset_strength(
        S=decibels.astype(np.float32), sr=settings.sample_rate, hop_length=settings.hop_length, center=False
    )
    found = librosa.onset.onset_detect(
        onset_envelope=envelope, sr=settings.sample_rate, hop_length=settings.hop_length, units="time"
    )
    matched = _matches(np.sort(found), wanted)
    return 2 * matched / (len(found) + len(wanted))


def _matches(found: np.ndarray, wanted: np.ndarray) -> int:
    """Count pairs within the window, each onset in one at most; both ascending."""
    i = j = count = 0
    while i < len(found) and j < len(wanted):
        if abs(found[i] - wanted[j]) <= ONSET_WINDOW_S:
            i, j, count = i + 1, j + 1, count + 1
        elif found[i] < wanted[j]:
            i += 1
        else:
            j += 1
    return count


def score_agreement(
    table: pd.DataFrame, mels: np.ndarray, index: pd.DataFrame, notes: pd.DataFrame, settings: MelSettings
) -> pd.DataFrame:
    """Hold spectrograms against the pitched parts of the scores they come from.

    A transfer owes its source the notes, not the drums: those belong to the style.

    Args:
        table: ``row`` of each spectrogram, which gives score and start.
        mels: [n, n_mels, F] dB.
        index: of the chunk cache.
        notes: of all scores, with ``score_id``.
        settings: of the spectrograms.

    Returns:
        ``chroma`` and ``onset_f1`` for each row; NaN where there is no score, or none of it sounds here.
    """
    by_score = dict(list(notes[notes["part"].isin(PITCHED)].groupby("score_id")))
    result = []
    for mel, row in zip(mels, table["row"], strict=True):
        own = by_score.get(index["score_id"].iloc[row])
        if own is None:
            result.append((np.nan, np.nan))
            continue
        start_s, frame_rate = index["start_s"].iloc[row], settings.sample_rate / settings.hop_length
        played = score_chroma(own, start_s, mel.shape[1], frame_rate)
        onsets = own["onset_s"].to_numpy() - start_s
        result.append((chroma_similarity(mel_chroma(mel, settings), played), onset_f1(mel, onsets, settings)))
    return pd.DataFrame(result, columns=["chroma", "onset_f1"])
