"""Surrogates by iterative amplitude adjustment: an utterance's spectra, marginals and phase differences, no more."""

from __future__ import annotations

import numpy as np

ITERATIONS = 30


def iaaft(x: np.ndarray, generator: np.random.Generator, iterations: int = ITERATIONS) -> np.ndarray:
    """Return one surrogate of a multivariate series: a linear process seen through static functions.

    Each dimension keeps its values, in another order, and nearly its power spectrum; phases between dimensions are
    kept as far as the values allow.

    Args:
        x: ``[T, D]``.
        generator: draws the first order.
        iterations: of the two steps, spectrum and values.

    Returns:
        ``[T, D]``.

    Source: Schreiber & Schmitz 1996, "Improved surrogate data for nonlinearity tests"; 2000, "Surrogate time series",
    section 4.3, for several dimensions.
    """
    values = np.sort(x, axis=0)
    spectrum = np.fft.rfft(x, axis=0)
    amplitude, phase = np.abs(spectrum), np.angle(spectrum)
    surrogate = x[generator.permutation(len(x))]
    for _ in range(iterations):
        found = np.angle(np.fft.rfft(surrogate, axis=0))
        # One turn of each frequency for all dimensions, the nearest to what was found (least squares).
        difference = np.exp(1j * (found - phase)).sum(1, keepdims=True)
        turned = amplitude * np.exp(1j * (phase + np.angle(difference)))
        order = np.fft.irfft(turned, len(x), axis=0).argsort(axis=0, kind="stable")
        surrogate = np.empty_like(x)
        np.put_along_axis(surrogate, order, values, axis=0)
    return surrogate
