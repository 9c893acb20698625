"""The picture of an edit: waveform with beats and labels, the policy's confidence, the spectrogram before and after."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from soundgate.runtime.figures import label_text, save_figure
from soundgate.tracks.editor.beats import TRACKING_RATE
from soundgate.tracks.editor.features import Features
from soundgate.tracks.editor.vocabulary import BEAT_LABELS

# Okabe and Ito 2008 (colours that the colour-blind tell apart), by label; what is kept is grey.
COLOURS = ("#d55e00", "#b8b8b8", "#0072b2", "#56b4e9", "#009e73", "#e69f00", "#cc79a7")
_COLUMNS = 1_600
_MOST_BEAT_LINES = 400
_TICKS_HZ = (200, 1000, 3000, 8000)


def edit_picture(
    path: str | Path,
    mono: np.ndarray,
    times_s: np.ndarray,
    labels: np.ndarray,
    confidence: np.ndarray | None,
    frames: tuple[np.ndarray, np.ndarray],
    features: Features,
    title: str,
) -> None:
    """Draw an edit.

    Args:
        path: a PNG, written atomically.
        mono: the raw recording, float32 [T] at ``TRACKING_RATE``.
        times_s: where beats begin, and the end of the last, [N + 1] seconds.
        labels: [N].
        confidence: probability of each label, [N]; None where the labels were given.
        frames: of the raw recording and of the edit, float32 [F, M] in [0, 1].
        features: their scale.
        title: of the picture.
    """
    figure = Figure((13, 8.2), layout="constrained")
    wave, chance, before, after = figure.subplots(4, 1, height_ratios=(2.2, 1, 2, 2))
    _draw_wave(wave, mono, times_s, labels)
    _draw_confidence(chance, times_s, labels, confidence)
    for axis in (wave, chance, before):
        axis.set_xlim(0, times_s[-1])
    for axis, own, name in ((before, frames[0], "before"), (after, frames[1], "after")):
        image = _draw_frames(axis, own, features, name)
    figure.colorbar(image, ax=[before, after], label="dB", pad=0.01)
    _finish(figure, path, title)


def timeline_picture(
    path: str | Path,
    times_s: np.ndarray,
    labels: Mapping[str, np.ndarray],
    frames: Mapping[str, np.ndarray],
    features: Features,
    title: str,
) -> None:
    """Draw several labellings of one recording on its timeline, above spectrograms of it and of its edits.

    Args:
        path: a PNG, written atomically.
        times_s: where beats begin, and the end of the last, [N + 1] seconds.
        labels: [N] by whose they are.
        frames: float32 [F, M] in [0, 1] by what they are of; the first are the raw recording's.
        features: their scale.
        title: of the picture.
    """
    figure = Figure((13, 1.2 + 0.4 * len(labels) + 2.2 * len(frames)), layout="constrained")
    strips, *spectra = figure.subplots(1 + len(frames), 1, height_ratios=(0.4 * len(labels), *(2.2,) * len(frames)))
    for height, own in enumerate(reversed(labels.values())):
        _label_strip(strips, times_s, own, height + 0.05, height + 0.95)
    strips.set_yticks(np.arange(len(labels)) + 0.5, list(reversed(labels)))
    longest = max(len(own) for own in frames.values()) * features.settings.hop_length / features.settings.sample_rate
    for axis, (name, own) in zip(spectra, frames.items(), strict=True):
        image = _draw_frames(axis, own, features, name)
        axis.set_xlim(0, longest)
    strips.set_xlim(0, longest)
    figure.colorbar(image, ax=spectra, label="dB", pad=0.01)
    _finish(figure, path, title)


def _finish(figure: Figure, path: str | Path, title: str) -> None:
    figure.axes[-2].set_xlabel("seconds")
    figure.suptitle(label_text(title), fontsize=12)
    handles = [Patch(color=COLOURS[label], label=label.name) for label in BEAT_LABELS]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=9, frameon=False)
    save_figure(figure, path)


def _label_strip(axis: Axes, times_s: np.ndarray, labels: np.ndarray, low: float, high: float) -> None:
    """Colour each beat by its label, between two heights."""
    colours = ListedColormap(COLOURS)
    axis.pcolormesh(
        times_s, [low, high], np.asarray(labels)[None], cmap=colours, vmin=-0.5, vmax=len(COLOURS) - 0.5
    )  # fmt: skip


def _draw_wave(axis: Axes, mono: np.ndarray, times_s: np.ndarray, labels: np.ndarray) -> None:
    edges = np.linspace(0, len(mono), min(_COLUMNS, len(mono)) + 1).astype(int)[:-1]
    highest, lowest = np.maximum.reduceat(mono, edges), np.minimum.reduceat(mono, edges)
    limit = max(float(np.abs(mono).max(initial=0)), 1e-3)
    axis.fill_between(edges / TRACKING_RATE, lowest, highest, color="#30404f", linewidth=0.3, step="mid")
    _label_strip(axis, times_s, labels, 1.05 * limit, 1.35 * limit)
    if len(labels) <= _MOST_BEAT_LINES:
        axis.vlines(times_s, -limit, 1.05 * limit, color="#b03030", linewidth=0.4, alpha=0.5)
    axis.set(ylim=(-limit, 1.35 * limit), ylabel="raw")


def _draw_confidence(axis: Axes, times_s: np.ndarray, labels: np.ndarray, confidence: np.ndarray | None) -> None:
    axis.set(ylim=(0, 1), ylabel="confidence")
    if confidence is None:
        axis.text(0.5, 0.5, "labels were given", transform=axis.transAxes, ha="center", va="center", color="#526071")
        return
    colours = [COLOURS[label] for label in labels]
    axis.bar(times_s[:-1], confidence, np.diff(times_s), align="edge", color=colours)


def _draw_frames(axis: Axes, frames: np.ndarray, features: Features, name: str):
    n_columns = min(len(frames), _COLUMNS)
    edges = np.linspace(0, len(frames), n_columns + 1).astype(int)
    shown = np.add.reduceat(frames, edges[:-1]) / np.diff(edges)[:, None]
    settings = features.settings
    length_s = len(frames) * settings.hop_length / settings.sample_rate
    image = axis.imshow(
        features.to_db(shown.T), origin="lower", aspect="auto", cmap="magma", interpolation="nearest",
        extent=(0, length_s, -0.5, settings.n_mels - 0.5), vmin=settings.floor_db, vmax=settings.ceiling_db,
    )  # fmt: skip
    centres = features.centres_hz
    ticks = [hz for hz in _TICKS_HZ if centres[0] <= hz <= centres[-1]]
    places = np.interp(ticks, centres, np.arange(len(centres)))
    axis.set_yticks(places, [f"{hz / 1000:g} kHz" if hz >= 1000 else f"{hz} Hz" for hz in ticks])
    axis.set_ylabel(name)
    return image
