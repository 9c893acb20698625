"""The analysis's files: frames and latents in, the fitted conditioning out and in again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from soundgate.codecs.latent_store import LatentStore
from soundgate.runtime.errors import CorpusError, FormatError
from soundgate.runtime.files import atomic_path, read_json, write_json
from soundgate.runtime.npz import write_npz
from soundgate.tracks.structure.conditions import FittedCondition
from soundgate.tracks.structure.contexts import WindowPca
from soundgate.tracks.structure.fitting import Conditioning
from soundgate.tracks.structure.keys import key_arrays, key_from_arrays
from soundgate.tracks.structure.linear import VectorAutoregression
from soundgate.tracks.structure.normaliser import Normaliser
from soundgate.tracks.structure.sequences import Sequences
from soundgate.tracks.structure.split import SPLITS

CHUNK_FRAMES = 16_384


@dataclass(frozen=True)
class StoredRows:
    """A latent store read by slice."""

    store: LatentStore

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Return rows float32 ``[n, D]``."""
        return self.store.read(rows.start, rows.stop)


def load_sequences(latents: Path, frames: Path, history: int) -> tuple[Sequences, list[str]]:
    """Open latents and their frame table as sequences, ordered train, hold-out, eval.

    Args:
        latents: folder of the latent store.
        frames: the frame table.
        history: frames that must precede a valid frame.

    Returns:
        The sequences and the speakers' names by number.

    Raises:
        CorpusError: train or eval has no valid frame; nothing could be fitted or decided.
    """
    table = pd.read_parquet(frames)
    split = table["split"].map({name: i for i, name in enumerate(SPLITS)}).to_numpy(np.int8)
    order = np.lexsort((table["row"], split))
    table, split = table.iloc[order], split[order]
    row, utterance = table["row"].to_numpy(np.int64), table["utt_id"].cat.codes.to_numpy()
    first = np.flatnonzero(np.diff(utterance, prepend=-1))
    speaker = table["speaker_id"].cat
    sequences = Sequences(
        StoredRows(LatentStore.open(latents)),
        row[first],
        np.diff(np.append(first, len(row))),
        speaker.codes.to_numpy()[first].astype(np.int32),
        split[first],
        table["energy"].to_numpy(),
        table["is_high_energy"].to_numpy(),
        table["pos_frac"].to_numpy(),
        CHUNK_FRAMES,
    )
    for name in ("train", "eval"):
        if not (sequences.valid(history) & (split == SPLITS.index(name))).any():
            raise CorpusError(
                frames,
                expected=f"{name} utterances of more than {history} frames",
                found="none",
                remedy="Use longer utterances, more speakers, or a smaller structure.conditioning.window.",
            )
    return sequences, list(speaker.categories)


def save_conditioning(folder: Path, fitted: Conditioning) -> None:
    """Write the fitted models as arrays (``models.npz``), ids, confidences and a card; equal models give equal bytes.

    Differs: arrays instead of the seed's pickles, which run code when they are read and change with memory layout.
    """
    arrays = {
        "frames.mean": fitted.frames.mean,
        "frames.std": fitted.frames.std,
        "differences.mean": fitted.differences.mean,
        "differences.std": fitted.differences.std,
        "linear.weight": fitted.linear.weight,
        "linear.intercept": fitted.linear.intercept,
    }
    for i, c in enumerate(fitted.conditions):
        parts = {"centroids": c.centroids, "edges": c.edges}
        if c.pca is not None:
            parts |= {f"pca.{k}": getattr(c.pca, k) for k in ("components", "mean", "explained")}
        parts |= key_arrays(c.key)
        arrays |= {f"condition.{i}.{key}": value for key, value in parts.items() if value is not None}
    keys = ("name", "kind", "lag", "replicate", "n_cells")
    card = {
        "linear_ridge": fitted.linear.ridge,
        "conditions": [{k: getattr(c, k) for k in keys} for c in fitted.conditions],
    }
    for name, write in (
        ("models.npz", lambda path: write_npz(path, arrays)),
        ("ids.npy", lambda path: np.save(path, fitted.ids)),
        ("confidence.npy", lambda path: np.save(path, fitted.confidence)),
    ):
        with atomic_path(folder / name) as temporary:
            write(temporary)
    write_json(folder / "card.json", card)


def load_conditioning(folder: Path, n_frames: int) -> Conditioning:
    """Read what `save_conditioning` wrote.

    Raises:
        FormatError: it was fitted on another frame table.
    """
    card, ids = read_json(folder / "card.json"), np.load(folder / "ids.npy", mmap_mode="r")
    if ids.shape[1] != n_frames:
        raise FormatError(folder, expected=f"assignments of {n_frames} frames", found=f"{ids.shape[1]}")
    with np.load(folder / "models.npz") as file:
        arrays = dict(file)
    conditions = []
    for i, entry in enumerate(card["conditions"]):
        part = {k.removeprefix(f"condition.{i}."): v for k, v in arrays.items() if k.startswith(f"condition.{i}.")}
        pca = {k.removeprefix("pca."): v for k, v in part.items() if k.startswith("pca.")}
        conditions.append(
            FittedCondition(
                **entry,
                pca=WindowPca(**pca) if pca else None,
                centroids=part.get("centroids"),
                edges=part.get("edges"),
                key=key_from_arrays(entry["kind"], part),
            )
        )
    return Conditioning(
        Normaliser(arrays["frames.mean"], arrays["frames.std"]),
        Normaliser(arrays["differences.mean"], arrays["differences.std"]),
        VectorAutoregression(arrays["linear.weight"], arrays["linear.intercept"], card["linear_ridge"]),
        conditions,
        ids,
        np.load(folder / "confidence.npy", mmap_mode="r"),
    )
