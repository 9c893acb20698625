"""Stage ``dynamics-train``: vMF x log-normal models of each horizon, held against what knows less."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from soundgate.runtime.errors import WeightsError
from soundgate.runtime.ledger import jsonable
from soundgate.runtime.randomness import keyed_generator, keyed_seed
from soundgate.tracks.structure.dynamics.baselines import Gaussian, LinearFitter, UniformLogNormal
from soundgate.tracks.structure.dynamics.model import save_predictor
from soundgate.tracks.structure.dynamics.rollout import Model, Run, choose_starts, run
from soundgate.tracks.structure.dynamics.scoring import Scores, SpeakerMeans, calibration, one_step, score
from soundgate.tracks.structure.dynamics.settings import TrainSettings
from soundgate.tracks.structure.dynamics.task import STATISTICS_FRAMES, step_statistics, train_predictor
from soundgate.tracks.structure.dynamics.windows import Frames, Windows
from soundgate.tracks.structure.sequences import EVAL, HOLDOUT, TRAIN
from soundgate.training.health.settings import HealthSettings

STAGE = "dynamics-train"
BASELINES = ("uniform_lognormal", "gaussian", "persistence", "linear")


def model_folder(folder: Path, horizon: int) -> Path:
    """Return where the model of a horizon is kept."""
    return folder / f"horizon_{horizon}"


def train_and_measure(
    frames: Frames,
    settings: TrainSettings,
    seed: int,
    device: torch.device,
    work: Path,
    out: Path,
    health: HealthSettings | None = None,
) -> tuple[dict, list[dict]]:
    """Train one model a horizon, save it, and measure it on eval speakers.

    Args:
        frames: all of them, with the settings' history.
        settings: see `TrainSettings`.
        seed: of the experiment.
        device: to compute on.
        work: folder of the checkpoints.
        out: folder of the models.
        health: watches the trainings.

    Returns:
        The metrics, and one row for each horizon and look at the hold-out.
    """
    some = frames.some(TRAIN, STATISTICS_FRAMES, seed, STAGE)
    steps = step_statistics(frames, some)
    fitter = LinearFitter(frames, settings.window, settings.ridges, some)
    rows = frames.some(EVAL, settings.max_eval_samples, seed, STAGE)
    horizons, curves = {}, []
    for horizon in settings.horizons:
        windows = Windows(frames, settings.window, horizon, settings.num_workers)
        name = f"{STAGE} horizon {horizon}"
        checkpoint = work / f"horizon_{horizon}.pt"
        model, history = train_predictor(windows, "vmf", settings, seed, name, device, checkpoint, health)
        save_predictor(model_folder(out, horizon), model)
        curves += [{"horizon": horizon} | row for row in history]
        linear = fitter.fit(horizon)
        models = {
            "vmf": model,
            "uniform_lognormal": UniformLogNormal(steps),
            "gaussian": Gaussian.of(steps),
            "persistence": Gaussian.still(steps),
            "linear": linear,
        }
        entry = measure(models, windows, rows, settings, seed, device)
        if settings.rollout.enabled:
            entry["rollouts"] = measure_rollouts(models, windows, settings, seed, device)
        horizons[str(horizon)] = entry | {"linear_ridge": linear.ridge}
    counts = {f"{name}_frames": len(frames.targets(s)) for name, s in (("train", TRAIN), ("holdout", HOLDOUT))}
    about = {
        "dim": frames.x.shape[1],
        **counts,
        "eval_frames_scored": len(rows),
        "eval_speakers": len(np.unique(frames.speakers(rows))),
        "still_frames_left_out": frames.n_still,
    }
    return jsonable(about | {"horizons": horizons}), curves


def measure(
    models: dict[str, Model],
    windows: Windows,
    rows: np.ndarray,
    settings: TrainSettings,
    seed: int,
    device: torch.device,
) -> dict:
    """Return one-step figures of every model, the vMF model's calibration and what it saves over the others.

    ``gain`` is nats a dimension over each baseline; ``gain_mismatched`` that over the Gaussian with the contexts of
    other frames, which a model that uses its context cannot keep.
    """
    frames, dim = windows.frames, windows.frames.x.shape[1]
    means = SpeakerMeans(frames.speakers(rows), seed, f"{STAGE} {windows.horizon}", settings.n_bootstrap)
    scores: dict[str, Scores] = {name: score(model, windows, rows, device) for name, model in models.items()}
    other = keyed_generator(seed, STAGE, "mismatched").permutation(rows)
    mismatched = score(models["vmf"], windows, rows, device, other)
    gain = {name: (scores[name].nll - scores["vmf"].nll) / dim for name in BASELINES}
    return {
        "models": {name: one_step(value, means, dim, name) for name, value in scores.items()},
        "gain": {name: means.mean(value, f"gain {name}").as_dict() for name, value in gain.items()},
        "gain_mismatched": means.mean((scores["gaussian"].nll - mismatched.nll) / dim, "mismatched").as_dict(),
        "calibration": calibration(scores["vmf"], means, "vmf"),
    }


def measure_rollouts(
    models: dict[str, Model], windows: Windows, settings: TrainSettings, seed: int, device: torch.device
) -> dict:
    """Return figures of free runs of every model, of the vMF model also with steps drawn from it."""
    frames, rollout = windows.frames, settings.rollout
    starts = choose_starts(frames, rollout.steps, rollout.n_starts, seed, f"{STAGE} rollouts")
    means = SpeakerMeans(frames.speakers(starts), seed, f"{STAGE} {windows.horizon}", settings.n_bootstrap)
    place = (frames, starts, rollout.steps, windows.window, windows.horizon, device)
    draws = torch.Generator(device).manual_seed(keyed_seed(seed, STAGE, f"draws {windows.horizon}"))
    runs = {name: run(model, *place) for name, model in models.items() if name != "uniform_lognormal"}
    runs["vmf_drawn"] = run(models["vmf"], *place, draws=draws)
    return {name: _rollout_figures(value, means, name) for name, value in runs.items()}


def _rollout_figures(values: Run, means: SpeakerMeans, name: str) -> dict:
    """Return figures of free runs.

    ``cosine`` and ``magnitude_ratio`` are of all steps; ``divergence`` is the squared error after the last step over
    that of holding still, 1 where a run is no better; ``by_step`` holds the same three for each step.
    """
    steps = range(values.nll.shape[1])
    figures = {
        "finite": float(values.finite.mean()),
        "cosine": means.mean(values.cosine, f"{name} run cosine").as_dict(),
        "magnitude_ratio": means.ratio(values.length, values.true_length, f"{name} run length").as_dict(),
        "divergence": means.ratio(
            values.error[:, -1] ** 2, values.still[:, -1] ** 2, f"{name} run divergence"
        ).as_dict(),
    }
    figures["by_step"] = {
        "cosine": [means.mean(values.cosine[:, s], f"{name} {s}").value for s in steps],
        "magnitude_ratio": [float(values.length[:, s].sum() / values.true_length[:, s].sum()) for s in steps],
        "divergence": [float((values.error[:, s] ** 2).sum() / (values.still[:, s] ** 2).sum()) for s in steps],
    }
    return figures


def nearest_model(folder: Path) -> tuple[Path, int]:
    """Return the folder of the model with the nearest horizon, and that horizon.

    Raises:
        WeightsError: there is no model.
    """
    horizons = [int(path.name.removeprefix("horizon_")) for path in folder.glob("horizon_*")]
    if not horizons:
        raise WeightsError(folder, expected="a model of some horizon", found="none")
    return model_folder(folder, min(horizons)), min(horizons)
