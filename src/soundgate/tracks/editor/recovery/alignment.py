"""Which frame of the raw recording each frame of the edit plays: Viterbi with jumps."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_BLOCK = 256


class Run(NamedTuple):
    """A stretch of the edit that plays a stretch of the raw recording.

    Args:
        start: first position in the edit.
        stop: one past the last.
        lag: position in the raw recording minus position in the edit; in samples it may lie between two.
    """

    start: int
    stop: int
    lag: float


class JumpCosts(NamedTuple):
    """What a jump costs, in units of a frame that is like nothing.

    Args:
        on_beats: from the end of a beat to the start of one.
        anywhere: else.
    """

    on_beats: float
    anywhere: float


def align(edit: np.ndarray, raw: np.ndarray, beat_frames: np.ndarray, costs: JumpCosts) -> list[Run]:
    """Find the path of least cost through the raw recording that plays the edit.

    From one frame of the edit to the next the path goes on to the raw recording's next frame, or jumps to any.
    A frame's cost is 1 - cosine. Time and memory are those of one pass over all pairs of frames, a bit for each.

    Args:
        edit: float32 [T, D], rows of length at most 1.
        raw: float32 [N, D], likewise.
        beat_frames: int [n], frames of the raw recording where beats start.
        costs: see `JumpCosts`; beginning elsewhere than at the raw recording's start costs a jump too.

    Returns:
        Runs in frames, in order, without gaps.
    """
    n_edit, n_raw = len(edit), len(raw)
    starts = np.unique(np.clip(np.concatenate([beat_frames - 1, beat_frames, beat_frames + 1]), 0, n_raw - 1))
    ends = np.unique(np.clip(starts - 1, 0, n_raw - 1))
    jumped = np.zeros((n_edit, (n_raw + 7) // 8), np.uint8)
    sources = np.zeros((n_edit, 2), np.int64)
    is_start = np.zeros(n_raw, bool)
    is_start[starts] = True
    arrive, total, stay = np.empty(n_raw, np.float32), None, np.empty(n_raw, np.float32)
    for begin in range(0, n_edit, _BLOCK):
        distances = 1 - edit[begin : begin + _BLOCK] @ raw.T
        for t, distance in enumerate(distances, begin):
            if total is None:
                total = distance + np.float32(costs.on_beats)
                total[0] = distance[0]
                continue
            anywhere, on_beat = int(total.argmin()), int(ends[total[ends].argmin()])
            cheapest, on_beats = total[anywhere] + costs.anywhere, total[on_beat] + costs.on_beats
            sources[t] = anywhere, on_beat if on_beats <= cheapest else anywhere
            arrive.fill(cheapest)
            arrive[starts] = min(on_beats, cheapest)
            stay[0], stay[1:] = np.inf, total[:-1]
            jumped[t] = np.packbits(arrive <= stay)
            total = np.minimum(arrive, stay) + distance
            total -= total.min()
    return _trace(total, jumped, sources, is_start)


def _trace(total: np.ndarray, jumped: np.ndarray, sources: np.ndarray, is_start: np.ndarray) -> list[Run]:
    """Follow the best path back; `sources` are where jumps came from: to any frame, and to one that starts a beat."""
    runs, stop, frame = [], len(jumped), int(total.argmin())
    for t in range(len(jumped) - 1, -1, -1):
        if t == 0 or jumped[t, frame >> 3] >> (7 - (frame & 7)) & 1:
            runs.append(Run(t, stop, frame - t))
            stop = t
            if t:
                frame = int(sources[t, 1 if is_start[frame] else 0])
        else:
            frame -= 1
    return runs[::-1]
