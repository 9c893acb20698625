"""What is measured: the converter, and the controls beside it, each a way from a pair to a waveform."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import cache as remembered
from typing import NamedTuple

import librosa
import numpy as np
import torch

from soundgate.runtime.randomness import keyed_seed
from soundgate.tracks.voice.audit.pairs import Pair
from soundgate.tracks.voice.cache import VoiceCache
from soundgate.tracks.voice.model.converter import VoiceConverter
from soundgate.tracks.voice.model.converting import convert
from soundgate.tracks.voice.roles import Roles
from soundgate.tracks.voice.speaking import Spoken, spoken, voice_of

CONVERTED, COPY_SYNTHESIS, RANDOM = "converted", "copy_synthesis", "random_weights"
IDENTITY, PITCH_SHIFT, TARGET = "identity", "pitch_shift", "target_utterance"
CONTROLS = (IDENTITY, PITCH_SHIFT, COPY_SYNTHESIS, RANDOM, TARGET)


class System(NamedTuple):
    """One way to answer a pair.

    Args:
        make: the waveform, float32 [T].
        key: pairs of equal keys have the same waveform.
    """

    make: Callable[[Pair], np.ndarray]
    key: Callable[[Pair], Hashable]


def by_converter(model: VoiceConverter, cache: VoiceCache, roles: dict[str, Roles], duration_s: float) -> System:
    """Return the conversion to the target's voice, known from the target's enrolment."""

    @remembered
    def voice(speaker: str):
        return voice_of(model, cache, roles[speaker].enrolment)

    def make(pair: Pair) -> np.ndarray:
        return _converted(model, spoken(cache, pair.row, duration_s), voice(pair.target))

    return System(make, lambda pair: (pair.row, pair.target))


def copy_synthesis(model: VoiceConverter, cache: VoiceCache, roles: dict[str, Roles], duration_s: float) -> System:
    """Return the reconstruction: the source in its own voice, known from its speaker's other utterances."""
    system = by_converter(model, cache, roles, duration_s)
    return System(lambda pair: system.make(pair._replace(target=pair.source)), lambda pair: pair.row)


def controls(model: VoiceConverter, cache: VoiceCache, roles: dict[str, Roles], duration_s: float) -> dict[str, System]:
    """Return what the converter is held against, by name.

    ``identity``: the source as it is. ``pitch_shift``: the source at the target's mean pitch, which knows nothing else
    of the target. ``copy_synthesis``: the source in its own voice. ``random_weights``: the converter before any
    training. ``target_utterance``: the target itself, saying something else.
    """
    means = cache.table["log_f0_mean"].to_numpy()

    def shifted(pair: Pair) -> np.ndarray:
        semitones = 12 / np.log(2) * (means[pair.target_row] - means[pair.row])
        own = spoken(cache, pair.row, duration_s).wav
        return librosa.effects.pitch_shift(own, sr=cache.settings.sample_rate, n_steps=float(semitones))

    return {
        IDENTITY: System(lambda pair: spoken(cache, pair.row, duration_s).wav, lambda pair: pair.row),
        PITCH_SHIFT: System(shifted, lambda pair: (pair.row, pair.target)),
        COPY_SYNTHESIS: copy_synthesis(model, cache, roles, duration_s),
        RANDOM: by_converter(untrained(model), cache, roles, duration_s),
        TARGET: System(
            lambda pair: spoken(cache, pair.target_row, duration_s).wav, lambda pair: pair.target_row
        ),
    }  # fmt: skip


def untrained(model: VoiceConverter) -> VoiceConverter:
    """Return a converter of the same shape with weights as drawn, but the same speaker encoder."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(keyed_seed(0, "voice-audit", "random weights"))
        drawn = VoiceConverter(model.settings, model.features, model.speaker)
    return drawn.to(next(model.parameters()).device).eval()


def _converted(model: VoiceConverter, source: Spoken, voice) -> np.ndarray:
    return convert(model, source.wav, source.f0, source.own, voice)
