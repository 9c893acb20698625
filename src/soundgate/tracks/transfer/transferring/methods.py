"""The ways to transfer a style, each as a generator of blocks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

import numpy as np

from soundgate.runtime.files import sha256_of
from soundgate.tracks.transfer.transferring.bands import spectrum
from soundgate.tracks.transfer.transferring.equaliser import (
    equaliser_gains,
    filtered,
    minimum_phase_filter,
    response,
)
from soundgate.tracks.transfer.transferring.models import NEEDED, models_folder
from soundgate.tracks.transfer.transferring.mosaic import mosaic
from soundgate.tracks.transfer.transferring.recordings import BLOCK, Recording
from soundgate.tracks.transfer.transferring.styles import Style

# Of a source, a style, how much of it (0 to 1) and the samples of a block: float32 [t, C] each, as long as the source.
Method = Callable[[Recording, Style, float, int], Iterator[np.ndarray]]


def equalised(source: Recording, style: Style, strength: float, block: int = BLOCK) -> Iterator[np.ndarray]:
    """Give a recording the band levels of a style, by one filter of minimum phase for all channels.

    Args:
        source: the recording.
        style: the style.
        strength: share of each band's gain in dB.
        block: samples that are computed at once; no result depends on it.
    """
    before = spectrum(source.blocks(block), source.rate)
    gains = strength * equaliser_gains(before, style.levels_db)
    # As powerful as the source, so that it can be blended.
    kept = np.sqrt(before.power.sum() / (before.power * np.square(response(gains, before.hz))).sum())
    taps = np.float32(kept) * minimum_phase_filter(gains, source.rate)
    yield from filtered(source.blocks(block), taps)


def mosaicked(source: Recording, style: Style, strength: float, block: int = BLOCK) -> Iterator[np.ndarray]:
    """Play a recording by the frames of a style that are most like its own.

    Args:
        source: the recording.
        style: the style.
        strength: from the source, equalised by as much, (0) to the mosaic alone (1), at equal power.
        block: samples that are computed at once; no result depends on it.
    """
    yield from blended(lambda: equalised(source, style, strength, block), mosaic(source, style, block), strength)


def blended(
    dry: Callable[[], Iterator[np.ndarray]], wet: Iterator[np.ndarray], strength: float
) -> Iterator[np.ndarray]:
    """Blend two sounds that have no waves in common, at equal power.

    Args:
        dry: begins what strength 0 is, float32 [t, C] each.
        wet: what strength 1 is; as long in all, whatever its blocks.
        strength: 0 to 1.
    """
    if strength == 1:
        yield from wet
        return
    share, own_share = np.float32(np.sin(np.pi / 2 * strength)), np.float32(np.cos(np.pi / 2 * strength))
    others, kept = dry(), None
    for block in wet:
        while kept is None or len(kept) < len(block):
            more = next(others)
            kept = more if kept is None else np.concatenate([kept, more])
        yield share * block + own_share * kept[: len(block)]
        kept = kept[len(block) :]


def load_method(path: str, profile: str) -> Method:
    """Return the method of a path, its models loaded.

    Raises:
        SoundgateError: they are not there or damaged, see `soundgate.tracks.transfer.transferring.trained.by_model`.
    """
    if path in METHODS:
        return METHODS[path]
    # Imported here: PyTorch takes seconds to load.
    from soundgate.tracks.transfer.transferring.trained import by_model

    made = by_model(path, profile)

    def method(source: Recording, style: Style, strength: float, block: int = BLOCK) -> Iterator[np.ndarray]:
        yield from blended(lambda: source.blocks(block), made(source, style, block), strength)

    return method


def weights_digest(path: str, profile: str) -> str:
    """Return what tells the models of a path from others, empty where it has none."""
    if path in METHODS:
        return ""
    folder, hashes = models_folder(profile), ""
    for name in NEEDED[path]:
        hashes += "".join(sha256_of(own) for own in sorted((folder / name).glob("*.safetensors")))
    return hashlib.sha256(hashes.encode()).hexdigest()


METHODS: dict[str, Method] = {"eq": equalised, "knn": mosaicked}
PATHS = (*METHODS, "codec", "mel")
DEFAULT = "eq"
