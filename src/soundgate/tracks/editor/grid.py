"""Beats in frames: what the models decide about."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from soundgate.tracks.editor.edit_list import EditList


class Grid(NamedTuple):
    """The beats of a recording, none of them without a frame.

    Args:
        edges: int64 [N + 1]; beat ``b`` is the frames ``edges[b]:edges[b + 1]``, the first 0, the last the number of
            frames.
        spans: int64 [N, 2], the same beats in samples, without gaps.
        source: int64 [N], which of the given spans each beat is, or is part of.
    """

    edges: np.ndarray
    spans: np.ndarray
    source: np.ndarray


def beat_grid(spans: np.ndarray, hop_length: float, n_frames: int, longest_samples: int) -> Grid:
    """Put beats on frames.

    A frame belongs to the beat its centre lies in. A beat without a frame is joined to the one before it; one that
    is too long (where no beats were found, all of the recording) is split into equal parts.

    Args:
        spans: int64 [n, 2], n >= 1, in samples, without gaps from 0 on, as `timeline.beat_spans` gives them.
        hop_length: samples from frame to frame; no whole number where the frames were made at another rate.
        n_frames: of the recording, at least 1.
        longest_samples: of a beat that is not split.
    """
    lengths = spans[:, 1] - spans[:, 0]
    parts = -(-lengths // longest_samples)
    source = np.repeat(np.arange(len(spans)), parts)
    number = np.arange(len(source)) - np.repeat(np.cumsum(parts) - parts, parts)
    starts = spans[source, 0] + number * lengths[source] // parts[source]
    first = np.ceil(starts / hop_length).astype(np.int64)
    used = np.diff(first, append=n_frames) > 0
    # Nothing lies before the first beat that has a frame.
    starts = np.where(np.arange(used.sum()) == 0, 0, starts[used])
    edges = np.append(np.where(np.arange(used.sum()) == 0, 0, first[used]), n_frames)
    return Grid(edges, np.stack([starts, np.append(starts[1:], spans[-1, 1])], axis=1), source[used])


def plays_of(edit: EditList, spans: np.ndarray) -> np.ndarray:
    """Return how often each beat is heard: seconds of it in the edit, by its length.

    Args:
        edit: an edit list.
        spans: int64 [N, 2], samples of the raw recording.

    Returns:
        float32 [N]: CUT 0, KEEP 1, LOOP its repeats, half for each side of a TRANSITION; so that the sum of
        ``plays`` times length is the length of the edit.
    """
    heard = np.zeros(len(spans))
    for segment in edit.segments:
        for start, stop in segment.spans:
            overlap = np.minimum(spans[:, 1], stop) - np.maximum(spans[:, 0], start)
            heard += np.clip(overlap, 0, None) * segment.repeats / len(segment.spans)
    return (heard / (spans[:, 1] - spans[:, 0])).astype(np.float32)
