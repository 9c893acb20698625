"""Generated inputs of the trainings, in memory: of the shapes that the caches of each track have, of random values."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.editor.cache import BEAT_COLUMNS, COLUMNS, PairCache
from soundgate.tracks.editor.features import FeatureSettings as PairFeatures
from soundgate.tracks.editor.vocabulary import BEAT_LABELS
from soundgate.tracks.editor.vocoder.waves import Waves
from soundgate.tracks.structure.dynamics.windows import Frames
from soundgate.tracks.structure.sequences import TRAIN, Sequences
from soundgate.tracks.transfer.cache import CHUNK_COLUMNS, ChunkCache
from soundgate.tracks.transfer.codec.latents import LatentCache
from soundgate.tracks.transfer.content.model import DIM as STYLE_DIM
from soundgate.tracks.transfer.style.descriptor import N_BANDS
from soundgate.tracks.transfer.style.targets import StyleTargets, TargetSpace
from soundgate.tracks.transfer.style.vectors import StyleVectors, unit
from soundgate.tracks.voice.cache import COLUMNS as VOICE_COLUMNS
from soundgate.tracks.voice.cache import SPLITS, VoiceCache
from soundgate.tracks.voice.features import FeatureSettings as VoiceFeatures

N_GENRES, N_SOURCES = 3, 2
# Of 0.5 s at the editor's hop.
BEAT_FRAMES = 22
UTTERANCES = {"train": 4, "validation": 1, "judge": 4, "test": 0}


def drawn(name: str) -> np.random.Generator:
    return keyed_generator(0, "benchmark-gpu", name)


def chunk_cache(n_items: int, n_mels: int, n_frames: int) -> ChunkCache:
    """Return chunks of every score by every source in every genre, at least ``n_items`` of each of train and judge.

    There are half as many clips that are no music.
    """
    n_scores = -(-n_items // (N_GENRES * N_SOURCES))
    rows = []
    for split, count in (("train", n_scores), ("judge", n_scores), ("test", 1)):
        for score in range(count):
            for genre in range(N_GENRES):
                for source in range(N_SOURCES):
                    group, name = f"{split}{score}", f"{split}{score}-{genre}-{source}"
                    codes = (f"genre{genre}", genre, f"source{source}", source)
                    rows.append((name, name, name, "", 0, 0.0, *codes, group, group, True, split))
    for number in range(max(1, n_items // 2)):
        name = f"other{number}"
        rows.append((name, name, name, "", 0, 0.0, "", -1, "", -1, "", name, False, "train"))
    mels = drawn("chunks").uniform(-80, 0, (len(rows), n_mels, n_frames)).astype(np.float16)
    return ChunkCache(pd.DataFrame(rows, columns=CHUNK_COLUMNS), mels)


def style_vectors(cache: ChunkCache, dim: int, exemplar_noise: float) -> StyleVectors:
    """Return a unit vector of every chunk and of every genre."""
    generator, train = drawn("styles"), cache.rows("train")
    targets = unit(generator.standard_normal((len(cache.index), dim))).astype(np.float32)
    centroids = unit(generator.standard_normal((len(cache.genres), dim))).astype(np.float32)
    codes = cache.index["genre_code"].to_numpy()[train]
    rows = [train[codes == code] for code in range(len(cache.genres))]
    return StyleVectors(targets, centroids, cache.genres, rows, exemplar_noise)


def style_targets(cache: ChunkCache, lda: bool, descriptor_weight: float, exemplar_noise: float) -> StyleTargets:
    """Return target vectors of the width that Lab 2 gives them, and a random projection to them."""
    wide = STYLE_DIM + 2 * N_BANDS
    dim = len(cache.genres) - 1 if lda and len(cache.genres) > 2 else wide
    projection = drawn("projection").standard_normal((wide, dim)) / np.sqrt(wide)
    space = TargetSpace(
        torch.full((2 * N_BANDS,), -40.0), torch.full((2 * N_BANDS,), 10.0), descriptor_weight,
        torch.zeros(wide), torch.from_numpy(projection).float(),
    )  # fmt: skip
    return StyleTargets(**vars(style_vectors(cache, dim, exemplar_noise)), space=space)


def latent_cache(cache: ChunkCache, dim: int, n_frames: int, config: dict) -> LatentCache:
    """Return unit normal latents of the music in a cache."""
    rows = cache.rows()
    latents = drawn("latents").standard_normal((len(rows), dim, n_frames), np.float32).astype(np.float16)
    return LatentCache(latents, rows, np.zeros(dim, np.float32), np.ones(dim, np.float32), config)


def pair_cache(features: PairFeatures, n_pairs: int, n_frames: int) -> PairCache:
    """Return training pairs of at least so many frames each, with random labels."""
    generator, n_beats = drawn("pairs"), -(-n_frames // BEAT_FRAMES) + 1
    n_frames = n_beats * BEAT_FRAMES
    beat_s = BEAT_FRAMES * features.hop_length / features.sample_rate
    rows = [{
        "pair_id": f"p{number}", "group": f"g{number}", "split": "train", "known": True, "raw_path": "",
        "edit_path": "", "n_frames": n_frames, "n_beats": n_beats, "edges": BEAT_FRAMES * np.arange(n_beats + 1),
        "labels": generator.choice(BEAT_LABELS, n_beats), "plays": generator.integers(0, 3, n_beats),
        "seconds": np.full(n_beats, beat_s, np.float32),
    } for number in range(n_pairs)]  # fmt: skip
    shape = (n_pairs * n_frames, features.n_mels)
    frames = {name: generator.random(shape, np.float32).astype(np.float16) for name in ("raw", "target")}
    return PairCache(features, pd.DataFrame(rows)[[*COLUMNS, *BEAT_COLUMNS]], frames)


def waves(n_recordings: int, n_samples: int) -> Waves:
    """Return training recordings of noise."""
    names = [f"r{number}" for number in range(n_recordings)]
    table = pd.DataFrame({"recording": names, "group": names, "split": "train"})
    return Waves(table, _noise(n_recordings * n_samples), n_samples * np.arange(n_recordings + 1))


def voice_cache(features: VoiceFeatures, n_speakers: int, duration_s: float) -> VoiceCache:
    """Return utterances of noise, ``UTTERANCES`` of each speaker in each split, all voiced."""
    n_samples = round(duration_s * features.sample_rate)
    rows = [
        (f"{split}-{speaker}-{number}", f"s{speaker:04d}", split, "", n_samples, 5.0, 0.2)
        for split in SPLITS for speaker in range(n_speakers) for number in range(UTTERANCES[split])
    ]  # fmt: skip
    counts = {split: n_speakers * UTTERANCES[split] for split in SPLITS}
    f0 = {split: np.full(count * features.n_frames(n_samples), 150, np.float32) for split, count in counts.items()}
    samples = {split: _noise(count * n_samples) for split, count in counts.items()}
    return VoiceCache(features, pd.DataFrame(rows, columns=VOICE_COLUMNS), samples, f0)


def latent_frames(dim: int, history: int, n_targets: int) -> Frames:
    """Return frames of training utterances that wander, with at least so many to predict."""
    length = history + 64
    n_utterances = -(-n_targets // 64)
    x = drawn("frames").standard_normal((n_utterances, length, dim), np.float32).cumsum(1).reshape(-1, dim)
    every, ones = np.arange(n_utterances), np.ones(len(x))
    sequences = Sequences(
        x, length * every, np.full(n_utterances, length), every, np.full(n_utterances, TRAIN), ones,
        np.ones(len(x), bool), np.tile(np.arange(length) / length, n_utterances),
    )  # fmt: skip
    return Frames.of(sequences, history)


def _noise(n_samples: int) -> np.ndarray:
    return drawn("noise").integers(-3000, 3000, n_samples).astype(np.int16)
