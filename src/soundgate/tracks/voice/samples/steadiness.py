"""What the samples show of levels and of voices over time, in figures and as a picture."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from soundgate.runtime.figures import label_text, save_figure
from soundgate.tracks.voice.samples.coherence import Coherence
from soundgate.tracks.voice.samples.generate import ORIGINAL, RECONSTRUCTION, Samples

_CONVERTED = "converted"
_COLOURS = {ORIGINAL: "#8a94a0", RECONSTRUCTION: "#5b8f5b", _CONVERTED: "#c0392b"}


def summarise(samples: Samples) -> dict:
    """Return counts, clipping, and how steady voices are over long passages.

    Returns:
        ``n_samples``, ``n_conversions``, ``clipped_samples`` (of all conversions), ``short_of_db`` (the most that a
        file is quieter than wished for), and ``coherence``: of ``original`` (real speech, the control),
        ``reconstruction`` and ``converted``, the means over files of what `Coherence.as_dict` has.
    """
    own = samples.conversions
    steady = [
        {"kind": _kind(voice)} | Coherence(rows["start_s"].to_numpy(), rows["similarity"].to_numpy()).as_dict()
        for (_, voice), rows in samples.windows.groupby(["sample", "voice"], sort=False)
    ]
    by_kind = pd.DataFrame(steady).groupby("kind", sort=False).mean() if steady else pd.DataFrame()
    return {
        "n_samples": int(own["sample"].nunique()),
        "n_conversions": len(own),
        "clipped_samples": int(own["clipped_samples"].sum()),
        "short_of_db": float(own["short_of_db"].max()),
        "coherence": by_kind.to_dict("index"),
    }


def coherence_picture(path: Path, windows: pd.DataFrame) -> None:
    """Draw the similarity to the speaker meant along each long passage.

    Args:
        path: a PNG.
        windows: see `Samples`; may be empty.
    """
    names = list(dict.fromkeys(windows["sample"]))
    figure = Figure((8, 1 + 2.4 * max(1, len(names))), layout="constrained")
    axes = figure.subplots(max(1, len(names)), 1, sharey=True, squeeze=False)[:, 0]
    for axis, name in zip(axes, names, strict=False):
        for voice, rows in windows[windows["sample"] == name].groupby("voice", sort=False):
            label = label_text(voice.replace("_", " "))
            axis.plot(rows["start_s"], rows["similarity"], color=_COLOURS[_kind(voice)], label=label)
        axis.set_title(f"{label_text(name)}: similarity to the speaker meant, windows of a long passage", fontsize=10)
        axis.legend(loc="lower left", fontsize=8)
    axes[-1].set_xlabel("seconds")
    save_figure(figure, path)


def _kind(voice: str) -> str:
    return voice if voice in (ORIGINAL, RECONSTRUCTION) else _CONVERTED
