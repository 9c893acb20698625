"""Makes a recording as long as is wanted, out of whole bars."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from soundgate.runtime.errors import ConfigError
from soundgate.tracks.editor.beats import TRACKING_RATE
from soundgate.tracks.editor.deciding.bars import Section, find_bars, find_sections
from soundgate.tracks.editor.deciding.fitting import Reach, fit, join_costs
from soundgate.tracks.editor.deciding.hearing import hear
from soundgate.tracks.editor.edit_list import EditList, Segment

TARGET_RULE = "target length"


class Fitted(NamedTuple):
    """A recording at another length.

    Args:
        edit: what is played.
        plays: int64 [N], how often each beat is.
    """

    edit: EditList
    plays: np.ndarray


def fit_to_length(
    mono: np.ndarray, spans: np.ndarray, kept: np.ndarray, sample_rate: int, target_s: float, keep_structure: bool
) -> Fitted:
    """Choose the bars with which a recording is as long as is wanted, to one bar.

    Args:
        mono: float32 [T] at ``TRACKING_RATE``.
        spans: int64 [N, 2], beats in samples of the recording.
        kept: bool [N], those that may be played.
        sample_rate: of the recording, Hz.
        target_s: the length.
        keep_structure: whether the first and the last section stay, and half of one playing of every other different
            one.

    Raises:
        ConfigError: the length cannot be reached; it names the lengths that can.
    """
    beats = np.flatnonzero(kept)
    bars = find_bars(hear(mono, TRACKING_RATE), spans[beats] / sample_rate)
    lengths = np.add.reduceat(np.diff(spans[beats], axis=1)[:, 0], bars.edges[:-1]) / sample_rate
    needed = _needed(find_sections(bars), bars.n_bars) if keep_structure else np.zeros(bars.n_bars, bool)
    found = fit(join_costs(bars), lengths, target_s, needed)
    if isinstance(found, Reach):
        expected = f"{shown_time(found.shortest)} to {shown_time(found.longest)} for this recording"
        if keep_structure and found.shortest > target_s:
            expected += "; without --keep-structure it may be shorter"
        raise ConfigError("--target-length", expected=expected, found=shown_time(target_s))
    played = np.concatenate([beats[bars.edges[number] : bars.edges[number + 1]] for number in found.bars])
    plays = np.bincount(played, minlength=len(spans))
    edit = EditList(sample_rate=sample_rate, n_samples=int(spans[-1, 1]), segments=_segments(spans[played]))
    return Fitted(edit, plays)


def shown_time(seconds: float) -> str:
    """Return ``M:SS``."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def _needed(sections: list[Section], n_bars: int) -> np.ndarray:
    """Return the bars of the first and the last section, and half of the first playing of each other, bool [n]."""
    needed, seen = np.zeros(n_bars, bool), set()
    for section in sections:
        if section in (sections[0], sections[-1]):
            needed[section.first : section.last] = True
        elif section.name not in seen:
            needed[section.first : section.first + -(-(section.last - section.first) // 2)] = True
        seen.add(section.name)
    return needed


def _segments(spans: np.ndarray) -> tuple[Segment, ...]:
    """Return what plays spans in their order; those that follow on from each other are one segment."""
    breaks = np.flatnonzero(spans[1:, 0] != spans[:-1, 1]) + 1
    edges = np.concatenate([[0], breaks, [len(spans)]])
    return tuple(
        Segment(label="KEEP", start=int(spans[first, 0]), stop=int(spans[last - 1, 1]))
        for first, last in zip(edges, edges[1:], strict=False)
    )
