"""Random draws keyed by what they are for, so that order, workers and interruptions cannot change them."""

from __future__ import annotations

import hashlib

import numpy as np


def _digest(seed: int, stage: str, item: str) -> bytes:
    return hashlib.sha256(f"{seed}\x1f{stage}\x1f{item}".encode()).digest()


def keyed_generator(seed: int, stage: str, item: str = "") -> np.random.Generator:
    """Return the generator that belongs to one item of one stage.

    Args:
        seed: the experiment's seed.
        stage: what the draws are for, e.g. ``"structure-conditioning"``.
        item: the item inside the stage, e.g. an utterance id.

    Returns:
        A Philox generator; equal arguments give equal draws on every machine and in every order.

    Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3" (Philox).
    """
    return np.random.Generator(np.random.Philox(key=int.from_bytes(_digest(seed, stage, item)[:16], "little")))


def keyed_seed(seed: int, stage: str, item: str = "") -> int:
    """Return a 31-bit integer for libraries that take a seed (scikit-learn, PyTorch), keyed as above."""
    return int.from_bytes(_digest(seed, stage, item)[16:20], "little") & 0x7FFFFFFF
