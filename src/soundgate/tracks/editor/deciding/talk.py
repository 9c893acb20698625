"""What stands between takes and is no music: talk, noises, and the clicks of a count-in."""

from __future__ import annotations

import numpy as np

from soundgate.tracks.editor.deciding.hearing import HOP_S, Heard
from soundgate.tracks.editor.deciding.spans import ramp, runs_of

# Score 0 and 1, each. Talk is short, no tone of it is held, and it has pauses.
_LONGEST_S = (20.0, 12.0)
_HELD = (0.25, 0.1)
_PAUSES = (0.03, 0.12)
_PAUSE_DB = -18.0
_HELD_FRAMES = 5
# A noise between takes: shorter, and quieter than the recording by so much.
_NOISE_S = (0.8, 0.4)
_NOISE_DB = (-6.0, -14.0)
# A count-in: at least three clicks, 60 to 240 a minute, each gone within an eighth of a second.
_CLICKS = 3
_CLICK_S = 0.15
_PERIOD_S = (0.25, 1.05)
_UNEVEN = 0.12


def talk_score(heard: Heard, start: int, stop: int) -> float:
    """Return how surely frames between dead air are talk or a noise, and no music: 0 to 1.

    Args:
        heard: the recording.
        start: first frame.
        stop: one past the last.
    """
    length_s = (stop - start) * HOP_S
    level = heard.level_db[start:stop]
    top = np.percentile(level, 95)
    noise = ramp(length_s, *_NOISE_S) * ramp(top, *_NOISE_DB)
    loud = level > top - 25
    talk = (
        ramp(length_s, *_LONGEST_S)
        * ramp(_held_share(heard.tops[start:stop], loud), *_HELD)
        * ramp(float(np.mean(level < top + _PAUSE_DB)), *_PAUSES)
    )
    return max(noise, talk)


def count_in(heard: Heard, start: int, stop: int) -> tuple[int, float]:
    """Return where the clicks of a count-in end that a take begins with, and how sure that is.

    Args:
        heard: the recording.
        start: first frame of the take.
        stop: one past its last.

    Returns:
        The frame at which the music begins, and the score; ``(start, 0.0)`` where there is no count-in.
    """
    level = heard.level_db[start:stop]
    # A click is as loud as it gets at once, and gone before the next: what lies 20 dB below its top is a gap.
    clicks: list[tuple[int, int]] = []
    sounding = level > level[: round(_CLICK_S / HOP_S)].max() - 20
    for first, last in runs_of(sounding):
        if (last - first) * HOP_S > _CLICK_S:
            break
        clicks.append((int(first), int(last)))
    onsets = np.array([first for first, _ in clicks]) * HOP_S
    if len(onsets) < _CLICKS:
        return start, 0.0
    periods = np.diff(onsets)
    period = float(np.median(periods))
    if not _PERIOD_S[0] <= period <= _PERIOD_S[1] or np.abs(periods / period - 1).max() > _UNEVEN:
        return start, 0.0
    first = clicks[-1][0] + round(period / HOP_S)
    spectra = np.stack([heard.bands_db[start + a : start + b].max(axis=0) for a, b in clicks])
    spectra = spectra - spectra.mean(axis=1, keepdims=True)
    spread = float(np.sqrt(np.mean(np.square(spectra - spectra.mean(axis=0)))))
    # The first beat of the music is where the next click would be.
    return start + min(first - 1, len(level)), ramp(spread, 9.0, 5.0) * ramp(len(clicks), 2, 4)


def _held_share(tops: np.ndarray, loud: np.ndarray) -> float:
    """Return the share of the loud frames in which the strongest partial stays for an eighth of a second."""
    same = (np.diff(tops.astype(int)) == 0) & loud[1:]
    held = sum(int(last - first) + 1 for first, last in runs_of(same) if last - first >= _HELD_FRAMES)
    return held / max(int(loud.sum()), 1)
