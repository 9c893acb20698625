"""Crossfades that keep the power of what they join, however alike its two sides are, and never pass full scale."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

# Rising gains of both sides, float64 [t] each, before they are scaled to constant power.
Gains = tuple[np.ndarray, np.ndarray]
_STEPS = 10**6


class Part(NamedTuple):
    """A part of what is crossfaded.

    Args:
        first: what fades out, float64 [C, t].
        second: what fades in, likewise.
        gains: of both, before scaling; they are never both 0.
    """

    first: np.ndarray
    second: np.ndarray
    gains: Gains


def linear_gains(n_samples: int) -> Gains:
    """Return gains that rise and fall in straight lines over so many samples."""
    rising = (np.arange(n_samples) + 0.5) / max(n_samples, 1)
    return 1 - rising, rising


def circular_gains(position: np.ndarray) -> Gains:
    """Return cosine and sine over a quarter turn, at positions from 0 to 1; outside they hold their ends."""
    angle = np.clip(position, 0, 1) * np.pi / 2
    return np.cos(angle), np.sin(angle)


def correlation(parts: Callable[[], Iterable[Part]], full_scale: float) -> float:
    """Return the correlation that a crossfade is made for: of its sides, or higher where the sum would be too loud.

    The higher the correlation that `mixed` is told, the quieter is the sum; told 1, it never exceeds its louder side.
    So there is a lowest one, at least that of the two sides (without their means removed, over all channels) and 0,
    with which the sum stays within full scale, or within the louder side's peak where that lies beyond.

    Args:
        parts: yields all parts of the crossfade; called twice, so that they need not be in memory at once.
        full_scale: the highest magnitude that the output holds.

    Returns:
        From 0 to 1, rounded up to a millionth: sums of many products end in digits that depend on the processor.
    """
    own, other, both, ceiling = 0.0, 0.0, 0.0, full_scale
    for first, second, _ in parts():
        own, other = own + float(np.square(first).sum()), other + float(np.square(second).sum())
        both += float((first * second).sum())
        ceiling = max(ceiling, *(float(np.abs(side).max(initial=0)) for side in (first, second)))
    alike = both / np.sqrt(own * other) if own > 0 and other > 0 else 0.0
    wanted = max(0.0, alike, *(_needed(part, ceiling) for part in parts()))
    return min(math.ceil(wanted * _STEPS) / _STEPS, 1.0)


def mixed(part: Part, alike: float) -> np.ndarray:
    """Return both sides of a crossfade added up, float64 [C, t].

    Gains ``a`` and ``b`` are scaled so that ``a^2 + b^2 + 2 r a b = 1``, which is the power of the sum of two sounds of
    power 1 and correlation r: equal power for r = 0, complementary (in straight lines, if they were) for r = 1.

    Args:
        part: what is crossfaded.
        alike: the correlation r.
    """
    falling, rising = part.gains
    scale = np.sqrt(np.square(falling) + np.square(rising) + 2 * alike * falling * rising)
    return (falling / scale) * part.first + (rising / scale) * part.second


def _needed(part: Part, ceiling: float) -> float:
    """Return the lowest correlation with which the sum stays within a ceiling."""
    falling, rising = part.gains
    loudest = np.abs(falling * part.first + rising * part.second).max(axis=0, initial=0) / ceiling
    product = falling * rising
    excess = np.square(loudest) - np.square(falling) - np.square(rising)
    return float((excess[product > 0] / (2 * product[product > 0])).max(initial=0))
