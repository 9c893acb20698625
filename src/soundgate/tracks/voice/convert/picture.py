"""The picture of a conversion: spectrograms of what went in and came out, and both fundamentals."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import librosa
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from soundgate.runtime.figures import label_text, save_figure
from soundgate.tracks.voice.convert.voicing import analysis
from soundgate.tracks.voice.features import track_f0

_SOURCE, _OUT, _TARGET = "#8a94a0", "#c0392b", "#7a5ba6"
_FFT_S, _HOP_S, _RANGE_DB = 0.032, 0.008, 80.0


class Sound(NamedTuple):
    """A sound to draw.

    Args:
        wav: float32 [T].
        name: of it.
    """

    wav: np.ndarray
    name: str


def conversion_picture(
    path: str | Path, source: Sound, out: Sound, rate: int, target_hz: float, title: str, start_s: float = 0.0
) -> None:
    """Draw a conversion.

    Args:
        path: a PNG, written atomically.
        source: what went in.
        out: what came out, at the same times.
        rate: of both, Hz.
        target_hz: mean F0 wished for.
        title: of the picture.
        start_s: time of the first sample.
    """
    figure = Figure((12, 8), layout="constrained")
    above, below, pitch = figure.subplots(3, 1, sharex=True, height_ratios=(2, 2, 1.6))
    levels = [_levels_db(sound.wav, rate) for sound in (source, out)]
    highest = max(float(own.max()) for own in levels)
    for axis, own, sound in ((above, levels[0], source), (below, levels[1], out)):
        image = axis.imshow(
            own, origin="lower", aspect="auto", cmap="magma", interpolation="nearest",
            extent=(start_s, start_s + len(sound.wav) / rate, 0, rate / 2_000), vmin=highest - _RANGE_DB, vmax=highest,
        )  # fmt: skip
        axis.set_ylabel(f"{sound.name}, kHz")
    figure.colorbar(image, ax=[above, below], label="dB", pad=0.01)
    _draw_pitch(pitch, source, out, rate, target_hz, start_s)
    figure.suptitle(label_text(title), fontsize=12)
    save_figure(figure, path)


def _draw_pitch(axis: Axes, source: Sound, out: Sound, rate: int, target_hz: float, start_s: float) -> None:
    settings = analysis(rate)
    for sound, colour in ((source, _SOURCE), (out, _OUT)):
        f0 = track_f0(np.asarray(sound.wav, np.float32), settings)
        times_s = start_s + np.arange(len(f0)) * settings.hop_length / rate
        axis.plot(times_s, np.where(f0 > 0, f0, np.nan), color=colour, linewidth=1.6, label=sound.name)
    if np.isfinite(target_hz):
        axis.axhline(target_hz, color=_TARGET, linewidth=1, linestyle="--", label=f"wished for: {target_hz:.0f} Hz")
    axis.set(yscale="log", ylim=(settings.f0_min_hz, settings.f0_max_hz), xlabel="seconds", ylabel="F0, Hz")
    axis.set_yticks([75, 100, 150, 200, 300, 400])
    axis.yaxis.set_major_formatter(ScalarFormatter())
    axis.minorticks_off()
    axis.legend(loc="upper right", ncols=3, fontsize=9)


def _levels_db(wav: np.ndarray, rate: int) -> np.ndarray:
    n_fft = 2 ** round(np.log2(_FFT_S * rate))
    padded = np.pad(wav, (0, max(0, n_fft - len(wav))))
    magnitude = np.abs(librosa.stft(padded, n_fft=n_fft, hop_length=round(_HOP_S * rate)))
    return 20 * np.log10(np.maximum(magnitude, 1e-6))
