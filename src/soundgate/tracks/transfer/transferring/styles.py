"""The style wished for: a recording of the user's own, or the train tracks of a style of the profile's corpus."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import gettempdir

import numpy as np

from soundgate.corpora.file_types import EXTENSIONS
from soundgate.runtime.errors import AudioError, ConfigError
from soundgate.runtime.files import sha256_of
from soundgate.runtime.paths import path_from_text, path_to_text
from soundgate.tracks.transfer.cache import INDEX_FILE, ChunkCache
from soundgate.tracks.transfer.transferring.bands import Spectrum, spectrum, wanted_levels
from soundgate.tracks.transfer.transferring.models import MAKE_MODELS, models_folder
from soundgate.tracks.transfer.transferring.recordings import Recording, open_recording

# From less nothing is known of how something sounds.
LEAST_S = 1.0
# Of a style of the corpus so many train tracks are listened to, spread over all.
_MOST_TRACKS = 24


@dataclass(frozen=True)
class Style:
    """How something sounds.

    Args:
        name: for people.
        recordings: that it is known from.
        of_corpus: whether it is a style that the trained paths know by its name.
    """

    name: str
    recordings: list[Recording]
    of_corpus: bool

    @property
    def seconds(self) -> float:
        """How much is known of it."""
        return sum(one.seconds for one in self.recordings)

    @cached_property
    def spectra(self) -> list[Spectrum]:
        """Long-term spectra of the recordings."""
        return [spectrum(one.blocks(), one.rate) for one in self.recordings]

    @cached_property
    def levels_db(self) -> np.ndarray:
        """Mean levels by band, float64 [29], see `wanted_levels`."""
        return wanted_levels(self.spectra)

    @cached_property
    def digest(self) -> str:
        """What tells it from other styles."""
        hashes = "".join(sha256_of(one.path) for one in self.recordings)
        return hashlib.sha256(f"{self.of_corpus} {self.name} {hashes}".encode()).hexdigest()


def open_style(wished: str | Path, profile: str) -> Style:
    """Open what a style is known from.

    Args:
        wished: an audio file, or a style of the profile's corpus.
        profile: whose corpus.

    Raises:
        AudioError: the file cannot be used, is silent or shorter than a second.
        ConfigError: there is neither such a file nor such a style; the styles are listed, or what makes them.
    """
    path = Path(wished)
    if path.exists() or path.is_symlink() or path.suffix.lower() in EXTENSIONS:
        return Style(path_to_text(path), [_exemplar(path)], False)
    return style_of_tracks(str(wished), tracks_of(str(wished), models_folder(profile) / "cache", profile))


def style_of_tracks(name: str, tracks: np.ndarray) -> Style:
    """Return a style of a corpus as it is known from tracks, paths as text; of many, from some that are spread."""
    chosen = tracks[np.unique(np.linspace(0, len(tracks) - 1, min(len(tracks), _MOST_TRACKS)).round().astype(int))]
    folder = Path(gettempdir())
    return Style(name, [open_recording(path_from_text(own), folder) for own in chosen], True)


def train_tracks(cache: ChunkCache, name: str) -> np.ndarray:
    """Return the paths, as text, of a style's train tracks; none of a style that has none."""
    index = cache.index.iloc[cache.rows("train")]
    return np.array(sorted(index.loc[index["genre"] == name, "path"].unique()), dtype=object)


def _exemplar(path: Path) -> Recording:
    recording = open_recording(path, Path(gettempdir()))
    if recording.seconds < LEAST_S:
        found, remedy = f"{recording.seconds:.2f} s", "Give a longer recording."
        raise AudioError(path, expected=f"{LEAST_S:g} s or more of the style", found=found, remedy=remedy)
    return recording


def tracks_of(name: str, cache: Path, profile: str) -> np.ndarray:
    """Return the paths, as text, of a style's train tracks.

    Raises:
        ConfigError: see `open_style`.
    """
    subject = f"--style {path_to_text(name)}"
    expected = "an audio file, or a style of the profile's corpus"
    if not (cache / INDEX_FILE).is_file():
        remedy = f"Name a file, or make the styles: {MAKE_MODELS.format(profile=profile)}"
        raise ConfigError(subject, expected=expected, found=f"neither, and no corpus in {cache}", remedy=remedy)
    chunks = ChunkCache.open(cache)
    styles = sorted(chunks.index["genre"].iloc[chunks.rows("train")].unique())
    if name not in styles:
        remedy = f"Styles of profile {profile}: {', '.join(styles)}."
        raise ConfigError(subject, expected=expected, found="nothing of that name", remedy=remedy)
    return train_tracks(chunks, name)
