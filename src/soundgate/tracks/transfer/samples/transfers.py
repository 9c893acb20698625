"""Transfers of unseen music by both paths: what the audit scores and the sample pack plays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd
import torch

from soundgate.audio.mel import MelSettings, from_model, griffin_lim
from soundgate.runtime.console import track
from soundgate.runtime.files import atomic_path
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.transfer.cache import ChunkCache
from soundgate.tracks.transfer.codec.bank import StyleBank
from soundgate.tracks.transfer.codec.latents import LatentCache
from soundgate.tracks.transfer.codec.sound import Sound
from soundgate.tracks.transfer.codec.translator import Translator
from soundgate.tracks.transfer.content.model import ContentModel
from soundgate.tracks.transfer.mel.model import MelModel
from soundgate.tracks.transfer.style.targets import StyleTargets
from soundgate.tracks.transfer.style.vectors import Mode

STAGE = "transfer-samples"
BATCH = 32
TABLE_FILE, MELS_FILE = "transfers.parquet", "mels.npy"


class Output(NamedTuple):
    """What a path makes of clips.

    Args:
        mels: float32 [B, 96, 256] dB.
        waves: float32 [B, T], or None where the path makes spectrograms only.
        sample_rate: of the waves, Hz.
    """

    mels: np.ndarray
    waves: np.ndarray | None
    sample_rate: int


class StylePath(Protocol):
    """A way to transfer styles."""

    def __call__(self, rows: np.ndarray, codes: np.ndarray, generator: np.random.Generator) -> Output:
        """Transfer cache rows int [B] to genres int [B]."""


@dataclass(frozen=True)
class MelPath:
    """The mel decoder, steered by a target vector."""

    cache: ChunkCache
    content: ContentModel
    targets: StyleTargets
    model: MelModel
    mode: Mode
    device: torch.device

    def __call__(self, rows: np.ndarray, codes: np.ndarray, generator: np.random.Generator) -> Output:
        """Transfer; see `StylePath`."""
        analysis = self.content(self.cache.batch(rows).to(self.device))
        target = torch.from_numpy(self.targets.condition(self.mode, codes, 0.5, generator)).to(self.device)
        mels = self.model.generate(analysis.content, analysis.sequence, target)
        return Output(from_model(mels).cpu().numpy(), None, 0)


@dataclass(frozen=True)
class CodecPath:
    """The translator of latents, steered by a vector of the style bank and a noise."""

    cache: ChunkCache
    latents: LatentCache
    content: ContentModel
    bank: StyleBank
    translator: Translator
    sound: Sound
    mode: Mode
    device: torch.device

    def __call__(self, rows: np.ndarray, codes: np.ndarray, generator: np.random.Generator) -> Output:
        """Transfer whole chunks; see `StylePath`."""
        latents = self.latents.batch(rows).to(self.device)
        style = torch.from_numpy(self.bank.condition(self.mode, codes, 0.5, generator)).to(self.device)
        noise = generator.standard_normal((len(rows), self.translator.settings.n_noise), np.float32)
        source = self.content(self.sound.mels(self.sound.waves(latents)))
        made = self.translator(latents, source.content, style, torch.from_numpy(noise).to(self.device))
        waves = self.sound.waves(made)
        mels = from_model(self.sound.mels(waves))
        return Output(mels.cpu().numpy(), waves.cpu().numpy(), self.sound.codec.sample_rate)


def plan_transfers(cache: ChunkCache, paths: list[str], max_sources: int | None, seed: int) -> pd.DataFrame:
    """Say what is transferred to what.

    Args:
        cache: the chunks; those of the test split are transferred.
        paths: names of the paths.
        max_sources: chunks of each genre, by a keyed draw; None: all.
        seed: of the draws.

    Returns:
        ``path``, ``kind``, ``row``, ``source_genre``, ``target_genre`` and ``condition_genre``, which is another
        than the target's where the kind is ``shuffled``.
    """
    index, plan = cache.index, []
    test = cache.rows("test")
    for genre in cache.genres:
        own = test[(index["genre"].iloc[test] == genre).to_numpy()]
        order = keyed_generator(seed, STAGE, f"sources {genre}").permutation(own)
        for row in np.sort(order[:max_sources]):
            plan.append(("identity", row, genre, genre, genre))
            for target in cache.genres:
                if target != genre:
                    others = [name for name in cache.genres if name != target]
                    wrong = others[keyed_generator(seed, STAGE, f"shuffled {row} {target}").integers(len(others))]
                    plan.append(("transfer", row, genre, target, target))
                    plan.append(("shuffled", row, genre, target, wrong))
    columns = ["kind", "row", "source_genre", "target_genre", "condition_genre"]
    table = pd.DataFrame(plan, columns=columns)
    return pd.concat([table.assign(path=path) for path in paths], ignore_index=True)[["path", *columns]]


@torch.no_grad()
def make_transfers(plan: pd.DataFrame, paths: dict[str, StylePath], genres: list[str], seed: int) -> np.ndarray:
    """Carry a plan out.

    Returns:
        float16 [R, 96, 256] dB, one for each row of the plan.
    """
    mels = np.empty((len(plan), *_shape(plan, paths, genres, seed)), np.float16)
    for name, own in plan.groupby("path", sort=False):
        parts = np.array_split(own.index.to_numpy(), -(-len(own) // BATCH))
        for number, part in enumerate(track(parts, f"transfers, {name}")):
            mels[part] = _transfer(paths[name], plan.loc[part], genres, seed, f"{name} {number}").mels
    return mels


def _shape(plan: pd.DataFrame, paths: dict[str, StylePath], genres: list[str], seed: int) -> tuple[int, int]:
    first = plan.iloc[:1]
    return _transfer(paths[first["path"].iloc[0]], first, genres, seed, "shape").mels.shape[1:]


def _transfer(path: StylePath, rows: pd.DataFrame, genres: list[str], seed: int, item: str) -> Output:
    codes = rows["condition_genre"].map(genres.index).to_numpy()
    return path(rows["row"].to_numpy(), codes, keyed_generator(seed, STAGE, item))


@torch.no_grad()
def transfer_clip(path: StylePath, row: pd.Series, genres: list[str], seed: int) -> Output:
    """Transfer one row of a plan by itself, for listening."""
    item = f"clip {row['path']} {row['row']} {row['target_genre']} {row['kind']}"
    return _transfer(path, row.to_frame().T.infer_objects(), genres, seed, item)


def heard(output: Output, settings: MelSettings, n_iter: int) -> tuple[np.ndarray, int]:
    """Return the first clip of an output as float32 [T] and its rate: its wave, or Griffin and Lim's of its mel."""
    if output.waves is not None:
        return output.waves[0], output.sample_rate
    return griffin_lim(output.mels[0], settings, n_iter), settings.sample_rate


def write_transfers(folder: Path, plan: pd.DataFrame, mels: np.ndarray) -> None:
    """Write ``transfers.parquet`` (``array_row`` first) and ``mels.npy``."""
    folder.mkdir(parents=True, exist_ok=True)
    table = plan.reset_index(drop=True)
    table.insert(0, "array_row", np.arange(len(table)))
    with atomic_path(folder / MELS_FILE) as temporary:
        np.save(temporary, mels)
    with atomic_path(folder / TABLE_FILE) as temporary:
        table.to_parquet(temporary, index=False)
