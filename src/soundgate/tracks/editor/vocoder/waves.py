"""All recordings of a corpus in one file, so that a training step reads crops without decoding anything."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from soundgate.audio.io import read_audio
from soundgate.runtime.execution import map_items
from soundgate.runtime.files import atomic_path
from soundgate.tracks.editor.pairs.table import EDIT, RAW

_SAMPLES, _ENDS = "samples.i16", "ends.npy"
_FULL = 2.0**15


class Waves(NamedTuple):
    """Recordings one after another.

    Args:
        table: ``recording``, ``group`` and ``split`` of each.
        samples: int16 [sum of T], mapped.
        ends: int64 [n + 1]; recording ``i`` is ``samples[ends[i]:ends[i + 1]]``.
    """

    table: pd.DataFrame
    samples: np.ndarray
    ends: np.ndarray

    def rows(self, split: str) -> np.ndarray:
        """Return the recordings of a split, int64."""
        return np.flatnonzero(self.table["split"] == split)

    def wave(self, row: int) -> np.ndarray:
        """Return a recording, float32 [T] in [-1, 1]."""
        return self.samples[self.ends[row] : self.ends[row + 1]].astype(np.float32) / np.float32(_FULL)

    def middle(self, row: int, n_samples: int) -> np.ndarray:
        """Return the middle of a recording, float32 [at most n_samples]."""
        length = int(self.ends[row + 1] - self.ends[row])
        start = max(0, length - n_samples) // 2
        return self._crop(row, start, n_samples)

    def crops(self, rows: np.ndarray, n_samples: int, own: slice = slice(None)) -> Tensor:
        """Draw a crop of each recording from PyTorch's generator, float32 [B, n_samples]; short ones end in silence.

        Args:
            rows: int64 [B].
            n_samples: of each crop.
            own: which of the rows are read and returned; draws are those of all.
        """
        spare = np.maximum(0, self.ends[rows + 1] - self.ends[rows] - n_samples)
        starts = [int(torch.randint(int(most) + 1, ())) for most in spare]
        crops = torch.zeros(len(rows[own]), n_samples)
        for crop, row, start in zip(crops, rows[own], starts[own], strict=True):
            wave = self._crop(row, start, n_samples)
            crop[: len(wave)] = torch.from_numpy(wave)
        return crops

    def _crop(self, row: int, start: int, n_samples: int) -> np.ndarray:
        first = int(self.ends[row]) + start
        part = self.samples[first : min(first + n_samples, int(self.ends[row + 1]))]
        return part.astype(np.float32) / np.float32(_FULL)


def pack_waves(pairs: pd.DataFrame, sample_rate: int, folder: Path) -> Waves:
    """Decode the raw recording and the edit of every pair, once.

    Args:
        pairs: from `read_pairs`.
        sample_rate: Hz to bring them to.
        folder: of the two files; where they are, they are taken as they are.

    Raises:
        AudioError: a file cannot be read.
    """
    table = pd.DataFrame({
        "recording": [f"{pair_id}_{kind}" for pair_id in pairs["pair_id"] for kind in (RAW, EDIT)],
        "group": pairs["group"].repeat(2).to_numpy(),
        "split": pairs["split"].repeat(2).to_numpy(),
    })  # fmt: skip
    if not (folder / _ENDS).is_file():
        _decode_all(np.stack([pairs["raw_path"], pairs["edit_path"]], axis=1).ravel(), sample_rate, folder)
    return Waves(table, np.memmap(folder / _SAMPLES, np.int16, "r"), np.load(folder / _ENDS))


def _decode_all(paths: Sequence[str], sample_rate: int, folder: Path) -> None:
    lengths = []
    with atomic_path(folder / _SAMPLES) as temporary, temporary.open("wb") as file:
        for wave in map_items(partial(_decode, sample_rate), [str(Path(path).absolute()) for path in paths], "waves"):
            file.write(wave.tobytes())
            lengths.append(len(wave))
    with atomic_path(folder / _ENDS) as temporary:
        np.save(temporary, np.cumsum([0, *lengths]))


def _decode(sample_rate: int, path: str) -> np.ndarray:
    wav = read_audio(path, sample_rate=sample_rate, mono=True).wav[0]
    return np.clip(np.rint(wav * _FULL), -_FULL, _FULL - 1).astype(np.int16)
