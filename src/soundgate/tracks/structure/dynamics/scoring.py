"""One-step figures of a model on eval speakers, with intervals over speakers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from soundgate.evaluation.statistics import Estimate, ratio_estimate
from soundgate.runtime.arithmetic import logarithm
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.structure.dynamics.families import DirectionLogNormal, Prediction
from soundgate.tracks.structure.dynamics.linear import SCORED_AT_ONCE
from soundgate.tracks.structure.dynamics.windows import Windows


@dataclass(frozen=True)
class SpeakerMeans:
    """Estimates of means whose independent units are speakers.

    Attributes:
        speaker: of each value ``[n]``.
        seed: of the experiment.
        stage: whose estimates these are.
        n_bootstrap: resamples.
    """

    speaker: np.ndarray
    seed: int
    stage: str
    n_bootstrap: int

    def mean(self, values: np.ndarray, name: str) -> Estimate:
        """Estimate the mean of values ``[n]`` or ``[n, ...]``."""
        return self.ratio(values, np.ones_like(values, float), name)

    def ratio(self, top: np.ndarray, bottom: np.ndarray, name: str) -> Estimate:
        """Estimate sum(top) / sum(bottom)."""
        _, unit = np.unique(self.speaker, return_inverse=True)
        sums = [np.bincount(unit, weights=values.reshape(len(unit), -1).sum(1)) for values in (top, bottom)]
        return ratio_estimate(*sums, keyed_generator(self.seed, self.stage, f"bootstrap {name}"), self.n_bootstrap)


@dataclass(frozen=True)
class Scores:
    """What a model said of each frame.

    Attributes:
        nll: in nats ``[n]``.
        cosine: of the expected step to the true one ``[n]``; 0 where it expects none.
        length: of the expected step ``[n]``.
        true_length: of the true one ``[n]``.
        calibration: columns by name ``[n]``, for families of direction and magnitude.
    """

    nll: np.ndarray
    cosine: np.ndarray
    length: np.ndarray
    true_length: np.ndarray
    calibration: dict[str, np.ndarray]


@torch.no_grad()
def score(
    model: Callable[[Tensor], Prediction],
    windows: Windows,
    rows: np.ndarray,
    device: torch.device,
    contexts: np.ndarray | None = None,
) -> Scores:
    """Score a model on the steps to some frames.

    Args:
        model: from windows to predictions.
        windows: gathers them.
        rows: frames ``[n]``.
        device: to compute on.
        contexts: frames whose contexts are given in their place ``[n]``; None: their own.
    """
    contexts = rows if contexts is None else contexts
    parts: list[dict[str, Tensor]] = []
    n_parts = -(-len(rows) // SCORED_AT_ONCE)
    for part, context in zip(np.array_split(rows, n_parts), np.array_split(contexts, n_parts), strict=True):
        predicted = model(windows(context).to(device))
        step, expected = windows.steps(part).to(device), predicted.mean()
        columns = {
            "nll": predicted.nll(step),
            "cosine": torch.nn.functional.cosine_similarity(expected.double(), step.double(), dim=1),
            "length": expected.double().norm(dim=1),
            "true_length": step.double().norm(dim=1),
        }
        parts.append(columns | (_calibration(predicted, step) if isinstance(predicted, DirectionLogNormal) else {}))
    joined = {name: torch.cat([part[name] for part in parts]).cpu().numpy() for name in parts[0]}
    own = {name: joined.pop(name) for name in ("nll", "cosine", "length", "true_length")}
    return Scores(**own, calibration=joined)


def _calibration(predicted: DirectionLogNormal, step: Tensor) -> dict[str, Tensor]:
    """Return what a calibrated model has right on average, ``said_*`` beside what was."""
    magnitude = predicted.scaled(step).norm(dim=1)
    log_m = logarithm(magnitude)
    standard = (log_m - predicted.log_mean) / predicted.log_std
    return {
        "direction_cosine": predicted.cosine(step),
        "said_direction_cosine": predicted.resultant(),
        "log_magnitude_z": standard,
        "log_magnitude_z_squared": standard.square(),
        "within_50": (standard.abs() <= 0.6744897501960817).double(),
        "within_90": (standard.abs() <= 1.6448536269514722).double(),
        "magnitude": magnitude,
        "said_magnitude": predicted.magnitude(),
        "kappa": predicted.kappa,
    }


def one_step(scores: Scores, means: SpeakerMeans, dim: int, name: str) -> dict:
    """Return a model's one-step figures: nats a dimension, cosine, length of the expected steps over the true ones."""
    return {
        "nll_per_dim": means.mean(scores.nll / dim, f"{name} nll").as_dict(),
        "cosine": means.mean(scores.cosine, f"{name} cosine").as_dict(),
        "magnitude_ratio": means.ratio(scores.length, scores.true_length, f"{name} length").as_dict(),
    }


def calibration(scores: Scores, means: SpeakerMeans, name: str) -> dict:
    """Return a direction family's calibration: what it said on average and what was; 0.5 and 0.9 of the log magnitudes
    should lie within their intervals, and their z-scores have mean 0 and mean square 1."""
    columns = scores.calibration
    plain = ("direction_cosine", "said_direction_cosine", "log_magnitude_z", "log_magnitude_z_squared",
             "within_50", "within_90")  # fmt: skip
    ratio = means.ratio(columns["said_magnitude"], columns["magnitude"], f"{name} magnitude")
    return {key: means.mean(columns[key], f"{name} {key}").as_dict() for key in plain} | {
        "said_magnitude_ratio": ratio.as_dict(),
        "kappa_median": float(np.median(columns["kappa"])),
    }
