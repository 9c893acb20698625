"""Context windows and the steps they are to predict, gathered from frames."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from soundgate.runtime.errors import CorpusError
from soundgate.runtime.randomness import keyed_generator
from soundgate.runtime.rows import SpilledRows, spilled_rows
from soundgate.runtime.scratch import scratch_root
from soundgate.tracks.structure.sequences import Sequences
from soundgate.tracks.structure.split import SPLITS

# A smaller step, as a share of the typical one, is none: two frames of digital silence have no direction between them.
STILL = 1e-6


@dataclass(frozen=True)
class Frames:
    """All latent frames, utterance after utterance.

    Attributes:
        x: float32 ``[n, D]``, in memory or in a file.
        sequences: where each utterance begins, its split and its speaker.
        history: frames that must precede a scored frame; every horizon is scored on the same frames.
        horizons: all k whose steps x[t] - x[t-k] are asked for; a scored frame has moved over each.
    """

    x: np.ndarray | SpilledRows
    sequences: Sequences
    history: int
    horizons: tuple[int, ...] = (1,)

    @classmethod
    def of(cls, sequences: Sequences, history: int, horizons: tuple[int, ...] = (1,)) -> Frames:
        """Read all frames, into a file of its own: they may be more than memory holds."""
        rows = spilled_rows((chunk.x for chunk in sequences.chunks()), np.float32, scratch_root())
        return cls(rows, sequences, history, horizons)

    @cached_property
    def _moves(self) -> np.ndarray:
        moved = np.ones(len(self.x), bool)
        for k in self.horizons:
            step = np.zeros(len(self.x))
            for begin in range(k, len(self.x), 65_536):
                end = min(begin + 65_536, len(self.x))
                step[begin:end] = np.linalg.norm(self.x[begin:end] - self.x[begin - k : end - k], axis=1)
            moved &= step > STILL * np.sqrt(np.mean(np.square(step)))
        return moved

    def targets(self, split: int) -> np.ndarray:
        """Return the frames of a split that have their whole history and differ from the frame before, int64."""
        of_split = self.sequences.split[self.sequences.utterance] == split
        return np.flatnonzero(of_split & self.sequences.valid(self.history) & self._moves)

    @property
    def n_still(self) -> int:
        """Frames with their whole history that are left out because nothing moves."""
        return int((self.sequences.valid(self.history) & ~self._moves).sum())

    def some(self, split: int, most: int | None, seed: int, name: str) -> np.ndarray:
        """Return a keyed choice of at most so many targets, in order; None: all.

        Raises:
            CorpusError: the split has none.
        """
        rows = self.targets(split)
        if not len(rows):
            expected = f"{SPLITS[split]} frames with {self.history} before"
            raise CorpusError(name, expected=expected, found="none", remedy="Use longer or more utterances.")
        if most is None or len(rows) <= most:
            return rows
        return np.sort(keyed_generator(seed, name, f"some of split {split}").choice(rows, most, replace=False))

    def steps(self, rows: np.ndarray, horizon: int = 1) -> Tensor:
        """Return x[t] - x[t-k] for frames ``[B]`` as float32 ``[B, D]``."""
        return torch.from_numpy(self.x[rows] - self.x[rows - horizon])

    def other_utterances(self, rows: np.ndarray, seed: int, name: str) -> np.ndarray:
        """Return for each of some frames, in order, a keyed choice of one of them that is of another utterance.

        Raises:
            CorpusError: all are of one utterance.
        """
        utterance = self.sequences.utterance[rows]
        begin, end = (np.searchsorted(utterance, utterance, side) for side in ("left", "right"))
        others = len(rows) - (end - begin)
        if not others.all():
            raise CorpusError(name, expected="scored frames of several utterances", found="of one")
        chosen = keyed_generator(seed, name, "other utterances").integers(0, others)
        return rows[np.where(chosen >= begin, chosen + end - begin, chosen)]

    def speakers(self, rows: np.ndarray) -> np.ndarray:
        """Return the speaker number of each frame."""
        return self.sequences.speaker[self.sequences.utterance[rows]]


class Windows:
    """Gathers the windows x[t-k-W+1 .. t-k].

    Args:
        frames: where from.
        window: W, frames.
        horizon: k, at least 1.
        num_workers: threads that copy a batch together; 0: the caller. They change no value.
    """

    def __init__(self, frames: Frames, window: int, horizon: int, num_workers: int = 0) -> None:
        self.frames, self.window, self.horizon = frames, window, horizon
        self._offsets = np.arange(-horizon - window + 1, -horizon + 1)
        self._pool = ThreadPoolExecutor(num_workers) if num_workers else None

    def __call__(self, rows: np.ndarray) -> Tensor:
        """Return the windows of frames ``[B]``, float32 ``[B, W, D]``."""
        if self._pool is None:
            return torch.from_numpy(self._gather(rows))
        parts = self._pool.map(self._gather, np.array_split(rows, self._pool._max_workers))
        return torch.from_numpy(np.concatenate(list(parts)))

    def steps(self, rows: np.ndarray) -> Tensor:
        """Return what is to be predicted: the steps from the windows' ends, x[t] - x[t-k], ``[B, D]``."""
        return self.frames.steps(rows, self.horizon)

    def _gather(self, rows: np.ndarray) -> np.ndarray:
        return self.frames.x[rows[:, None] + self._offsets]
