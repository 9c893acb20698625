"""Labels that the user gives: an exported label track, regions drawn on the recording, or a name for each beat."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from soundgate.runtime.errors import FormatError
from soundgate.tracks.editor.edit_list import EditList
from soundgate.tracks.editor.exports.audacity import read_audacity
from soundgate.tracks.editor.exports.formats import ENDINGS, format_of
from soundgate.tracks.editor.grid import Grid
from soundgate.tracks.editor.text_rows import Region, Row, is_timed, read_rows, regions_of
from soundgate.tracks.editor.vocabulary import BEAT_LABELS, Label

_NAMES = {label.name: label for label in BEAT_LABELS}


def read_own_labels(
    path: str | Path, grid: Grid, n_given: int, n_samples: int, sample_rate: int
) -> EditList | np.ndarray:
    """Read labels for the beats of a recording.

    Args:
        path: an export of an edit, told by its ending (see `soundgate.tracks.editor.exports.formats`), or a label track
            that `write_audacity` wrote; one with regions named by labels, where a beat has the label
            of most of it and KEEP where there is no region; or one name a line for each beat, as given or as in the
            grid. For the encodings and separators see `read_rows`.
        grid: the beats.
        n_given: how many spans the grid was made of.
        n_samples: of the recording.
        sample_rate: Hz.

    Returns:
        The edit list of an export, of anything else int64 [N], values of `Label`.

    Raises:
        FormatError: none of these, of another recording, or another number of names than of beats.
    """
    exported = ENDINGS.get(Path(path).suffix.lower())
    if exported is not None:
        return _of_recording(path, format_of(exported).read(Path(path)), n_samples, sample_rate)
    rows = read_rows(path)
    if not rows:
        raise FormatError(path, expected="labels", found="no line")
    if any(row.cells[2:] and row.cells[2].startswith("edit {") for row in rows):
        return _of_recording(path, read_audacity(path), n_samples, sample_rate)
    if is_timed(rows):
        return _of_regions(path, regions_of(rows), grid.spans, n_samples, sample_rate)
    named = np.array([_label(row, row.text) for row in rows], np.int64)
    if len(named) == n_given:
        return named[grid.source]
    if len(named) != len(grid.spans):
        raise FormatError(path, expected=f"a name for each of {n_given} beats", found=f"{len(rows)} lines")
    return named


def _of_recording(path: str | Path, edit: EditList, n_samples: int, sample_rate: int) -> EditList:
    """Return an edit list; refuse one of another recording."""
    if (edit.n_samples, edit.sample_rate) != (n_samples, sample_rate):
        found = f"one of {edit.n_samples} samples at {edit.sample_rate} Hz"
        raise FormatError(path, expected=f"an edit of {n_samples} samples at {sample_rate} Hz", found=found)
    return edit


def _of_regions(
    path: str | Path, regions: list[Region], spans: np.ndarray, n_samples: int, sample_rate: int
) -> np.ndarray:
    """Return each beat's label; refuse a track of which no region lies in the recording."""
    shares = np.zeros((len(spans), len(BEAT_LABELS)))
    for region in regions:
        start, stop = region.start_s * sample_rate, region.stop_s * sample_rate
        overlap = np.minimum(spans[:, 1], stop) - np.maximum(spans[:, 0], start)
        shares[:, _label(region.row, region.name)] += np.clip(overlap, 0, None)
    if not shares.any():
        expected = f"a region with a length in the recording's {n_samples / sample_rate:.3f} s"
        raise FormatError(path, expected=expected, found=f"{len(regions)} regions, none of them there")
    shares[:, Label.KEEP] += np.clip(spans[:, 1] - spans[:, 0] - shares.sum(axis=1), 0, None)
    return shares.argmax(axis=1)


def _label(row: Row, name: str) -> Label:
    label = _NAMES.get(re.sub(r"[\s-]+", "_", name.strip().upper()))
    if label is None:
        raise row.error(f"one of {', '.join(_NAMES)}")
    return label
