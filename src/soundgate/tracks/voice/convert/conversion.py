"""What a conversion is made of: the method, the voice wished for, how, and what comes of each sound."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from soundgate.runtime.errors import AudioError
from soundgate.tracks.voice.baselines.contract import Method, UnknownVoiceError, Voice
from soundgate.tracks.voice.convert.channels import Group
from soundgate.tracks.voice.convert.methods import (
    Choice,
    GanMethod,
    GanVoice,
    check_formant,
    choose_method,
    load_method,
)
from soundgate.tracks.voice.convert.pieces import Piece
from soundgate.tracks.voice.convert.reading import Spool
from soundgate.tracks.voice.convert.targets import Target, open_target
from soundgate.tracks.voice.convert.voicing import Voicing


@dataclass(frozen=True)
class Options:
    """How a recording is converted.

    Args:
        semitones: that the pitch is moved by beyond the target's.
        formant: factor of the envelope's frequencies beyond the target's.
        explain: whether a picture and a JSON file of figures are written beside the sound.
        force: whether what does not look like a voice is converted all the same.
    """

    semitones: float = 0.0
    formant: float = 1.0
    explain: bool = False
    force: bool = False


@dataclass(frozen=True)
class Conversion:
    """A method and the voice wished for, ready for any number of recordings.

    Args:
        method: loaded.
        choice: its name, and why it is taken.
        target: the voice wished for.
        voice: what the method knows of it.
        options: see `Options`.
    """

    method: Method
    choice: Choice
    target: Target
    voice: Voice | GanVoice
    options: Options

    @cached_property
    def key(self) -> dict:
        """What decides what becomes of a recording, for JSON."""
        references = hashlib.sha256()
        for wav in self.target.recordings:
            references.update(wav.tobytes())
        return {
            "method": self.method.name,
            "references": references.hexdigest(),
            "weights": self.method.digest() if isinstance(self.method, GanMethod) else "",
            "version": version("soundgate"),
        } | asdict(self.options)


class Converted(NamedTuple):
    """One sound of a recording, converted.

    Args:
        group: the channels that have it.
        voicing: what was found of its voice.
        passages: parts of it that the voice was known from.
        samples: at the working rate.
        gain: that makes it as loud as it was.
    """

    group: Group
    voicing: Voicing
    passages: list[Piece]
    samples: Spool
    gain: float


def prepare(
    to: Sequence[str | Path], method: str, profile: str, models: Path | None = None, options: Options | None = None
) -> Conversion:
    """Choose and load a method, and let it know the voice wished for.

    Args:
        to: references, see `soundgate.tracks.voice.convert.targets.find_references`.
        method: ``auto``, ``gan``, ``knn`` or ``world``.
        profile: whose audit, converter and corpus are looked at.
        models: folder of a converter instead of the profile's.
        options: see `Options`.

    Raises:
        SoundgateError: the references, the converter or the options are unfit.
    """
    options, choice = options or Options(), choose_method(method, profile)
    check_formant(choice.name, options.formant)
    loaded = load_method(choice.name, profile, models)
    target = open_target(to, profile, loaded.sample_rate, options.force)
    try:
        voice = loaded.enrol(target.recordings)
    except UnknownVoiceError as error:
        raise AudioError(target.name, expected="a voice to convert to", found=str(error).rstrip(".")) from error
    return Conversion(loaded, choice, target, voice, options)
