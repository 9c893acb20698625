"""The methods without training on speakers of a cache: voices are known from enrolment utterances alone."""

from __future__ import annotations

import numpy as np

from soundgate.audio.io import resample
from soundgate.runtime.errors import CorpusError
from soundgate.tracks.voice.baselines.contract import UnknownVoiceError, Voice
from soundgate.tracks.voice.baselines.methods import KNN, baseline_methods
from soundgate.tracks.voice.baselines.vocoder import LOWEST_RATE
from soundgate.tracks.voice.cache import VoiceCache
from soundgate.tracks.voice.roles import Roles
from soundgate.tracks.voice.speaking import VOICE_S, spoken


class CachedBaselines:
    """Converts between the speakers of a cache, each of whom is enrolled once.

    Args:
        cache: of the utterances.
        roles: of the speakers; what a converter hears of a voice is heard here, no more.
    """

    def __init__(self, cache: VoiceCache, roles: dict[str, Roles]) -> None:
        self.cache, self.roles = cache, roles
        self.rate = max(cache.settings.sample_rate, LOWEST_RATE)
        self.methods = baseline_methods(self.rate)
        self._voices: dict[str, Voice] = {}

    def convert(self, method: str, wav: np.ndarray, source: str, target: str) -> np.ndarray:
        """Return a recording in another voice, float32 [T].

        Args:
            method: of ``BASELINES``.
            wav: float32 [T] at the cache's rate.
            source: who speaks.
            target: who is to speak.

        Raises:
            CorpusError: nothing of a speaker's enrolment is voiced.
        """
        own_rate = self.cache.settings.sample_rate
        heard = resample(wav, own_rate, self.rate)
        made = resample(
            self.methods[method].convert(heard, self.voice(source), self.voice(target)), self.rate, own_rate
        )
        return np.pad(made, (0, max(0, len(wav) - len(made))))[: len(wav)]

    def voice(self, speaker: str) -> Voice:
        """Return what every method knows of a speaker; the voice that neighbours need holds all that others do."""
        if speaker not in self._voices:
            waves = [spoken(self.cache, row, VOICE_S).wav for row in self.roles[speaker].enrolment]
            try:
                self._voices[speaker] = self.methods[KNN].enrol(
                    [resample(wav, self.cache.settings.sample_rate, self.rate) for wav in waves]
                )
            except UnknownVoiceError as error:
                raise CorpusError(
                    f"speaker {speaker}",
                    expected="utterances that a voice is known from",
                    found=str(error),
                    remedy="Leave the speaker out of the corpus.",
                ) from error
        return self._voices[speaker]
