"""Questions asked of real speech: who speaks, which copy has more noise, how much faster it was played."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import kendalltau
from sklearn.metrics import roc_curve

from soundgate.audio.io import resample
from soundgate.audio.noise import coloured_noise
from soundgate.audio.snr import mix_at_snr
from soundgate.evaluation.resampling import weighted_estimate
from soundgate.evaluation.statistics import Estimate
from soundgate.judges.base import Judge
from soundgate.judges.pitch import PitchJudge
from soundgate.judges.similarity import SimilarityJudge
from soundgate.judges.speaker import SpeakerJudge
from soundgate.judges.trial.questions import N_BOOTSTRAP, Question, Recording, Statistics, each, mean_by_group
from soundgate.judges.words import WordsJudge, word_error
from soundgate.runtime.randomness import keyed_generator, keyed_seed

SNRS_DB = (20.0, 10.0, 0.0)
WORDS_SNR_DB = 20.0
SEMITONES = (-3, 3)
# Clips: what a judge costs decides how many are asked.
MANY, FEW, CLIP_S = 5, 1, 5.0
_RIGHT_CENTS = 50.0


def equal_error(scores: np.ndarray, same: np.ndarray, weights: np.ndarray) -> float:
    """Return the equal error rate of weighted pairs, scores [n] higher where ``same`` [n]; NaN with one kind alone."""
    used = weights > 0
    if not (same & used).any() or not (~same & used).any():
        return float("nan")
    false, true, _ = roc_curve(same[used], scores[used], sample_weight=weights[used], drop_intermediate=False)
    difference = false - (1 - true)
    at = int(np.argmax(difference >= 0))
    share = -difference[at - 1] / (difference[at] - difference[at - 1])
    return float(false[at - 1] + share * (false[at] - false[at - 1]))


def _clips(recordings: Sequence[Recording], per_speaker: int, seconds: float) -> list[Recording]:
    """Return the first recordings of each speaker, cut to seconds."""
    chosen, counts = [], {}
    for one in recordings:
        if counts.setdefault(one.speaker, 0) < per_speaker:
            counts[one.speaker] += 1
            chosen.append(
                Recording(one.name, one.speaker, one.wav[: round(seconds * one.sample_rate)], one.sample_rate)
            )
    return chosen


def _noisy(one: Recording, snr_db: float) -> np.ndarray:
    """Return a recording in pink noise, float32 [T]."""
    noise = coloured_noise("pink", len(one.wav), one.sample_rate, keyed_seed(0, "judge-trial-noise", one.name))
    return mix_at_snr(one.wav, noise, snr_db, one.sample_rate, len(one.wav))[0]


@each
def _speakers(judge: SpeakerJudge, recordings: Sequence[Recording]) -> Statistics:
    clips = _clips(recordings, MANY, CLIP_S)
    vectors = np.concatenate([judge.embed(one.wav[None], one.sample_rate) for one in clips])
    names, speakers = np.unique([one.speaker for one in clips], return_inverse=True)
    first, second = np.triu_indices(len(clips), 1)
    scores, same = (vectors[first] * vectors[second]).sum(axis=1), speakers[first] == speakers[second]

    def statistic(counts: np.ndarray) -> float:
        weights = counts[speakers[first]] * np.where(same, 1, counts[speakers[second]])
        return equal_error(scores, same, weights)

    found = weighted_estimate(statistic, len(names), keyed_generator(0, "judge-trial"), N_BOOTSTRAP)
    return {"eer": Estimate(found.value, max(0.0, found.ci_low), min(1.0, found.ci_high), found.n)}


@each
def _quality(judge: Judge, recordings: Sequence[Recording]) -> Statistics:
    clips = _clips(recordings, FEW, CLIP_S)
    # From the noisiest to the clean one.
    copies = [[*(_noisy(one, snr) for snr in SNRS_DB[::-1]), one.wav] for one in clips]
    scores = [judge.score(np.stack(own), one.sample_rate).values for own, one in zip(copies, clips, strict=True)]
    return _ranks(scores, clips)


def _similarity(judges: Sequence[SimilarityJudge], recordings: Sequence[Recording]) -> list[Statistics]:
    """Hear each pair once: the judge and its twins differ in what they make of it."""
    clips, heard = _clips(recordings, FEW, CLIP_S), []
    for one in clips:
        copies = np.stack([*(_noisy(one, snr) for snr in SNRS_DB[::-1]), one.wav])
        heard.append(judges[0].hear(np.broadcast_to(one.wav, copies.shape), copies, one.sample_rate))
    return [_ranks([judge.rated(own).values for own in heard], clips) for judge in judges]


def _ranks(scores: Sequence[dict[str, np.ndarray]], clips: Sequence[Recording]) -> Statistics:
    """Return for each figure Kendall's tau with the order of the copies: 0 where all score alike."""
    speakers = [one.speaker for one in clips]
    order = np.arange(len(SNRS_DB) + 1)
    agreements = {key: [_tau(order, own[key]) for own in scores] for key in scores[0]}
    return {key: mean_by_group(values, speakers, -1, 1) for key, values in agreements.items()}


def _tau(order: np.ndarray, values: np.ndarray) -> float:
    if np.isnan(values).any() or np.ptp(values) == 0:
        return 0.0 if np.isfinite(values).all() else float("nan")
    return float(kendalltau(order, values).statistic)


@each
def _speed(judge: PitchJudge, recordings: Sequence[Recording]) -> Statistics:
    """Play recordings faster or slower, which moves every pitch by known semitones."""
    right, speakers = [], []
    for one in _clips(recordings, FEW, CLIP_S):
        for semitones in SEMITONES:
            rate = round(one.sample_rate / 2 ** (semitones / 12))
            moved = resample(one.wav[None], one.sample_rate, rate)
            before, after = (judge.score(wav, one.sample_rate).values["pitch_hz"][0] for wav in (one.wav[None], moved))
            expected = 1200 * np.log2(one.sample_rate / rate)
            right.append(float(abs(1200 * np.log2(after / before) - expected) <= _RIGHT_CENTS))
            speakers.append(one.speaker)
    return {"speed": mean_by_group(right, speakers, 0, 1)}


@each
def _repeated_words(judge: WordsJudge, recordings: Sequence[Recording]) -> Statistics:
    errors, speakers = [], []
    for one in _clips(recordings, FEW, CLIP_S):
        clean, noisy = judge.transcripts(np.stack([one.wav, _noisy(one, WORDS_SNR_DB)]), one.sample_rate)
        # Where nothing is heard nothing is heard again.
        errors.append(word_error(clean, noisy) if clean else 1.0)
        speakers.append(one.speaker)
    return {"repeated": mean_by_group(errors, speakers, 0, np.inf)}


_RANKED = "clean, 20, 10 and 0 dB of pink noise put in order (Kendall's tau) by"
SPEAKERS = Question("eer", "same speaker or another: equal error rate", "speaker", "lower", 0.5, _speakers)
QUALITY = tuple(
    Question(key, f"{_RANKED} {key}", "speaker", "higher", 0.0, _quality)
    for key in (
        "dnsmos_overall",
        "dnsmos_signal",
        "dnsmos_background",
        "personal_dnsmos_overall",
        "dnsmos_p808",
        "plcmos",
    )
)
SIMILARITY = tuple(
    Question(key, f"{_RANKED} {key}", "speaker", "higher", 0.0, _similarity)
    for key in ("visqol_audio", "visqol_speech", "nsim")
)
SPEED = Question(
    "speed", "speech played 3 semitones up and down: median within 50 cents", "speaker", "higher", 0.0, _speed
)
REPEATED_WORDS = Question(
    "repeated",
    "speech at 20 dB of pink noise: word error by the clean transcript",
    "speaker",
    "lower",
    1.0,
    _repeated_words,
)
