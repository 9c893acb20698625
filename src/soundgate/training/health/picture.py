"""A run's diagnostics as small multiples, the checks that alarmed shaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from soundgate.runtime.figures import label_text, save_figure
from soundgate.training.health.records import Record

_SHADES = {"warning": "#f2c14e", "critical": "#d1495b"}
_KINDS = ("loss", "gradient", "update", "parameter", "probe", "nonfinite", "speed")
_LOGARITHMIC = ("gradient", "update", "parameter")
_COLUMNS = 4


def draw_diagnostics(records: Sequence[Record], path: str | Path, title: str) -> None:
    """Draw every figure of whole networks over the steps, as PNG.

    Args:
        records: at least one check.
        path: of the picture.
        title: above all.
    """
    checks = [record for record in records if record.is_check]
    names = _drawn(checks)
    rows = -(-len(names) // _COLUMNS)
    with matplotlib.rc_context({"font.size": 7}):
        figure = Figure(figsize=(3.2 * _COLUMNS, 1.7 * rows + 0.6), layout="constrained")
        for number, name in enumerate(names):
            _draw(figure.add_subplot(rows, _COLUMNS, number + 1), name, records, checks)
        figure.suptitle(f"{label_text(title)}   (shaded: yellow warning, red critical)")
        save_figure(figure, path, dpi=110)


def _drawn(checks: Sequence[Record]) -> list[str]:
    """Return the figures' names by kind, parts of networks and what is always 0 left out."""
    names = dict.fromkeys(name for record in checks for name in record.metrics if "." not in name)
    shown = [name for name in names if any(record.metrics.get(name) for record in checks)]
    return [name for kind in _KINDS for name in shown if name.startswith(f"{kind}/")]


def _draw(axes: Axes, name: str, records: Sequence[Record], checks: Sequence[Record]) -> None:
    points = [(record.step, record.metrics[name]) for record in checks if record.metrics.get(name) is not None]
    values = [value for _, value in points]
    axes.plot([step for step, _ in points], values, color="#2e4057", linewidth=1.0, marker=".", markersize=2)
    if name.startswith(_LOGARITHMIC) and min(values) > 0:
        axes.set_yscale("log")
    before = 0
    for record in records:
        if record.status in _SHADES:
            axes.axvspan(before, record.step, color=_SHADES[record.status], alpha=0.35, linewidth=0)
        before = record.step
    axes.set_title(name)
    axes.margins(x=0.01)
