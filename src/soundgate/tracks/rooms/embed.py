"""An embedding for each target room: what an embedder makes of white noise played in it."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from pydantic import Field

from soundgate.embeddings.base import DIM, AudioEmbedder
from soundgate.runtime.config import Section
from soundgate.runtime.console import track
from soundgate.runtime.errors import ConfigError, FormatError
from soundgate.runtime.files import atomic_path, read_json
from soundgate.runtime.ledger import Ledger
from soundgate.runtime.npz import write_npz
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.rooms.irs import Catalogue

CACHE_NAME = "clap_cache.npz"
CARD_NAME = "card.json"


class EmbedSettings(Section):
    """Section ``rooms.embed``."""

    probe_sigma: float = Field(gt=0, le=1, description="standard deviation of the white noise; full scale is 1")
    probe_duration_s: float = Field(gt=0, le=10, description="of the noise, and of what is embedded")
    batch_size: int = Field(ge=1, description="rooms embedded at once")


def white_noise(seed: int, sigma: float, duration_s: float, sample_rate: int) -> np.ndarray:
    """Return the probe, float64 [T], the same for every room, keyed by the experiment's seed."""
    generator = keyed_generator(seed, "rooms-embed", "probe")
    return sigma * generator.standard_normal(round(duration_s * sample_rate))


def play_in_room(noise: np.ndarray, ir: np.ndarray) -> np.ndarray:
    """Return the noise in the room: the full convolution cut to the noise's length, direct path not shifted.

    Args:
        noise: float64 [T].
        ir: impulse response, float32 [n].

    Returns:
        float32 [T].
    """
    # Imported here: scipy.signal takes over a second to load, and most who reach this module embed nothing.
    from scipy.signal import fftconvolve

    return fftconvolve(noise, ir.astype(np.float64))[: len(noise)].astype(np.float32)


def embed_rooms(
    catalogue: Catalogue, embedder: AudioEmbedder, settings: EmbedSettings, seed: int, ledger: Ledger
) -> dict[str, np.ndarray]:
    """Embed every impulse response of the target pool.

    Args:
        catalogue: what ``rooms-irs`` wrote.
        embedder: takes waveforms at the catalogue's sample rate.
        settings: see `EmbedSettings`.
        seed: the experiment's seed, which the probe is keyed by.
        ledger: keeps finished batches.

    Returns:
        float32 [512] by impulse response, in the catalogue's order.

    Raises:
        ConfigError: the embedder works at another sample rate than the catalogue.
        FormatError: the catalogue has no target room.
    """
    if embedder.sample_rate != catalogue.sample_rate:
        expected = f"an embedder at the catalogue's {catalogue.sample_rate} Hz"
        found = f"{embedder.name} at {embedder.sample_rate} Hz"
        raise ConfigError("--embedder", expected=expected, found=found)
    ids = [ir_id for ir_id, entry in catalogue.entries.items() if entry["pool"] == "target"]
    if not ids:
        raise FormatError("ir_catalogue.json", expected="at least one target room", found="none")
    noise = white_noise(seed, settings.probe_sigma, settings.probe_duration_s, catalogue.sample_rate)
    batches = [ids[start : start + settings.batch_size] for start in range(0, len(ids), settings.batch_size)]
    vectors = []
    for number, batch in enumerate(track(batches, "Embedding rooms")):
        answers = (play_in_room(noise, catalogue.ir(ir_id)) for ir_id in batch)
        part = ledger.once(f"batch-{number}", lambda answers=answers: {"vectors": embedder.embed(list(answers))})
        vectors.append(np.array(part["vectors"], dtype=np.float32))
    return dict(zip(ids, np.concatenate(vectors), strict=True))


def embeddings_card(
    embedder: AudioEmbedder, settings: EmbedSettings, seed: int, n: int, catalogue_sha256: str
) -> dict[str, object]:
    """Return what the embeddings are: the embedder's card, the probe, and which catalogue they belong to."""
    return embedder.card() | {
        "dim": embedder.dim,
        "n": n,
        "probe_seed": seed,
        "probe_sigma": settings.probe_sigma,
        "probe_duration_s": settings.probe_duration_s,
        "catalogue_sha256": catalogue_sha256,
    }


def require_catalogue(folder: str | Path, catalogue_sha256: str) -> None:
    """Hold embeddings of an earlier run against the catalogue they are to be used with.

    Raises:
        FormatError: the card is missing, or names another catalogue.
    """
    path = Path(folder) / CARD_NAME
    try:
        found = read_json(path)["catalogue_sha256"]
    except (OSError, ValueError, KeyError) as error:
        raise FormatError(path, expected="a card naming the catalogue", found=repr(error)) from error
    if found != catalogue_sha256:
        remedy = "Reuse the catalogue of that run too, or do not reuse its embeddings."
        raise FormatError(path, expected=f"embeddings of catalogue {catalogue_sha256}", found=found, remedy=remedy)


def save_embeddings(folder: str | Path, embeddings: Mapping[str, np.ndarray]) -> None:
    """Write ``clap_cache.npz``, atomically and with the same bytes for the same embeddings.

    Args:
        folder: where to.
        embeddings: float32 [512] by id; any id may be a name.
    """
    with atomic_path(Path(folder) / CACHE_NAME) as temporary:
        write_npz(temporary, embeddings)


def load_embeddings(folder: str | Path) -> dict[str, np.ndarray]:
    """Read ``clap_cache.npz``.

    Args:
        folder: what ``rooms-embed`` wrote.

    Returns:
        float32 [512] by impulse response, in the catalogue's order.

    Raises:
        FormatError: the file is missing or damaged, holds no embedding, or one that is not float32 [512] and
            finite.
    """
    path = Path(folder) / CACHE_NAME
    remedy = "Run: dvc repro rooms-embed"
    try:
        with np.load(path, allow_pickle=False) as content:
            embeddings = dict(content.items())
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as error:
        found = f"{type(error).__name__}: {error}"
        raise FormatError(path, expected="embeddings by id", found=found, remedy=remedy) from error
    if not embeddings:
        raise FormatError(path, expected="embeddings by id", found="none", remedy=remedy)
    for ir_id, vector in embeddings.items():
        if vector.dtype != np.float32 or vector.shape != (DIM,) or not np.isfinite(vector).all():
            found = f"{ir_id}: {vector.dtype} {list(vector.shape)}, finite: {bool(np.isfinite(vector).all())}"
            raise FormatError(path, expected=f"finite float32 [{DIM}]", found=found, remedy=remedy)
    return embeddings
