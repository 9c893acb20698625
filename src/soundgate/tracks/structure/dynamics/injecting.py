"""Stage ``dynamics-inject``: does a model fail in one step, or because its steps add up?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from soundgate.evaluation.statistics import Estimate
from soundgate.runtime.ledger import jsonable
from soundgate.runtime.randomness import keyed_seed
from soundgate.tracks.structure.dynamics.baselines import Gaussian
from soundgate.tracks.structure.dynamics.ensembles import direct_draws, energy_score, free_runs
from soundgate.tracks.structure.dynamics.rollout import Model, Run, choose_segments, run
from soundgate.tracks.structure.dynamics.scoring import SpeakerMeans
from soundgate.tracks.structure.dynamics.settings import DiagnosticSettings, InjectSettings
from soundgate.tracks.structure.dynamics.task import frame_scale, step_statistics
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
    models: Mapping[int, Model],
    linear: Mapping[int, Model],
    frames: Frames,
    window: int,
    settings: InjectSettings,
    seed: int,
    device: torch.device,
) -> dict:
    """Run all modes and ensembles of free runs, and say where the model fails.

    Args:
        models: by horizon, 1 among them, all of the same window.
        linear: the linear models likewise.
        frames: the truth.
        window: W.
        settings: see `InjectSettings`.
        seed: of the experiment.
        device: to compute on.

    Returns:
        For each mode, figures by step: ``nll``, ``baseline_nll`` (a Gaussian that knows no context) and their
        difference ``gain`` in nats a dimension, ``cosine``, ``magnitude_ratio``, ``error_before`` in lengths of a true
        step; then the gains with the truth always put back, the ensembles (see `_ensembles`) and the verdict, see
        `conclude`.
    """
    diag, dim = settings.diag, frames.x.shape[1]
    starts = choose_segments(frames, diag.steps, diag.n_eval_utterances, diag.segments_per_utt, seed, STAGE)
    means = SpeakerMeans(frames.speakers(starts), seed, STAGE, settings.n_bootstrap)
    some = frames.some(TRAIN, diag.max_train_samples, seed, STAGE)
    place, always = (frames, starts, diag.steps, window, device), range(1, diag.steps + 1)
    base = run(Gaussian.of(step_statistics(frames, some)), *place).nll
    runs = {mode: run(models[1], *place, true_after=after) for mode, after in modes(diag).items()}
    gain = means.mean((base - runs["A"].nll) / dim, "gain A")
    over_linear = means.mean((run(linear[1], *place, true_after=always).nll - runs["A"].nll) / dim, "gain over linear")
    ensembles, finite = _ensembles(models, linear, frames, (starts, some), window, means, settings, device)
    farthest = ensembles[max(ensembles)]["excess"]
    verdict, reason = conclude(gain, over_linear, farthest, settings)
    return jsonable(
        {
            "n_segments": len(starts),
            "n_utterances": len(np.unique(frames.sequences.utterance[starts])),
            "modes": {mode: _figures(values, base, means, dim, mode) for mode, values in runs.items()},
            "teacher_forced_gain": gain.as_dict(),
            "gain_over_linear": over_linear.as_dict(),
            "finite": finite,
            "ensembles": {
                str(k): {name: value.as_dict() if isinstance(value, Estimate) else value for name, value in row.items()}
                for k, row in ensembles.items()
            },
            "verdict": verdict,
            "reason": reason,
        }
    )


def _ensembles(
    models: Mapping[int, Model],
    linear: Mapping[int, Model],
    frames: Frames,
    rows: tuple[np.ndarray, np.ndarray],
    window: int,
    means: SpeakerMeans,
    settings: InjectSettings,
    device: torch.device,
) -> tuple[dict[int, dict[str, Estimate | str]], float]:
    """Score free runs of the model of horizon 1 against direct predictions and against holding still.

    Args:
        models: by horizon.
        linear: likewise.
        frames: the truth.
        rows: the runs' starts, and train frames.
        window: W.
        means: over the starts' speakers.
        settings: see `InjectSettings`.
        device: to compute on.

    Returns:
        By horizon the energy scores of z-scored frames (``free``, ``undrawn``: the expected step taken, ``direct``,
        ``linear``, ``still``), how much more of it free runs have than the better of ``direct`` and ``linear``, named
        ``reference`` (``excess``, and for undrawn ones ``excess_undrawn``; shares), how much less than holding still
        (``over_still``); and the share of free runs that stay finite.
    """
    diag, (starts, some) = settings.diag, rows
    reach = [k for k in sorted(models) if k <= diag.steps]
    scale = frame_scale(frames, some)[1].to(device)
    place, size = (frames, starts), (window, diag.members)
    free, undrawn = (
        free_runs(models[1], *place, reach[-1], *size, device, draws)
        for draws in (_generator(means.seed, "free", device), None)
    )
    found = {}
    for k in reach:
        still = Gaussian.still(step_statistics(frames, some, k))
        forecasts = {"free": free[k - 1], "undrawn": undrawn[k - 1]}
        for name, model in (("direct", models[k]), ("linear", linear[k]), ("still", still)):
            forecasts[name] = direct_draws(model, *place, *size, _generator(means.seed, f"{name} {k}", device))
        truth = torch.from_numpy(frames.x[starts + k]).to(device)
        scores = {n: energy_score(draws / scale, truth / scale).cpu().numpy() for n, draws in forecasts.items()}
        reference = min(("direct", "linear"), key=lambda name: scores[name].mean())
        found[k] = {name: means.mean(values, f"{name} {k}") for name, values in scores.items()} | {
            "reference": reference,
            "excess": means.ratio(scores["free"] - scores[reference], scores[reference], f"excess {k}"),
            "excess_undrawn": means.ratio(scores["undrawn"] - scores[reference], scores[reference], f"undrawn {k}"),
            "over_still": means.ratio(scores["still"] - scores["free"], scores["still"], f"still {k}"),
        }
    return found, float(torch.isfinite(free).all(-1).all(0).double().mean())


def _generator(seed: int, name: str, device: torch.device) -> torch.Generator:
    return torch.Generator(device).manual_seed(keyed_seed(seed, STAGE, name))


def conclude(gain: Estimate, over_linear: Estimate, excess: Estimate, settings: InjectSettings) -> tuple[str, str]:
    """Say where a model fails, and by which number.

    Args:
        gain: nats a dimension that the teacher-forced model saves over a Gaussian that knows no context.
        over_linear: the same over the linear model.
        excess: of free runs' energy score over that of direct predictions, at the farthest horizon.
        settings: thresholds.

    Returns:
        ``one-step error`` where from true states the model surely predicts no better than no context, or surely worse
        than the linear model; ``compounding drift`` where it surely predicts better than no context, and free runs are
        surely worse than direct predictions by more than is allowed; ``neither`` where they surely are not;
        ``undecided`` where an interval holds its limit or a number does not exist.
    """
    limits = settings.gates
    if not np.isfinite([gain.ci_low, over_linear.ci_low, excess.ci_low]).all():
        return "undecided", "A number or its interval does not exist: one speaker, or runs that are not finite."
    if over_linear.ci_high < 0:
        return "one-step error", "From true states the model is surely worse than the linear one."
    if gain.ci_high <= limits.min_gain:
        return "one-step error", "From true states the model is surely no better than knowing no context."
    if gain.ci_low <= limits.min_gain:
        return "undecided", f"The interval of the one-step gain holds {limits.min_gain:g}."
    if excess.ci_low > limits.max_excess:
        return "compounding drift", "One step is sound, and free runs are surely worse than direct predictions."
    if excess.ci_high > limits.max_excess:
        return "undecided", f"The interval of the free runs' excess holds {limits.max_excess:g}."
    return "neither", "One step is sound, and free runs are about as good as direct predictions."


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
