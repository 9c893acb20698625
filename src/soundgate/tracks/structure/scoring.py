"""Gains with intervals of any assignment of frames to cells, against one baseline."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from soundgate.evaluation.statistics import Estimate, ratio_estimate
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.structure.fitting import Conditioning
from soundgate.tracks.structure.gain import Errors, HeldOutFrames, gain_estimate, held_out_errors
from soundgate.tracks.structure.nulls import STAGE
from soundgate.tracks.structure.sequences import EVAL, HOLDOUT, Sequences
from soundgate.tracks.structure.settings import MetricsSettings
from soundgate.tracks.structure.targets import TARGETS, Targets, compute_innovations, fit_confounds

INNOVATIONS = "innovations.bin"


@dataclass(frozen=True)
class Scorer:
    """Held-out scoring of assignments against one baseline, the train mean."""

    targets: Targets
    held: HeldOutFrames
    baseline: Errors
    settings: MetricsSettings
    seed: int

    def gain(self, errors: Errors, target: str, split: int, part: str, name: str) -> Estimate:
        """Return the gain of one target on one split and slice, its bootstrap keyed by ``name``."""
        mask = (self.held.split == split) & self.held.slices[part]
        generator = keyed_generator(self.seed, STAGE, f"bootstrap {name} {target} {split} {part}")
        return gain_estimate(
            errors.squared[target],
            self.baseline.squared[target],
            self.held,
            mask,
            generator,
            self.settings.n_bootstrap,
        )

    def numbers(self, errors: Errors, name: str) -> dict:
        """Return the sound set's numbers of one assignment."""
        new, seen = ({t: self.gain(errors, t, split, "all", name) for t in TARGETS} for split in (EVAL, HOLDOUT))
        slices = {p: self.gain(errors, "innovation", EVAL, p, name).as_dict() for p in ("high_energy", "medial")}
        on_eval = self.held.split == EVAL
        _, unit = np.unique(self.held.speaker[on_eval], return_inverse=True)
        nats = np.bincount(unit, weights=(self.baseline.nats - errors.nats)[on_eval])
        generator = keyed_generator(self.seed, STAGE, f"bootstrap {name} nats")
        return {
            "gain_new": {t: e.as_dict() for t, e in new.items()},
            "gain_seen": {t: e.as_dict() for t, e in seen.items()},
            "gain_slices": slices,
            "degradation": degradation(new["innovation"], seen["innovation"]),
            "nats_per_frame": ratio_estimate(
                nats, np.bincount(unit).astype(float), generator, self.settings.n_bootstrap
            ).as_dict(),
            "epsilon_squared": errors.epsilon_squared,
            "occupied": errors.occupied,
            "unseen": errors.unseen,
        }


def degradation(new: Estimate, seen: Estimate) -> dict[str, float | int | None]:
    """Return 1 - new / seen, the share of the gain on known speakers that new ones lose, with its 95 % interval.

    Args:
        new: the gain on new speakers.
        seen: the gain on held-out utterances of the speakers fitted on; another sample of speakers.

    Returns:
        An estimate's fields. All None where the gain on known speakers is not surely above 0: nothing to lose.

    Source: Donner & Zou 2012, "Closed-form confidence intervals for functions of the normal mean and standard
    deviation", the ratio by variance estimates recovered from both intervals.
    """
    n = min(new.n, seen.n)
    if not seen.ci_low > 0 or not np.isfinite([new.ci_low, new.ci_high, seen.ci_high]).all():
        return Estimate(float("nan"), float("nan"), float("nan"), n).as_dict()
    product = new.value * seen.value

    def bound(own: float, other: float, side: float) -> float:
        inside = product**2 - own * other * (2 * new.value - own) * (2 * seen.value - other)
        return (product + side * np.sqrt(max(inside, 0.0))) / (other * (2 * seen.value - other))

    if 2 * seen.value - seen.ci_high <= 0:
        return Estimate(1 - new.value / seen.value, float("nan"), float("nan"), n).as_dict()
    low, high = bound(new.ci_low, seen.ci_high, -1), bound(new.ci_high, seen.ci_low, 1)
    return Estimate(1 - new.value / seen.value, 1 - high, 1 - low, n).as_dict()


def build_scorer(
    sequences: Sequences,
    fitted: Conditioning,
    history: int,
    settings: MetricsSettings,
    seed: int,
    folder: Path | None,
) -> Scorer:
    """Compute innovations and the confound model, and score the baseline.

    Args:
        sequences: the frames.
        fitted: what was fitted on train frames.
        history: frames that must precede a valid frame.
        settings: of the metrics.
        seed: the experiment's.
        folder: work folder for the innovations of long corpora; None keeps them in memory.
    """
    innovations = compute_innovations(
        sequences, fitted.frames, fitted.linear, None if folder is None else folder / INNOVATIONS
    )
    targets = Targets(sequences, fitted.frames, fitted.differences, innovations, history)
    targets = replace(targets, confounds=fit_confounds(targets, settings.n_confound_bins))
    held = HeldOutFrames.of(sequences, history, settings.medial)
    baseline = held_out_errors(targets, np.zeros(sequences.n_frames, np.int32), held)
    return Scorer(targets, held, baseline, settings, seed)


def linear_floor(scorer: Scorer) -> Estimate:
    """Return R^2 of the linear model on eval frames: 1 - innovation energy / frame energy about the train mean."""
    squares = {name: scorer.baseline.squared[name] for name in ("innovation", "next")}
    mask = scorer.held.split == EVAL
    generator = keyed_generator(scorer.seed, STAGE, "bootstrap floor")
    return gain_estimate(
        squares["innovation"], squares["next"], scorer.held, mask, generator, scorer.settings.n_bootstrap
    )


def speaker_condition(scorer: Scorer) -> Estimate:
    """Return the gain of speaker identity alone as a condition, on the hold-out utterances of training speakers."""
    sequences = scorer.targets.sequences
    errors = held_out_errors(scorer.targets, sequences.speaker[sequences.utterance], scorer.held, ("innovation",))
    return scorer.gain(errors, "innovation", HOLDOUT, "all", "speaker")
