"""Labels that the user gives: an exported label track, regions drawn on the recording, or a name for each beat."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from soundgate.runtime.errors import FormatError
from soundgate.tracks.editor.edit_list import EditList
from soundgate.tracks.editor.exports.audacity import read_audacity
from soundgate.tracks.editor.grid import Grid
from soundgate.tracks.editor.vocabulary import BEAT_LABELS, Label

_NAMES = {label.name: label for label in BEAT_LABELS}


def read_own_labels(
    path: str | Path, grid: Grid, n_given: int, n_samples: int, sample_rate: int
) -> EditList | np.ndarray:
    """Read labels for the beats of a recording.

    Args:
        path: a label track that `write_audacity` wrote; one with regions named by labels, where a beat has the label
            of most of it and KEEP where there is no region; or one name a line for each beat, as given or as in the
            grid.
        grid: the beats.
        n_given: how many spans the grid was made of.
        n_samples: of the recording.
        sample_rate: Hz.

    Returns:
        The edit list of an exported track, of anything else int64 [N], values of `Label`.

    Raises:
        FormatError: none of these, of another recording, or another number of names than of beats.
    """
    try:
        lines = [line for line in Path(path).read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(path, expected="labels", found=str(error)) from error
    if any(line.split("\t")[2:3] and line.split("\t")[2].startswith("edit {") for line in lines):
        edit = read_audacity(path)
        if (edit.n_samples, edit.sample_rate) != (n_samples, sample_rate):
            found = f"one of {edit.n_samples} samples at {edit.sample_rate} Hz"
            raise FormatError(path, expected=f"an edit of {n_samples} samples at {sample_rate} Hz", found=found)
        return edit
    if any("\t" in line for line in lines):
        return _of_regions(path, lines, grid.spans, sample_rate)
    named = np.array([_label(path, line) for line in lines], np.int64)
    if len(named) == n_given:
        return named[grid.source]
    if len(named) != len(grid.spans):
        raise FormatError(path, expected=f"a name for each of {n_given} beats", found=f"{len(lines)} lines")
    return named


def _of_regions(path: str | Path, lines: list[str], spans: np.ndarray, sample_rate: int) -> np.ndarray:
    shares = np.zeros((len(spans), len(BEAT_LABELS)))
    for line in lines:
        try:
            start, stop, name = line.split("\t")
            start, stop = float(start) * sample_rate, float(stop) * sample_rate
        except ValueError as error:
            raise FormatError(path, expected="start, end and a label's name", found=repr(line)) from error
        overlap = np.minimum(spans[:, 1], stop) - np.maximum(spans[:, 0], start)
        shares[:, _label(path, name)] += np.clip(overlap, 0, None)
    shares[:, Label.KEEP] += np.clip(spans[:, 1] - spans[:, 0] - shares.sum(axis=1), 0, None)
    return shares.argmax(axis=1)


def _label(path: str | Path, name: str) -> Label:
    label = _NAMES.get(name.strip().upper())
    if label is None:
        raise FormatError(path, expected=f"one of {', '.join(_NAMES)}", found=repr(name.strip()))
    return label
