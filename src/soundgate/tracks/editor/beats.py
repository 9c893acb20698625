"""Where the beats of a recording are, by a tracker."""

from __future__ import annotations

import librosa
import numpy as np

TRACKING_RATE = 22_050
_HOP = 512
_N_FFT = 2048
# Frames that are held as spectra at a time (six minutes), and frames that share one tempo.
_BLOCK = 2**14


def track_beats(wav: np.ndarray, sample_rate: int, tempo_bpm: float) -> np.ndarray:
    """Track the beats of a recording.

    Args:
        wav: mono float32 [T] at ``TRACKING_RATE``, or any rate close to it.
        sample_rate: Hz.
        tempo_bpm: centre of the tempo's log-normal prior.

    Returns:
        int64 [n] samples, rising; empty where the tracker finds none (silence, noise without onsets).

    Source: Ellis 2007, "Beat tracking by dynamic programming", by librosa.
    """
    if len(wav) < 2 * _HOP:
        return np.empty(0, np.int64)
    spectra = [_mel_power(wav, sample_rate, first) for first in range(0, 1 + len(wav) // _HOP, _BLOCK)]
    decibels = librosa.power_to_db(np.concatenate(spectra, axis=1))
    envelope = librosa.onset.onset_strength(S=decibels, sr=sample_rate, hop_length=_HOP)
    if not envelope.any():
        return np.empty(0, np.int64)
    parts = np.array_split(envelope, -(-len(envelope) // _BLOCK))
    tempi = [librosa.feature.tempo(onset_envelope=part, sr=sample_rate, start_bpm=tempo_bpm)[0] for part in parts]
    bpm = tempi[0] if len(parts) == 1 else np.repeat(tempi, [len(part) for part in parts])
    _, beats = librosa.beat.beat_track(
        onset_envelope=envelope, sr=sample_rate, hop_length=_HOP, bpm=bpm, units="samples"
    )
    return beats.astype(np.int64)


def _mel_power(wav: np.ndarray, sample_rate: int, first: int) -> np.ndarray:
    """Return the mel power of a block of frames, frame ``f`` centred on sample ``f * _HOP``; zeros lie outside."""
    last = min(first + _BLOCK, 1 + len(wav) // _HOP) - 1
    start, stop = first * _HOP - _N_FFT // 2, last * _HOP + _N_FFT // 2
    inside = wav[max(start, 0) : stop]
    padded = np.pad(inside, (max(-start, 0), max(stop - len(wav), 0)))
    return librosa.feature.melspectrogram(
        y=padded, sr=sample_rate, n_fft=_N_FFT, hop_length=_HOP, center=False, fmax=sample_rate / 2
    )
