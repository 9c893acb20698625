"""Edits of unseen pairs to listen to and look at: the policy's, the imitation's, the true one and none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from soundgate.runtime.console import track
from soundgate.runtime.errors import CorpusError
from soundgate.runtime.files import write_text
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.editor.beats import TRACKING_RATE
from soundgate.tracks.editor.caching import Edited, edited
from soundgate.tracks.editor.edit_list import EditList, keep_all, write_edit_list
from soundgate.tracks.editor.editing.inputs import Recording, mono_mix, open_recording
from soundgate.tracks.editor.editing.models import Models
from soundgate.tracks.editor.editing.output import output_format, write_sound
from soundgate.tracks.editor.editing.page import write_page
from soundgate.tracks.editor.editing.picture import edit_picture, timeline_picture
from soundgate.tracks.editor.editing.pipeline import Decision, Mode, play, with_labels
from soundgate.tracks.editor.editing.settings import RenderSettings
from soundgate.tracks.editor.grid import Grid, beat_grid
from soundgate.tracks.editor.policy.model import EditPredictor
from soundgate.tracks.editor.policy.predict import predict_labels
from soundgate.tracks.editor.recovery.scores import accuracy, confusion, macro_f1
from soundgate.tracks.editor.rendering import untouched

STAGE = "editor-render"
POLICY, GENERATED, IMITATION, TRUE, NONE = "policy", "policy, generated", "imitation", "true edit", "all KEEP"
SUMMARY = "summary.csv"


@dataclass(frozen=True)
class _Sample:
    """One edit of one pair.

    Args:
        kind: whose edit it is.
        decision: what is done.
        confidence: of each label, [N]; None where nobody doubted.
        mode: how it is played.
    """

    kind: str
    decision: Decision
    confidence: np.ndarray | None
    mode: Mode


@dataclass(frozen=True)
class SampleWriter:
    """Writes the edits of pairs, and a page of them.

    Args:
        folder: gets audio, pictures, edit lists, ``summary.csv`` and ``index.html``.
        models: the policy and what plays its edits.
        imitation: what PPO began with.
        settings: see `RenderSettings`.
    """

    folder: Path
    models: Models
    imitation: EditPredictor
    settings: RenderSettings

    def write(self, pairs: pd.DataFrame, labels: pd.DataFrame, plot: Path) -> pd.DataFrame:
        """Write the edits of pairs.

        Args:
            pairs: from `drawn_pairs`.
            labels: the table of labels.
            plot: PNG for the first pair's edits on one timeline.

        Returns:
            The summary: one row for each edit.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        known, rows = labels.set_index("pair_id"), []
        for row in track(list(pairs.itertuples()), "rendering"):
            starts, own = (np.asarray(known[name][row.pair_id], np.int64) for name in ("starts", "labels"))
            rows += self._pair(row, edited(row, starts, own, row.sample_rate), None if rows else plot)
        summary = pd.DataFrame(rows)
        write_text(self.folder / SUMMARY, summary.to_csv(index=False, float_format="%.4f", lineterminator="\n"))
        write_page(self.folder, summary, "Edits of unseen recordings")
        return summary

    def _pair(self, row, true: Edited, plot: Path | None) -> list[dict]:
        recording, features = open_recording(row.raw_path, self.folder), self.models.features
        raw = features(recording.mono)
        step = features.settings.hop_length * row.sample_rate / TRACKING_RATE
        grid = beat_grid(true.spans, step, len(raw), round(self.settings.max_beat_s * row.sample_rate))
        truth = true.labels[grid.source]
        samples = self._samples(recording, true.edit, grid, raw)
        if plot is not None:
            strips = {own.kind: own.decision.labels for own in samples if own.kind in (POLICY, IMITATION)}
            heard = [mono_mix(play(recording, own.decision, self.models, "splice", self.folder), row.sample_rate)
                     for own in samples if own.kind in (TRUE, POLICY)]  # fmt: skip
            frames = {"raw": raw} | dict(zip((TRUE, POLICY), map(features, heard), strict=True))
            timeline_picture(
                plot, _times(grid, row.sample_rate), {"true": truth, **strips}, frames, features, row.pair_id
            )
        return [self._sample(row.pair_id, recording, own, truth) for own in samples]

    def _samples(self, recording: Recording, true: EditList, grid: Grid, raw: np.ndarray) -> list[_Sample]:
        """Return the edits of a recording, the true one first."""

        def sample(kind: str, decided: EditList | np.ndarray, confidence=None, mode: Mode = "splice") -> _Sample:
            return _Sample(kind, with_labels(recording, self.models, grid, raw, decided, mode), confidence, mode)

        by_policy, by_imitation = (
            predict_labels(predictor, raw, grid.edges) for predictor in (self.models.policy, self.imitation)
        )
        return [
            sample(TRUE, true),
            sample(POLICY, by_policy[0], by_policy[1].max(axis=1)),
            sample(GENERATED, by_policy[0], by_policy[1].max(axis=1), "generate"),
            sample(IMITATION, by_imitation[0], by_imitation[1].max(axis=1)),
            sample(NONE, keep_all(recording.n_samples, recording.audio.sample_rate)),
        ]

    def _sample(self, pair_id: str, recording: Recording, sample: _Sample, truth: np.ndarray) -> dict:
        """Write one edit and return its row; one that plays nothing has no sound."""
        decision, rate = sample.decision, recording.audio.sample_rate
        name = f"{pair_id}_{sample.kind.replace(', ', '_').replace(' ', '_')}"
        sound = play(recording, decision, self.models, sample.mode, self.folder)
        audible = sound.shape[1] > 0
        if audible:
            path = self.folder / f"{name}.flac"
            write_sound(path, sound, rate, output_format(recording.audio, path))
        write_edit_list(self.folder / f"{name}.edit.json", decision.edit)
        frames = (decision.raw, self.models.features(mono_mix(sound, rate)))
        title = f"{pair_id}: {sample.kind}"
        edit_picture(
            self.folder / f"{name}.png", recording.mono, _times(decision.grid, rate), decision.labels,
            sample.confidence, frames, self.models.features, title,
        )  # fmt: skip
        table = confusion(truth, decision.labels)
        return {
            "pair_id": pair_id,
            "edit": sample.kind,
            "sound": f"{name}.flac" if audible else "",
            "picture": f"{name}.png",
            "edit_list": f"{name}.edit.json",
            "seconds": decision.edit.output_samples / rate,
            "raw_seconds": recording.n_samples / rate,
            "accuracy": accuracy(table),
            "macro_f1": macro_f1(table),
            "copied": float(np.mean(untouched(decision.edit) >= 0)) if audible else 0.0,
        }


def drawn_pairs(pairs: pd.DataFrame, n_pairs: int, seed: int) -> pd.DataFrame:
    """Draw pairs of the test split.

    Raises:
        CorpusError: there are none.
    """
    test = pairs[pairs["split"] == "test"].sort_values("pair_id", ignore_index=True)
    if test.empty:
        raise CorpusError(STAGE, expected="pairs of the test split", found="none")
    order = keyed_generator(seed, STAGE, "pairs").permutation(len(test))[:n_pairs]
    return test.iloc[np.sort(order)]


def _times(grid: Grid, sample_rate: int) -> np.ndarray:
    return np.append(grid.spans[:, 0], grid.spans[-1, 1]) / sample_rate
