"""Every transfer's scores: by both pairs of judges, against its source, against the truth."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import librosa
import numpy as np
import pandas as pd
import torch

from soundgate.audio.mel import to_model
from soundgate.tracks.transfer.cache import N_FRAMES, ChunkCache
from soundgate.tracks.transfer.content.model import ContentModel
from soundgate.tracks.transfer.continuity import mel_continuity
from soundgate.tracks.transfer.judge.scoring import Judges

BATCH = 128
# Who scores: Lab 1, which gave losses, and the held-out judges, which did not.
SCORERS = ("lab", "held_out")
_SPLIT_HZ = 2000.0


@dataclass(frozen=True)
class Views:
    """What both scorers see in spectrograms.

    Args:
        content: by scorer, unit vectors [n, E].
        style: by scorer, probabilities [n, G].
    """

    content: dict[str, np.ndarray]
    style: dict[str, np.ndarray]


@dataclass(frozen=True)
class Scorer:
    """Scores spectrograms.

    Args:
        cache: the chunks.
        content: Lab 1's model, on the CPU.
        judges: the held-out ones.
    """

    cache: ChunkCache
    content: ContentModel
    judges: Judges

    def look(self, mels: np.ndarray) -> Views:
        """Return what both scorers see in spectrograms [n, n_mels, 256] dB."""
        parts = np.array_split(mels, max(1, -(-len(mels) // BATCH)))
        content, style = zip(*(self._lab(part) for part in parts), strict=True)
        return Views(
            {"lab": np.concatenate(content), "held_out": self.judges.content(mels)},
            {"lab": np.concatenate(style), "held_out": self.judges.style(mels)},
        )

    @torch.no_grad()
    def _lab(self, mels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        analysis = self.content(torch.from_numpy(to_model(mels.astype(np.float32))))
        return analysis.content.numpy(), torch.softmax(self.content.genre_logits(analysis.style), dim=-1).numpy()

    @cached_property
    def test_rows(self) -> np.ndarray:
        """Rows nobody was trained on."""
        return self.cache.rows("test")

    @cached_property
    def originals(self) -> Views:
        """What both scorers see in the test rows."""
        return self.look(mels_of(self.cache, self.test_rows))

    def score(self, table: pd.DataFrame, mels: np.ndarray) -> pd.DataFrame:
        """Score outputs.

        Args:
            table: ``row`` (a test row of the cache), ``source_genre``, ``target_genre`` for each output.
            mels: [n, n_mels, 256] dB, the outputs.

        Returns:
            The table with ``group`` and, for each scorer, ``mps``, ``mps_mismatched``, ``retrieved``, ``sf``,
            ``is_target``, ``style_margin`` and ``style_certainty``; ``continuity``, ``centroid_hz``,
            ``hf_lf_db``, ``to_truth_db``, ``source_to_truth_db`` and ``closer_db`` (NaN without a truth).
        """
        views, index = self.look(mels), self.cache.index
        at = pd.Series(np.arange(len(self.test_rows)), index=self.test_rows)[table["row"]].to_numpy()
        target = table["target_genre"].map(self.cache.genres.index).to_numpy()
        columns = {"group": index["group"].to_numpy()[table["row"]]}
        for scorer in SCORERS:
            columns |= self._content_scores(scorer, views, at) | self._style_scores(scorer, views, target)
        sources = mels_of(self.cache, table["row"].to_numpy())
        columns["continuity"] = _continuity(mels, sources)
        columns |= _spectral(mels) | self._truth_scores(table, mels, sources)
        return pd.concat([table.reset_index(drop=True), pd.DataFrame(columns)], axis=1)

    def _content_scores(self, scorer: str, views: Views, at: np.ndarray) -> dict[str, np.ndarray]:
        index = self.cache.index.iloc[self.test_rows]
        group, music = index["group"].to_numpy(), index.groupby(["group", "chunk"]).ngroup().to_numpy()
        cosines = views.content[scorer] @ self.originals.content[scorer].T
        other = group[at][:, None] != group[None, :]
        # The source itself, and music of other groups: other renderings of the source would be right answers too.
        candidates = np.where(other | (np.arange(len(group))[None, :] == at[:, None]), cosines, -np.inf)
        mismatched = np.where(other, cosines, 0).sum(1) / np.maximum(other.sum(1), 1)
        return {
            f"mps_{scorer}": cosines[np.arange(len(at)), at],
            f"mps_mismatched_{scorer}": np.where(other.any(1), mismatched, np.nan),
            f"retrieved_{scorer}": (music[candidates.argmax(1)] == music[at]).astype(float),
        }

    def _style_scores(self, scorer: str, views: Views, target: np.ndarray) -> dict[str, np.ndarray]:
        probabilities = views.style[scorer]
        own = probabilities[np.arange(len(target)), target]
        rest = probabilities.copy()
        rest[np.arange(len(target)), target] = -1
        entropy = -(probabilities * np.log(np.maximum(probabilities, 1e-12))).sum(1) / np.log(probabilities.shape[1])
        return {
            f"sf_{scorer}": own,
            f"is_target_{scorer}": (probabilities.argmax(1) == target).astype(float),
            f"style_margin_{scorer}": own - rest.max(1),
            # Confidence, less what a judge that cannot decide has as well.
            f"style_certainty_{scorer}": own * (1 - entropy),
        }

    def _truth_scores(self, table: pd.DataFrame, mels: np.ndarray, sources: np.ndarray) -> dict[str, np.ndarray]:
        made, source = np.full(len(table), np.nan), np.full(len(table), np.nan)
        for i, (row, genre) in enumerate(zip(table["row"], table["target_genre"], strict=True)):
            truth = self.cache.true_rows(row, genre)
            if len(truth):
                known = mels_of(self.cache, truth)
                made[i], source[i] = (np.abs(mel.astype(np.float32) - known).mean() for mel in (mels[i], sources[i]))
        return {"to_truth_db": made, "source_to_truth_db": source, "closer_db": source - made}


def mels_of(cache: ChunkCache, rows: np.ndarray) -> np.ndarray:
    """Return the spectrograms of rows as the models and judges hear them, float32 [n, n_mels, 256] dB."""
    return cache.mels[rows, :, :N_FRAMES].astype(np.float32)


def _continuity(mels: np.ndarray, sources: np.ndarray) -> np.ndarray:
    values = [
        mel_continuity(*(torch.from_numpy(to_model(part.astype(np.float32))) for part in pair)).numpy()
        for pair in zip(
            np.array_split(mels, -(-len(mels) // 32)), np.array_split(sources, -(-len(mels) // 32)), strict=True
        )
    ]
    return np.concatenate(values)


def _spectral(mels: np.ndarray) -> dict[str, np.ndarray]:
    """Return the power-weighted mean frequency, and power above 2 kHz against that below."""
    hz = librosa.mel_frequencies(mels.shape[1] + 2, fmin=20, fmax=11025)[1:-1]
    power = np.power(10.0, mels.astype(np.float64) / 10).mean(-1)
    high, low = power[:, hz >= _SPLIT_HZ].sum(1), power[:, hz < _SPLIT_HZ].sum(1)
    return {"centroid_hz": power @ hz / power.sum(1), "hf_lf_db": 10 * np.log10(high / low)}
