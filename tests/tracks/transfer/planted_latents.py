"""Latents of a planted cache: speech-like noise whose band gains tell the genre, and a small codec path for them."""

import numpy as np

from soundgate.tracks.transfer.cache import ChunkCache
from soundgate.tracks.transfer.codec.bank import build_bank
from soundgate.tracks.transfer.codec.judge import LatentJudge, embed_latents
from soundgate.tracks.transfer.codec.latents import LatentCache, write_latents
from soundgate.tracks.transfer.codec.settings import BankSettings
from soundgate.tracks.transfer.mel.generator import Generator
from soundgate.tracks.transfer.mel.model import save_mel_model
from soundgate.tracks.transfer.mel.settings import GeneratorSettings
from soundgate.tracks.transfer.style.targets import StyleTargets
from tests.tracks.transfer.planted import planted_cache, write_labs

N_GAINS = 22
LOOP = {"epochs": 1, "batch_size": 4, "steps_per_epoch": 4}
BANK = {
    "channels": 8, "loop": LOOP, "learning_rate": 1e-2, "weight_decay": 0, "segment": 32, "source_weight": 0.1,
    "inlier_fraction": 1, "exemplar_noise": 0.01, "n_bootstrap": 20,
}  # fmt: skip
TEACHER = {"channels": 8, "detail": 0, "trunk": 16, "n_trunk": 1, "kernels": [[3, 1], [3, 3]]}
_STAGE = {
    "loop": LOOP,
    "weights": {"adversarial": 0.5, "latent_l1": 1, "content": 1, "style": 1, "mr_stft": 0.2, "align": 1, "push": 1,
                "feature_matching": 1, "continuity": 1, "texture": 1, "mode_seeking": 1, "teacher": 1},
    "adversary": {"start": 0, "every": 2, "rate": 1, "skip_below": 0, "r1_gamma": 1, "r1_every": 2},
    "mode": "mix", "alpha": [0.8, 0.4], "style_dropout_p": 0.5, "mode_seeking_margin": 1,
}  # fmt: skip
CODEC = {
    "translator": {"width": 8, "dilations": [1, 4], "n_noise": 4, "reach": 2},
    "critic": {"channels": [8, 8], "n_scales": 2, "n_frames": 16},
    "learning_rate": 1e-3, "final_rate": 0.5, "betas": [0.5, 0.999], "weight_decay": 0, "clip": 5, "average": 0.9,
    "duration_s": 2.98, "n_evaluated": 4, "stage1": _STAGE, "stage2": _STAGE, "stage3": _STAGE,
}  # fmt: skip


def write_planted_labs(root, n_scores):
    """Write a planted cache with everything Lab 3 reads: `write_labs`, ``latents``, untrained ``bank`` and ``mel``."""
    planted = planted_cache(n_scores)
    write_labs(root, planted.index, [planted.mels])
    _write_latents(root)
    generator = Generator(GeneratorSettings(**TEACHER), StyleTargets.open(root / "style").dim)
    save_mel_model(root / "mel", generator)
    return root


def _write_latents(root) -> None:
    cache = ChunkCache.open(root / "cache")
    rows, parts = cache.rows(), []
    for row in rows:
        generator = np.random.default_rng(int(row))
        latents = generator.standard_normal((1, 128, 232))
        slope = np.linspace(-1, 1, N_GAINS)[:, None] * (-1) ** cache.index["genre_code"].iloc[row]
        latents[0, :N_GAINS] = slope + 0.2 * latents[0, :N_GAINS]
        parts.append(latents.astype(np.float16))
    train = (cache.index["split"].iloc[rows] == "train").to_numpy()
    config = {"codec": "gain_shape", "settings": {"frame_rate": 75}, "quantised": False}
    write_latents(root / "latents", rows, parts, train, config)
    latents, settings = LatentCache.open(root / "latents"), BankSettings.model_validate(BANK)
    judge = LatentJudge(latents.dim, 8, len(cache.genres), len(cache.sources)).eval()
    embeddings = embed_latents(judge, latents, len(cache.index), "cpu")
    build_bank(cache, judge, embeddings, settings).save(root / "bank")
