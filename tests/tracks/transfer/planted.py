"""A cache whose spectrograms are made of content (which bands sound when) and style (an envelope over bands)."""

import numpy as np
import pandas as pd
import torch

from soundgate.tracks.transfer.cache import CHUNK_COLUMNS, ChunkCache, write_cache
from soundgate.tracks.transfer.content.model import ContentModel, EncoderSettings, save_content
from soundgate.tracks.transfer.style.targets import StyleSettings, fit_targets

GENRES = ["bright", "dark"]
N_FRAMES = 272


def content_of(score: int) -> np.ndarray:
    """Return [96, F] dB: tones that change every 16 frames."""
    generator = np.random.default_rng(score)
    pattern = np.full((96, N_FRAMES), -50.0)
    for first in range(0, N_FRAMES, 16):
        for band in generator.choice(np.arange(10, 86), 3, replace=False):
            pattern[band : band + 3, first : first + 16] = -8.0
    return pattern


def style_of(genre: int) -> np.ndarray:
    """Return [96, 1] dB: a slope up or down."""
    slope = np.linspace(-12, 12, 96)[:, None]
    return slope if genre == 0 else -slope


def planted_cache(n_scores: int = 20, seed: int = 0) -> ChunkCache:
    """Every score in both genres by two sources that differ in a narrow band's level; noise is not music."""
    rows, mels = [], []
    generator = np.random.default_rng(seed)
    for score in range(n_scores):
        split = "test" if score % 5 == 4 else "judge" if score % 5 == 3 else "train"
        for genre, name in enumerate(GENRES):
            for source in range(2):
                mel = content_of(score) + style_of(genre) + generator.normal(0, 1, (96, N_FRAMES))
                mel[5] += 10 * source
                mels.append(np.clip(mel - mel.max(), -80, 0))
                track = f"{score}-{name}-{source}"
                rows.append((track, track, track, "", 0, 0.0, name, genre, f"s{source}", source, f"{score}"))
                rows[-1] += (f"{score}", True, split)
    for number in range(n_scores):
        split = "test" if number % 5 == 4 else "train"
        mels.append(np.clip(generator.normal(-30, 4, (96, N_FRAMES)), -80, 0))
        rows.append(
            (f"n{number}", f"n{number}", f"n{number}", "", 0, 0.0, "", -1, "x", -1, "", f"n{number}", False, split)
        )
    index = pd.DataFrame(rows, columns=CHUNK_COLUMNS)
    return ChunkCache(index, np.stack(mels).astype(np.float16))


def write_labs(root, index: pd.DataFrame, mels: list[np.ndarray]) -> None:
    """Write a cache, an untrained analysis and its target vectors: ``cache``, ``content``, ``style`` in a folder."""
    write_cache(root / "cache", index, mels)
    cache = ChunkCache.open(root / "cache")
    torch.manual_seed(0)
    content = ContentModel(EncoderSettings(channels=(8, 8, 8), shared=8), len(cache.genres), len(cache.sources))
    save_content(root / "content", content)
    with torch.no_grad():
        style = content.eval()(cache.batch(np.arange(len(cache.index)))).style.numpy()
    options = {"descriptor_weight": 1, "lda": False, "inlier_fraction": 1, "exemplar_noise": 0.01}
    lab2 = StyleSettings.model_validate(options | {"n_subsets": 1, "n_bootstrap": 1})
    fit_targets(lab2, cache, style).save(root / "style")
