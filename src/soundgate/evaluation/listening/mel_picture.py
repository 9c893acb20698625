"""Mel spectrograms side by side: one recording and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import librosa
import numpy as np
from matplotlib.figure import Figure

from soundgate.audio.mel import FLOOR_DB, MelSettings
from soundgate.runtime.errors import FormatError
from soundgate.runtime.figures import label_text, save_figure

_TICKS_HZ = (100, 500, 1000, 2000, 4000, 8000, 16_000)


def mel_picture(path: str | Path, mels: Mapping[str, np.ndarray], settings: MelSettings | None = None) -> None:
    """Draw mel spectrograms beside one another on the same scales.

    Args:
        path: a PNG, written atomically; the same mels give the same bytes.
        mels: by title, dB [n_mels, F] in [-80, 0].
        settings: those the mels were made with; None: the defaults.

    Raises:
        FormatError: there is no mel, or one that is not [n_mels, F].
    """
    settings = settings or MelSettings()
    wrong = [name for name, mel in mels.items() if np.ndim(mel) != 2 or len(mel) != settings.n_mels]
    if wrong or not mels:
        found = f"{wrong[0]}: shape {np.shape(mels[wrong[0]])}" if wrong else "none"
        raise FormatError(path, expected=f"mels [{settings.n_mels}, F]", found=found)
    figure = Figure((3.1 * len(mels) + 0.9, 2.6), layout="constrained")
    axes = figure.subplots(1, len(mels), sharey=True, squeeze=False)[0]
    longest = max(mel.shape[1] for mel in mels.values()) * settings.hop_length / settings.sample_rate
    for axis, (name, mel) in zip(axes, mels.items(), strict=True):
        extent = (0, mel.shape[1] * settings.hop_length / settings.sample_rate, -0.5, settings.n_mels - 0.5)
        image = axis.imshow(
            np.asarray(mel, dtype=np.float32), origin="lower", aspect="auto", extent=extent, cmap="magma",
            vmin=FLOOR_DB, vmax=0, interpolation="nearest",
        )  # fmt: skip
        axis.set_title(label_text(name), fontsize=10)
        axis.set(xlim=(0, longest), xlabel="seconds")
    places, labels = _ticks(settings)
    axes[0].set_yticks(places, labels)
    figure.colorbar(image, ax=axes, label="dB", pad=0.01)
    save_figure(figure, path)


def _ticks(settings: MelSettings) -> tuple[list[float], list[str]]:
    """Return the bands some frequencies fall on, and their labels."""
    centres = librosa.mel_frequencies(settings.n_mels + 2, fmin=settings.f_min, fmax=settings.sample_rate / 2)[1:-1]
    shown = [hz for hz in _TICKS_HZ if centres[0] <= hz <= centres[-1]]
    places = np.interp(shown, centres, np.arange(settings.n_mels))
    return places.tolist(), [f"{hz / 1000:g} kHz" if hz >= 1000 else f"{hz} Hz" for hz in shown]
