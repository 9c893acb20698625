"""How like a reference a signal sounds: ViSQOL's comparison of gammatone spectrograms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numba
import numpy as np
from visqol.alignment import globally_align
from visqol.analysis_window import AnalysisWindow
from visqol.audio_utils import AudioSignal
from visqol.gammatone import GammatoneSpectrogramBuilder
from visqol.patch_creator import ImagePatchCreator, VadPatchCreator
from visqol.quality_mapper import SimilarityToQualityMapper, SpeechSimilarityToQualityMapper
from visqol.visqol_core import SimilarityResult, VisqolCore, alter_for_similarity_extremes

from soundgate.audio.io import resample
from soundgate.judges.base import Card, Figure, Judge, Scores, Signals, Verdict, gather, is_silent
from soundgate.judges.packaged import Packaged
from soundgate.runtime.randomness import keyed_generator

SPEECH_RATE = 16_000
_MODEL = Packaged(
    "visqol-python",
    "visqol/model/libsvm_nu_svr_model.txt",
    "1e8246ed33bf36dc5c859351f7110f2cd31f98661989715c0fcf974ec48d3e2e",
)
_LOWEST_HZ, _OVERLAP, _SEARCH = 50.0, 0.25, 60
AUDIO_BANDS, _AUDIO_PATCH = 32, 30
_SPEECH_BANDS, _SPEECH_PATCH = 21, 20


@dataclass(frozen=True)
class SupportVectors:
    """A support vector regression with Gaussian kernels: ``coefficients @ exp(-gamma |x - vectors|²) - rho``.

    Source: Chang and Lin 2011, LIBSVM, whose text format `parse` reads.
    """

    coefficients: np.ndarray
    vectors: np.ndarray
    gamma: float
    rho: float

    @classmethod
    def parse(cls, text: str) -> SupportVectors:
        """Read a model of LIBSVM, all of whose vectors name the same features."""
        header, _, lines = text.partition("SV\n")
        settings = dict(line.split(maxsplit=1) for line in header.splitlines())
        rows = [line.split() for line in lines.splitlines()]
        vectors = np.array([[float(one.partition(":")[2]) for one in row[1:]] for row in rows])
        coefficients = np.array([float(row[0]) for row in rows])
        return cls(coefficients, vectors, float(settings["gamma"]), float(settings["rho"]))

    def predict(self, features: np.ndarray) -> float:
        """Return the value at features [D]."""
        distances = np.square(self.vectors - features).sum(axis=1)
        return float(self.coefficients @ np.exp(-self.gamma * distances) - self.rho)

    def shuffled(self, seed: int) -> SupportVectors:
        """Return the regression with its coefficients at other vectors."""
        order = keyed_generator(seed, "judge-twin", "similarity").permutation(len(self.coefficients))
        return SupportVectors(self.coefficients[order], self.vectors, self.gamma, self.rho)


@dataclass(frozen=True)
class Alike:
    """How alike two signals are, before what was learnt of ratings.

    Attributes:
        bands: float64 [32], of the whole band from low to high, at most 1.
        speech: ``visqol_speech``; None where there is none, and then the note says why.
        note: empty otherwise.
    """

    bands: np.ndarray
    speech: float | None
    note: str = ""


class _AudioMapper(SimilarityToQualityMapper):
    """ViSQOL's regression from 32 bands to a rating, without the compiled LIBSVM."""

    def __init__(self, regression: SupportVectors) -> None:
        self.regression = regression

    def init(self) -> None:
        """Do nothing: all is loaded."""

    def predict_quality(self, fvnsim: np.ndarray, *_: object) -> float:
        """Return the rating of mean similarities [32]."""
        return float(np.clip(self.regression.predict(fvnsim), 1, 5))


class SimilarityJudge(Judge):
    """Rate how like its reference a signal sounds.

    Differs: the speech rating is the published exponential fit, not the lattice network, whose runtime is too large to
        come along: identity is 5, and figures lie above the lattice's.
    """

    name = "similarity"
    sample_rate = 48_000
    min_rate = 16_000
    min_s = 1.0
    pair_figures = (
        Figure("visqol_audio", "MOS", 1, 5, "higher", "similarity over the whole band; identity is 4.73 at the most"),
        Figure("visqol_speech", "MOS", 1, 5, "higher", "similarity of active speech below 8 kHz"),
        Figure("nsim", "", 0, 1, "higher", "mean similarity of the whole band's spectrograms, before any rating"),
    )
    card = Card(
        package="visqol-python 3.8.0",
        licence="Apache-2.0",
        source="Chinen et al. 2020 (ViSQOL v3); a translation to Python of github.com/google/visqol",
        trained_on="ratings of coded music and speech at 48 kHz (audio); of degraded calls, TCD-VoIP (speech)",
        never_ask="signals that are another performance: it compares moment by moment",
        serves=("editor",),
    )

    # A shuffled regression is nearly linear: it puts all copies of a signal in order, or all in the opposite one.
    n_twins = 20

    def __init__(self, regression: SupportVectors, learnt_only: bool = False) -> None:
        self.regression = regression
        self.learnt_only = learnt_only

    def twin(self, seed: int) -> SimilarityJudge:
        """Return the judge with its regression's coefficients shuffled, without figures that need no weights."""
        return SimilarityJudge(self.regression.shuffled(seed), learnt_only=True)

    def bands(self, reference: Signals, degraded: Signals, sample_rate: int) -> np.ndarray:
        """Return how alike signals are in each band, which takes the time; `rating` makes ``visqol_audio`` of it.

        Args:
            reference: see `compare`.
            degraded: as many signals.
            sample_rate: Hz of all of them.

        Returns:
            float64 [B, 32], from low to high, at most 1; their mean is ``nsim``. NaN where one of two is silent.

        Raises:
            TypeError: see `score`.
            ValueError: see `score`, or not as many signals as references.
        """
        return np.stack([
            np.full(AUDIO_BANDS, np.nan) if any(map(is_silent, pair)) else self._bands(*pair)
            for pair in self._pairs(reference, degraded, sample_rate)
        ])  # fmt: skip

    def hear(self, reference: Signals, degraded: Signals, sample_rate: int) -> list[Alike]:
        """Return how alike signals are, none of them silent; `rated` makes figures of it. See `bands`."""
        return [self._alike(*pair) for pair in self._pairs(reference, degraded, sample_rate)]

    def rated(self, heard: Sequence[Alike]) -> Scores:
        """Return the figures that `compare` gives of signals so alike."""
        return gather(self.pair_figures, [self._verdict(one) for one in heard])

    def rating(self, bands: np.ndarray) -> float:
        """Return ``visqol_audio`` of the similarities of one pair [32], see `bands`; NaN where they are."""
        if np.isnan(bands).any():
            return float("nan")
        predicted = _AudioMapper(self.regression).predict_quality(bands)
        return float(alter_for_similarity_extremes(float(bands.mean()), predicted))

    def _pairs(
        self, reference: Signals, degraded: Signals, sample_rate: int
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        pair = ("reference", reference), ("degraded", degraded)
        return zip(*(self.signals(what, wav, sample_rate) for what, wav in pair), strict=True)

    def _bands(self, reference: np.ndarray, degraded: np.ndarray) -> np.ndarray:
        builder = GammatoneSpectrogramBuilder(AUDIO_BANDS, _LOWEST_HZ, speech_mode=False)
        patches, mapper = ImagePatchCreator(_AUDIO_PATCH), _AudioMapper(self.regression)
        return _visqol(reference, degraded, self.sample_rate, builder, patches, mapper).fvnsim

    def _alike(self, reference: np.ndarray, degraded: np.ndarray) -> Alike:
        bands = self._bands(reference, degraded)
        narrow = [resample(wav[None], self.sample_rate, SPEECH_RATE)[0] for wav in (reference, degraded)]
        builder = GammatoneSpectrogramBuilder(_SPEECH_BANDS, _LOWEST_HZ, speech_mode=True)
        patches, mapper = VadPatchCreator(_SPEECH_PATCH), SpeechSimilarityToQualityMapper()
        try:
            return Alike(bands, _visqol(*narrow, SPEECH_RATE, builder, patches, mapper).moslqo)
        except ValueError as error:
            return Alike(bands, None, f"no visqol_speech: {error}")

    def _verdict(self, alike: Alike) -> Verdict:
        audio = self.rating(alike.bands)
        if self.learnt_only:
            return Verdict({"visqol_audio": audio}, "a twin: its other figures need no weights")
        speech = {} if alike.speech is None else {"visqol_speech": alike.speech}
        return Verdict({"visqol_audio": audio, "nsim": float(alike.bands.mean())} | speech, alike.note)

    def _compare(self, reference: np.ndarray, degraded: np.ndarray) -> Verdict:
        return self._verdict(self._alike(reference, degraded))


def _visqol(
    reference: np.ndarray,
    degraded: np.ndarray,
    sample_rate: int,
    builder: GammatoneSpectrogramBuilder,
    patches: ImagePatchCreator | VadPatchCreator,
    mapper: SimilarityToQualityMapper,
) -> SimilarityResult:
    numba.set_num_threads(1)
    first, second = (AudioSignal(wav, sample_rate) for wav in (reference, degraded))
    second, _ = globally_align(first, second)
    window = AnalysisWindow(sample_rate, _OVERLAP)
    return VisqolCore().calculate_similarity(first, second, builder, window, patches, _SEARCH, mapper)


def load() -> SimilarityJudge:
    """Load the judge; see `soundgate.judges.registry.load_judge`."""
    return SimilarityJudge(SupportVectors.parse(_MODEL.locate().read_text()))
