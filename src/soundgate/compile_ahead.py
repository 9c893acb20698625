"""Compile, once an environment, what librosa and ViSQOL have numba compile at first use: 40 s a process else."""

import librosa
import numpy as np

from soundgate.judges.registry import load_judge
from soundgate.tracks.editor.beats import TRACKING_RATE, track_beats


def main() -> None:
    """Call what is compiled on a second of noise; numba keeps it for every process that begins later.

    See `soundgate.runtime.numba_cache` for where.
    """
    noise = np.random.default_rng(0).standard_normal(2 * TRACKING_RATE).astype(np.float32)
    envelope = librosa.onset.onset_strength(y=noise, sr=TRACKING_RATE)
    librosa.onset.onset_detect(onset_envelope=envelope, sr=TRACKING_RATE)
    track_beats(noise, TRACKING_RATE, tempo_bpm=120)
    librosa.yin(noise, fmin=60, fmax=500, sr=TRACKING_RATE)
    librosa.effects.pitch_shift(noise, sr=TRACKING_RATE, n_steps=1)
    librosa.sequence.dtw(noise[:60].reshape(2, 30), noise[:40].reshape(2, 20), metric="cosine")
    load_judge("similarity").compare(noise[None], np.roll(noise, 9)[None], TRACKING_RATE)


if __name__ == "__main__":
    main()
