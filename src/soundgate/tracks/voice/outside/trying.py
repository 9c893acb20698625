"""Whether each outside judge hears what it is asked about on this corpus, beside a judge that knows nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from soundgate.evaluation.groups import group_mean
from soundgate.evaluation.hearing import answer
from soundgate.evaluation.pairs import pair_mean
from soundgate.evaluation.statistics import Estimate
from soundgate.judges.speaker import SpeakerJudge
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.voice.audit.pairs import Evaluation, Pair
from soundgate.tracks.voice.audit.pitch import f0_correlation
from soundgate.tracks.voice.outside.listening import STAGE, OutsideListening, words_kept
from soundgate.tracks.voice.speaking import spoken

TWIN_SEED = 0


def try_judges(listening: OutsideListening, evaluation: Evaluation, seed: int, n_bootstrap: int) -> dict[str, dict]:
    """Ask every judge what is known of the sources and targets themselves.

    Args:
        listening: with the judges.
        evaluation: pairs and roles.
        seed: of the resampling.
        n_bootstrap: resamples.

    Returns:
        By judge its `answer`. There is no twin of quality, which no noise moves in one direction, nor of words, which
        hears nothing at all.
    """

    def mean(values: Sequence[float], rows: Sequence[Pair], name: str) -> Estimate:
        generator = keyed_generator(seed, STAGE, f"bootstrap {name}")
        return group_mean(np.asarray(values), np.array([pair.source for pair in rows]), generator, n_bootstrap)

    rows = list({pair.row: pair for pair in evaluation.pairs}.values())
    words = list({pair.row: pair for pair in evaluation.pairs[: listening.settings.n_word_pairs]}.values())
    settings = listening.settings
    speaker = listening.judges.speaker
    own, twin = (_separation(listening, evaluation, judge) for judge in (speaker, speaker.twin(TWIN_SEED)))
    apart = pair_mean(*own, keyed_generator(seed, STAGE, "bootstrap speaker"), n_bootstrap)
    noticed = [
        listening.rating(listening.source(pair.row)) - listening.rating(listening.noisy(pair.row, settings.noise_db))
        for pair in rows
    ]
    untrained = listening.judges.pitch.twin(TWIN_SEED)
    heard, unheard = (
        [_pitch(listening, pair.row, judge) for pair in rows] for judge in (listening.judges.pitch, untrained)
    )
    repeated = [_repeated(listening, pair) for pair in words]
    return {
        "resemblyzer": answer(
            "similarity of real utterances of the target with the target less that with the source",
            apart,
            float(np.mean(twin[0])),
        ),
        "dnsmos": answer(
            f"points by which sources are rated above themselves with white noise at {settings.noise_db:g} dB",
            mean(noticed, rows, "quality"),
        ),
        "crepe": answer(
            "correlation of its log-F0 of sources with the cache's", mean(heard, rows, "pitch"), _known_mean(unheard)
        ),
        "words": answer(
            f"words of a source kept with noise at {settings.repeat_db:g} dB, less those of another utterance",
            mean(repeated, words, "words"),
        ),
    }


def _known_mean(values: Sequence[float]) -> float | None:
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else None


def _separation(
    listening: OutsideListening, evaluation: Evaluation, judge: SpeakerJudge
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return of each pair how much more a real utterance of the target is like the target, and the pair's two ends."""
    references, duration_s = listening.references_by(judge, evaluation), listening.settings.evaluation.duration_s
    gaps = []
    for pair in evaluation.pairs:
        wav = spoken(listening.cache, pair.target_row, duration_s).wav
        embedding = judge.embed([wav], listening.rate)[0]
        to_target, to_source = (
            listening.similarity(embedding, references[name]) for name in (pair.target, pair.source)
        )
        gaps.append(to_target - to_source)
    ends = pd.DataFrame([(pair.source, pair.target) for pair in evaluation.pairs])
    return np.array(gaps), ends[0].to_numpy(), ends[1].to_numpy()


def _pitch(listening: OutsideListening, row: int, judge) -> float:
    found = listening.f0(listening.source(row), judge)
    return float("nan") if found is None else f0_correlation(found, listening.cached_f0(row))


def _repeated(listening: OutsideListening, pair: Pair) -> float:
    heard = listening.text(listening.noisy(pair.row, listening.settings.repeat_db))
    return words_kept(listening.said(pair.row), heard) - words_kept(listening.said(pair.other_row), heard)
