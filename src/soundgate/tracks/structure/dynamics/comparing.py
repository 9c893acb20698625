"""Stage ``dynamics-compare``: what the same predictors save on two codecs, per frame and per second of audio."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from soundgate.runtime.errors import CorpusError
from soundgate.runtime.ledger import jsonable
from soundgate.tracks.structure.dynamics.baselines import Gaussian
from soundgate.tracks.structure.dynamics.linear import CrossFitted, LinearFitter
from soundgate.tracks.structure.dynamics.scoring import Scores, SpeakerMeans, score
from soundgate.tracks.structure.dynamics.settings import CompareSettings
from soundgate.tracks.structure.dynamics.task import (
    STATISTICS_FRAMES,
    frame_scale,
    step_statistics,
    train_predictor,
)
from soundgate.tracks.structure.dynamics.windows import Frames, Windows
from soundgate.tracks.structure.sequences import EVAL, TRAIN
from soundgate.training.health.settings import HealthSettings

STAGE = "dynamics-compare"


@dataclass(frozen=True)
class Representation:
    """One codec's latents.

    Attributes:
        name: of the codec.
        frames: all of them, with the history of the longest context.
        speakers: names of the speaker numbers.
        frame_rate: Hz.
    """

    name: str
    frames: Frames
    speakers: list[str]
    frame_rate: float


@dataclass(frozen=True)
class Gains:
    """What a model saves over a diagonal Gaussian that knows no context, by eval speaker.

    Attributes:
        nats: sum over the frames scored, by speaker's name.
        seconds: of those frames, by speaker's name.
    """

    nats: dict[str, float]
    seconds: dict[str, float]


def history_of(settings: CompareSettings, frame_rate: float) -> int:
    """Return the frames that must precede a scored frame."""
    return max(context.window(frame_rate) for context in settings.contexts.values())


def compare(
    pair: tuple[Representation, Representation],
    settings: CompareSettings,
    seed: int,
    device: torch.device,
    work: Path,
    health: HealthSettings | None = None,
) -> tuple[dict, list[dict]]:
    """Fit the linear model and every family on every context of both codecs, and compare what they save.

    Each training goes on until the hold-out gets no better; ``converged`` says whether it got there.

    A gain over a Gaussian of the same latents does not change with their scale; the nats themselves do, and those of
    two codecs cannot be compared. All predict the next frame from the frames before it, so gains add up over time.

    Args:
        pair: the two codecs, of the same speech.
        settings: see `CompareSettings`.
        seed: of the experiment.
        device: to compute on.
        work: folder of the checkpoints.
        health: watches the trainings.

    Returns:
        The metrics, and one row for each training and look at the hold-out.

    Raises:
        CorpusError: the codecs' eval speakers are not the same.
    """
    speakers = [sorted({r.speakers[s] for s in r.frames.speakers(r.frames.targets(EVAL))}) for r in pair]
    if speakers[0] != speakers[1]:
        raise CorpusError(STAGE, expected="the same eval speakers for both codecs", found=f"{speakers}")
    found, gains, curves = {}, {}, []
    for representation in pair:
        entry, own, rows = _fit_codec(representation, settings, seed, device, work, health)
        found[representation.name], gains[representation.name] = entry, own
        curves += rows
    first, second = (gains[r.name] for r in pair)
    difference = {
        context: {
            family: _difference(first[context, family], second[context, family], settings, seed, f"{context} {family}")
            for family in ("linear", *settings.families)
        }
        for context in settings.contexts
    }
    return jsonable({"codecs": found, "first_less_second": difference}), curves


def _fit_codec(
    codec: Representation,
    settings: CompareSettings,
    seed: int,
    device: torch.device,
    work: Path,
    health: HealthSettings | None,
) -> tuple[dict, dict[tuple[str, str], Gains], list[dict]]:
    frames, dim = codec.frames, codec.frames.x.shape[1]
    rows = frames.some(EVAL, settings.max_eval_samples, seed, f"{STAGE} {codec.name}")
    means = SpeakerMeans(frames.speakers(rows), seed, f"{STAGE} {codec.name}", settings.n_bootstrap)
    some = frames.some(TRAIN, STATISTICS_FRAMES, seed, f"{STAGE} {codec.name}")
    baseline = score(Gaussian.of(step_statistics(frames, some)), Windows(frames, 1, 1), rows, device)
    contexts = {name: size.window(codec.frame_rate) for name, size in settings.contexts.items()}
    fitter = LinearFitter(frames, settings.ridge, frame_scale(frames, some))
    parts, gains, curves = {}, {}, []
    # Contexts of as many frames are one.
    for window in sorted(set(contexts.values())):
        linear = fitter.fit(window)[1]
        windows = Windows(frames, window, 1, settings.num_workers)
        scores, training, rows_of = _fit_window(codec, windows, linear, rows, settings, seed, device, work, health)
        curves += rows_of
        parts[window] = {
            "frames": window,
            "duration_s": window / codec.frame_rate,
            "linear": linear.model.choice(),
            "families": {
                family: _figures(baseline.nll, scores["linear"], values, means, codec, f"{window} {family}")
                | training.get(family, {})
                for family, values in scores.items()
            },
        }
        for family, values in scores.items():
            saved = _by_speaker(baseline.nll - values.nll, rows, codec)
            gains |= {(context, family): saved for context, own in contexts.items() if own == window}
    entry = {"dim": dim, "frame_rate": codec.frame_rate, "eval_frames_scored": len(rows)}
    return entry | {"contexts": {context: parts[window] for context, window in contexts.items()}}, gains, curves


def _fit_window(
    codec: Representation,
    windows: Windows,
    linear: CrossFitted,
    rows: np.ndarray,
    settings: CompareSettings,
    seed: int,
    device: torch.device,
    work: Path,
    health: HealthSettings | None,
) -> tuple[dict[str, Scores], dict[str, dict], list[dict]]:
    """Return the scores of the linear model and of every family, how each was trained, and the looks meanwhile."""
    scores, training, curves = {"linear": score(linear.model, windows, rows, device)}, {}, []
    for family in settings.families:
        name = f"{codec.name} {windows.window} {family}"
        checkpoint = work / f"{name.replace(' ', '-')}.pt"
        run = f"{STAGE} {name}"
        trained = train_predictor(windows, family, linear, settings, seed, run, device, checkpoint, health)
        about = {"codec": codec.name, "context_frames": windows.window, "family": family}
        curves += [about | row for row in trained.history]
        training[family] = {"training": {"steps": trained.history[-1]["step"], "converged": trained.converged}}
        scores[family] = score(trained.model, windows, rows, device)
    return scores, training, curves


def _figures(
    baseline: np.ndarray, floor: Scores, scores: Scores, means: SpeakerMeans, codec: Representation, name: str
) -> dict:
    """Return nats saved over the Gaussian that knows no context, and over the linear model with the same context."""
    dim, saved, over = codec.frames.x.shape[1], baseline - scores.nll, floor.nll - scores.nll
    return {
        "nll_per_dim": means.mean(scores.nll / dim, f"{name} nll").as_dict(),
        "gain_per_frame": means.mean(saved, f"{name} gain").as_dict(),
        "gain_per_second": means.mean(saved * codec.frame_rate, f"{name} gain").as_dict(),
        "gain_per_dim": means.mean(saved / dim, f"{name} gain").as_dict(),
        "over_linear_per_second": means.mean(over * codec.frame_rate, f"{name} over linear").as_dict(),
        "over_linear_per_dim": means.mean(over / dim, f"{name} over linear").as_dict(),
        "cosine": means.mean(scores.cosine, f"{name} cosine").as_dict(),
    }


def _by_speaker(saved: np.ndarray, rows: np.ndarray, codec: Representation) -> Gains:
    speaker = codec.frames.speakers(rows)
    names = [codec.speakers[s] for s in np.unique(speaker)]
    nats = [float(saved[speaker == s].sum()) for s in np.unique(speaker)]
    seconds = [float((speaker == s).sum()) / codec.frame_rate for s in np.unique(speaker)]
    return Gains(dict(zip(names, nats, strict=True)), dict(zip(names, seconds, strict=True)))


def _difference(first: Gains, second: Gains, settings: CompareSettings, seed: int, name: str) -> dict:
    """Estimate first less second in nats a second of audio, paired by speaker, speakers weighted by their audio."""
    who = sorted(set(first.nats) & set(second.nats))
    rate = np.array([first.nats[w] / first.seconds[w] - second.nats[w] / second.seconds[w] for w in who])
    weight = np.array([first.seconds[w] + second.seconds[w] for w in who])
    means = SpeakerMeans(np.arange(len(who)), seed, STAGE, settings.n_bootstrap)
    return means.ratio(rate * weight, weight, name).as_dict()
