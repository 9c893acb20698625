"""Conversions and controls, pair by pair, as the outside judges find them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from functools import cache as remembered
from hashlib import sha256
from typing import NamedTuple

import numpy as np
import pandas as pd

from soundgate.audio.noisy import with_white_noise
from soundgate.judges.base import Judge
from soundgate.judges.pitch import HOP_S, PitchJudge
from soundgate.judges.quality import QualityJudge
from soundgate.judges.speaker import SpeakerJudge, cosine
from soundgate.judges.words import WordsJudge, word_error
from soundgate.runtime.console import track
from soundgate.runtime.randomness import keyed_seed
from soundgate.tracks.voice.audit.pairs import Evaluation, Pair
from soundgate.tracks.voice.audit.pitch import f0_correlation
from soundgate.tracks.voice.audit.systems import (
    CONVERTED,
    COPY_SYNTHESIS,
    IDENTITY,
    RANDOM,
    TARGET,
    System,
)
from soundgate.tracks.voice.baselines.methods import BASELINES
from soundgate.tracks.voice.cache import VoiceCache
from soundgate.tracks.voice.outside.settings import OutsideSettings
from soundgate.tracks.voice.speaking import VOICE_S, spoken

STAGE = "voice-outside"
SIMILARITIES = ("resemblyzer_to_target", "resemblyzer_to_source", "resemblyzer_to_others")
# By measure the systems it is taken of: each costs seconds.
ASKED = {
    "dnsmos": (CONVERTED, COPY_SYNTHESIS, RANDOM, IDENTITY, *BASELINES),
    "crepe_f0_correlation": (CONVERTED, RANDOM, TARGET, *BASELINES),
    "words": (CONVERTED, RANDOM, TARGET, *BASELINES),
}


class OutsideJudges(NamedTuple):
    """Who is asked: published models, see `soundgate.judges`."""

    speaker: SpeakerJudge
    quality: QualityJudge
    pitch: PitchJudge
    words: WordsJudge


class OutsideListening:
    """Asks every judge once of every recording.

    Args:
        judges: see `OutsideJudges`.
        cache: of the utterances.
        evaluation: pairs and roles.
        settings: see `OutsideSettings`.
    """

    def __init__(
        self, judges: OutsideJudges, cache: VoiceCache, evaluation: Evaluation, settings: OutsideSettings
    ) -> None:
        self.judges, self.cache, self.settings = judges, cache, settings
        self.pairs, self.rate = evaluation.pairs, cache.settings.sample_rate
        self._answers: dict[tuple[Judge, bytes], object] = {}
        self.references = self.references_by(judges.speaker, evaluation)
        self.source = remembered(lambda row: spoken(cache, row, settings.evaluation.duration_s).wav)
        self.source_f0 = remembered(lambda row: self.f0(self.source(row)))
        self.said = remembered(lambda row: self.text(self.source(row)))

    def references_by(self, judge: SpeakerJudge, evaluation: Evaluation) -> dict[str, np.ndarray]:
        """Return each speaker's mean embedding [256] over the reference utterances."""
        return {
            speaker: np.mean(
                [judge.embed([spoken(self.cache, row, VOICE_S).wav], self.rate)[0] for row in roles.reference], axis=0
            )
            for speaker, roles in evaluation.roles.items()
        }

    def table(self, systems: Mapping[str, System]) -> pd.DataFrame:
        """Return one row for each pair and system: ``source``, ``target``, ``system`` and the measures.

        ``SIMILARITIES``: cosines of Resemblyzer's embeddings with mean embeddings over reference utterances, of the
        uninvolved speakers their mean. ``dnsmos``: DNSMOS P.835, overall, 1 to 5. ``crepe_f0_correlation``: of log-F0
        with the source's, both by CREPE. ``words_kept``: 1 less the word error against what is heard in the source,
        0 at least; ``words_shuffled``: against another utterance of the speaker. nan where a judge is not asked
        (``ASKED``), hears nothing, or the corpus lacks the band that it listens to.
        """
        return pd.DataFrame([row for name, system in systems.items() for row in self._rows(name, system)])

    def _rows(self, name: str, system: System) -> list[dict]:
        heard: dict[Hashable, dict] = {}
        rows = []
        for number, pair in enumerate(track(self.pairs, f"outside judges: {name}")):
            key, has_words = system.key(pair), name in ASKED["words"] and number < self.settings.n_word_pairs
            if key not in heard:
                heard[key] = self._heard(name, system.make(pair), has_words)
            measured = self._measured(pair, heard[key], has_words)
            rows.append({"source": pair.source, "target": pair.target, "system": name} | measured)
        return rows

    def _heard(self, name: str, wav: np.ndarray, with_words: bool) -> dict:
        """Ask the judges about a recording: its embedding, rating, fundamental and, where wished for, words."""
        wav = np.asarray(wav, np.float32)
        return {
            "embedding": self.ask(self.judges.speaker, wav, lambda judge: judge.embed([wav], self.rate)[0]),
            "dnsmos": self.rating(wav) if name in ASKED["dnsmos"] else float("nan"),
            "f0": self.f0(wav) if name in ASKED["crepe_f0_correlation"] else None,
            "text": self.text(wav) if with_words else None,
        }

    def _measured(self, pair: Pair, heard: dict, with_words: bool) -> dict[str, float]:
        to = {speaker: self.similarity(heard["embedding"], own) for speaker, own in self.references.items()}
        others = [value for speaker, value in to.items() if speaker not in (pair.source, pair.target)]
        correlation = f0_correlation(heard["f0"], self.source_f0(pair.row)) if heard["f0"] is not None else np.nan
        kept = [
            words_kept(self.said(row), heard["text"]) if with_words else np.nan for row in (pair.row, pair.other_row)
        ]
        return {
            "resemblyzer_to_target": to[pair.target],
            "resemblyzer_to_source": to[pair.source],
            "resemblyzer_to_others": float(np.mean(others)) if others else float("nan"),
            "dnsmos": heard["dnsmos"],
            "crepe_f0_correlation": correlation,
            "words_kept": kept[0],
            "words_shuffled": kept[1],
        }

    def similarity(self, embedding: np.ndarray | None, reference: np.ndarray) -> float:
        """Return the cosine of an embedding with a speaker's, nan where there is none."""
        return float("nan") if embedding is None else float(cosine(embedding, reference))

    def rating(self, wav: np.ndarray) -> float:
        """Return DNSMOS' overall rating, 1 to 5."""
        found = self.ask(self.judges.quality, wav, lambda judge: judge.overall([wav], self.rate)[0])
        return float("nan") if found is None else float(found)

    def f0(self, wav: np.ndarray, judge: PitchJudge | None = None) -> np.ndarray | None:
        """Return CREPE's fundamental every 10 ms, Hz, 0 where unvoiced."""
        found = self.ask(judge or self.judges.pitch, wav, lambda own: own.track([wav], self.rate)[0])
        return None if found is None else np.where(found.voiced, found.hz, 0.0)

    def text(self, wav: np.ndarray) -> str | None:
        """Return the words that are heard."""
        return self.ask(self.judges.words, wav, lambda judge: judge.transcripts([wav], self.rate)[0])

    def ask(self, judge: Judge, wav: np.ndarray, question: Callable) -> object | None:
        """Return a judge's answer, asked once of each signal; None where the corpus lacks the band it listens to."""
        if self.rate < judge.min_rate:
            return None
        key = judge, sha256(wav.tobytes()).digest()
        if key not in self._answers:
            self._answers[key] = question(judge)
        return self._answers[key]

    def noisy(self, row: int, snr_db: float) -> np.ndarray:
        """Return a source with white noise, float32 [T]."""
        return with_white_noise(self.source(row), self.rate, snr_db, keyed_seed(0, STAGE, f"noise {row}"))

    def cached_f0(self, row: int) -> np.ndarray:
        """Return the fundamental that the cache holds of a source, Hz, at CREPE's times; 0 where unvoiced."""
        f0 = spoken(self.cache, row, self.settings.evaluation.duration_s).f0
        times_s = np.arange(1 + int(len(self.source(row)) / self.rate / HOP_S)) * HOP_S
        frames = np.round(times_s * self.rate / self.cache.settings.hop_length).astype(int)
        return f0[np.minimum(frames, len(f0) - 1)]


def words_kept(expected: str | None, heard: str | None) -> float:
    """Return 1 less the word error, 0 at least; nan where no word was heard in what was expected."""
    if not expected or heard is None:
        return float("nan")
    return max(0.0, 1.0 - word_error(expected, heard))
