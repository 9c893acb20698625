"""Everything fitted on train frames, and the cluster of every frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from soundgate.runtime.console import logger, track
from soundgate.tracks.structure.conditions import FittedCondition, assign, fit_conditions
from soundgate.tracks.structure.linear import VectorAutoregression, fit_autoregression
from soundgate.tracks.structure.moments import lagged_moments
from soundgate.tracks.structure.normaliser import Normaliser, fit_normalisers
from soundgate.tracks.structure.sequences import HOLDOUT, TRAIN, Sequences
from soundgate.tracks.structure.settings import ConditioningSettings


@dataclass(frozen=True)
class Conditioning:
    """What `structure-conditioning` fits on train frames and hands on.

    Attributes:
        frames: normaliser of the frames.
        differences: normaliser of the differences.
        linear: the ridge autoregression.
        conditions: the fitted conditions.
        ids: cell of every frame for each condition, int32 ``[conditions, n_frames]``, -1 where not valid.
        confidence: of each assignment, float32, same shape.
    """

    frames: Normaliser
    differences: Normaliser
    linear: VectorAutoregression
    conditions: list[FittedCondition]
    ids: np.ndarray
    confidence: np.ndarray


def fit_conditioning(sequences: Sequences, settings: ConditioningSettings, seed: int) -> Conditioning:
    """Fit normalisers, linear model and conditions on train frames, and assign every frame."""
    history = settings.history
    frames, differences = fit_normalisers(sequences, history)
    logger.info("lagged moments of %d frames x %d", sequences.n_frames, sequences.dim)
    moments = lagged_moments(sequences, frames, history, (TRAIN,))
    linear = fit_autoregression(moments, lagged_moments(sequences, frames, history, (HOLDOUT,)), settings.ridges)
    conditions = fit_conditions(sequences, frames, moments, settings, seed)
    assigned = [assign(sequences, frames, c, settings.window, history) for c in track(conditions, "assigning frames")]
    ids, confidence = (np.stack(column) for column in zip(*assigned, strict=True))
    return Conditioning(frames, differences, linear, conditions, ids, confidence)
