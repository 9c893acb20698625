"""The ceiling: how much of the innovation a small multilayer perceptron finds in the same context."""

from __future__ import annotations

import numpy as np
import torch

from soundgate.evaluation.statistics import Estimate, ratio_estimate
from soundgate.runtime.randomness import keyed_generator, keyed_seed
from soundgate.tracks.structure.nulls import choose_utterances
from soundgate.tracks.structure.sequences import EVAL, HOLDOUT, TRAIN, Sequences
from soundgate.tracks.structure.settings import CeilingSettings
from soundgate.tracks.structure.targets import Targets
from soundgate.training.optimisers import adamw

STAGE = "structure-metrics ceiling"


def ceiling_gain(
    targets: Targets, window: int, lag: int, settings: CeilingSettings, n_bootstrap: int, seed: int
) -> Estimate | None:
    """Train a one-hidden-layer network on flattened windows to predict the innovation; return its held-out gain.

    Args:
        targets: frames and innovations.
        window: W.
        lag: frames between the context's end and the target.
        settings: the network and its training; at most ``max_frames`` frames are used.
        n_bootstrap: resamples of the interval over eval speakers.
        seed: the experiment's.

    Returns:
        1 - squared error / squared error of the train mean on eval frames, of the epoch best on the hold-out, with its
        interval over speakers; None without epochs. It is a lower bound of what nonlinear prediction can reach, not a
        proof of its absence.
    """
    if settings.epochs == 0:
        return None
    chosen = choose_utterances(targets.sequences, settings.max_frames, seed)
    sequences = targets.sequences.subset(chosen)
    z, e = _in_memory(targets, chosen, sequences)
    split = sequences.split[sequences.utterance]
    valid = sequences.valid(targets.history)
    parts = {s: torch.from_numpy(np.flatnonzero(valid & (split == s))) for s in (TRAIN, HOLDOUT, EVAL)}
    torch.manual_seed(keyed_seed(seed, STAGE, "weights"))
    model = torch.nn.Sequential(
        torch.nn.Flatten(),
        torch.nn.Linear(window * z.shape[1], settings.hidden),
        torch.nn.GELU(),
        torch.nn.Linear(settings.hidden, z.shape[1]),
    )
    mean = e[parts[TRAIN]].mean(0)
    offsets = lag + torch.arange(window)
    predict = lambda rows: model(z[rows[:, None] - offsets])  # noqa: E731
    best, found = -np.inf, (np.zeros(0), np.zeros(0))
    generator = keyed_generator(seed, STAGE, "order")
    optimiser = adamw(model.parameters(), settings.learning_rate, weight_decay=0.01)
    for _ in range(settings.epochs):
        order = torch.from_numpy(generator.permutation(len(parts[TRAIN])))
        for rows in parts[TRAIN][order].split(settings.batch_size):
            optimiser.zero_grad()
            torch.nn.functional.mse_loss(predict(rows), e[rows] - mean).backward()
            optimiser.step()
        error, base = _squared_errors(predict, e, mean, parts[HOLDOUT], settings.batch_size)
        score = 1 - error.sum() / base.sum() if base.sum() > 0 else -np.inf
        if score > best or not len(found[0]):
            best, found = score, _squared_errors(predict, e, mean, parts[EVAL], settings.batch_size)
    error, base = found
    _, unit = np.unique(sequences.speaker[sequences.utterance[parts[EVAL].numpy()]], return_inverse=True)
    generator = keyed_generator(seed, STAGE, "bootstrap")
    return ratio_estimate(
        np.bincount(unit, weights=base - error), np.bincount(unit, weights=base), generator, n_bootstrap
    )


def _in_memory(targets: Targets, chosen: np.ndarray, sequences: Sequences) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the z-scored frames and the innovations of the chosen utterances, float32 ``[n, D]`` each."""
    z = np.concatenate([targets.frames(chunk.x) for chunk in sequences.chunks()])
    full = targets.sequences
    e = np.concatenate([targets.innovations[full.starts[u] : full.starts[u + 1]] for u in chosen])
    return torch.from_numpy(z.astype(np.float32)), torch.from_numpy(e.astype(np.float32))


@torch.no_grad()
def _squared_errors(
    predict, e: torch.Tensor, mean: torch.Tensor, rows: torch.Tensor, batch_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return each frame's squared error by the network and about the mean, float64 ``[n]`` each."""
    error, base = np.zeros(len(rows)), np.zeros(len(rows))
    for begin in range(0, len(rows), batch_size):
        some = rows[begin : begin + batch_size]
        at = slice(begin, begin + len(some))
        error[at] = (e[some] - mean - predict(some)).square().sum(1).numpy()
        base[at] = (e[some] - mean).square().sum(1).numpy()
    return error, base
