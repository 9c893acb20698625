"""Which gain would have been found: effects of known size planted into the data's own contexts and innovations."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from soundgate.evaluation.statistics import proportion_estimate, ratio_estimate
from soundgate.runtime.execution import map_items
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.structure.cells import membership, shrunk_means
from soundgate.tracks.structure.contexts import window_means
from soundgate.tracks.structure.fitting import Conditioning
from soundgate.tracks.structure.nulls import STAGE, choose_utterances
from soundgate.tracks.structure.sequences import EVAL, HOLDOUT, TRAIN
from soundgate.tracks.structure.settings import PowerSettings
from soundgate.tracks.structure.targets import Targets


@dataclass(frozen=True)
class PlantingGround:
    """What effects are planted into: contexts, innovations and cells of the train and eval frames, in memory.

    Attributes:
        innovation: float32 ``[n, D]``.
        context: mean of each frame's context window ``[n, D]``.
        columns: cell of each frame for each condition ``[conditions, n]``.
        utterance: of each frame, from 0 ``[n]``.
        train: whether a frame is of train (else of eval), bool ``[n]``.
        speaker: number of each eval frame's speaker, from 0 ``[eval frames]``.
    """

    innovation: np.ndarray
    context: np.ndarray
    columns: np.ndarray
    utterance: np.ndarray
    train: np.ndarray
    speaker: np.ndarray

    @classmethod
    def of(
        cls, targets: Targets, fitted: Conditioning, window: int, lag: int, max_frames: int, seed: int
    ) -> PlantingGround:
        """Collect a keyed choice of utterances with at most ``max_frames`` frames in all."""
        full = targets.sequences
        chosen = choose_utterances(full, max_frames, seed)
        chosen = chosen[full.split[chosen] != HOLDOUT]
        part = full.subset(chosen)
        rows = part.valid(targets.history)
        means = [window_means(targets.frames(chunk.x), window) for chunk in part.chunks((TRAIN, EVAL))]
        context = np.roll(np.concatenate(means), lag, axis=0)[rows].astype(np.float32)
        frames = np.concatenate([np.arange(full.starts[u], full.starts[u + 1]) for u in chosen])[rows]
        e = np.concatenate([np.asarray(targets.innovations[full.starts[u] : full.starts[u + 1]]) for u in chosen])
        columns = [i for i, c in enumerate(fitted.conditions) if c.replicate == 0 and c.lag == lag]
        train = part.split[part.utterance[rows]] == TRAIN
        _, speaker = np.unique(part.speaker[part.utterance[rows]][~train], return_inverse=True)
        ids = fitted.ids[columns][:, frames]
        return cls(e[rows].astype(np.float32), context, ids, part.utterance[rows], train, speaker)


def detectable_gain(ground: PlantingGround, settings: PowerSettings, n_bootstrap: int, seed: int) -> dict:
    """Plant effects of rising size and say from which on the conditions find them.

    Each draw turns the sign of every utterance's innovations at random, which leaves their spectrum, dimension and
    spread but no effect of the context, and adds a regime: a random direction times +1 or -1, by whether a random
    projection of the context window's mean lies far from its median or near it. A linear model does not see it where
    projections are symmetric. It is scaled to a given gain of
    knowing the regime, and is found where some condition's gain on new speakers has a lower bound above 0.

    Args:
        ground: contexts, innovations and cells.
        settings: the gains and the number of draws.
        n_bootstrap: resamples of the interval over speakers.
        seed: the experiment's.

    Returns:
        ``power``: for each gain the share of draws that found it, with its binomial interval; ``detectable_gain``: the
        smallest gain found in at least 80 % of the draws, as all larger ones are; None where no gain of the list is.
    """
    gains = sorted(settings.gains)
    one = partial(_smallest_found, ground=ground, gains=gains, n_bootstrap=n_bootstrap, seed=seed)
    smallest = np.array(list(map_items(one, range(settings.n_draws), "planting effects")))
    shares = {gain: proportion_estimate(int((smallest <= gain).sum()), settings.n_draws) for gain in gains}
    found = [gain for gain, share in shares.items() if share.value >= settings.probability]
    return {
        "detectable_gain": min(found, default=None),
        "probability": settings.probability,
        "power": {f"{gain:g}": share.as_dict() for gain, share in shares.items()},
    }


def _smallest_found(draw: int, *, ground: PlantingGround, gains: list[float], n_bootstrap: int, seed: int) -> float:
    """Return the smallest gain found, all larger ones being found too; infinite where the largest is not."""
    generator = keyed_generator(seed, STAGE, f"planted effect {draw}")
    sign = generator.choice(np.float32([-1, 1]), int(ground.utterance.max()) + 1)
    y = ground.innovation * sign[ground.utterance, None]
    regime = _regime(ground, generator)
    direction = generator.standard_normal(y.shape[1])
    direction = (direction / np.linalg.norm(direction)).astype(np.float32)
    energy = _energy(y) / len(y)
    scorers = [_PlantedScorer.of(ground, ids, y, regime) for ids in ground.columns]
    smallest = np.inf
    for gain in reversed(gains):
        scale = np.sqrt(gain / (1 - gain) * energy / np.var(regime))
        effect = np.float32(scale) * direction
        if not any(s.found(ground, y, regime, effect, generator, n_bootstrap) for s in scorers):
            break
        smallest = gain
    return smallest


def _energy(y: np.ndarray) -> float:
    return float(np.einsum("nd,nd->", y, y, dtype=np.float64))


def _regime(ground: PlantingGround, generator: np.random.Generator) -> np.ndarray:
    """Return +1 or -1 of each frame, less the train mean, float32 ``[n]``."""
    projected = ground.context @ generator.standard_normal(ground.context.shape[1]).astype(np.float32)
    distance = np.abs(projected - np.median(projected[ground.train]))
    regime = np.where(distance > np.median(distance[ground.train]), np.float32(1), np.float32(-1))
    return regime - regime[ground.train].mean(dtype=np.float64).astype(np.float32)


@dataclass(frozen=True)
class _PlantedScorer:
    """One condition's cells on one draw: counts, sums of innovations and of the regime in each cell."""

    labels: np.ndarray
    count: np.ndarray
    total: np.ndarray
    regime: np.ndarray

    @classmethod
    def of(cls, ground: PlantingGround, ids: np.ndarray, y: np.ndarray, regime: np.ndarray) -> _PlantedScorer:
        _, labels = np.unique(ids, return_inverse=True)
        n_cells = int(labels.max()) + 1
        members = membership(labels[ground.train], n_cells, y.dtype)
        count = np.bincount(labels[ground.train], minlength=n_cells).astype(float)
        return cls(labels, count, members @ y[ground.train], members @ regime[ground.train])

    def found(self, ground, y, regime, effect, generator, n_bootstrap) -> bool:
        """Return whether the gain on eval speakers has a lower bound above 0 once the effect is added."""
        train, held = ground.train, ~ground.train
        total = (self.total + np.multiply.outer(self.regime, effect)).astype(np.float64)
        within = _energy(y[train]) + 2 * float(regime[train] @ (y[train] @ effect))
        within += float(regime[train] @ regime[train]) * float(effect @ effect)
        within -= (np.einsum("kd,kd->k", total, total) / np.maximum(self.count, 1)).sum()
        means = shrunk_means(self.count, total, within).astype(y.dtype)
        overall = (total.sum(0) / self.count.sum()).astype(y.dtype)
        planted = y[held] + np.multiply.outer(regime[held], effect)
        base = np.square(planted - overall).sum(1, dtype=np.float64)
        error = np.square(planted - means[self.labels[held]]).sum(1, dtype=np.float64)
        saved, whole = (np.bincount(ground.speaker, weights=w) for w in (base - error, base))
        return ratio_estimate(saved, whole, generator, n_bootstrap).ci_low > 0
