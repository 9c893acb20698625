"""Stage ``dynamics-inject``: does a model fail in one step, or because its steps add up?"""

from __future__ import annotations

import numpy as np
import torch

from soundgate.evaluation.statistics import Estimate
from soundgate.runtime.ledger import jsonable
from soundgate.tracks.structure.dynamics.baselines import Gaussian
from soundgate.tracks.structure.dynamics.rollout import Model, Run, choose_segments, run
from soundgate.tracks.structure.dynamics.scoring import SpeakerMeans
from soundgate.tracks.structure.dynamics.settings import DiagnosticSettings, InjectSettings
from soundgate.tracks.structure.dynamics.task import step_statistics
from soundgate.tracks.structure.dynamics.windows import Frames
from soundgate.tracks.structure.sequences import TRAIN

STAGE = "dynamics-inject"


def modes(diag: DiagnosticSettings) -> dict[str, tuple[int, ...]]:
    """Return after which steps each mode puts the true state back: A all, B every few, C the first, D none."""
    return {
        "A": tuple(range(1, diag.steps + 1)),
        "B": tuple(range(diag.every, diag.steps, diag.every)),
        "C": (1,),
        "D": (),
    }


def diagnose(
    model: Model, frames: Frames, window: int, horizon: int, settings: InjectSettings, seed: int, device: torch.device
) -> dict:
    """Run all modes and say where the model fails.

    Args:
        model: of the step ``horizon`` frames after the window's end.
        frames: the truth.
        window: W.
        horizon: k.
        settings: see `InjectSettings`.
        seed: of the experiment.
        device: to compute on.

    Returns:
        For each mode, figures by step: ``nll``, ``baseline_nll`` and their difference ``gain`` in nats a dimension,
        ``cosine``, ``magnitude_ratio``, ``error_before`` in lengths of a true step; then the numbers that decide, what
        is lost where the truth is put back every few steps (mode B), and the verdict, see `conclude`.
    """
    diag, dim = settings.diag, frames.x.shape[1]
    starts = choose_segments(frames, diag.steps, diag.n_eval_utterances, diag.segments_per_utt, seed, STAGE)
    means = SpeakerMeans(frames.speakers(starts), seed, STAGE, settings.n_bootstrap)
    baseline = Gaussian.of(step_statistics(frames, frames.some(TRAIN, diag.max_train_samples, seed, STAGE)))
    place = (frames, starts, diag.steps, window, horizon, device)
    base = run(baseline, *place).nll
    runs = {mode: run(model, *place, true_after=after) for mode, after in modes(diag).items()}
    late = slice(-max(1, diag.steps // 4), None)
    gain = means.mean((base - runs["A"].nll) / dim, "gain A")
    gain_late = means.mean((base - runs["A"].nll)[:, late] / dim, "late gain A")
    lost, put_back = (means.mean((runs[m].nll - runs["A"].nll)[:, late] / dim, f"lost {m}") for m in ("D", "B"))
    return jsonable(
        {
            "n_segments": len(starts),
            "n_utterances": len(np.unique(frames.sequences.utterance[starts])),
            "modes": {mode: _figures(values, base, means, dim, mode) for mode, values in runs.items()},
            "teacher_forced_gain": gain.as_dict(),
            "teacher_forced_gain_late": gain_late.as_dict(),
            "lost_late": lost.as_dict(),
            "lost_late_put_back": put_back.as_dict(),
            "verdict": conclude(gain, gain_late, lost, settings),
        }
    )


def conclude(gain: Estimate, gain_late: Estimate, lost: Estimate, settings: InjectSettings) -> str:
    """Say where a model fails.

    Args:
        gain: nats a dimension that the teacher-forced model saves over the baseline, over all steps.
        gain_late: the same over the last quarter of the steps.
        lost: nats a dimension that the free run loses against the teacher-forced one there.
        settings: thresholds.

    Returns:
        ``one-step error`` where the gain's lower bound is at most the least that counts: even from true states the
        model predicts no better than no context. ``compounding drift`` where it does, and the free run surely loses
        more than the share of it that is allowed; ``neither`` where it surely does not. ``undecided`` where the
        interval holds that share, or a number does not exist.
    """
    limits = settings.gates
    if not np.isfinite([gain.ci_low, lost.ci_low]).all():
        return "undecided"
    if gain.ci_low <= limits.min_gain:
        return "one-step error"
    allowed = limits.max_lost * gain_late.value
    if lost.ci_low <= allowed < lost.ci_high:
        return "undecided"
    return "compounding drift" if lost.ci_low > allowed else "neither"


def _figures(values: Run, base: np.ndarray, means: SpeakerMeans, dim: int, mode: str) -> dict[str, list]:
    steps = range(base.shape[1])
    columns = {"nll": values.nll / dim, "baseline_nll": base / dim, "gain": (base - values.nll) / dim,
               "cosine": values.cosine}  # fmt: skip
    figures = {
        name: [means.mean(column[:, s], f"{mode} {name} {s}").as_dict() for s in steps]
        for name, column in columns.items()
    }
    ratios = {"magnitude_ratio": values.length, "error_before": values.error_before}
    return figures | {
        name: [means.ratio(top[:, s], values.true_length[:, s], f"{mode} {name} {s}").as_dict() for s in steps]
        for name, top in ratios.items()
    }
