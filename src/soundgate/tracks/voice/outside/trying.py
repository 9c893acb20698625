"""Whether each outside judge hears what it is asked about on this corpus, beside a judge that knows nothing."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from soundgate.evaluation.groups import group_mean
from soundgate.evaluation.hearing import answer
from soundgate.evaluation.pairs import pair_mean
from soundgate.judges.speaker import SpeakerJudge
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.voice.audit.pairs import Evaluation, Pair
from soundgate.tracks.voice.audit.pitch import f0_correlation
from soundgate.tracks.voice.outside.listening import STAGE, OutsideListening, words_kept
from soundgate.tracks.voice.outside.settings import OutsideSettings
from soundgate.tracks.voice.speaking import spoken

TWIN_SEED = 0
TRIAL_COLUMNS = ["judge", "source", "target", "value", "twin"]
# What the resampling of each judge's answers is called.
_DRAWS = {"resemblyzer": "speaker", "dnsmos": "quality", "crepe": "pitch", "words": "words"}


def ask_trials(listening: OutsideListening, evaluation: Evaluation) -> pd.DataFrame:
    """Ask every judge what is known of the sources and targets themselves.

    Args:
        listening: with the judges.
        evaluation: pairs and roles.

    Returns:
        ``TRIAL_COLUMNS``, one row a question: of a pair for `resemblyzer`, of a source for the others (``target`` is
        the source then). ``twin``: the answer of a judge whose weights know nothing; nan for quality, which no noise
        moves in one direction, and for words, of which it hears none at all.
    """
    rows = list({pair.row: pair for pair in evaluation.pairs}.values())
    words = list({pair.row: pair for pair in evaluation.pairs[: listening.settings.n_word_pairs]}.values())
    speaker, pitch = listening.judges.speaker, listening.judges.pitch
    apart = (_separation(listening, evaluation, judge) for judge in (speaker, speaker.twin(TWIN_SEED)))
    untrained = pitch.twin(TWIN_SEED)
    trials = [
        ("resemblyzer", pair.source, pair.target, *both) for pair, *both in zip(evaluation.pairs, *apart, strict=True)
    ]
    trials += [("dnsmos", pair.source, pair.source, _noticed(listening, pair.row), np.nan) for pair in rows]
    trials += [
        ("crepe", pair.source, pair.source, *(_pitch(listening, pair.row, judge) for judge in (pitch, untrained)))
        for pair in rows
    ]
    trials += [("words", pair.source, pair.source, _repeated(listening, pair), np.nan) for pair in words]
    return pd.DataFrame(trials, columns=TRIAL_COLUMNS)


def answers(trials: pd.DataFrame, settings: OutsideSettings, seed: int) -> dict[str, dict]:
    """Return by judge its `answer`, with an interval over speakers.

    Args:
        trials: from `ask_trials`.
        settings: see `OutsideSettings`.
        seed: of the resampling.
    """
    asked = {
        "resemblyzer": "similarity of real utterances of the target with the target less that with the source",
        "dnsmos": f"points by which sources are rated above themselves with white noise at {settings.noise_db:g} dB",
        "crepe": "correlation of its log-F0 of sources with the cache's",
        "words": f"words of a source kept with noise at {settings.repeat_db:g} dB, less those of another utterance",
    }
    found = {}
    for judge, question in asked.items():
        rows, name = trials[trials["judge"] == judge], _DRAWS[judge]
        values, source, target = (rows[column].to_numpy() for column in ("value", "source", "target"))
        generator = keyed_generator(seed, STAGE, f"bootstrap {name}")
        if judge == "resemblyzer":
            estimate = pair_mean(values, source, target, generator, settings.n_bootstrap)
        else:
            estimate = group_mean(values, source, generator, settings.n_bootstrap)
        found[judge] = answer(question, estimate, _known_mean(rows["twin"]))
    return found


def _known_mean(values: Iterable[float]) -> float | None:
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else None


def _separation(listening: OutsideListening, evaluation: Evaluation, judge: SpeakerJudge) -> list[float]:
    """Return of each pair how much more a real utterance of the target is like the target than like the source."""
    references, duration_s = listening.references_by(judge, evaluation), listening.settings.evaluation.duration_s
    gaps = []
    for pair in evaluation.pairs:
        wav = spoken(listening.cache, pair.target_row, duration_s).wav
        embedding = judge.embed([wav], listening.rate)[0]
        to_target, to_source = (
            listening.similarity(embedding, references[name]) for name in (pair.target, pair.source)
        )
        gaps.append(to_target - to_source)
    return gaps


def _noticed(listening: OutsideListening, row: int) -> float:
    noisy = listening.noisy(row, listening.settings.noise_db)
    return listening.rating(listening.source(row)) - listening.rating(noisy)


def _pitch(listening: OutsideListening, row: int, judge) -> float:
    found = listening.f0(listening.source(row), judge)
    return float("nan") if found is None else f0_correlation(found, listening.cached_f0(row))


def _repeated(listening: OutsideListening, pair: Pair) -> float:
    heard = listening.text(listening.noisy(pair.row, listening.settings.repeat_db))
    return words_kept(listening.said(pair.row), heard) - words_kept(listening.said(pair.other_row), heard)
