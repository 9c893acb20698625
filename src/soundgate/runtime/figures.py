"""Figures as PNG files, and names that matplotlib shows as they are."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from soundgate.runtime.files import atomic_path
from soundgate.runtime.paths import printable


def save_figure(figure: Figure, path: str | Path, dpi: float = 100) -> None:
    """Write a figure as PNG atomically, without the program's version: the same figure gives the same bytes.

    Args:
        figure: to write.
        path: of the PNG, whatever its suffix.
        dpi: pixels to an inch of the figure's size.

    Raises:
        OSError: the file cannot be written.
    """
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=dpi, metadata={"Software": None})


def label_text(name: str) -> str:
    r"""Return a name as a title, legend or tick label shows it as it is: printable, ``$`` as a character."""
    return printable(name).replace("$", r"\$")
