"""What transfers without a trained decoder: every path has to beat it before it is worth its training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from soundgate.audio.mel import to_model
from soundgate.tracks.transfer.audit.scores import BATCH, Scorer, mels_of
from soundgate.tracks.transfer.cache import N_FRAMES

KIND = "baseline"
BASELINES = {
    "equaliser": "each band brought to the genre's mean level",
    "quantile_map": "each band's levels mapped to the genre's by their ranks",
    "knn": "concatenation of the training moments of the genre nearest by Lab 1's sequence",
    "blend": "0.7 of knn and 0.3 of equaliser, in dB",
}
_KNN_SHARE = 0.7
_QUANTILES = np.linspace(0, 1, 33)
_FLOOR_DB = -80.0


def baseline_outputs(
    scorer: Scorer, wanted: pd.DataFrame, names: Sequence[str] = tuple(BASELINES)
) -> tuple[pd.DataFrame, np.ndarray]:
    """Transfer by methods of ``BASELINES``.

    Args:
        scorer: gives the cache and Lab 1, whose training rows are all that the methods know of a genre.
        wanted: the transfers, ``row``, ``source_genre``, ``target_genre``.
        names: of the methods.

    Returns:
        ``path`` (the method), ``kind`` (``baseline``), ``row``, ``source_genre``, ``target_genre``; and the
        spectrograms [n, n_mels, 256] dB, relative to the loudest as all of them are. Genres without a training row are
        left out: nothing is known of them.
    """
    train = scorer.cache.rows("train")
    wanted = wanted[wanted["target_genre"].isin(scorer.cache.index["genre"].iloc[train].unique())]
    made = {name: np.empty((len(wanted), *scorer.cache.mels.shape[1:2], N_FRAMES), np.float32) for name in names}
    targets = wanted["target_genre"].to_numpy()
    for genre in np.unique(targets):
        at = np.flatnonzero(targets == genre)
        transferred = _to_genre(scorer, wanted["row"].to_numpy()[at], genre, names)
        for name in names:
            made[name][at] = transferred[name]
    columns = wanted[["row", "source_genre", "target_genre"]]
    table = pd.concat([columns.assign(path=name, kind=KIND) for name in made], ignore_index=True)
    return table, np.concatenate(list(made.values()))


def _to_genre(scorer: Scorer, rows: np.ndarray, genre: str, names: Sequence[str]) -> dict[str, np.ndarray]:
    cache = scorer.cache
    train = cache.rows("train")
    known = train[(cache.index["genre"].iloc[train] == genre).to_numpy()]
    sources, examples = mels_of(cache, rows), mels_of(cache, known)
    made = {"equaliser": sources + (examples.mean(axis=(0, 2)) - sources.mean(axis=2))[:, :, None]}
    if "quantile_map" in names:
        made["quantile_map"] = quantile_mapped(sources, examples)
    if {"knn", "blend"} & set(names):
        made["knn"] = concatenated(sequences(scorer, sources), sequences(scorer, examples), examples)
        made["blend"] = _KNN_SHARE * made["knn"] + (1 - _KNN_SHARE) * made["equaliser"]
    return {name: np.clip(own - own.max(axis=(1, 2), keepdims=True), _FLOOR_DB, 0) for name, own in made.items()}


def quantile_mapped(sources: np.ndarray, examples: np.ndarray) -> np.ndarray:
    """Give each band of each source [n, M, F] the distribution of levels that examples [m, M, F] have in it."""
    wanted = np.quantile(examples, _QUANTILES, axis=(0, 2))
    made = np.empty_like(sources)
    for at, source in enumerate(sources):
        own = np.quantile(source, _QUANTILES, axis=1)
        for band in range(source.shape[0]):
            made[at, band] = np.interp(source[band], own[:, band], wanted[:, band])
    return made


def concatenated(sources: np.ndarray, examples: np.ndarray, mels: np.ndarray) -> np.ndarray:
    """Play each step of each source by the example step nearest by cosine.

    Args:
        sources: what is heard at each step, unit vectors [n, L, D].
        examples: likewise of the examples, [m, L, D].
        mels: spectrograms of the examples [m, M, F], F a multiple of L.

    Returns:
        [n, M, F].
    """
    (m, n_steps, size), step = examples.shape, mels.shape[2] // sources.shape[1]
    frames = mels.reshape(m, mels.shape[1], n_steps, step).swapaxes(1, 2).reshape(m * n_steps, mels.shape[1], step)
    every = examples.reshape(m * n_steps, size).T
    return np.stack([np.concatenate(list(frames[(own @ every).argmax(axis=1)]), axis=1) for own in sources])


@torch.no_grad()
def sequences(scorer: Scorer, mels: np.ndarray) -> np.ndarray:
    """Return Lab 1's sequences as unit vectors, float32 [n, L, D]."""
    parts = []
    for part in np.array_split(mels, -(-len(mels) // BATCH)):
        heard = scorer.content(to_model(torch.from_numpy(part.astype(np.float32)))).sequence
        parts.append(torch.nn.functional.normalize(heard, dim=1).mT.numpy())
    return np.concatenate(parts)
