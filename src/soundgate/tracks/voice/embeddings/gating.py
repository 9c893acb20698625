"""The gates of the embeddings, each beside what an encoder with random weights has."""

from __future__ import annotations

import torch

from soundgate.evaluation.gates import gated
from soundgate.evaluation.statistics import Estimate
from soundgate.runtime.randomness import keyed_seed
from soundgate.tracks.voice.embeddings.analysis import STAGE
from soundgate.tracks.voice.embeddings.settings import Thresholds
from soundgate.tracks.voice.speaker.model import SpeakerEncoder


def random_encoder(like: SpeakerEncoder, seed: int) -> SpeakerEncoder:
    """Return an encoder of the same architecture that nobody trained."""
    torch.manual_seed(keyed_seed(seed, STAGE, "random weights"))
    return SpeakerEncoder(like.settings, like.features).eval()


def embedding_gates(results: dict, control: dict, thresholds: Thresholds) -> dict[str, dict]:
    """Return the gates' numbers; see `soundgate.evaluation.gates.gated`.

    Args:
        results: from `analyze_embeddings`.
        control: likewise, of random weights.
        thresholds: see `Thresholds`.
    """
    n, over = results["n_speakers"], results["separation"] - control["separation"]

    def estimate(value: float, interval: dict) -> Estimate:
        return Estimate(value, *(float("nan") if end is None else end for end in _ends(interval)), n)

    similarities = {
        name: (results[f"{name}_speaker_similarity"], control[f"{name}_speaker_similarity"]["mean"])
        for name in ("same", "different")
    }
    sides = {"same": "above", "different": "below"}
    return {
        f"{name}_speaker_similarity": gated(
            estimate(own["mean"], own), sides[name], getattr(thresholds, name), control=random
        )
        for name, (own, random) in similarities.items()
    } | {
        "separation": gated(
            estimate(results["separation"], results["separation_interval"]), "above", thresholds.separation,
            control=control["separation"],
        ),
        "separation_over_random": gated(over, "above", thresholds.over_random),
    }  # fmt: skip


def _ends(interval: dict) -> tuple[float | None, float | None]:
    return interval["ci_low"], interval["ci_high"]
