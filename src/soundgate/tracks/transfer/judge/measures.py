"""How good the held-out judges are, on music that nobody was trained on."""

from __future__ import annotations

import numpy as np
import pandas as pd

from soundgate.evaluation.groups import group_mean
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.transfer.cache import N_FRAMES, ChunkCache
from soundgate.tracks.transfer.content.measures import rendering_pairs, retrieval_across_styles
from soundgate.tracks.transfer.judge.scoring import Judges
from soundgate.tracks.transfer.judge.task import STAGE

N_BINS = 10


def measure_judges(cache: ChunkCache, judges: Judges, seed: int, n_bootstrap: int) -> dict:
    """Measure both judges on the test rows.

    Returns:
        ``style``: accuracy, the majority's, calibration error; ``content``: cosine of renderings of the same
        music, of different music, retrieval across styles. Estimates have intervals over groups.
    """
    generator = keyed_generator(seed, STAGE, "bootstrap")
    test = cache.rows("test")
    index = cache.index.iloc[test]
    groups, codes = index["group"].to_numpy(), index["genre_code"].to_numpy()
    mels = cache.mels[test, :, :N_FRAMES].astype(np.float32)
    probabilities, content = judges.style(mels), judges.content(mels)
    hits = probabilities.argmax(1) == codes
    cosines = content @ content.T
    different = groups[:, None] != groups[None, :]
    mismatched = [cosines[i, own].mean() if own.any() else np.nan for i, own in enumerate(different)]
    at = pd.Series(np.arange(len(test)), index=test)
    pairs = rendering_pairs(cache, test)
    first, second = (at[pairs[:, side]].to_numpy() for side in (0, 1))
    retrieved, chance = retrieval_across_styles(cache, test, cosines)

    def mean(values: np.ndarray, own: np.ndarray = groups) -> dict:
        return group_mean(values, own, generator, n_bootstrap).as_dict()

    return {
        "style": {
            "accuracy": mean(hits),
            "majority": float(np.bincount(codes).max() / len(codes)),
            "true_genre_probability": mean(probabilities[np.arange(len(codes)), codes]),
            "calibration_error": _calibration_error(probabilities.max(1), hits),
            "temperature": float(judges.style_judge.temperature),
        },
        "content": {
            "same": mean(cosines[first, second], groups[first]),
            "mismatched": mean(np.array(mismatched)),
            "retrieval_across_styles": mean(retrieved) | {"chance": chance},
        },
        "n_judge_groups": int(cache.index.iloc[cache.rows("judge")]["group"].nunique()),
        "n_test_groups": int(index["group"].nunique()),
    }


def _calibration_error(confidence: np.ndarray, hits: np.ndarray) -> float:
    """Return the expected calibration error over ten bins of confidence.

    Source: Naeini, Cooper and Hauskrecht 2015.
    """
    bins = np.minimum((confidence * N_BINS).astype(int), N_BINS - 1)
    gaps = [abs(hits[bins == b].mean() - confidence[bins == b].mean()) * (bins == b).mean() for b in np.unique(bins)]
    return float(np.sum(gaps))
