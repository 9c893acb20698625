"""Beat-aligned windows of recordings, in batches, and the way from beats to frames and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from soundgate.tracks.editor.cache import CachedPair, PairCache
from soundgate.tracks.editor.vocabulary import Label

OVERLAP_BEATS = 8


class Batch(NamedTuple):
    """Windows, filled up to the longest one.

    Args:
        raw: float32 [B, T, M]; 0 in padding, as is the next.
        target: float32 [B, T, M].
        beat_of_frame: int64 [B, T]; N in padding.
        labels: int64 [B, N]; PAD in padding.
        plays: float32 [B, N]; 0 in padding, as are the next.
        seconds: float32 [B, N].
    """

    raw: Tensor
    target: Tensor
    beat_of_frame: Tensor
    labels: Tensor
    plays: Tensor
    seconds: Tensor

    @property
    def frame_mask(self) -> Tensor:
        """Which frames are no padding, bool [B, T]."""
        return self.beat_of_frame < self.labels.shape[1]

    @property
    def beat_mask(self) -> Tensor:
        """Which beats are no padding, bool [B, N]."""
        return self.labels != Label.PAD

    @property
    def frame_labels(self) -> Tensor:
        """Each frame's label, int64 [B, T]; PAD in padding."""
        return spread(self.labels, self.beat_of_frame)

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device."""
        return Batch(*(own.to(device, non_blocking=True) for own in self))


def draw_batch(
    cache: PairCache, rows: Sequence[int] | np.ndarray, n_frames: int, generator: torch.Generator | None = None
) -> Batch:
    """Draw a window of each pair and put them into a batch; see `draw_windows`."""
    return whole_batch(draw_windows(cache, rows, n_frames, generator))


def draw_windows(
    cache: PairCache, rows: Sequence[int] | np.ndarray, n_frames: int, generator: torch.Generator | None = None
) -> list[CachedPair]:
    """Draw a window of each pair, starting at a random beat, as long as fits.

    Args:
        cache: the pairs.
        rows: of the cache, int [B].
        n_frames: of a window, at most.
        generator: of the draws; None: PyTorch's global one, which `training.loop.fit` seeds for each step.
    """
    windows = []
    for row in rows:
        edges = cache.edges(row)
        # Starts after which less than a full window is left are not drawn.
        last_start = int(np.searchsorted(edges, edges[-1] - n_frames))
        first = int(torch.randint(last_start + 1, (), generator=generator))
        windows.append(cache.pair(row, (first, _end(edges, first, n_frames))))
    return windows


def whole_batch(pairs: Sequence[CachedPair]) -> Batch:
    """Put pairs into a batch, all of each."""
    return batch_of([(pair, (0, len(pair.labels))) for pair in pairs])


def beat_windows(edges: np.ndarray, n_frames: int, overlap_beats: int = OVERLAP_BEATS) -> list[tuple[int, int]]:
    """Return overlapping windows over a whole recording, the last one as long as the others.

    Args:
        edges: int64 [N + 1], frames.
        n_frames: of a window, at most.
        overlap_beats: that two neighbours share, if windows are long enough.

    Returns:
        (first beat, one past the last) each, in order.

    Raises:
        ValueError: a beat is longer than a window.
    """
    n_beats = len(edges) - 1
    windows = [(0, _end(edges, 0, n_frames))]
    while windows[-1][1] < n_beats:
        first, last = windows[-1]
        first = min(max(first + 1, last - overlap_beats), last)
        if edges[-1] - edges[first] <= n_frames:
            first = max(windows[-1][0] + 1, int(np.searchsorted(edges, edges[-1] - n_frames)))
        windows.append((first, _end(edges, first, n_frames)))
    return windows


def windows_of(pair: CachedPair, n_frames: int, overlap_beats: int = OVERLAP_BEATS) -> list[tuple[int, int]]:
    """Return overlapping windows over a whole pair; see `beat_windows`."""
    return beat_windows(pair.edges, n_frames, overlap_beats)


def own_parts(windows: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return which beats are taken from which window: each from the one that reaches further beyond it.

    Args:
        windows: from `beat_windows`.

    Returns:
        (first beat, one past the last) of each window's part; together every beat once.
    """
    cuts = [(before[1] + after[0]) // 2 for before, after in zip(windows, windows[1:], strict=False)]
    return list(zip([windows[0][0], *cuts], [*cuts, windows[-1][1]], strict=True))


def batch_of(windows: Sequence[tuple[CachedPair, tuple[int, int]]]) -> Batch:
    """Put windows into a batch.

    Args:
        windows: a pair, and its first beat and one past its last each.
    """
    frames = [pair.edges[last] - pair.edges[first] for pair, (first, last) in windows]
    size, n_frames, n_mels = len(windows), max(frames), windows[0][0].raw.shape[1]
    n_beats = max(last - first for _, (first, last) in windows)
    raw, target = np.zeros((2, size, n_frames, n_mels), np.float32)
    beat_of_frame = np.full((size, n_frames), n_beats, np.int64)
    labels = np.full((size, n_beats), Label.PAD, np.int64)
    plays, seconds = np.zeros((2, size, n_beats), np.float32)
    for n, (pair, (first, last)) in enumerate(windows):
        inside, beats = slice(pair.edges[first], pair.edges[last]), slice(first, last)
        raw[n, : frames[n]], target[n, : frames[n]] = pair.raw[inside], pair.target[inside]
        beat_of_frame[n, : frames[n]] = beat_numbers(pair.edges[first : last + 1])
        for own, values in ((labels, pair.labels), (plays, pair.plays), (seconds, pair.seconds)):
            own[n, : last - first] = values[beats]
    return Batch(*map(torch.from_numpy, (raw, target, beat_of_frame, labels, plays, seconds)))


def beat_numbers(edges: np.ndarray) -> np.ndarray:
    """Return each frame's beat, int64 [F], counted from the first edge on."""
    return np.repeat(np.arange(len(edges) - 1), np.diff(edges))


def spread(labels: Tensor, beat_of_frame: Tensor) -> Tensor:
    """Give each frame its beat's label.

    Args:
        labels: int64 [B, N].
        beat_of_frame: int64 [B, T]; N in padding.

    Returns:
        int64 [B, T]; PAD in padding.
    """
    padding = labels.new_full((len(labels), 1), Label.PAD)
    return torch.cat([labels, padding], dim=1).gather(1, beat_of_frame)


def pool(values: Tensor, beat_of_frame: Tensor, n_beats: int) -> Tensor:
    """Average over each beat's frames, in a way that is deterministic on every device.

    Args:
        values: [B, T, D].
        beat_of_frame: int64 [B, T]; ``n_beats`` in padding.
        n_beats: N.

    Returns:
        [B, N, D]; 0 for beats that have no frame.
    """
    n_windows, _, dim = values.shape
    n_sums = n_windows * (n_beats + 1)
    places = beat_of_frame + (n_beats + 1) * torch.arange(n_windows, device=values.device)[:, None]
    sums = values.new_zeros(n_sums, dim).index_add(0, places.flatten(), values.flatten(0, 1))
    counts = torch.zeros(n_sums, 1, dtype=torch.int64, device=values.device)
    counts = counts.index_add(0, places.flatten(), torch.ones_like(places).view(-1, 1))
    return (sums / counts.clamp(min=1)).unflatten(0, (n_windows, n_beats + 1))[:, :n_beats]


def _end(edges: np.ndarray, first: int, n_frames: int) -> int:
    """Return one past the last beat of the longest window from a beat on."""
    last = int(np.searchsorted(edges, edges[first] + n_frames, side="right")) - 1
    if last <= first:
        raise ValueError(f"a beat of {edges[first + 1] - edges[first]} frames, the window has {n_frames}")
    return last
