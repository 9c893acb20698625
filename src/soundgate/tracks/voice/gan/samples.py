"""What a training sounds like so far: a validation utterance rebuilt, and converted to another voice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from soundgate.audio.io import write_audio
from soundgate.corpora.index import file_names
from soundgate.tracks.voice.cache import VoiceCache
from soundgate.tracks.voice.gan.probing import other_speakers
from soundgate.tracks.voice.model.converter import VoiceConverter
from soundgate.tracks.voice.model.converting import convert
from soundgate.tracks.voice.speaking import voice_of

SAMPLES_FOLDER = Path("runs", "samples")


def write_samples(converter: VoiceConverter, cache: VoiceCache, rows: np.ndarray, folder: Path) -> None:
    """Write the first of some utterances: ``original``, ``reconstruction``, ``converted_to_<speaker>``, as FLAC.

    Args:
        converter: as it is by now.
        cache: of the utterances.
        rows: of which the target is the first of another speaker.
        folder: made if missing.
    """
    for name, wav in _sounds(converter, cache, rows):
        write_audio(folder / f"{name}.flac", wav.clip(-1, 1), cache.settings.sample_rate)


def _sounds(converter: VoiceConverter, cache: VoiceCache, rows: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    source = int(rows[0])
    target = int(rows[int(other_speakers(torch.from_numpy(cache.speaker_codes[rows]))[0])])
    wav, f0 = cache.wave(source), cache.f0(source)
    own = tuple(float(cache.table[name][source]) for name in ("log_f0_mean", "log_f0_std"))
    yield "original", wav
    yield "reconstruction", convert(converter, wav, f0, own, voice_of(converter, cache, [source]))
    if target != source:
        made = convert(converter, wav, f0, own, voice_of(converter, cache, [target]))
        yield f"converted_to_{file_names(cache.table['speaker'])[cache.table['speaker'][target]]}", made
