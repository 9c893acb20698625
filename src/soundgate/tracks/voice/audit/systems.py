"""What is measured: the converter, methods without training and controls, each a way from a pair to a waveform."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from functools import cache as remembered
from functools import partial
from typing import NamedTuple

import librosa
import numpy as np
import torch

from soundgate.runtime.randomness import keyed_seed
from soundgate.tracks.voice.audit.pairs import Pair
from soundgate.tracks.voice.baselines.cached import CachedBaselines
from soundgate.tracks.voice.baselines.methods import BASELINES
from soundgate.tracks.voice.cache import VoiceCache
from soundgate.tracks.voice.model.converter import VoiceConverter, Voices
from soundgate.tracks.voice.model.converting import convert
from soundgate.tracks.voice.roles import Roles
from soundgate.tracks.voice.speaking import VOICE_S, spoken, voice_of

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
    """Return the conversion to the target's voice.

    Voice and pitch of the target are known from its enrolment utterances alone, the source's mean pitch from its own.
    """

    @remembered
    def voice(speaker: str) -> Voices:
        known = voice_of(model, cache, roles[speaker].enrolment)
        moments = zip(known[1:], enrolled_f0(cache, roles[speaker].enrolment), strict=True)
        return Voices(known.embedding, *(torch.full_like(part, value) for part, value in moments))

    def make(pair: Pair) -> np.ndarray:
        source = spoken(cache, pair.row, duration_s)
        return convert(
            model, source.wav, source.f0, enrolled_f0(cache, roles[pair.source].enrolment), voice(pair.target)
        )

    return System(make, lambda pair: (pair.row, pair.target))


def enrolled_f0(cache: VoiceCache, rows: Iterable[int]) -> tuple[float, float]:
    """Return mean and deviation of the natural logarithm of F0 in Hz over what a converter hears of utterances."""
    f0 = np.concatenate([spoken(cache, row, VOICE_S).f0 for row in rows])
    logs = np.log(f0[f0 > 0])
    return float(logs.mean()), float(logs.std())


def baselines(cache: VoiceCache, roles: dict[str, Roles], duration_s: float) -> dict[str, System]:
    """Return the methods that need no training, by name, which hear just what the converter hears of both speakers."""
    methods = CachedBaselines(cache, roles)

    def made(method: str, pair: Pair) -> np.ndarray:
        return methods.convert(method, spoken(cache, pair.row, duration_s).wav, pair.source, pair.target)

    return {name: System(partial(made, name), lambda pair: (pair.row, pair.target)) for name in BASELINES}


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
    mean = remembered(lambda speaker: enrolled_f0(cache, roles[speaker].enrolment)[0])

    def shifted(pair: Pair) -> np.ndarray:
        semitones = 12 / np.log(2) * (mean(pair.target) - mean(pair.source))
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
