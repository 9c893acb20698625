"""What encoders, unit classifier and pitch tracker hear in converted speech."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from torch import nn

from soundgate.runtime.console import track
from soundgate.tracks.voice.audit.content import Units, agreement
from soundgate.tracks.voice.audit.pairs import Evaluation, Pair
from soundgate.tracks.voice.audit.pitch import f0_correlation, f0_error_semitones, mean_f0_hz
from soundgate.tracks.voice.audit.systems import System
from soundgate.tracks.voice.cache import VoiceCache
from soundgate.tracks.voice.features import track_f0
from soundgate.tracks.voice.speaking import embedded, reference_of, spoken

JUDGE, ENCODER = "judge", "encoder"
MEASURES = (
    "similarity_to_target", "similarity_to_source", "similarity_to_others", "similarity_gap",
    "encoder_similarity_to_target", "encoder_similarity_gap",
    "f0_correlation", "f0_error", "f0_hz", "content_agreement", "content_shuffled",
)  # fmt: skip


class Listeners(NamedTuple):
    """Who hears.

    Args:
        judge: speaker encoder that shares nothing with the training, [B, T] to [B, D'].
        encoder: the training's speaker encoder, [B, T] to [B, D].
        units: the unit classifier, [B, T] to log-probabilities [B, L', n_units].
    """

    judge: nn.Module
    encoder: nn.Module
    units: nn.Module


class Heard(NamedTuple):
    """What is heard in one recording: an embedding by each encoder, F0 [L] in Hz, units [L']."""

    embeddings: dict[str, np.ndarray]
    f0: np.ndarray
    units: np.ndarray


class Hearing:
    """Hears every recording once.

    Args:
        listeners: see `Listeners`.
        cache: of the utterances.
        evaluation: pairs and roles.
        duration_s: of what is converted.
    """

    def __init__(self, listeners: Listeners, cache: VoiceCache, evaluation: Evaluation, duration_s: float) -> None:
        self.encoders = {JUDGE: listeners.judge, ENCODER: listeners.encoder}
        self.units, self.cache, self.duration_s = Units(listeners.units), cache, duration_s
        self.pairs = evaluation.pairs
        self.references = {
            name: {
                speaker: reference_of(encoder, cache, roles.reference) for speaker, roles in evaluation.roles.items()
            }
            for name, encoder in self.encoders.items()
        }
        # Utterances whose pitch no converter was given.
        self.log_f0 = {name: mean_log_f0(cache, own.reference) for name, own in evaluation.roles.items()}
        self._said: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def table(self, name: str, system: System) -> pd.DataFrame:
        """Return one row for each pair: ``split``, ``source``, ``target``, ``utterance``, ``system``, ``MEASURES``.

        Similarities are cosines with mean embeddings over reference utterances, by the judge where no other is named;
        ``similarity_to_others`` is the mean over speakers who are neither source nor target, nan without any;
        ``similarity_gap`` is that to the target less that to the source. ``content_shuffled`` is the agreement with
        another utterance of the source. ``f0_error`` is in semitones from the mean of the target's reference
        utterances, ``f0_hz`` the mean.
        """
        heard: dict[object, Heard] = {}
        rows = []
        for pair in track(self.pairs, f"{name}, {self.pairs[0].split} speakers" if self.pairs else name):
            key = system.key(pair)
            if key not in heard:
                heard[key] = self._hear(system.make(pair))
            rows.append(
                {"split": pair.split, "source": pair.source, "target": pair.target}
                | {"utterance": self.cache.table["utterance"].iloc[pair.row], "system": name}
                | self._measured(pair, heard[key])
            )
        return pd.DataFrame(rows)

    def _hear(self, wav: np.ndarray) -> Heard:
        embeddings = {name: embedded(encoder, wav) for name, encoder in self.encoders.items()}
        return Heard(embeddings, track_f0(np.asarray(wav, np.float32), self.cache.settings), self.units(wav))

    def _measured(self, pair: Pair, heard: Heard) -> dict[str, float]:
        to = {
            name: {speaker: float(own @ heard.embeddings[name]) for speaker, own in references.items()}
            for name, references in self.references.items()
        }
        judge, encoder = to[JUDGE], to[ENCODER]
        others = [value for speaker, value in judge.items() if speaker not in (pair.source, pair.target)]
        (f0, units), (_, shuffled) = self._say(pair.row), self._say(pair.other_row)
        return {
            "similarity_to_target": judge[pair.target],
            "similarity_to_source": judge[pair.source],
            "similarity_to_others": float(np.mean(others)) if others else float("nan"),
            "similarity_gap": judge[pair.target] - judge[pair.source],
            "encoder_similarity_to_target": encoder[pair.target],
            "encoder_similarity_gap": encoder[pair.target] - encoder[pair.source],
            "f0_correlation": f0_correlation(heard.f0, f0),
            "f0_error": f0_error_semitones(heard.f0, self.log_f0[pair.target]),
            "f0_hz": mean_f0_hz(heard.f0),
            "content_agreement": agreement(heard.units, units),
            "content_shuffled": agreement(heard.units, shuffled),
        }

    def _say(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Return F0 and units of an utterance as it is."""
        if row not in self._said:
            source = spoken(self.cache, row, self.duration_s)
            self._said[row] = source.f0, self.units(source.wav)
        return self._said[row]


def mean_log_f0(cache: VoiceCache, rows: np.ndarray) -> float:
    """Return the mean of the natural logarithm of F0 in Hz over the voiced frames of utterances."""
    f0 = np.concatenate([cache.f0(row) for row in rows])
    return float(np.log(f0[f0 > 0]).mean())
