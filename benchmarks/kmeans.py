"""What the k-means of the conditions costs and gives up, against the plain alternatives, on the same data.

Contexts are window means of a random linear process (512-D, K = 64) and eight components of it (K = 256). Reference:
scikit-learn's `KMeans` with ten starts on all rows. Inertia is the mean squared distance of fresh rows to their
centroid, as a ratio to the reference's.

    python benchmarks/kmeans.py [--rows 20000]
"""

from __future__ import annotations

import time
from pathlib import Path

import click
import numpy as np
from sklearn.cluster import KMeans, MiniBatchKMeans
from threadpoolctl import threadpool_limits

from soundgate.tracks.structure.conditions import fit_centroids

RESULTS = Path(__file__).parent / "results"


def contexts(rows: int, dim: int, n_factors: int, seed: int) -> np.ndarray:
    """Return rows with ``n_factors`` strong skewed directions among ``dim``, float32."""
    generator = np.random.default_rng(seed)
    mix = np.random.default_rng(0).standard_normal((n_factors, dim))
    factors = generator.gamma(1.0, size=(rows, n_factors)) * generator.choice([-1, 1], (rows, n_factors))
    return (factors @ mix + generator.standard_normal((rows, dim))).astype(np.float32)


def methods(n_clusters: int):
    """Return the fits by name; each takes rows and gives centroids."""
    return {
        "KMeans, 10 starts, all rows (reference)": lambda x: (
            KMeans(n_clusters, n_init=10, random_state=0).fit(x).cluster_centers_
        ),
        "ours: 10 starts on a sample, Lloyd on all": lambda x: fit_centroids(x, n_clusters, 10, 0),
        "KMeans, 1 start, all rows": lambda x: KMeans(n_clusters, n_init=1, random_state=0).fit(x).cluster_centers_,
        "MiniBatchKMeans, 10 starts": lambda x: (
            MiniBatchKMeans(n_clusters, n_init=10, random_state=0, batch_size=4096).fit(x).cluster_centers_
        ),
    }


def inertia(x: np.ndarray, centroids: np.ndarray) -> float:
    """Return the mean squared distance of rows to their nearest centroid."""
    squared = (centroids**2).sum(1) - 2 * (x @ centroids.T)
    return float((squared.min(1) + (x**2).sum(1)).mean())


@click.command()
@click.option("--rows", default=20_000, show_default=True)
@click.option("--repeats", default=3, show_default=True)
def main(rows: int, repeats: int) -> None:
    """Run and write `benchmarks/results/kmeans.md`."""
    lines = [
        "# K-means of the conditions",
        "",
        f"{rows:,} rows, one thread, median of {repeats}.",
        "",
        "| data | method | seconds | inertia / reference |",
        "| --- | --- | --- | --- |",
    ]
    for label, dim, n_clusters in (("means, 512-D, K = 64", 512, 64), ("components, 8-D, K = 256", 8, 256)):
        reference = None
        x, fresh = contexts(rows, dim, 12, 1), contexts(20_000, dim, 12, 2)
        for name, fit in methods(n_clusters).items():
            seconds, scores = [], []
            for _ in range(repeats):
                with threadpool_limits(1):
                    started = time.perf_counter()
                    centroids = fit(x)
                    seconds.append(time.perf_counter() - started)
                scores.append(inertia(fresh, centroids))
            reference = reference or np.median(scores)
            lines.append(f"| {label} | {name} | {np.median(seconds):.1f} | {np.median(scores) / reference:.4f} |")
            print(lines[-1], flush=True)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "kmeans.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
