"""The style bank: the latent judge's embeddings of train items, and what the bank is judged by."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from soundgate.evaluation.gates import gated
from soundgate.evaluation.groups import group_mean
from soundgate.runtime.errors import FormatError
from soundgate.runtime.files import atomic_path, read_json, write_json
from soundgate.runtime.npz import write_npz
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.transfer.cache import ChunkCache
from soundgate.tracks.transfer.codec.judge import STAGE, LatentJudge
from soundgate.tracks.transfer.codec.settings import BankSettings
from soundgate.tracks.transfer.style.vectors import StyleVectors, centroid
from soundgate.training.weights import read_model, save_model

VECTORS_FILE, CONFIG_FILE = "bank.npz", "bank.json"


@dataclass(frozen=True)
class StyleBank(StyleVectors):
    """Embeddings of a cache's items and the genres' centroids; see `StyleVectors`.

    Args:
        judge: what made them, frozen, on the CPU.
    """

    judge: LatentJudge

    def save(self, folder: str | Path) -> None:
        """Write ``bank.npz``, ``bank.json`` and the judge."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        rows = {f"train_rows_{code}": rows for code, rows in enumerate(self.train_rows)}
        with atomic_path(folder / VECTORS_FILE) as temporary:
            write_npz(temporary, {"targets": self.targets, "centroids": self.centroids} | rows)
        write_json(folder / CONFIG_FILE, {"genres": self.genres, "exemplar_noise": self.exemplar_noise})
        save_model(folder, self.judge, self.judge.config)

    @classmethod
    def open(cls, folder: str | Path) -> StyleBank:
        """Open what `save` wrote.

        Raises:
            FormatError: a file is missing or not in this format.
            WeightsError: the judge is missing or damaged.
        """
        folder = Path(folder)
        config, tensors = read_model(folder)
        judge = LatentJudge(**config)
        judge.load_state_dict(tensors)
        try:
            bank, arrays = read_json(folder / CONFIG_FILE), dict(np.load(folder / VECTORS_FILE))
            rows = [arrays[f"train_rows_{code}"] for code in range(len(bank["genres"]))]
            vectors = arrays["targets"], arrays["centroids"], bank["genres"], rows, bank["exemplar_noise"]
        except (OSError, ValueError, KeyError) as error:
            raise FormatError(folder, expected="a style bank", found=str(error)) from error
        return cls(*vectors, judge.requires_grad_(False).eval())


def build_bank(cache: ChunkCache, judge: LatentJudge, embeddings: np.ndarray, settings: BankSettings) -> StyleBank:
    """Make a bank of the train rows' embeddings.

    Args:
        cache: the chunks.
        judge: what made the embeddings.
        embeddings: float32 [N, 128] of unit length; NaN for what is not music.
        settings: see `BankSettings`.
    """
    train, codes = cache.rows("train"), cache.index["genre_code"].to_numpy()
    rows = [train[codes[train] == code] for code in range(len(cache.genres))]
    centroids = np.stack([centroid(embeddings[own], settings.inlier_fraction) for own in rows]).astype(np.float32)
    return StyleBank(embeddings, centroids, cache.genres, rows, settings.exemplar_noise, judge.cpu())


def measure_bank(cache: ChunkCache, bank: StyleBank, settings: BankSettings, seed: int) -> dict:
    """Measure a bank on test rows.

    Returns:
        ``gates`` (see `soundgate.evaluation.gates.gated`): ``centroid_cosine``, the largest between two genres
        (control: the same with the train items' genres shuffled), and ``nearest_centroid``, the share of test items
        whose nearest centroid is their genre's (control: the majority); and the table of centroid cosines.
    """
    test, codes = cache.rows("test"), cache.index["genre_code"].to_numpy()
    generator = keyed_generator(seed, STAGE, "measures")
    hits = (bank.targets[test] @ bank.centroids.T).argmax(1) == codes[test]
    accuracy = group_mean(hits, cache.index["group"].to_numpy()[test], generator, settings.n_bootstrap)
    every = generator.permutation(np.concatenate(bank.train_rows))
    parts = np.split(every, np.cumsum([len(rows) for rows in bank.train_rows])[:-1])
    shuffled = np.stack([centroid(bank.targets[rows], settings.inlier_fraction) for rows in parts])
    majority = float(np.bincount(codes[test]).max() / len(test)) if len(test) else float("nan")
    return {
        "gates": {
            "centroid_cosine": gated(_largest(bank.centroids), "below", 0.98, control=_largest(shuffled)),
            "nearest_centroid": gated(accuracy, "above", 0.70, control=majority),
        },
        "centroid_cosines": {
            name: dict(zip(bank.genres, row, strict=True))
            for name, row in zip(bank.genres, (bank.centroids @ bank.centroids.T).tolist(), strict=True)
        },
    }


def _largest(centroids: np.ndarray) -> float:
    """Return the largest cosine between two different centroids."""
    cosines = centroids @ centroids.T
    return float(cosines[~np.eye(len(cosines), dtype=bool)].max()) if len(cosines) > 1 else float("nan")
