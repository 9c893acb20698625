"""Whether a recording is one voice: how much of it is voiced, and how its fundamental moves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from soundgate.audio.snr import FRAME_S, active_frames, frame_energies
from soundgate.tracks.voice.features import FeatureSettings, track_f0

_HOP_S, _F0_HZ = 0.016, (60.0, 500.0)
# Less of what is audible is voiced in noise, knocks and crowds.
LEAST_SHARE = 0.1
# A voice glides all the time, by more semitones a frame (median) than the held notes of instruments; 0.027 was the
# least of recorded voices, of a singer who holds a note, and most music lies below 0.02.
LEAST_CHANGE = 0.025
# Voiced sounds last longer, on average, than the periods that are found in noise and drums.
LEAST_RUN_S = 0.065


class Voicing(NamedTuple):
    """What is found of a voice.

    Args:
        active_s: seconds within 40 dB of the loudest.
        voiced_s: seconds of voiced frames.
        change: median change of the fundamental from frame to frame (16 ms), semitones; 0 without voiced frames.
        run_s: mean length of what is voiced without a gap, seconds; likewise.
        f0_hz: geometric mean of the fundamental; nan without voiced frames.
    """

    active_s: float
    voiced_s: float
    change: float
    run_s: float
    f0_hz: float

    @property
    def share(self) -> float:
        """Share of the audible seconds that is voiced, 0 to 1."""
        return min(1.0, self.voiced_s / self.active_s) if self.active_s else 0.0

    @property
    def doubt(self) -> str:
        """Why this is no voice, with figures; empty where it may be one."""
        if self.voiced_s == 0:
            return "nothing is voiced"
        if self.share < LEAST_SHARE:
            return f"{self.share:.0%} of what is audible is voiced, of a voice {LEAST_SHARE:.0%} or more"
        if self.run_s < LEAST_RUN_S:
            return f"voiced sounds last {self.run_s:.3f} s on average, those of a voice {LEAST_RUN_S:g} s or more"
        if self.change < LEAST_CHANGE:
            moves = f"the pitch moves by {self.change:.3f} semitones in 16 ms (median), that of a voice by"
            return f"{moves} {LEAST_CHANGE:g} or more"
        return ""


def analysis(rate: int) -> FeatureSettings:
    """Return the frames that fundamentals are looked for in, at a rate in Hz."""
    return FeatureSettings(
        sample_rate=rate, n_fft=1024, hop_length=round(_HOP_S * rate), n_mels=80, f0_min_hz=_F0_HZ[0],
        f0_max_hz=_F0_HZ[1],
    )  # fmt: skip


def hear_voice(recordings: Sequence[np.ndarray], rate: int) -> Voicing:
    """Return what is found of a voice in recordings of one speaker.

    Args:
        recordings: float32 [T] each, T at least 1.
        rate: Hz.
    """
    settings, tracked = analysis(rate), []
    energies = np.concatenate([frame_energies(wav, rate) for wav in recordings])
    for wav in recordings:
        # Between two recordings nothing is voiced.
        tracked += [track_f0(wav, settings), np.zeros(1, np.float32)]
    f0 = np.concatenate(tracked)
    voiced = f0 > 0
    if not voiced.any():
        return Voicing(float(active_frames(energies).sum()) * FRAME_S, 0.0, 0.0, 0.0, float("nan"))
    octaves = np.log2(np.where(voiced, f0, 1.0))
    both = voiced[1:] & voiced[:-1]
    changes = 12 * np.abs(np.diff(octaves))[both]
    n_runs = int(voiced[0]) + int(np.count_nonzero(voiced[1:] & ~voiced[:-1]))
    hop_s = settings.hop_length / rate
    return Voicing(
        active_s=float(active_frames(energies).sum()) * FRAME_S,
        voiced_s=float(voiced.sum()) * hop_s,
        change=float(np.median(changes)) if len(changes) else 0.0,
        run_s=float(voiced.sum()) / n_runs * hop_s,
        f0_hz=float(2 ** octaves[voiced].mean()),
    )
