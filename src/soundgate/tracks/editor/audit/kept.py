"""Whether the edits that were written keep what was recorded, bit for bit."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd

from soundgate.audio.exact import BITS, ExactAudio, on_steps, read_exact
from soundgate.tracks.editor.edit_list import EditList, read_edit_list
from soundgate.tracks.editor.editing.output import output_format, write_sound
from soundgate.tracks.editor.editing.samples import SUMMARY
from soundgate.tracks.editor.rendering import pieces_of, render

SHARES = ["identical", "control"]


def written_shares(samples: Path, pairs: pd.DataFrame) -> pd.DataFrame:
    """Hold every edit that `editor-render` wrote, as its file is read back, against its recording.

    Args:
        samples: folder of that stage.
        pairs: from `read_pairs`.

    Returns:
        A row for each edit: ``group``, ``identical``, and ``control``: the same share with the recording a sample
        later; nan where nothing is kept.

    Raises:
        AudioError: a file cannot be read.
        FormatError: an edit list cannot.
    """
    known, rows = pairs.set_index("pair_id"), []
    summary = pd.read_csv(samples / SUMMARY, keep_default_na=False, dtype=str)
    for row in summary[summary["sound"] != ""].itertuples():
        raw, edit = read_exact(known.loc[row.pair_id, "raw_path"]), read_edit_list(samples / row.edit_list)
        rows.append((known.loc[row.pair_id, "group"], *_shares(samples / row.sound, raw, edit)))
    return pd.DataFrame(rows, columns=["group", *SHARES])


def written_share(raw: ExactAudio, edit: EditList, folder: Path) -> tuple[float, float]:
    """Write an edit as `editor-render` would, read it back, and hold it against its recording.

    Args:
        raw: the recording.
        edit: of it, that plays something.
        folder: gets the file.

    Returns:
        ``identical`` and ``control`` as in `written_shares`; nan where nothing is kept.
    """
    path = folder / "edit.flac"
    write_sound(path, render(raw.samples, edit), raw.sample_rate, output_format(raw, path))
    return _shares(path, raw, edit)


def identical_share(out: np.ndarray, wav: np.ndarray, edit: EditList, shift: int = 0) -> float:
    """Return the share of kept and looped samples, outside of crossfades, that an edit has as they were recorded.

    Args:
        out: the edit [C, T'].
        wav: the raw recording [C, T].
        edit: of that recording.
        shift: compare with the recording so many samples later; anything but 0 is a control.

    Returns:
        1 where nothing was touched, 0 where the edit has another length than its list says; nan where nothing is kept.
    """
    if out.shape != (len(wav), edit.output_samples):
        return 0.0
    margin = math.ceil(edit.crossfade_s * edit.sample_rate / 2)
    same = n_samples = 0
    for piece in pieces_of(edit):
        length = piece.segment.length - 2 * margin - shift
        if not piece.plain or length <= 0:
            continue
        source = piece.segment.start + margin + shift
        played = out[:, piece.position + margin : piece.position + margin + length]
        same += int(np.count_nonzero(played == wav[:, source : source + length]))
        n_samples += played.size
    return same / n_samples if n_samples else float("nan")


def _shares(path: Path, raw: ExactAudio, edit: EditList) -> tuple[float, float]:
    made = read_exact(path)
    wav = _as_written(raw, made)
    return identical_share(made.samples, wav, edit), identical_share(made.samples, wav, edit, shift=1)


def _as_written(raw: ExactAudio, made: ExactAudio) -> np.ndarray:
    """Return a recording's samples in an edit's format; only those of a lossy one are rounded."""
    if raw.samples.dtype.kind == made.samples.dtype.kind:
        return raw.samples
    scaled = np.clip(np.rint(raw.samples.astype(np.float64) * 2.0**31), -(2**31), 2**31 - 1)
    return on_steps(scaled.astype(np.int32), BITS[made.subtype])
