"""Builds the cache of utterances: who is in which split, decoded samples, the fundamental frequency."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from soundgate.audio.io import read_audio
from soundgate.audio.loudness import normalise_loudness
from soundgate.runtime.config import Section
from soundgate.runtime.console import logger
from soundgate.runtime.errors import CorpusError
from soundgate.runtime.execution import map_items
from soundgate.runtime.files import atomic_path
from soundgate.runtime.npz import write_npz
from soundgate.runtime.paths import path_from_text
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.voice.cache import COLUMNS, FULL_SCALE, SPLITS, write_cache
from soundgate.tracks.voice.features import FeatureSettings, track_f0

STAGE = "voice-cache"
REJECTED_FILE = "rejected.csv"
_PEAK = 0.99
# Speakers that conversion cannot do with less of: from whom to whom.
_FEWEST_SPEAKERS = 2
# Utterances of a speaker that cannot be compared with less: to train on, and to validate.
_FEWEST_UTTERANCES = 2


class SplitSettings(Section):
    """Who may learn from whom.

    Args:
        judge: share of the speakers that the judges alone learn from.
        test: share of the speakers that nobody learns from.
        validation: share of the utterances of the speakers left that are not trained on.
        folds: into how many parts the speakers are divided for a cross-validation, each of which is ``test`` once.
        fold: the part that is ``test``, from 0, in place of a share of them; None: no cross-validation.
    """

    judge: float = Field(gt=0, lt=1)
    test: float = Field(gt=0, lt=1)
    validation: float = Field(gt=0, lt=1)
    folds: int = Field(ge=2)
    fold: int | None = Field(ge=0)

    @model_validator(mode="after")
    def _something_left(self) -> SplitSettings:
        if self.judge + self.test >= 1:
            raise ValueError("judge and test must leave speakers to train on")
        if self.fold is not None and self.fold >= self.folds:
            raise ValueError(f"fold {self.fold} of {self.folds}: they are numbered from 0")
        return self


class CacheSettings(Section):
    """Section ``voice.cache``.

    Args:
        features: see `FeatureSettings`.
        split: see `SplitSettings`.
        speaker_s: seconds of a speaker that are enough; further utterances are left out.
        min_s: a shorter utterance is left out.
        max_s: of a longer utterance the beginning is used.
        min_utterances: a speaker with fewer is left out.
        loudness_lufs: of every utterance; lower where its peak would be cut off.
    """

    features: FeatureSettings
    split: SplitSettings
    speaker_s: float = Field(gt=0)
    min_s: float = Field(ge=0.5)
    max_s: float = Field(gt=0)
    min_utterances: int = Field(ge=2 * _FEWEST_UTTERANCES)
    loudness_lufs: float = Field(le=0)


class _Utterance(NamedTuple):
    """The work of one item."""

    path: Path
    part: Path


class _Samples(Sequence):
    """The samples of utterances, read when they are asked for."""

    def __init__(self, parts: list[Path]) -> None:
        self._parts = parts

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, row: int) -> np.ndarray:
        return _read(self._parts[row], "samples")


def build_cache(settings: CacheSettings, index: pd.DataFrame, seed: int, work: Path, out: Path) -> dict:
    """Cache some of every speaker.

    Args:
        settings: see `CacheSettings`.
        index: of the speech corpus.
        seed: of the draws of utterances and splits.
        work: finished utterances are kept here, so that a killed run goes on.
        out: the cache's folder; ``rejected.csv`` there names what was left out for a fault, and why.

    Returns:
        Counts: ``n_speakers`` and ``n_utterances`` by split, ``n_rejected``, ``minutes``, ``voiced`` (share of frames).

    Raises:
        CorpusError: fewer than two speakers for training, judges or test.
    """
    chosen, rejected = _choose(index, settings, seed)
    items = [
        _Utterance(path_from_text(row.path).absolute(), (work / "parts" / f"{row.utterance}.npz").absolute())
        for row in chosen.itertuples()
    ]
    parts = list(map_items(partial(_cache_utterance, settings), items, "samples and fundamentals"))
    f0 = [_read(part, "f0") for part in parts]
    voiced = np.array([np.count_nonzero(own) > 1 for own in f0], bool)
    rejected += [_rejected(row, "no voiced frames") for row in chosen[~voiced].itertuples()]
    chosen = chosen.assign(part=parts, voiced=f0)[voiced]
    chosen, too_few = _with_enough(chosen, settings.min_utterances)
    chosen["split"] = _split(chosen, settings.split, seed)
    # The order of the splits, then of the utterances.
    chosen = chosen.sort_values("utterance").sort_values("split", key=_rank, kind="stable", ignore_index=True)
    chosen = chosen.join(_log_f0(chosen), on="speaker")
    samples, f0 = _Samples(list(chosen["part"])), [_read(part, "f0") for part in chosen["part"]]
    chosen["n_samples"] = [len(own) for own in samples]
    write_cache(out, settings.features, chosen[COLUMNS], samples, f0)
    _write_rejected(out, rejected + too_few)
    return _counts(chosen, np.concatenate(f0), len(rejected + too_few), settings.features.sample_rate)


def _choose(index: pd.DataFrame, settings: CacheSettings, seed: int) -> tuple[pd.DataFrame, list[dict]]:
    """Draw utterances of every speaker until there are enough seconds."""
    index = index.rename(columns={"utt_id": "utterance", "speaker_id": "speaker"})[
        ["utterance", "speaker", "path", "duration_s"]
    ]
    short = index["duration_s"] < settings.min_s
    rejected = [_rejected(row, f"shorter than {settings.min_s:g} s") for row in index[short].itertuples()]
    kept = []
    for speaker, own in index[~short].groupby("speaker", sort=True):
        drawn = own.iloc[keyed_generator(seed, STAGE, f"utterances of {speaker}").permutation(len(own))]
        seconds = drawn["duration_s"].clip(upper=settings.max_s).cumsum()
        enough = max(settings.min_utterances, 1 + int((seconds < settings.speaker_s).sum()))
        kept.append(drawn.iloc[:enough].sort_values("utterance"))
    return pd.concat([index.iloc[:0], *kept], ignore_index=True), rejected


def _with_enough(chosen: pd.DataFrame, fewest: int) -> tuple[pd.DataFrame, list[dict]]:
    """Leave out speakers with too few utterances."""
    counts = chosen["speaker"].value_counts()
    rejected = [
        {"speaker": speaker, "utterance": "", "reason": f"{count} usable utterances, {fewest} are needed"}
        for speaker, count in counts[counts < fewest].sort_index().items()
    ]
    return chosen[chosen["speaker"].map(counts) >= fewest].copy(), rejected


def _split(chosen: pd.DataFrame, settings: SplitSettings, seed: int) -> pd.Series:
    """Draw each speaker's split, and which utterances of the training speakers validate."""
    result = chosen["speaker"].map(deal_out(chosen["speaker"].unique(), settings, seed))
    for speaker, own in chosen[result == "train"].groupby("speaker"):
        count = min(max(_FEWEST_UTTERANCES, round(settings.validation * len(own))), len(own) - _FEWEST_UTTERANCES)
        drawn = keyed_generator(seed, STAGE, f"validation of {speaker}").permutation(own.index.to_numpy())
        result[drawn[:count]] = "validation"
    return result


def deal_out(speakers: Iterable[str], settings: SplitSettings, seed: int) -> dict[str, str]:
    """Draw who is ``test``, ``judge`` or ``train``.

    The draw depends on the names and the seed, not on their order. Folds are parts of one order of the speakers, so
    each speaker is ``test`` in one of them; whoever follows, in a circle, is ``judge``, and the others ``train``.

    Args:
        speakers: their names.
        settings: see `SplitSettings`.
        seed: of the draw.

    Raises:
        CorpusError: fewer than two speakers for training, judges or test.
    """
    order = keyed_generator(seed, STAGE, "speakers").permutation(sorted(speakers)).tolist()
    n_test, n_judge = (max(_FEWEST_SPEAKERS, round(share * len(order))) for share in (settings.test, settings.judge))
    if settings.fold is not None:
        first, last = (number * len(order) // settings.folds for number in (settings.fold, settings.fold + 1))
        order, n_test = order[first:] + order[:first], last - first
    if n_test < _FEWEST_SPEAKERS or len(order) < n_test + n_judge + _FEWEST_SPEAKERS:
        raise CorpusError(
            STAGE,
            expected=f"{_FEWEST_SPEAKERS} speakers or more each for training, for judges and for the test",
            found=f"{len(order)} usable speakers, of which {n_test} test and {n_judge} train judges",
            remedy="Add speakers, lower voice.cache.split or voice.cache.min_utterances.",
        )
    names = ["test"] * n_test + ["judge"] * n_judge + ["train"] * (len(order) - n_test - n_judge)
    return dict(zip(order, names, strict=True))


def _rank(splits: pd.Series) -> pd.Series:
    return splits.map(SPLITS.index)


def _log_f0(chosen: pd.DataFrame) -> pd.DataFrame:
    """Return mean and deviation of the natural logarithm of the fundamental, by speaker."""
    logs = chosen.groupby("speaker")["voiced"].agg(lambda own: np.log(np.concatenate([f0[f0 > 0] for f0 in own])))
    return pd.DataFrame(
        {"log_f0_mean": [float(own.mean()) for own in logs], "log_f0_std": [float(own.std()) for own in logs]},
        index=logs.index,
    ).astype(np.float32)


def _cache_utterance(settings: CacheSettings, item: _Utterance) -> Path:
    """Write one utterance's samples and fundamental, unless a killed run did."""
    if not item.part.is_file():
        rate = settings.features.sample_rate
        wav = read_audio(item.path, rate, mono=True).wav[0][: round(settings.max_s * rate)]
        wav, _ = normalise_loudness(wav, rate, settings.loudness_lufs)
        wav = wav * min(1.0, _PEAK / max(float(np.abs(wav).max()), 1e-9))
        arrays = {
            "samples": np.rint(wav * FULL_SCALE).astype(np.int16),
            "f0": track_f0(wav, settings.features),
        }
        with atomic_path(item.part) as temporary:
            write_npz(temporary, arrays)
    return item.part


def _read(part: Path, name: str) -> np.ndarray:
    with np.load(part) as arrays:
        return arrays[name]


def _rejected(row: tuple, reason: str) -> dict:
    return {"speaker": row.speaker, "utterance": row.utterance, "reason": reason}


def _write_rejected(out: Path, rows: list[dict]) -> None:
    if rows:
        logger.warning("%s: %d utterances or speakers left out, see %s", STAGE, len(rows), REJECTED_FILE)
    with atomic_path(out / REJECTED_FILE) as temporary:
        table = pd.DataFrame(rows, columns=["speaker", "utterance", "reason"])
        table.to_csv(temporary, index=False, lineterminator="\n")


def _counts(chosen: pd.DataFrame, f0: np.ndarray, n_rejected: int, sample_rate: int) -> dict:
    by_split = chosen.groupby("split")
    return {
        "n_speakers": {split: int(by_split["speaker"].nunique().get(split, 0)) for split in SPLITS},
        "n_utterances": {split: int(by_split.size().get(split, 0)) for split in SPLITS},
        "n_rejected": n_rejected,
        "minutes": round(float(chosen["n_samples"].sum()) / sample_rate / 60, 2),
        "voiced": round(float((f0 > 0).mean()), 4),
    }
