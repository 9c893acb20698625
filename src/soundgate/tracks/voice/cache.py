"""The cache of utterances that every training of this track reads: packed samples and fundamentals, one table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from pydantic import ValidationError
from torch import Tensor

from soundgate.runtime.errors import FormatError
from soundgate.runtime.files import atomic_path, read_json, write_json
from soundgate.runtime.rows import write_rows
from soundgate.tracks.voice.features import FeatureSettings

SPLITS = ("train", "validation", "judge", "test")
INDEX_FILE, SETTINGS_FILE = "index.parquet", "features.json"
COLUMNS = ["utterance", "speaker", "split", "path", "n_samples", "log_f0_mean", "log_f0_std"]
FULL_SCALE = 2.0**15


class Utterances(NamedTuple):
    """A batch of crops.

    Args:
        wav: float32 [B, T] in [-1, 1].
        f0: float32 [B, L] in Hz, 0 where unvoiced; frame ``l`` is centred on sample ``l · hop_length``.
        log_f0_mean: float32 [B], of the natural logarithm of the speaker's voiced frames.
        log_f0_std: float32 [B], likewise.
        speaker: int64 [B], position among the sorted speakers of the whole cache.
    """

    wav: Tensor
    f0: Tensor
    log_f0_mean: Tensor
    log_f0_std: Tensor
    speaker: Tensor


@dataclass(frozen=True)
class VoiceCache:
    """All utterances.

    Args:
        settings: what frames are.
        table: one row for each utterance, ``COLUMNS``; ``log_f0_mean`` and ``log_f0_std`` are the speaker's, over the
            voiced frames of all their utterances here. Rows of a split stand together.
        samples: by split, int16 [sum of T], a memory map, its utterances one after another.
        f0: by split, float32 [sum of L], likewise.
    """

    settings: FeatureSettings
    table: pd.DataFrame
    samples: dict[str, np.ndarray]
    f0_frames: dict[str, np.ndarray]

    @classmethod
    def open(cls, folder: str | Path) -> VoiceCache:
        """Open what `write_cache` wrote.

        Raises:
            FormatError: a file is missing, unreadable or does not fit the others.
        """
        folder = Path(folder)
        try:
            settings = FeatureSettings.model_validate(read_json(folder / SETTINGS_FILE))
            table = pd.read_parquet(folder / INDEX_FILE)
            samples = {split: np.load(folder / f"samples_{split}.npy", mmap_mode="r") for split in SPLITS}
            f0 = {split: np.load(folder / f"f0_{split}.npy", mmap_mode="r") for split in SPLITS}
        except (OSError, ValueError, ValidationError) as error:
            raise FormatError(folder, expected="a cache of utterances", found=str(error)) from error
        cache = cls(settings, table, samples, f0)
        if list(table) != COLUMNS or not cache._fits():
            sizes = {split: (len(samples[split]), len(f0[split])) for split in SPLITS}
            found = f"{list(table)}, samples and frames {sizes}"
            raise FormatError(folder, expected=f"samples and frames of all rows of {COLUMNS}", found=found)
        return cache

    def rows(self, split: str) -> np.ndarray:
        """Return the row numbers of a split, int64 [n]."""
        return np.flatnonzero((self.table["split"] == split).to_numpy())

    def speakers(self, split: str | None = None) -> list[str]:
        """Return the sorted speakers of a split; None: of the whole cache."""
        chosen = self.table if split is None else self.table[self.table["split"] == split]
        return sorted(chosen["speaker"].unique())

    @cached_property
    def speaker_codes(self) -> np.ndarray:
        """Each row's position among the sorted speakers of the whole cache, int64 [n]."""
        return np.searchsorted(self.speakers(), self.table["speaker"].to_numpy().astype(str)).astype(np.int64)

    def wave(self, row: int) -> np.ndarray:
        """Return an utterance, float32 [T] in [-1, 1]."""
        return self._wave(row, 0, self._lengths[row])

    def f0(self, row: int) -> np.ndarray:
        """Return an utterance's fundamental, float32 [L] in Hz, 0 where unvoiced."""
        return self._f0(row, 0, self.settings.n_frames(self._lengths[row]))

    def batch(self, rows: Iterable[int], n_samples: int, generator: torch.Generator | None) -> Utterances:
        """Return a crop of each utterance, from where `starts` says.

        Args:
            rows: [B].
            n_samples: of each crop.
            generator: of where crops begin; None: in the middle.
        """
        rows = np.asarray(rows, np.int64)
        return self.crops(rows, self.starts(rows, n_samples, generator), n_samples)

    def starts(self, rows: np.ndarray, n_samples: int, generator: torch.Generator | None) -> np.ndarray:
        """Return the frame that a crop of each utterance begins on, int64 [B]; reads nothing of them.

        Args:
            rows: int64 [B].
            n_samples: of each crop.
            generator: of the draws (`torch.default_generator` inside a training step); None: in the middle.
        """
        spare = np.maximum(0, self._lengths[rows] - n_samples) // self.settings.hop_length
        if generator is None:
            return spare // 2
        return np.array([int(torch.randint(int(own) + 1, (), generator=generator)) for own in spare], np.int64)

    def crops(self, rows: np.ndarray, starts: np.ndarray, n_samples: int) -> Utterances:
        """Return crops of utterances.

        Args:
            rows: int64 [B].
            starts: int64 [B], frames.
            n_samples: of each crop; a shorter utterance ends in silence.
        """
        hop, n_frames = self.settings.hop_length, self.settings.n_frames(n_samples)
        wav, f0 = torch.zeros(len(rows), n_samples), torch.zeros(len(rows), n_frames)
        for position, (row, start) in enumerate(zip(rows, starts, strict=True)):
            wave, frames = self._wave(row, start * hop, n_samples), self._f0(row, start, n_frames)
            wav[position, : len(wave)] = torch.from_numpy(wave)
            f0[position, : len(frames)] = torch.from_numpy(frames)
        return Utterances(wav, f0, *self.pitches(rows), torch.from_numpy(self.speaker_codes[rows]))

    def pitches(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Return ``log_f0_mean`` and ``log_f0_std`` of rows, float32 [B] each."""
        columns = (self.table[name].to_numpy()[rows] for name in ("log_f0_mean", "log_f0_std"))
        return tuple(torch.from_numpy(own.astype(np.float32)) for own in columns)

    @cached_property
    def _lengths(self) -> np.ndarray:
        return self.table["n_samples"].to_numpy()

    @cached_property
    def _split(self) -> np.ndarray:
        return self.table["split"].to_numpy().astype(str)

    @cached_property
    def _first(self) -> tuple[np.ndarray, np.ndarray]:
        """First sample and first frame of every row inside its split's arrays."""
        frames = self.settings.n_frames(self.table["n_samples"])
        by_split = (sizes.groupby(self.table["split"]).cumsum() - sizes for sizes in (self.table["n_samples"], frames))
        return tuple(first.to_numpy() for first in by_split)

    def _wave(self, row: int, start: int, n_samples: int) -> np.ndarray:
        first = self._first[0][row]
        inside = slice(first + start, first + min(start + n_samples, self._lengths[row]))
        return self.samples[self._split[row]][inside].astype(np.float32) / np.float32(FULL_SCALE)

    def _f0(self, row: int, start: int, n_frames: int) -> np.ndarray:
        first = self._first[1][row]
        last = min(start + n_frames, self.settings.n_frames(self._lengths[row]))
        return np.array(self.f0_frames[self._split[row]][first + start : first + last])

    def _fits(self) -> bool:
        sizes = self.table.groupby("split")["n_samples"]
        samples, frames = sizes.sum(), sizes.agg(lambda own: self.settings.n_frames(own).sum())
        return set(samples.index) <= set(SPLITS) and all(
            len(self.samples[split]) == samples.get(split, 0) and len(self.f0_frames[split]) == frames.get(split, 0)
            for split in SPLITS
        )


def write_cache(
    folder: str | Path,
    settings: FeatureSettings,
    table: pd.DataFrame,
    samples: Sequence[np.ndarray],
    f0: Sequence[np.ndarray],
) -> None:
    """Write a cache; of the samples one utterance's are in memory at a time.

    Args:
        folder: made if missing.
        settings: what frames are.
        table: ``COLUMNS``, in the order of ``SPLITS``.
        samples: int16 [T], one for each row.
        f0: float32 [L], one for each row.
    """
    folder = Path(folder)
    assert list(table) == COLUMNS and len(samples) == len(f0) == len(table)
    for split in SPLITS:
        rows = np.flatnonzero((table["split"] == split).to_numpy())
        for name, parts, kind in (("samples", samples, np.int16), ("f0", f0, np.float32)):
            write_rows(folder / f"{name}_{split}.npy", (parts[row] for row in rows), kind)
    with atomic_path(folder / INDEX_FILE) as temporary:
        table.to_parquet(temporary, index=False, compression="zstd")
    write_json(folder / SETTINGS_FILE, settings.model_dump())
