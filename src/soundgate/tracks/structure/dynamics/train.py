"""Stage ``dynamics-train``: a model of each horizon, held against what knows less and against the linear model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from soundgate.runtime.errors import WeightsError
from soundgate.runtime.ledger import jsonable
from soundgate.tracks.structure.dynamics.baselines import Gaussian, UniformLogNormal
from soundgate.tracks.structure.dynamics.linear import LinearFitter
from soundgate.tracks.structure.dynamics.model import StepPredictor, load_predictor, save_predictor
from soundgate.tracks.structure.dynamics.rollout import Model
from soundgate.tracks.structure.dynamics.scoring import Scores, SpeakerMeans, calibration, one_step, score
from soundgate.tracks.structure.dynamics.settings import TrainSettings
from soundgate.tracks.structure.dynamics.task import (
    STATISTICS_FRAMES,
    frame_scale,
    step_statistics,
    train_predictor,
)
from soundgate.tracks.structure.dynamics.windows import Frames, Windows
from soundgate.tracks.structure.sequences import EVAL, HOLDOUT, TRAIN
from soundgate.training.health.settings import HealthSettings

STAGE = "dynamics-train"
BASELINES = ("uniform_lognormal", "gaussian", "persistence", "linear", "untrained")


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
    linear = LinearFitter(frames, settings.ridge, frame_scale(frames, some)).fit(settings.window, settings.horizons)
    rows = frames.some(EVAL, settings.max_eval_samples, seed, STAGE)
    horizons, curves = {}, []
    for horizon in settings.horizons:
        windows = Windows(frames, settings.window, horizon, settings.num_workers)
        name = f"{STAGE} horizon {horizon}"
        checkpoint, floor = work / f"horizon_{horizon}.pt", linear[horizon]
        trained = train_predictor(windows, settings.family, floor, settings, seed, name, device, checkpoint, health)
        save_predictor(model_folder(out, horizon), trained.model)
        curves += [{"horizon": horizon} | row for row in trained.history]
        steps = step_statistics(frames, some, horizon)
        models = {
            "network": trained.model,
            "uniform_lognormal": UniformLogNormal(steps),
            "gaussian": Gaussian.of(steps),
            "persistence": Gaussian.still(steps),
            "linear": floor.model,
            "untrained": trained.untrained,
        }
        entry = measure(models, windows, rows, settings, seed, device)
        training = {"steps": trained.history[-1]["step"], "converged": trained.converged}
        horizons[str(horizon)] = entry | {"linear": floor.model.choice(), "training": training}
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
    """Return one-step figures of every model, the network's calibration and what it saves over the others.

    ``gain`` is nats a dimension over each baseline; ``gain_over_mismatched`` over the network itself given contexts of
    other utterances, 0 for a model that takes no notice of its context; ``mismatched_over_linear`` what the network
    keeps over the linear model with those contexts.
    """
    frames, dim = windows.frames, windows.frames.x.shape[1]
    means = SpeakerMeans(frames.speakers(rows), seed, f"{STAGE} {windows.horizon}", settings.n_bootstrap)
    scores: dict[str, Scores] = {name: score(model, windows, rows, device) for name, model in models.items()}
    other = frames.other_utterances(rows, seed, STAGE)
    network, mismatched = scores["network"], score(models["network"], windows, rows, device, other)
    gain = {name: (scores[name].nll - network.nll) / dim for name in BASELINES}
    found = {
        "models": {name: one_step(value, means, dim, name) for name, value in scores.items()},
        "gain": {name: means.mean(value, f"gain {name}").as_dict() for name, value in gain.items()},
        "gain_over_mismatched": means.mean((mismatched.nll - network.nll) / dim, "mismatched").as_dict(),
        "mismatched_over_linear": means.mean((scores["linear"].nll - mismatched.nll) / dim, "bare").as_dict(),
    }
    return found | ({"calibration": calibration(network, means, "network")} if network.calibration else {})


def trained_models(folder: Path) -> dict[int, StepPredictor]:
    """Return the trained models by horizon.

    Raises:
        WeightsError: there is none of horizon 1.
    """
    horizons = sorted(int(path.name.removeprefix("horizon_")) for path in folder.glob("horizon_*"))
    if 1 not in horizons:
        raise WeightsError(folder, expected="a model of horizon 1", found=f"horizons {horizons}")
    return {k: load_predictor(model_folder(folder, k)) for k in horizons}
