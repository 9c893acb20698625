"""The contract every judge keeps: signals to figures, each with its unit, range and direction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from torch import Tensor

from soundgate.audio.filters import DIGITAL_SILENCE
from soundgate.audio.io import resample

SILENCE = "silence: there is nothing to judge"

Signals = np.ndarray | Tensor | Sequence[np.ndarray]


@dataclass(frozen=True)
class Figure:
    """What a number of a judge means.

    Attributes:
        name: unique among all judges.
        unit: as printed; empty for a share or a coefficient.
        low: the lowest value that it can have.
        high: the highest one; may be infinite.
        better: which direction is better; ``neither`` where it only describes.
        says: what it measures.
    """

    name: str
    unit: str
    low: float
    high: float
    better: Literal["higher", "lower", "neither"]
    says: str


@dataclass(frozen=True)
class Card:
    """Where a judge comes from, and what it may be asked.

    Attributes:
        package: distribution and version that hold the weights.
        licence: of weights and package.
        source: the publication.
        trained_on: data and task.
        never_ask: what its figures say nothing of.
        serves: the tracks that it is meant for.
    """

    package: str
    licence: str
    source: str
    trained_on: str
    never_ask: str
    serves: tuple[str, ...]


@dataclass(frozen=True)
class Scores:
    """The figures of B signals, or of B pairs.

    Attributes:
        values: by name of the figure, float64 [B]; NaN where the judge has none, and then the note says why.
        notes: what is unusual of each signal; empty where nothing is.
        texts: what the judge of words heard; empty strings with the others.
    """

    values: dict[str, np.ndarray]
    notes: tuple[str, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Verdict:
    """What a judge says of one signal or pair; see `Scores`."""

    values: Mapping[str, float]
    note: str = ""
    text: str = ""


class Judge(ABC):
    """A frozen judge on the CPU: equal signals give equal bytes, and a signal's figures depend on that signal alone.

    Attributes:
        name: in the registry.
        card: see `Card`.
        sample_rate: Hz that signals are resampled to (soxr HQ).
        min_rate: Hz below which a signal lacks the band that the model listens to.
        min_s: the shortest signal, s.
        figures: of one signal; empty for a judge that only compares.
        pair_figures: of a reference and a degraded signal; empty for a judge that does not compare.
        aligned: whether two signals must be equally long.
        n_twins: how many twins are an opponent together; more than one where a twin is right or wrong by its sign.
    """

    name: str
    card: Card
    sample_rate: int
    min_rate: int
    min_s: float
    figures: tuple[Figure, ...] = ()
    pair_figures: tuple[Figure, ...] = ()
    aligned: bool = True
    n_twins: int = 1

    def score(self, wav: Signals, sample_rate: int) -> Scores:
        """Judge signals one by one.

        Args:
            wav: float32 [B, T], full scale [-1, 1], or B signals [T] of any lengths.
            sample_rate: Hz of all of them.

        Raises:
            TypeError: samples that are not float32.
            ValueError: no samples, a wrong shape, a value that is not finite, a signal that is too short, a rate that
                is too low, or a judge that only compares.
        """
        if not self.figures:
            raise ValueError(f"judge {self.name}: expected a reference beside the signal; found one signal")
        return gather(self.figures, [self._one(signal) for signal in self.signals("wav", wav, sample_rate)])

    def compare(self, reference: Signals, degraded: Signals, sample_rate: int) -> Scores:
        """Judge signals beside the references they come from.

        Args:
            reference: see `score`.
            degraded: as many signals; as long as the references where the judge is ``aligned``.
            sample_rate: Hz of all of them.

        Raises:
            TypeError: see `score`.
            ValueError: see `score`, or signals that do not belong together.
        """
        if not self.pair_figures:
            raise ValueError(f"judge {self.name}: expected one signal; found a pair, which it does not compare")
        lengths = [[len(one) for one in _rows(what, wav)] for what, wav in _pair(reference, degraded)]
        if len(lengths[0]) != len(lengths[1]):
            raise ValueError(
                f"degraded: expected {len(lengths[0])} signals, as many as references; found {len(lengths[1])}"
            )
        if self.aligned and lengths[0] != lengths[1]:
            raise ValueError(f"degraded: expected the references' lengths {lengths[0]}; found {lengths[1]}")
        pairs = zip(*(self.signals(what, wav, sample_rate) for what, wav in _pair(reference, degraded)), strict=True)
        return gather(self.pair_figures, [self._two(*pair) for pair in pairs])

    def signals(self, what: str, wav: Signals, sample_rate: int) -> list[np.ndarray]:
        """Check signals and return them one by one, float32 [T] at the judge's sample rate; see `score`."""
        rows = _rows(what, wav)
        if sample_rate < self.min_rate:
            raise ValueError(
                f"sample_rate: judge {self.name} expected at least {self.min_rate} Hz; found {sample_rate}"
            )
        for position, row in enumerate(rows):
            _check(f"{what}[{position}]", row)
            if len(row) < self.min_s * sample_rate:
                found = f"{len(row) / sample_rate:.3g} s"
                raise ValueError(
                    f"{what}[{position}]: judge {self.name} expected at least {self.min_s:g} s; found {found}"
                )
        return [resample(row[None], sample_rate, self.sample_rate)[0] for row in rows]

    def _one(self, wav: np.ndarray) -> Verdict:
        return Verdict({}, SILENCE) if is_silent(wav) else self._score(wav)

    def _two(self, reference: np.ndarray, degraded: np.ndarray) -> Verdict:
        for what, wav in _pair(reference, degraded):
            if is_silent(wav):
                return Verdict({}, f"{what}: {SILENCE}")
        return self._compare(reference, degraded)

    @abstractmethod
    def twin(self, seed: int) -> Judge:
        """Return the same architecture with weights that know nothing, drawn or shuffled by a keyed seed."""

    def _score(self, wav: np.ndarray) -> Verdict:
        """Judge one checked signal [T] at the judge's rate, not silent."""
        raise NotImplementedError

    def _compare(self, reference: np.ndarray, degraded: np.ndarray) -> Verdict:
        """Judge one checked pair at the judge's rate, neither silent."""
        raise NotImplementedError


def is_silent(wav: np.ndarray) -> bool:
    """Say whether no sample [T] is above digital silence."""
    return float(np.abs(wav).max()) <= DIGITAL_SILENCE


def _pair(reference: Signals, degraded: Signals) -> tuple[tuple[str, Signals], tuple[str, Signals]]:
    return ("reference", reference), ("degraded", degraded)


def _rows(what: str, wav: Signals) -> list[np.ndarray]:
    """Return signals [B, T], or a list of them, as a list of arrays."""
    if isinstance(wav, np.ndarray | Tensor) and wav.ndim != 2:
        raise ValueError(f"{what}: expected [B, T]; found shape {list(wav.shape)}")
    if len(wav) == 0:
        raise ValueError(f"{what}: expected at least one signal; found none")
    return [row.detach().cpu().numpy() if isinstance(row, Tensor) else np.asarray(row) for row in wav]


def _check(what: str, row: np.ndarray) -> None:
    if row.dtype != np.float32:
        raise TypeError(f"{what}: expected float32; found {row.dtype}")
    if row.ndim != 1 or row.size == 0:
        raise ValueError(f"{what}: expected [T] with T >= 1; found shape {list(row.shape)}")
    if not np.isfinite(row).all():
        raise ValueError(f"{what}: expected finite values; found {np.sum(~np.isfinite(row))} others")


def gather(figures: tuple[Figure, ...], verdicts: list[Verdict]) -> Scores:
    """Return verdicts on B signals as scores of given figures."""
    values = {
        figure.name: np.array([verdict.values.get(figure.name, np.nan) for verdict in verdicts], np.float64)
        for figure in figures
    }
    return Scores(values, tuple(one.note for one in verdicts), tuple(one.text for one in verdicts))
