"""The sample pack: a few transfers to listen to and look at, beside their sources and, where known, the truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from soundgate.audio.io import write_audio
from soundgate.audio.mel import MelSettings
from soundgate.corpora.index import file_names
from soundgate.evaluation.listening.mel_picture import mel_picture
from soundgate.runtime.console import track
from soundgate.runtime.files import write_text
from soundgate.runtime.paths import path_from_text
from soundgate.tracks.transfer.cache import N_FRAMES, ChunkCache
from soundgate.tracks.transfer.chunks import chunk_wav
from soundgate.tracks.transfer.judge.scoring import Judges
from soundgate.tracks.transfer.samples.page import write_page
from soundgate.tracks.transfer.samples.selection import choose_clips
from soundgate.tracks.transfer.samples.settings import SamplesSettings
from soundgate.tracks.transfer.samples.transfers import Output, StylePath, heard, transfer_clip

PACK = "posttrain_samples"
SUMMARY = "generation_summary.csv"


@dataclass(frozen=True)
class PackWriter:
    """Writes sample packs.

    Args:
        folder: of the pack.
        cache: the chunks.
        mel: settings of the spectrograms.
        paths: by name.
        judges: the held-out ones, for each clip's scores.
        settings: see `SamplesSettings`.
        seed: of the draws.
    """

    folder: Path
    cache: ChunkCache
    mel: MelSettings
    paths: dict[str, StylePath]
    judges: Judges
    settings: SamplesSettings
    seed: int

    def write(self, plan: pd.DataFrame) -> pd.DataFrame:
        """Write waves, pictures, ``generation_summary.csv`` and ``index.html``; return the summary.

        Args:
            plan: what may be shown, see `plan_transfers`.
        """
        chosen = choose_clips(plan, self.cache.index["group"], self.settings.clips_per_pair)
        rows = [self._clip(row) for _, row in track(chosen.iterrows(), "sample pack", len(chosen))]
        summary = pd.DataFrame(rows)
        if len(summary):
            write_text(self.folder / SUMMARY, summary.to_csv(index=False, float_format="%.4f", lineterminator="\n"))
            facts = {"clips": len(summary), "genres": ", ".join(self.cache.genres), "scored by": "held-out judges"}
            write_page(self.folder, summary, "Style transfers of unseen music", facts)
        return summary

    def _clip(self, row: pd.Series) -> dict:
        called = file_names(self.cache.genres)
        name = f"{row['path']}_{row['row']:05d}_{called[row['source_genre']]}_to_{called[row['target_genre']]}"
        own = row.copy()
        own[["kind", "target_genre", "condition_genre"]] = "identity", row["source_genre"], row["source_genre"]
        path, genres = self.paths[row["path"]], self.cache.genres
        made, again = (transfer_clip(path, wanted, genres, self.seed) for wanted in (row, own))
        true = self.cache.true_rows(row["row"], row["target_genre"])
        source_mel = self._mel(row["row"])
        mels = {f"source: {row['source_genre']}": source_mel, f"transfer: {row['target_genre']}": made.mels[0]}
        if len(true):
            mels["true target"] = self._mel(true[0])
        mel_picture(self.folder / f"{name}.png", mels, self.mel)
        return {
            "clip_id": name,
            "path_kind": row["path"],
            "source_genre": row["source_genre"],
            "target_genre": row["target_genre"],
            "score": self.cache.index["group"].iloc[row["row"]],
            "source_wav": self._write_chunk(row["row"]),
            "fake_wav": self._write_output(f"{name}.wav", made),
            "reconstruction_wav": self._write_output(f"{name}_reconstruction.wav", again),
            "true_wav": self._write_chunk(true[0]) if len(true) else "",
            "picture": f"{name}.png",
        } | self._scores(row, source_mel, made.mels[0], true)

    def _scores(self, row: pd.Series, source: np.ndarray, made: np.ndarray, true: np.ndarray) -> dict[str, float]:
        content = self.judges.content(np.stack([source, made]))
        style = self.judges.style(made[None])[0]
        known = self._mel(true[0]) if len(true) else np.full_like(made, np.nan)
        return {
            "mps": float(content[0] @ content[1]),
            "sf": float(style[self.cache.genres.index(row["target_genre"])]),
            "mel_distance": float(np.abs(made - known).mean()),
            "mel_distance_of_source": float(np.abs(source - known).mean()),
        }

    def _mel(self, row: int) -> np.ndarray:
        return self.cache.mels[row, :, :N_FRAMES].astype(np.float32)

    def _write_chunk(self, row: int) -> str:
        """Write the audio that a chunk's frames are of, once for all clips that need it."""
        index = self.cache.index.iloc[row]
        name = f"original_{row:05d}_{file_names(self.cache.genres)[index['genre']]}.wav"
        if not (self.folder / name).is_file():
            duration_s = (N_FRAMES - 1) * self.mel.hop_length / self.mel.sample_rate
            wav = chunk_wav(path_from_text(index["path"]), index["start_s"], duration_s, self.mel.sample_rate)
            write_audio(self.folder / name, np.clip(wav, -1, 1), self.mel.sample_rate)
        return name

    def _write_output(self, name: str, output: Output) -> str:
        wav, sample_rate = heard(output, self.mel, self.settings.griffin_lim_iterations)
        peak = max(float(np.abs(wav).max()), 1.0)
        write_audio(self.folder / name, wav / peak, sample_rate)
        return name
