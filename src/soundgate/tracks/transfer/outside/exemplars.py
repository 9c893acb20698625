"""Does an exemplar matter, or only the name of its style?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
import torch

from soundgate.evaluation.gates import verdict
from soundgate.evaluation.groups import group_mean
from soundgate.evaluation.statistics import Estimate
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.transfer.cache import N_FRAMES, ChunkCache
from soundgate.tracks.transfer.outside.clips import STAGE, Clip
from soundgate.tracks.transfer.samples.transfers import CodecPath, MelPath
from soundgate.tracks.transfer.style.vectors import Mode

# Of what real recordings of one score and style differ by, an exemplar has to move the output by so much.
LEAST = 0.5


@torch.no_grad()
def exemplar_response(
    cache: ChunkCache, path: MelPath | CodecPath, clips: Sequence[Clip], seed: int, n_bootstrap: int
) -> dict[str, Estimate]:
    """Measure how far two exemplars of one style move the output for one source apart.

    Args:
        cache: the chunks.
        path: the path, whatever its mode.
        clips: the sources, each with its target genre.
        seed: of the draws.
        n_bootstrap: resamples.

    Returns:
        Mean distances of spectrograms, over groups: ``exemplar_db`` (another exemplar, and another noise where the path
        has one), ``noise_db`` (the genre's centroid both times: the noise alone), ``sources_db`` (recordings of the
        same score in the target genre by different sources; nan where there are none) and ``response``, exemplar less
        noise, in shares of ``sources_db``.
    """
    group, rows = cache.index["group"].to_numpy(), []
    for clip in clips:
        exemplar, noise = (_moved(cache, path, clip, mode, seed) for mode in ("exemplar", "centroid"))
        sources = _apart(cache, clip)
        rows.append((exemplar, noise, sources, (exemplar - noise) / sources))
    values = np.array(rows).T
    groups = group[[clip.row for clip in clips]]
    names = ("exemplar_db", "noise_db", "sources_db", "response")
    return {
        name: group_mean(own, groups, keyed_generator(seed, STAGE, f"bootstrap exemplars {name}"), n_bootstrap)
        for name, own in zip(names, values, strict=True)
    }


def exemplar_gate(found: dict[str, Estimate]) -> dict:
    """Judge whether exemplars move a path's outputs at least half as far as real recordings of a style differ.

    Returns:
        A verdict on ``response``. Control: a path that knows the style's name only has 0.
    """
    own = found["response"]
    return verdict(own.value, "above", LEAST, (own.ci_low, own.ci_high), own.n, 0.0)


def _moved(cache: ChunkCache, path: MelPath | CodecPath, clip: Clip, mode: Mode, seed: int) -> float:
    rows, codes = np.array([clip.row]), np.array([cache.genres.index(clip.target_genre)])
    first, second = (
        replace(path, mode=mode)(rows, codes, keyed_generator(seed, STAGE, f"{mode} {clip.row} {number}")).mels[0]
        for number in range(2)
    )
    return float(np.abs(first - second).mean())


def _apart(cache: ChunkCache, clip: Clip) -> float:
    index = cache.index
    moment = cache.renderings[index["group"].iloc[clip.row], index["chunk"].iloc[clip.row]]
    same = moment[(index["genre"].iloc[moment] == clip.target_genre).to_numpy()]
    mels = cache.mels[same, :, :N_FRAMES].astype(np.float32)
    pairs = [np.abs(mels[one] - mels[other]).mean() for one, other in combinations(range(len(same)), 2)]
    return float(np.mean(pairs)) if pairs else float("nan")
