"""Runs of a model on its own states, with the true state put back after chosen steps."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from soundgate.runtime.errors import CorpusError
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.structure.dynamics.families import Prediction
from soundgate.tracks.structure.dynamics.windows import Frames
from soundgate.tracks.structure.sequences import EVAL

Model = Callable[[Tensor], Prediction]


@dataclass(frozen=True)
class Run:
    """What each step of each run was like; all float64 ``[n, K]``.

    Attributes:
        nll: of the true step, given the state the run is in, in nats.
        cosine: of the step taken to the true one; 0 where either is none.
        length: of the step taken.
        true_length: of the true one.
        error_before: distance from the true frame before the step.
    """

    nll: np.ndarray
    cosine: np.ndarray
    length: np.ndarray
    true_length: np.ndarray
    error_before: np.ndarray


@torch.no_grad()
def run(
    model: Model,
    frames: Frames,
    starts: np.ndarray,
    steps: int,
    window: int,
    device: torch.device,
    true_after: Container[int] = (),
) -> Run:
    """Let a model go on from true frames by its expected steps.

    Args:
        model: from windows ``[n, W, D]`` to predictions of the next step.
        frames: the truth.
        starts: last true frame of each run, with ``steps`` frames after it in its utterance.
        steps: K.
        window: W.
        device: to compute on.
        true_after: after which steps (from 1) all frames of the run are made the true ones.
    """
    rows = starts[:, None] + np.arange(1 - window, steps + 1)
    truth = torch.from_numpy(frames.x[rows]).to(device)
    state = truth[:, :window].clone()
    kept: dict[str, list[Tensor]] = {name: [] for name in Run.__dataclass_fields__}
    for s in range(steps):
        now = window + s
        before = state[:, -1]
        true_step = truth[:, now] - truth[:, now - 1]
        predicted = model(state[:, -window:])
        step = predicted.mean()
        values = {
            "nll": predicted.nll(true_step),
            "cosine": torch.nn.functional.cosine_similarity(step.double(), true_step.double(), dim=1),
            "length": step.norm(dim=1),
            "true_length": true_step.norm(dim=1),
            "error_before": (before - truth[:, now - 1]).norm(dim=1),
        }
        for name, value in values.items():
            kept[name].append(value.double())
        state = torch.cat([state, (before + step)[:, None]], dim=1)
        if s + 1 in true_after:
            state = truth[:, : now + 1].clone()
    return Run(**{name: torch.stack(values, 1).cpu().numpy() for name, values in kept.items()})


def possible_starts(frames: Frames, steps: int) -> np.ndarray:
    """Return the eval frames that ``steps`` frames follow in their utterance, in each of which something moves.

    Raises:
        CorpusError: there are none.
    """
    rows = frames.targets(EVAL)
    utterance = frames.sequences.utterance
    before = rows - 1
    last = before + steps
    fits = last < len(frames.x)
    same = utterance[np.minimum(last, len(frames.x) - 1)] == utterance[before]
    moving = np.zeros(len(frames.x) + 1, int)
    moving[1:][rows] = 1
    moved = np.cumsum(moving)
    whole = moved[np.minimum(last, len(frames.x) - 1) + 1] - moved[before + 1] == steps
    found = before[fits & same & whole]
    if not len(found):
        expected = f"eval utterances of more than {frames.history + steps} frames"
        raise CorpusError("rollouts", expected=expected, found="none", remedy="Use longer utterances or fewer steps.")
    return found


def choose_segments(
    frames: Frames, steps: int, n_utterances: int, per_utterance: int, seed: int, name: str
) -> np.ndarray:
    """Return starts of segments in a keyed choice of utterances, dealt over speakers as evenly as they go."""
    found = possible_starts(frames, steps)
    utterance = frames.sequences.utterance[found]
    order = keyed_generator(seed, name, "utterances").permutation(np.unique(utterance))
    speaker = frames.sequences.speaker[order]
    turn = np.array([np.sum(speaker[:i] == who) for i, who in enumerate(speaker)])
    chosen = order[np.argsort(turn, kind="stable")][:n_utterances]
    parts = []
    for u in np.sort(chosen):
        generator, own = keyed_generator(seed, name, f"segments {u}"), found[utterance == u]
        parts.append(np.sort(generator.choice(own, min(per_utterance, len(own)), replace=False)))
    return np.concatenate(parts)
