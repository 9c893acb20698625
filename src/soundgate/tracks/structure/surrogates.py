"""The linear nulls, Gaussian and seen through static functions: surrogates run through the whole pipeline."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from soundgate.runtime.execution import map_items
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.structure.conditions import assign, fit_conditions
from soundgate.tracks.structure.iaaft import iaaft
from soundgate.tracks.structure.linear import VectorAutoregression, fit_autoregression
from soundgate.tracks.structure.moments import lagged_moments
from soundgate.tracks.structure.normaliser import Normaliser, fit_normalisers
from soundgate.tracks.structure.nulls import STAGE, NullResult, gain_problem
from soundgate.tracks.structure.sequences import HOLDOUT, TRAIN, Sequences
from soundgate.tracks.structure.settings import ConditioningSettings, MetricsSettings


def reduced_sequences(sequences: Sequences, normaliser: Normaliser, n_dims: int) -> Sequences:
    """Return the z-scored sequences, in the leading principal components of the train frames, in memory, float64.

    Where all dimensions are kept they stay as they are: a static function of one is none of a mixture.

    Args:
        sequences: utterances that fit in memory.
        normaliser: z-scoring of the frames.
        n_dims: components kept, at most D.
    """
    z = np.concatenate([normaliser(chunk.x) for chunk in sequences.chunks()]).astype(np.float64)
    if n_dims >= z.shape[1]:
        return replace(sequences, latents=z, rows=sequences.starts[:-1])
    train = sequences.split[sequences.utterance] == TRAIN
    _, vectors = np.linalg.eigh(np.cov(z[train].T).reshape(z.shape[1], z.shape[1]))
    latents = z @ vectors[:, ::-1][:, :n_dims]
    return replace(sequences, latents=latents, rows=sequences.starts[:-1])


def pipeline_gains(sequences: Sequences, conditioning: ConditioningSettings, metrics: MetricsSettings, seed: int):
    """Run conditioning and scoring from raw frames to gains, in one process.

    Returns:
        Gains ``[conditions x lags, slices]`` and the fitted linear model of the z-scored frames with its residual
        covariance ``[D, D]`` on train frames.
    """
    history = conditioning.history
    normaliser, _ = fit_normalisers(sequences, history)
    moments = lagged_moments(sequences, normaliser, history, (TRAIN,))
    held = lagged_moments(sequences, normaliser, history, (HOLDOUT,))
    model = fit_autoregression(moments, held, conditioning.ridges)
    plain = conditioning.model_copy(update={"n_init": 1, "n_seeds": 0})
    conditions = fit_conditions(sequences, normaliser, moments, plain, seed, workers=1)
    valid = sequences.valid(history)
    innovation = np.concatenate([model.innovation(normaliser(chunk.x)) for chunk in sequences.chunks()])[valid]
    problem = gain_problem(sequences, innovation, valid, metrics.medial)
    gains = [problem.gains(assign(sequences, normaliser, c, plain.window, history)[0][valid]) for c in conditions]
    return np.stack(gains), model, np.cov(innovation[problem.train].T).reshape(sequences.dim, sequences.dim)


def surrogate_null(
    sequences: Sequences, conditioning: ConditioningSettings, metrics: MetricsSettings, seed: int
) -> NullResult:
    """Compare gains with those of linear-Gaussian surrogates run through the whole pipeline.

    Args:
        sequences: reduced sequences, in memory.
        conditioning: as for the data, with single k-means fits for data and surrogates alike.
        metrics: as for the data.
        seed: the experiment's.

    Returns:
        The null result; the null hypothesis is that the frames are linear and Gaussian.
    """
    observed, model, covariance = pipeline_gains(sequences, conditioning, metrics, seed)
    normaliser, _ = fit_normalisers(sequences, conditioning.history)
    one = partial(
        _surrogate_gain,
        sequences=sequences,
        z=normaliser(sequences.latents),
        model=stabilised(model),
        covariance=covariance,
        conditioning=conditioning,
        metrics=metrics,
        seed=seed,
    )
    draws = map_items(one, range(metrics.nulls.n_surrogates), "null: linear surrogates")
    return NullResult(observed, np.array(list(draws)))


def _surrogate_gain(draw: int, *, sequences, z, model, covariance, conditioning, metrics, seed) -> float:
    latents = simulate(sequences, z, model, covariance, keyed_generator(seed, STAGE, f"surrogate {draw}"))
    return float(pipeline_gains(replace(sequences, latents=latents), conditioning, metrics, seed)[0].max())


def iaaft_null(
    sequences: Sequences, conditioning: ConditioningSettings, metrics: MetricsSettings, seed: int
) -> NullResult:
    """Compare gains with those of surrogates that keep every utterance's spectra and values; see `iaaft`.

    Args:
        sequences: reduced sequences, in memory.
        conditioning: as for the data, with single k-means fits for data and surrogates alike.
        metrics: as for the data.
        seed: the experiment's.

    Returns:
        The null result; the null hypothesis is that the frames are a linear Gaussian process, each dimension seen
        through a static function of its own.
    """
    observed, _, _ = pipeline_gains(sequences, conditioning, metrics, seed)
    one = partial(_iaaft_gain, sequences=sequences, conditioning=conditioning, metrics=metrics, seed=seed)
    draws = map_items(one, range(metrics.nulls.n_surrogates), "null: IAAFT surrogates")
    return NullResult(observed, np.array(list(draws)))


def _iaaft_gain(draw: int, *, sequences, conditioning, metrics, seed) -> float:
    generator = keyed_generator(seed, STAGE, f"iaaft {draw}")
    parts = [sequences.latents[s : s + n] for s, n in zip(sequences.starts[:-1], sequences.lengths, strict=True)]
    latents = np.concatenate([iaaft(part, generator) for part in parts])
    return float(pipeline_gains(replace(sequences, latents=latents), conditioning, metrics, seed)[0].max())


def stabilised(model: VectorAutoregression, limit: float = 0.999) -> VectorAutoregression:
    """Return the model with lag j's weights times r^j, r <= 1 such that no mode grows (spectral radius <= limit)."""
    p, dim, _ = model.weight.shape
    companion = np.eye(p * dim, k=-dim)
    companion[:dim] = model.weight.transpose(2, 0, 1).reshape(dim, p * dim)
    radius = float(np.abs(np.linalg.eigvals(companion)).max())
    shrink = min(1.0, limit / radius)
    return replace(model, weight=model.weight * (shrink ** np.arange(1, p + 1))[:, None, None])


def simulate(
    sequences: Sequences,
    z: np.ndarray,
    model: VectorAutoregression,
    covariance: np.ndarray,
    generator: np.random.Generator,
) -> np.ndarray:
    """Return surrogate frames ``[n_frames, D]``: each utterance starts with its own p first frames.

    Args:
        sequences: lengths of the utterances.
        z: z-scored frames ``[n_frames, D]``.
        model: the linear model.
        covariance: of the Gaussian innovations ``[D, D]``.
        generator: for the innovations.
    """
    p, dim = model.order, z.shape[1]
    values, vectors = np.linalg.eigh(covariance)
    noise = generator.standard_normal((len(z), dim)) @ (vectors * np.sqrt(np.maximum(values, 0))).T
    out = z.copy()
    starts, lengths = sequences.starts[:-1], sequences.lengths
    weight = model.weight.reshape(p * dim, dim)
    for t in range(p, int(lengths.max())):
        at = starts[lengths > t] + t
        past = out[at[:, None] - np.arange(1, p + 1)].reshape(len(at), p * dim)
        out[at] = model.intercept + past @ weight + noise[at]
    return out
