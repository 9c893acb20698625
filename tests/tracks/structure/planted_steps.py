"""Latents whose steps follow a known law, for Tier 1."""

import numpy as np
import torch

from soundgate.tracks.structure.dynamics.vmf import sample
from soundgate.tracks.structure.dynamics.windows import Frames
from soundgate.tracks.structure.planted import CorpusShape, as_sequences

SHAPE = CorpusShape(n_speakers=30, n_utterances=6, n_frames=60, dim=4, n_eval=24)


def as_frames(x, history, shape=SHAPE, horizons=(1,)):
    """Return frames [utterances, T, D] as `Frames`."""
    return Frames.of(as_sequences(x.astype(np.float32), shape, np.ones(x.shape[:2])), history, horizons)


def returning(kappa=30.0, log_mean=0.0, log_std=0.2, shape=SHAPE, seed=0):
    """Steps towards the origin: direction vMF around -x / |x|, log magnitude normal."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(shape.n_sequences, shape.dim, generator=generator, dtype=torch.float64)
    frames = []
    for _ in range(shape.n_frames + 10):
        unit = sample(
            -torch.nn.functional.normalize(x, dim=1), torch.full((len(x),), kappa, dtype=torch.float64), generator
        )
        length = torch.exp(log_mean + log_std * torch.randn(len(x), generator=generator, dtype=torch.float64))
        x = x + unit * length[:, None]
        frames.append(x)
    return torch.stack(frames[10:], 1).numpy()


def wandering(shape=SHAPE, seed=0):
    """Steps of any direction whatever came before."""
    generator = np.random.default_rng(seed)
    steps = generator.standard_normal((shape.n_sequences, shape.n_frames, shape.dim))
    steps *= np.exp(0.3 * generator.standard_normal(steps.shape[:2]))[..., None] / np.linalg.norm(
        steps, axis=2, keepdims=True
    )
    return np.cumsum(steps, axis=1)


def autoregressive(coefficient, shape=SHAPE, seed=0):
    """x[t] = a x[t-1] + noise of variance 1, at rest in distribution."""
    generator = np.random.default_rng(seed)
    x = generator.standard_normal((shape.n_sequences, shape.dim)) / np.sqrt(1 - coefficient**2)
    frames = []
    for _ in range(shape.n_frames):
        x = coefficient * x + generator.standard_normal(x.shape)
        frames.append(x)
    return np.stack(frames, 1)


def logistic(shape=SHAPE, rate=3.9, noise=1e-3, seed=0):
    """A chaotic map in every dimension, known but for a little noise."""
    generator = np.random.default_rng(seed)
    x = generator.uniform(0.2, 0.8, (shape.n_sequences, shape.dim))
    frames = []
    for _ in range(shape.n_frames):
        x = np.clip(rate * x * (1 - x) + noise * generator.standard_normal(x.shape), 0.01, 0.99)
        frames.append(x)
    return np.stack(frames, 1)


def turning(shape=SHAPE, angle=0.7, noise=0.0, seed=0):
    """A rotation of each plane, which a free run can follow for ever."""
    generator = np.random.default_rng(seed)
    start = generator.uniform(0, 2 * np.pi, (shape.n_sequences, shape.dim // 2, 1))
    phase = start + angle * np.arange(shape.n_frames)
    x = np.concatenate([np.cos(phase), np.sin(phase)], 1).transpose(0, 2, 1)
    return x + noise * generator.standard_normal(x.shape)
