"""Pictures of embeddings: their similarities, and a map of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from soundgate.runtime.figures import label_text, save_figure
from soundgate.runtime.files import atomic_path
from soundgate.runtime.randomness import keyed_seed
from soundgate.tracks.voice.embeddings.similarity import Pairs

_EDGES = np.linspace(-1, 1, 41)
_PERPLEXITY = 20.0
_DPI = 90
# Speakers that a legend has room for.
_NAMED = 24


def write_similarities(path: str | Path, pairs: Pairs) -> None:
    """Write the shares of pairs by similarity as CSV: ``similarity`` (a bin's middle), ``same``, ``different``."""
    table = pd.DataFrame({"similarity": (_EDGES[:-1] + _EDGES[1:]) / 2} | _shares(pairs))
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")


def draw_similarities(path: str | Path, pairs: Pairs) -> None:
    """Draw the distributions of similarity within and between speakers as PNG."""
    figure = Figure((7, 4), layout="constrained")
    axis = figure.subplots()
    for name, shares in _shares(pairs).items():
        axis.stairs(shares, _EDGES, fill=True, alpha=0.5, label=f"{name} speaker")
    axis.set(xlabel="cosine", ylabel="share of pairs", title="Similarity of utterances")
    axis.legend()
    save_figure(figure, path, _DPI)


def draw_map(path: str | Path, embeddings: np.ndarray, speakers: np.ndarray, seed: int) -> None:
    """Draw embeddings [N, D] in two dimensions as PNG: principal components, and t-SNE.

    Source: van der Maaten and Hinton 2008 (t-SNE).
    """
    figure = Figure((12, 5.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    # One thread: sums in another order would move points.
    with threadpool_limits(1):
        components = PCA(2, svd_solver="full").fit(embeddings)
        near = TSNE(
            2, perplexity=min(_PERPLEXITY, (len(embeddings) - 1) / 3), init="pca", n_jobs=1,
            random_state=keyed_seed(seed, "voice-embeddings", "t-SNE"),
        ).fit_transform(embeddings)  # fmt: skip
        flat = components.transform(embeddings)
    _scatter(left, flat, speakers, f"PCA, {components.explained_variance_ratio_.sum():.0%} of the variance")
    _scatter(right, near, speakers, "t-SNE (distances between groups mean nothing)")
    if len(np.unique(speakers)) <= _NAMED:
        right.legend(title="speaker", loc="center left", bbox_to_anchor=(1, 0.5))
    save_figure(figure, path, _DPI)


def _scatter(axis: Axes, points: np.ndarray, speakers: np.ndarray, title: str) -> None:
    for speaker in np.unique(speakers):
        own = points[speakers == speaker]
        axis.scatter(own[:, 0], own[:, 1], s=18, label=label_text(str(speaker)))
    axis.set(title=title, xticks=[], yticks=[])


def _shares(pairs: Pairs) -> dict[str, np.ndarray]:
    counts = {
        name: np.histogram(pairs.similarity[own].clip(-1, 1), _EDGES)[0]
        for name, own in (("same", pairs.same), ("different", ~pairs.same))
    }
    return {name: own / max(1, own.sum()) for name, own in counts.items()}
