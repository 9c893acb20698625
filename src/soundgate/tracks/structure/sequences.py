"""Latent frames of many utterances as one concatenated table, streamed in chunks of whole utterances."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np

from soundgate.tracks.structure.split import SPLITS

# Rows between two utterances that are read rather than skipped.
MAX_GAP = 64
TRAIN, HOLDOUT, EVAL = (SPLITS.index(name) for name in ("train", "holdout", "eval"))


class Rows(Protocol):
    """Anything that gives rows by slice: a NumPy array, a memory map, a Zarr array or a latent store."""

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Return rows ``[n, D]``."""
        ...


class Chunk(NamedTuple):
    """Consecutive whole utterances.

    Attributes:
        x: latents ``[n, D]``.
        utterances: the slice of utterances held.
        begin: frame number of the chunk's first row among the frames of all sequences.
        starts: first row of each utterance inside ``x``, ``[U]``.
        lengths: frames of each utterance, ``[U]``.
    """

    x: np.ndarray
    utterances: slice
    begin: int
    starts: np.ndarray
    lengths: np.ndarray

    def frames(self) -> slice:
        """Return the frame numbers the chunk covers."""
        return slice(self.begin, self.begin + len(self.x))


@dataclass(frozen=True)
class Sequences:
    """Utterances of latent frames with what the analysis needs to know of each frame.

    Frames are numbered utterance after utterance. ``rows[u]`` is where utterance ``u`` begins in ``latents``, which
    may hold more than is used (frames dropped at the start of an utterance).

    Attributes:
        latents: ``[N, D]`` by slice; float32 or float64, the precision everything is then computed in.
        rows: first used row of each utterance, int64 ``[U]``.
        lengths: used frames of each utterance, int64 ``[U]``.
        speaker: speaker number of each utterance, int ``[U]``.
        split: 0 train, 1 hold-out (utterances of training speakers), 2 eval (speakers never fitted on), int ``[U]``.
        energy: root mean square of each frame's samples, ``[sum(lengths)]``.
        high_energy: whether the energy is above the median of the train frames, bool ``[sum(lengths)]``.
        position: position of each frame in its utterance in [0, 1), ``[sum(lengths)]``.
    """

    latents: Rows
    rows: np.ndarray
    lengths: np.ndarray
    speaker: np.ndarray
    split: np.ndarray
    energy: np.ndarray
    high_energy: np.ndarray
    position: np.ndarray
    chunk_frames: int = field(default=32_768)

    @cached_property
    def starts(self) -> np.ndarray:
        """First frame number of each utterance, and the number of frames at the end, int64 ``[U + 1]``."""
        return np.concatenate([[0], np.cumsum(self.lengths)])

    @cached_property
    def dtype(self) -> np.dtype:
        """Precision of the latents, and of what is computed frame by frame."""
        return np.asarray(self.latents[int(self.rows[0]) : int(self.rows[0]) + 1]).dtype

    @property
    def n_frames(self) -> int:
        """Number of frames in all utterances."""
        return int(self.starts[-1])

    @cached_property
    def dim(self) -> int:
        """Latent dimension."""
        return int(self.latents[int(self.rows[0]) : int(self.rows[0]) + 1].shape[1])

    @cached_property
    def utterance(self) -> np.ndarray:
        """Utterance number of each frame, int32 ``[n_frames]``."""
        return np.repeat(np.arange(len(self.lengths), dtype=np.int32), self.lengths)

    def valid(self, history: int) -> np.ndarray:
        """Return which frames have at least ``history`` frames before them in their utterance, bool ``[n_frames]``."""
        return np.arange(self.n_frames) - np.repeat(self.starts[:-1], self.lengths) >= history

    def chunks(self, splits: tuple[int, ...] = (TRAIN, HOLDOUT, EVAL)) -> Iterator[Chunk]:
        """Yield the utterances of some splits, whole, about ``chunk_frames`` frames at a time.

        A chunk never holds two splits.
        """
        begin = 0
        while begin < len(self.lengths):
            if self.split[begin] not in splits:
                begin += 1
                continue
            end = begin + 1
            while (
                end < len(self.lengths)
                and self.split[end] == self.split[begin]
                and self.starts[end + 1] - self.starts[begin] <= self.chunk_frames
            ):
                end += 1
            yield self._chunk(begin, end)
            begin = end

    def _chunk(self, begin: int, end: int) -> Chunk:
        starts = self.starts[begin:end] - self.starts[begin]
        x = np.concatenate([self._read(run) for run in self._runs(begin, end)])
        return Chunk(x, slice(begin, end), int(self.starts[begin]), starts, self.lengths[begin:end])

    def _runs(self, begin: int, end: int) -> Iterator[range]:
        """Yield runs of utterances that lie close enough together to be read at once."""
        gaps = self.rows[begin + 1 : end] - (self.rows[begin : end - 1] + self.lengths[begin : end - 1])
        edges = [begin, *(begin + 1 + np.flatnonzero((gaps < 0) | (gaps > MAX_GAP))), end]
        for first, last in zip(edges[:-1], edges[1:], strict=True):
            yield range(first, last)

    def _read(self, run: range) -> np.ndarray:
        first, last = int(self.rows[run.start]), int(self.rows[run.stop - 1] + self.lengths[run.stop - 1])
        block = np.asarray(self.latents[first:last])
        if last - first == self.starts[run.stop] - self.starts[run.start]:
            return block
        return np.concatenate([block[self.rows[u] - first :][: self.lengths[u]] for u in run])

    def subset(self, utterances: np.ndarray) -> Sequences:
        """Return the sequences restricted to some utterances, in the order given, over the same latents."""
        frames = np.concatenate([np.arange(self.starts[u], self.starts[u + 1]) for u in utterances])
        return Sequences(
            self.latents,
            self.rows[utterances],
            self.lengths[utterances],
            self.speaker[utterances],
            self.split[utterances],
            self.energy[frames],
            self.high_energy[frames],
            self.position[frames],
            self.chunk_frames,
        )
