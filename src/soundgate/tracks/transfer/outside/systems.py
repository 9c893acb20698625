"""Waveforms of transfers and of what they are held against, by the functions that make the sample pack."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache as remembered
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from soundgate.audio.exact import ExactAudio
from soundgate.audio.mel import MelSettings, griffin_lim
from soundgate.runtime.paths import path_from_text
from soundgate.runtime.randomness import keyed_seed
from soundgate.tracks.transfer.cache import N_FRAMES, ChunkCache
from soundgate.tracks.transfer.chunks import chunk_wav
from soundgate.tracks.transfer.mel.generator import Generator
from soundgate.tracks.transfer.mel.model import MelModel
from soundgate.tracks.transfer.outside.clips import STAGE, Clip
from soundgate.tracks.transfer.samples.settings import SamplesSettings
from soundgate.tracks.transfer.samples.transfers import MelPath, StylePath, heard, transfer_clip
from soundgate.tracks.transfer.transferring.methods import METHODS
from soundgate.tracks.transfer.transferring.recordings import Recording
from soundgate.tracks.transfer.transferring.styles import style_of_tracks, train_tracks

CONTROL = "control"
TRANSFER, COPY_SYNTHESIS, UNTRAINED = "transfer", "copy_synthesis", "untrained"
NO_TRANSFER, TRUE_TARGET, VOCODER = "no_transfer", "true_target", "vocoder"
# By the command, which needs no trained decoder for them.
EQ, KNN = "eq", "knn"


class Sounds(NamedTuple):
    """A waveform.

    Args:
        wav: float32 [T].
        sample_rate: Hz.
    """

    wav: np.ndarray
    sample_rate: int


Maker = Callable[[Clip], Sounds | None]


class Originals:
    """The music itself, and what the mel path's vocoder makes of it.

    Args:
        cache: the chunks.
        mel: settings of the spectrograms.
        samples: how the sample pack is made.
    """

    def __init__(self, cache: ChunkCache, mel: MelSettings, samples: SamplesSettings) -> None:
        self.cache, self.mel, self.samples = cache, mel, samples
        self.duration_s = (N_FRAMES - 1) * mel.hop_length / mel.sample_rate
        self.style = remembered(lambda genre: style_of_tracks(genre, train_tracks(cache, genre)))

    def chunk(self, row: int) -> Sounds:
        """Return the audio that a chunk's frames are of."""
        index = self.cache.index.iloc[row]
        path, rate = path_from_text(index["path"]), self.mel.sample_rate
        return Sounds(chunk_wav(path, index["start_s"], self.duration_s, rate), rate)

    def true_target(self, clip: Clip) -> Sounds | None:
        """Return the source's music as it was rendered in the target genre; None where it was not."""
        rows = self.cache.true_rows(clip.row, clip.target_genre)
        return self.chunk(rows[0]) if len(rows) else None

    def by_command(self, method: str, clip: Clip) -> Sounds | None:
        """Return what ``soundgate transfer`` makes of the source by a method without models; None if it has no style.

        The style is the target genre, as it is known from its train tracks.
        """
        if not len(train_tracks(self.cache, clip.target_genre)):
            return None
        wav, rate = self.chunk(clip.row)
        audio = ExactAudio(np.asarray(wav, np.float32)[None], rate, "FLOAT")
        path = path_from_text(self.cache.index["path"].iloc[clip.row])
        blocks = METHODS[method](Recording(path, audio), self.style(clip.target_genre), 1.0)
        return Sounds(np.concatenate(list(blocks))[:, 0], rate)

    def vocoded(self, clip: Clip) -> Sounds:
        """Return the source's own spectrogram as Griffin and Lim make it sound."""
        mel = self.cache.mels[clip.row, :, :N_FRAMES].astype(np.float32)
        return Sounds(griffin_lim(mel, self.mel, self.samples.griffin_lim_iterations), self.mel.sample_rate)


def systems(originals: Originals, paths: Mapping[str, StylePath], seed: int) -> dict[tuple[str, str], Maker]:
    """Return what makes each waveform, by path and system; controls under path ``control``.

    Args:
        originals: the music.
        paths: ``mel`` and ``codec``, trained. Only mels have an untrained twin: the translator of latents, untrained,
            changes nothing.
        seed: of the draws.
    """
    made: dict[tuple[str, str], Maker] = {}
    for name, path in paths.items():
        made[name, TRANSFER] = _by_path(originals, name, path, seed)
        made[name, COPY_SYNTHESIS] = _by_path(originals, name, path, seed, to_own=True)
        if isinstance(path, MelPath):
            made[name, UNTRAINED] = _by_path(originals, name, untrained(path), seed)
    made[CONTROL, NO_TRANSFER] = lambda clip: originals.chunk(clip.row)
    made[CONTROL, TRUE_TARGET] = originals.true_target
    made[CONTROL, VOCODER] = originals.vocoded
    for name in (EQ, KNN):
        made[CONTROL, name] = partial(originals.by_command, name)
    return made


def _by_path(originals: Originals, name: str, path: StylePath, seed: int, to_own: bool = False) -> Maker:
    def make(clip: Clip) -> Sounds:
        target = clip.source_genre if to_own else clip.target_genre
        kind = "identity" if to_own else "transfer"
        row = {"path": name, "kind": kind, "row": clip.row, "target_genre": target, "condition_genre": target}
        output = transfer_clip(path, pd.Series(row), originals.cache.genres, seed)
        return Sounds(*heard(output, originals.mel, originals.samples.griffin_lim_iterations))

    return make


def untrained(path: MelPath) -> MelPath:
    """Return a path of the same shape with weights as drawn; its analysis and styles stay as they are."""
    trained = path.model.generator
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(keyed_seed(0, STAGE, "untrained"))
        drawn = MelModel(Generator(trained.settings, trained.n_target))
    return replace(path, model=drawn.requires_grad_(False).eval().to(path.device))
