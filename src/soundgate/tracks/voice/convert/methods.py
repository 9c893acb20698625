"""The methods that a recording can be converted by, and which of them `auto` takes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from soundgate.audio.loudness import normalise_loudness
from soundgate.runtime.errors import ConfigError, FormatError, WeightsError
from soundgate.runtime.files import read_json
from soundgate.tracks.voice.baselines.contract import Method
from soundgate.tracks.voice.baselines.transport import WorldTransport
from soundgate.tracks.voice.features import track_f0
from soundgate.tracks.voice.model.converter import VoiceConverter, Voices
from soundgate.tracks.voice.model.converting import convert
from soundgate.tracks.voice.model.folder import load_converter
from soundgate.tracks.voice.speaking import VOICE_S
from soundgate.training.weights import MODEL_FILE

METHODS = GAN, KNN, WORLD = "gan", "knn", "world"
AUTO = "auto"
BEST_KEY = "best_method"
# As voice.cache.loudness_lufs: what the speaker encoder was trained on.
_LOUDNESS_LUFS = -23.0


class Choice(NamedTuple):
    """A method, and why it is taken.

    Args:
        name: one of ``METHODS``.
        why: in words.
    """

    name: str
    why: str


class GanVoice(NamedTuple):
    """What the converter knows of a speaker.

    Args:
        voices: a batch of one.
        log_f0: mean and deviation of the natural logarithm of F0.
    """

    voices: Voices
    log_f0: tuple[float, float]


class GanMethod:
    """The trained converter, by the contract of `soundgate.tracks.voice.baselines.contract.Method`.

    Args:
        model: trained.
    """

    name = GAN

    def __init__(self, model: VoiceConverter) -> None:
        self.model, self.sample_rate = model, model.features.sample_rate

    @torch.no_grad()
    def enrol(self, recordings: Sequence[np.ndarray]) -> GanVoice:
        """Return the mean embedding over passages of 6 s, and the spread of F0, of recordings [T] of one speaker."""
        length, embeddings, logs = round(VOICE_S * self.sample_rate), [], []
        for wav in recordings:
            wav, _ = normalise_loudness(np.asarray(wav, np.float32), self.sample_rate, _LOUDNESS_LUFS)
            f0 = track_f0(wav, self.model.features)
            logs.append(np.log(f0[f0 > 0]))
            # The last passage is left out where it is short, unless it is the only one.
            starts = range(0, max(len(wav) - length // 2, 1), length)
            embeddings += [self.model.speaker(torch.from_numpy(wav[None, start : start + length])) for start in starts]
        own = np.concatenate(logs)
        log_f0 = float(own.mean()), float(own.std())
        mean, deviation = (torch.tensor([value], dtype=torch.float32) for value in log_f0)
        return GanVoice(Voices(torch.cat(embeddings).mean(dim=0, keepdim=True), mean, deviation), log_f0)

    def convert(
        self, wav: np.ndarray, own: GanVoice, voice: GanVoice, *, semitones: float = 0.0, formant: float = 1.0
    ) -> np.ndarray:
        """Return float32 [T], cut to whole frames.

        Raises:
            ConfigError: a ``formant`` other than 1.
        """
        check_formant(GAN, formant)
        moved = voice.voices._replace(log_f0_mean=voice.voices.log_f0_mean + semitones * np.log(2) / 12)
        return convert(self.model, wav, track_f0(wav, self.model.features), own.log_f0, moved)

    def digest(self) -> str:
        """Return the SHA-256 of the weights, hexadecimal."""
        digest = hashlib.sha256()
        for name, value in sorted(self.model.state_dict().items()):
            digest.update(name.encode() + value.cpu().numpy().tobytes())
        return digest.hexdigest()


def check_formant(name: str, formant: float) -> None:
    """Refuse a factor of the formants that a method cannot apply.

    Raises:
        ConfigError: the method is ``gan``, and the factor is not 1.
    """
    if name == GAN and formant != 1:
        raise ConfigError(
            "--formant",
            expected="1 with method gan, whose spectrum is the network's alone",
            found=f"{formant:g}",
            remedy="Take --method world or knn.",
        )


def choose_method(wished: str, profile: str) -> Choice:
    """Return the method to take.

    Args:
        wished: one of ``METHODS``, or ``auto``: the one that the outside judges of the profile's audit find best.
        profile: whose ``metrics/<profile>/voice/outside.json`` says which.

    Raises:
        FormatError: that file names something else.
    """
    if wished != AUTO:
        return Choice(wished, "asked for")
    path = Path("metrics", profile, "voice", "outside.json")
    if not path.is_file():
        return Choice(WORLD, f"no audit in {path}; it needs no training")
    best = read_json(path).get(BEST_KEY)
    if best is None:
        return Choice(WORLD, f"{path} has no key {BEST_KEY}; it needs no training")
    if not isinstance(best, dict) or best.get("method") not in METHODS:
        raise FormatError(path, expected=f"{BEST_KEY}: a method, one of {', '.join(METHODS)}", found=repr(best))
    return Choice(best["method"], str(best.get("why", f"best in {path}")))


def load_method(name: str, profile: str, models: Path | None = None) -> Method:
    """Return a method by its name.

    Args:
        name: one of ``METHODS``.
        profile: of the trained converter, ``data/<profile>/voice/converter``.
        models: folder of the converter instead.

    Raises:
        WeightsError: there is no converter, or it is damaged.
    """
    if name == KNN:
        # Imported here: transformers takes seconds to load.
        from soundgate.tracks.voice.baselines.knn import NearestNeighbours

        return NearestNeighbours()
    if name == WORLD:
        return WorldTransport()
    folder = models or Path("data", profile, "voice", "converter")
    if not (folder / MODEL_FILE).is_file():
        raise WeightsError(
            folder,
            expected="a trained converter",
            found="none",
            remedy=f"Run: soundgate repro profile={profile} --track voice (or name a converter's folder by --models); "
            "--method world and knn need none.",
        )
    return GanMethod(load_converter(folder))
