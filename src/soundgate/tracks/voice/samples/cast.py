"""Who speaks in the samples, what they say, and how a converter and a listener know them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from torch import nn

from soundgate.runtime.errors import CorpusError
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.voice.cache import VoiceCache
from soundgate.tracks.voice.model.converter import VoiceConverter, Voices
from soundgate.tracks.voice.roles import Roles, assign_roles
from soundgate.tracks.voice.samples.settings import SamplesSettings
from soundgate.tracks.voice.speaking import Spoken, embedded, joined, reference_of, spoken, voice_of

STAGE = "voice-samples"
# Of the real utterance that a voice is compared with by ear.
_REAL_S = 4.0


@dataclass(frozen=True)
class Cast:
    """The speakers of a split.

    Args:
        cache: of the utterances.
        split: whose speakers.
        settings: see `SamplesSettings`.
        seed: of the draws.
    """

    cache: VoiceCache
    split: str
    settings: SamplesSettings
    seed: int

    @cached_property
    def roles(self) -> dict[str, Roles]:
        """Utterances by speaker and purpose.

        Raises:
            CorpusError: fewer than two speakers with enough of them.
        """
        table = self.cache.table
        roles = assign_roles(table, self.split, len(table), self.settings.n_enrolment, self.seed)
        if len(roles) < 2:
            raise CorpusError(STAGE, expected=f"two speakers of split {self.split}", found=str(len(roles)))
        return roles

    @cached_property
    def sources(self) -> list[str]:
        """All speakers, in the order in which they have their turns."""
        return keyed_generator(self.seed, STAGE, "sources").permutation(sorted(self.roles)).tolist()

    def targets(self, number: int, source: str) -> list[str]:
        """Draw the voices that passage ``number`` is converted to."""
        others = sorted(set(self.roles) - {source})
        order = keyed_generator(self.seed, STAGE, f"targets {number}").permutation(len(others))
        return [others[place] for place in order[: self.settings.n_targets]]

    def passage(self, speaker: str, turn: int, is_long: bool) -> tuple[Spoken, list[int]]:
        """Return what is converted in a speaker's turn, and the rows it is of."""
        rows = self.roles[speaker].content
        if not is_long:
            row = int(rows[turn % len(rows)])
            return spoken(self.cache, row, self.settings.duration_s), [row]
        parts, used, seconds = [], [], 0.0
        for row in np.concatenate([rows, self.roles[speaker].reference]).tolist():
            parts.append(spoken(self.cache, row))
            used.append(row)
            seconds += len(parts[-1].wav) / self.cache.settings.sample_rate
            if seconds >= self.settings.long_s:
                break
        return joined(parts), used

    def voice(self, model: VoiceConverter, speaker: str) -> Voices:
        """Return the voice as a converter knows it."""
        return voice_of(model, self.cache, self.roles[speaker].enrolment)

    def real(self, speaker: str) -> np.ndarray:
        """Return a real utterance of a speaker, float32 [T]."""
        return spoken(self.cache, int(self.roles[speaker].enrolment[0]), _REAL_S).wav


class Listener:
    """Knows every speaker of a cast by heart.

    Args:
        encoder: [B, T] to [B, D].
        cast: see `Cast`.
    """

    def __init__(self, encoder: nn.Module, cast: Cast) -> None:
        self.encoder = encoder
        self.references = {name: reference_of(encoder, cast.cache, own.reference) for name, own in cast.roles.items()}

    def similarities(self, wav: np.ndarray, speakers: list[str]) -> dict[str, float]:
        """Return the cosines of a recording with speakers."""
        own = embedded(self.encoder, wav)
        return {speaker: float(own @ self.references[speaker]) for speaker in speakers}
