"""One row for each latent frame: whose it is, where in its utterance it lies, how loud it is."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import Field

from soundgate.audio.io import read_audio
from soundgate.runtime.config import Section
from soundgate.runtime.errors import FormatError
from soundgate.runtime.execution import map_items
from soundgate.runtime.paths import path_from_text
from soundgate.tracks.structure.split import SPLITS


class FramesSettings(Section):
    """Section ``structure.frames``."""

    high_energy_quantile: float = Field(
        ge=0,
        lt=1,
        description="a frame is of high energy above this quantile of the train frames; 0.5 is the median",
    )


def frame_energy(wav: np.ndarray, hop_length: int) -> np.ndarray:
    """Return the root mean square of each frame's own samples.

    Args:
        wav: ``[T]``, T >= 1; the last frame may be short, and is then averaged over the samples it has.
        hop_length: samples a frame.

    Returns:
        float32 ``[ceil(T / hop_length)]``, in the unit of ``wav``.
    """
    starts = np.arange(0, len(wav), hop_length)
    squares = np.add.reduceat(np.square(wav, dtype=np.float64), starts)
    return np.sqrt(squares / np.diff(np.append(starts, len(wav)))).astype(np.float32)


def _utterance_energy(row: tuple[Path, int], sample_rate: int, hop_length: int) -> np.ndarray:
    path, n_frames = row
    energy = frame_energy(read_audio(path, sample_rate=sample_rate, mono=True).wav[0], hop_length)
    if len(energy) != n_frames:
        raise FormatError(
            path,
            expected=f"{n_frames} frames, as many as its latents",
            found=f"{len(energy)}",
            remedy="The audio changed since it was encoded: run the stage that encodes it again.",
        )
    return energy


def frame_table(
    latents_index: pd.DataFrame,
    split: pd.DataFrame,
    settings: FramesSettings,
    *,
    sample_rate: int,
    hop_length: int,
    warmup_frames: int,
    root: str | Path = ".",
    workers: int | None = None,
) -> pd.DataFrame:
    """Describe every latent frame after the codec's warm-up.

    Args:
        latents_index: ``utt_id``, ``speaker_id``, ``path``, ``offset`` (first row in the latent store) and
            ``n_frames``.
        split: ``utt_id`` and ``split``, one row for each utterance of the corpus.
        settings: what counts as high energy.
        sample_rate: the codec's, Hz; the audio is brought to it before energies are taken.
        hop_length: samples a frame.
        warmup_frames: frames to leave out at the start of each utterance.
        root: what relative paths of the index are relative to.
        workers: processes; by default ``worker_count()``. Does not change the table.

    Returns:
        In the order of the latent store: ``utt_id``, ``speaker_id``, ``split`` (categorical), ``t`` (frame in
        the utterance, warm-up counted), ``pos_frac`` (t / T), ``energy``, ``is_train`` (held-out utterances
        are not), ``is_high_energy`` and ``row`` (in the latent store).

    Raises:
        FormatError: an utterance has no split, or its audio another number of frames than its latents.
    """
    measure = partial(_utterance_energy, sample_rate=sample_rate, hop_length=hop_length)
    rows = [
        (Path(root) / path_from_text(path), n)
        for path, n in zip(latents_index["path"], latents_index["n_frames"], strict=True)
    ]
    energy = [e[warmup_frames:] for e in map_items(measure, rows, "Frame energies", workers)]
    kept = np.array([len(e) for e in energy])
    t = np.concatenate([np.arange(warmup_frames, warmup_frames + n) for n in kept])
    of_utterance = np.repeat(np.arange(len(kept)), kept)
    label = _labels(latents_index, split)
    is_train = (label == "train")[of_utterance]
    energy = np.concatenate(energy)
    threshold = np.quantile(energy[is_train], settings.high_energy_quantile) if is_train.any() else np.inf
    return pd.DataFrame({
        "utt_id": _repeated(latents_index["utt_id"], of_utterance),
        "speaker_id": _repeated(latents_index["speaker_id"], of_utterance),
        "split": pd.Categorical(label[of_utterance], categories=SPLITS),
        "t": t.astype(np.int32),
        "pos_frac": (t / latents_index["n_frames"].to_numpy()[of_utterance]).astype(np.float32),
        "energy": energy,
        "is_train": is_train,
        "is_high_energy": energy > threshold,
        "row": (latents_index["offset"].to_numpy()[of_utterance] + t).astype(np.int32),
    })  # fmt: skip


def _labels(latents_index: pd.DataFrame, split: pd.DataFrame) -> np.ndarray:
    labels = latents_index["utt_id"].map(split.set_index("utt_id")["split"].astype(object))
    if labels.isna().any():
        missing = latents_index.loc[labels.isna(), "utt_id"].iloc[0]
        raise FormatError(missing, expected="an utterance of the split", found="none of that id")
    return labels.to_numpy(object)


def _repeated(ids: pd.Series, of_utterance: np.ndarray) -> pd.Categorical:
    """Repeat ids frame by frame as a category of each, in sorted order, without making the strings."""
    codes, categories = pd.factorize(ids, sort=True)
    return pd.Categorical.from_codes(codes[of_utterance], categories)
