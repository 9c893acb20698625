"""How far figures are from a run's own trailing window."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from soundgate.training.health.settings import HealthSettings

# Makes the median absolute deviation the standard deviation of a normal distribution.
_NORMAL = 1.4826
# A quiet window's deviation is taken for at least this share of its median: noise of a tenth is no news.
_LEAST_SPREAD = 0.1
_TINY = 1e-30


def robust_z(values: np.ndarray, reference: np.ndarray, least: float) -> np.ndarray:
    """Return by how many robust deviations values [n] are from the median of ``reference`` [m].

    Args:
        values: float.
        reference: float, not empty.
        least: the least deviation taken for granted, above 0.

    Source: Iglewicz and Hoaglin 1993, "How to detect and handle outliers" (median and MAD).
    """
    median = np.median(reference)
    return (values - median) / max(_NORMAL * float(np.median(np.abs(reference - median))), least)


def splits(series: np.ndarray, settings: HealthSettings) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the last values and the window before them, where it holds enough.

    The last ``sustained`` come first, then one more each time, to half a window: what goes on is judged against what
    was before it began, and becomes the usual after that.
    """
    for count in range(settings.sustained, max(settings.sustained, settings.window // 2) + 1):
        before = series[:-count][-settings.window :]
        if len(before) < settings.least:
            return
        yield series[-count:], before


def has_risen(series: np.ndarray, settings: HealthSettings, factor: float, z: float | None = None) -> bool:
    """Whether each of the last values is far above the window before them: by ``z`` deviations and by a factor.

    Each must also be above all of the window by the factor's square root: figures that jump between two levels, as
    gradients do where some steps have a loss and others have not, are at the upper one three times in a row often
    enough. Such figures have a large deviation, so what is above all of the window by the whole factor counts too.

    Args:
        series: float [n], one value a check, positive; others count as next to nothing.
        settings: window, sustained, and z where none is given.
        factor: of the window's median.
        z: robust deviations of the logarithm.
    """
    return _has_moved(series, settings, factor, 1.0, z)


def has_fallen(series: np.ndarray, settings: HealthSettings, factor: float, z: float | None = None) -> bool:
    """Whether each of the last values is far below the window before them; see `has_risen`, ``factor`` below 1."""
    return _has_moved(series, settings, 1 / factor, -1.0, z)


def _has_moved(series: np.ndarray, settings: HealthSettings, factor: float, sign: float, z: float | None) -> bool:
    logs, enough, least_z = sign * np.log(np.maximum(series, _TINY)), np.log(factor), z or settings.thresholds.z

    def moved(latest: np.ndarray, before: np.ndarray) -> bool:
        beyond = np.min(latest) - np.max(before)
        far = robust_z(latest, before, _LEAST_SPREAD) > least_z
        changed = bool(np.all(far & (latest - np.median(before) > enough)))
        return bool(beyond > enough) or (changed and bool(beyond > 0.5 * enough))

    return any(moved(*parts) for parts in splits(logs, settings))


def has_risen_linearly(series: np.ndarray, settings: HealthSettings, z: float) -> bool:
    """Whether each of the last values is ``z`` robust deviations above the window before them; of any sign."""

    def risen(latest: np.ndarray, before: np.ndarray) -> bool:
        least = max(_LEAST_SPREAD * float(np.median(np.abs(before))), _TINY)
        return bool(np.all((robust_z(latest, before, least) > z) & (latest > np.max(before))))

    return any(risen(*parts) for parts in splits(series, settings))


def lasts_below(series: np.ndarray, limit: float, checks: int) -> bool:
    """Whether the last so many values are all there and below a limit."""
    return len(series) >= checks and bool(np.all(series[-checks:] < limit))


def lasts_above(series: np.ndarray, limit: float, checks: int) -> bool:
    """Whether the last so many values are all there and above a limit."""
    return len(series) >= checks and bool(np.all(series[-checks:] > limit))
