"""WORLD with another voice's statistics: its pitch alone, or its pitch, its length of throat and its timbre."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from scipy.fft import dct, idct
from sklearn.covariance import ledoit_wolf

from soundgate.tracks.voice.baselines.contract import Frames, Moments, UnknownVoiceError, Voice
from soundgate.tracks.voice.baselines.vocoder import (
    FRAME_PERIOD_S,
    LOWEST_RATE,
    Analysis,
    Block,
    Vocoder,
    blocks,
    joined,
)

F0_MIN_HZ, F0_MAX_HZ = 60.0, 500.0
# Less of a voice says nothing.
FEWEST_VOICED_S = 0.5
# The fundamental that is synthesised, and by how much its range may be made wider or narrower.
_MADE_HZ, _RANGES = (40.0, 900.0), (0.5, 2.0)
# Throats differ by hardly more. Formants below and above these frequencies do not tell them apart.
_WARPS, _WARP_BAND_HZ = np.linspace(0.8, 1.25, 46), (250.0, 4_500.0)
# The envelope's ripples that belong to a voice; those finer belong to what was said.
N_CEPSTRA = 24
# Above this share of half the rate the low-pass of a resampler leaves next to nothing, which says nothing of a voice.
_BAND = 0.9
# By which envelopes are raised or lowered at the most, 20 dB: of a band that one recording lacks nothing is to be made.
_MOST_CHANGE = math.log(100)
# Frames whose envelopes are taken to be distributed: so much of the loudest one's power, 40 dB, and 50 ms apart.
_AUDIBLE, _APART_FRAMES = 1e-4, 10
# Of a coefficient that hardly moves in a recording; and the share of variances that is added to them.
_LEAST_DEVIATION, _RIDGE = 1e-3, 0.01
_TINY = 1e-16


class WorldMethod(ABC):
    """What all methods on WORLD share: pitch, blocks and what is known of a voice.

    Args:
        sample_rate: Hz, 16,000 at least.
        vocoder: of that rate, which methods may share; None: one of its own.
    """

    name: str

    def __init__(self, sample_rate: int = LOWEST_RATE, vocoder: Vocoder | None = None) -> None:
        self.sample_rate = sample_rate
        self.vocoder = vocoder or Vocoder(sample_rate, F0_MIN_HZ, F0_MAX_HZ)

    def enrol(self, recordings: Sequence[np.ndarray]) -> Voice:
        """Return what is known of a speaker; see `soundgate.tracks.voice.baselines.contract.Method`."""
        log_f0, total, coded, gathered = [np.zeros(0)], np.zeros(self.vocoder.n_bins), [], []
        for wav in map(checked, recordings):
            for block in blocks(wav, self.sample_rate):
                analysis = self.vocoder.analyse(wav[block.kept])
                gathered.append(self.gather(wav[block.kept], analysis))
                coded.append(self.vocoder.code(audible(analysis)))
                voiced = analysis.f0 > 0
                log_f0.append(np.log(analysis.f0[voiced]))
                total += np.log(analysis.envelope[voiced] + _TINY).sum(axis=0)
        values = np.concatenate(log_f0)
        voiced_s = len(values) * FRAME_PERIOD_S
        if voiced_s < FEWEST_VOICED_S:
            raise UnknownVoiceError(
                f"expected {FEWEST_VOICED_S:g} s of voiced speech or more; found {voiced_s:.2f} s. "
                "Give recordings of one speaker without music, some seconds long."
            )
        mean = total / len(values)
        level = np.log(np.exp(mean).sum())
        return Voice(
            float(values.mean()), float(values.std()), mean - level, voiced_s, moments_of(np.concatenate(coded)),
            self.frames(gathered),
        )  # fmt: skip

    def convert(
        self, wav: np.ndarray, own: Voice, voice: Voice, *, semitones: float = 0.0, formant: float = 1.0
    ) -> np.ndarray:
        """Return the same words in another voice; see `soundgate.tracks.voice.baselines.contract.Method`."""
        wav = checked(wav)
        if not formant > 0:
            raise ValueError(f"formant: expected a factor above 0; found {formant}")

        def made(block: Block) -> np.ndarray:
            read = wav[block.read]
            analysis = self.vocoder.analyse(read)
            filtered = self.filtered(read, analysis, own, voice, formant)
            f0 = mapped_f0(analysis.f0, own, voice, semitones)
            return self.vocoder.synthesise(filtered._replace(f0=f0), len(read))

        parts = ((block, made(block)) for block in blocks(wav, self.sample_rate))
        return joined(parts, len(wav), self.sample_rate)

    def gather(self, wav: np.ndarray, analysis: Analysis) -> tuple[np.ndarray, ...]:
        """Return arrays of a part of an enrolment recording that `frames` is to have, none by default."""
        return ()

    def frames(self, gathered: list[tuple[np.ndarray, ...]]) -> Frames | None:
        """Return the frames that others' are matched with, none by default, from what `gather` returned."""
        return None

    @abstractmethod
    def filtered(self, wav: np.ndarray, analysis: Analysis, own: Voice, voice: Voice, formant: float) -> Analysis:
        """Return the frames with another envelope and aperiodicity; F0 is not touched.

        Args:
            wav: float32 [T], what was analysed.
            analysis: of it.
            own: its speaker.
            voice: the voice wished for.
            formant: factor of the envelope's frequencies beyond the target's.
        """


class WorldF0(WorldMethod):
    """The pitch of another voice, in mean and range, and nothing else of it."""

    name = "world_f0"

    def filtered(self, wav: np.ndarray, analysis: Analysis, own: Voice, voice: Voice, formant: float) -> Analysis:
        """Return the frames as they are, their frequencies scaled where that is wished for."""
        return scaled(analysis, formant)


class WorldEnvelope(WorldMethod):
    """The pitch of another voice, its formants' scale, and the difference between both mean envelopes.

    Args:
        sample_rate: Hz, 16,000 at least.
        vocoder: see `WorldMethod`.
        n_cepstra: of the difference, from the mean on; more of them follow the target more closely.
    """

    name = "world_env"

    def __init__(
        self, sample_rate: int = LOWEST_RATE, vocoder: Vocoder | None = None, n_cepstra: int = N_CEPSTRA
    ) -> None:
        super().__init__(sample_rate, vocoder)
        self.n_cepstra = n_cepstra

    def filtered(self, wav: np.ndarray, analysis: Analysis, own: Voice, voice: Voice, formant: float) -> Analysis:
        """Return the frames with formants moved and timbre changed."""
        factor = formant_factor(own, voice, self.sample_rate)
        moved = scaled(analysis, factor)
        change = voice.log_envelope - stretched(own.log_envelope, factor)
        edge = _edge(len(change))
        change[edge:] = change[edge]
        change = low_quefrencies(np.clip(change, -_MOST_CHANGE, _MOST_CHANGE), self.n_cepstra)
        return scaled(moved._replace(envelope=moved.envelope * np.exp(change)), formant)


def audible(analysis: Analysis) -> np.ndarray:
    """Return envelopes [N, n_bins] of one frame in 50 ms, without those 40 dB below the loudest; one at least."""
    power = analysis.envelope.sum(axis=1)
    rows = np.flatnonzero(power >= _AUDIBLE * power.max())
    return analysis.envelope[rows[::_APART_FRAMES]]


def moments_of(coded: np.ndarray) -> Moments:
    """Return mean and covariance of coded envelopes: one with an inverse, nearer to a diagonal one the fewer there are.

    Args:
        coded: float [N, n_coded], frames far enough apart to count as independent; N is 1 or more.

    Source: Ledoit and Wolf 2004, "A well-conditioned estimator for large-dimensional covariance matrices", of values
        with deviation 1.
    """
    coded = np.asarray(coded, np.float64)
    mean, deviation = coded.mean(axis=0), np.maximum(coded.std(axis=0), _LEAST_DEVIATION)
    covariance, _ = ledoit_wolf((coded - mean) / deviation, assume_centered=True)
    return Moments(mean, (covariance + _RIDGE * np.eye(len(mean))) * np.outer(deviation, deviation))


def at_own_level(envelope: np.ndarray, analysis: Analysis) -> np.ndarray:
    """Return envelopes [L, n_bins] with the power of the frames that they are to stand for."""
    return envelope * (analysis.envelope.sum(axis=1, keepdims=True) / (envelope.sum(axis=1, keepdims=True) + _TINY))


def checked(wav: np.ndarray) -> np.ndarray:
    """Return a recording [T] as float32.

    Raises:
        ValueError: another number of axes, or samples that are not finite.
    """
    wav = np.ascontiguousarray(wav, np.float32)
    if wav.ndim != 1:
        raise ValueError(f"recording: expected one axis, [T]; found shape {list(wav.shape)}")
    if not np.isfinite(wav).all():
        raise ValueError("recording: expected finite samples; found NaN or infinite ones")
    return wav


def mapped_f0(f0: np.ndarray, own: Voice, voice: Voice, semitones: float) -> np.ndarray:
    """Return a fundamental with another voice's mean and range of its logarithm, Hz, 0 where unvoiced.

    Args:
        f0: float64 [L], Hz, 0 where unvoiced.
        own: its speaker.
        voice: the voice wished for.
        semitones: beyond the target's mean.
    """
    voiced = f0 > 0
    spread = np.clip(voice.log_f0_std / max(own.log_f0_std, 1e-3), *_RANGES)
    logs = np.log(np.where(voiced, f0, 1.0)) - own.log_f0_mean
    mapped = np.exp(voice.log_f0_mean + spread * logs + semitones * math.log(2) / 12)
    return np.where(voiced, np.clip(mapped, *_MADE_HZ), 0.0)


def formant_factor(own: Voice, voice: Voice, sample_rate: int) -> float:
    """Return the factor of frequency that brings one mean envelope nearest to another's, 0.8 to 1.25.

    Args:
        own: whose envelope is scaled.
        voice: the voice wished for.
        sample_rate: Hz.
    """
    bins = np.linspace(0, sample_rate / 2, len(own.log_envelope))
    band = (bins > _WARP_BAND_HZ[0]) & (bins < min(_WARP_BAND_HZ[1], 0.4 * sample_rate))
    goal, source = (low_quefrencies(known.log_envelope, N_CEPSTRA) for known in (voice, own))
    likeness = [np.corrcoef(stretched(source, factor)[band], goal[band])[0, 1] for factor in _WARPS]
    return float(_WARPS[int(np.argmax(likeness))])


def scaled(analysis: Analysis, factor: float) -> Analysis:
    """Return frames with the frequencies of envelope and aperiodicity multiplied by a factor; above 1 they rise."""
    if factor == 1:
        return analysis
    envelope = np.exp(stretched(np.log(analysis.envelope + _TINY), factor))
    return analysis._replace(envelope=envelope, aperiodicity=stretched(analysis.aperiodicity, factor))


def low_quefrencies(log_envelope: np.ndarray, n_cepstra: int) -> np.ndarray:
    """Return a log envelope [n_bins] without its ripples beyond the first cepstra, which are the broad ones."""
    cepstra = dct(log_envelope, type=1, norm="ortho")
    cepstra[n_cepstra:] = 0
    return idct(cepstra, type=1, norm="ortho")


def stretched(rows: np.ndarray, factor: float) -> np.ndarray:
    """Return rows [..., n_bins] whose value at a bin is that at the bin divided by ``factor``.

    What would come from above the band of a resampled recording has the value at its edge.
    """
    last = rows.shape[-1] - 1
    places = np.minimum(np.arange(last + 1) / factor, _edge(last + 1) if factor < 1 else last)
    left = np.minimum(places.astype(np.int64), max(last - 1, 0))
    share = places - left
    return rows[..., left] * (1 - share) + rows[..., left + 1] * share


def _edge(n_bins: int) -> int:
    """Return the highest bin that a resampled recording is sure to have sound in."""
    return int(_BAND * (n_bins - 1))
