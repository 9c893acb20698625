"""Transfer by the trained paths of Lab 3: window by window, all of them towards one vector of style."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
import torch
from torch import Tensor

from soundgate.audio.mel import MelSettings, MelTransform, from_model, invert_power, to_model
from soundgate.runtime.config import load_section
from soundgate.runtime.console import logger
from soundgate.runtime.paths import path_to_text
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.transfer.cache import N_FRAMES
from soundgate.tracks.transfer.caching import CacheSettings
from soundgate.tracks.transfer.codec.bank import StyleBank
from soundgate.tracks.transfer.codec.latents import LatentCache
from soundgate.tracks.transfer.codec.model import load_translator
from soundgate.tracks.transfer.codec.sound import Sound, sound_of
from soundgate.tracks.transfer.codec.translator import Translator
from soundgate.tracks.transfer.content.model import ContentModel, load_content
from soundgate.tracks.transfer.mel.model import MelModel, load_mel_model
from soundgate.tracks.transfer.samples.settings import SamplesSettings
from soundgate.tracks.transfer.style.targets import StyleTargets
from soundgate.tracks.transfer.style.vectors import unit
from soundgate.tracks.transfer.transferring.models import check_models
from soundgate.tracks.transfer.transferring.recordings import Recording
from soundgate.tracks.transfer.transferring.styles import Style
from soundgate.tracks.transfer.transferring.windows import Windows, in_windows

STAGE = "transfer-own"
# Of an exemplar so many windows are listened to, spread over all; windows have so much in common with the next.
_MOST_WINDOWS, _MEL_OVERLAP_S, _CODEC_OVERLAP_S = 32, 0.5, 1.0


@dataclass(frozen=True)
class MelTransfer:
    """The mel decoder: spectrograms of 256 frames, made to sound by Griffin and Lim at the source's level.

    Args:
        content: Lab 1.
        targets: Lab 2.
        model: the decoder.
        transform: to spectrograms.
        settings: of these.
        iterations: of Griffin and Lim.
    """

    content: ContentModel
    targets: StyleTargets
    model: MelModel
    transform: MelTransform
    settings: MelSettings
    iterations: int

    @classmethod
    def open(cls, folder: Path) -> MelTransfer:
        """Open the models of a profile's folder; see `check_models`."""
        settings, samples = _settings()
        content, targets = load_content(folder / "content"), StyleTargets.open(folder / "style")
        model, transform = load_mel_model(folder / "mel"), MelTransform(settings)
        return cls(content, targets, model, transform, settings, samples.griffin_lim_iterations)

    @property
    def windows(self) -> Windows:
        """What it hears at once."""
        size, rate = (N_FRAMES - 1) * self.settings.hop_length, self.settings.sample_rate
        return Windows(rate, size, round(_MEL_OVERLAP_S * rate), coherent=False)

    @torch.no_grad()
    def style_vector(self, style: Style) -> Tensor:
        """Return the unit vector of a style, float32 [1, D]: a centroid, or the mean over an exemplar's windows."""
        if style.of_corpus:
            return _centroid(self.targets, style)
        mels, _ = self._mels(torch.from_numpy(_windows_of(style, self.windows)))
        return _mean_unit(self.targets.project(self.content(mels).style, mels))

    @torch.no_grad()
    def make(self, wav: np.ndarray, target: Tensor) -> np.ndarray:
        """Transfer float32 [T] of a window."""
        mels, reference = self._mels(torch.from_numpy(wav[None]))
        analysis = self.content(mels)
        made = from_model(self.model.generate(analysis.content, analysis.sequence, target))[0]
        power = torch.pow(10.0, made / 10) * reference[0]
        return invert_power(power, self.settings, self.iterations).numpy()

    def _mels(self, wavs: Tensor) -> tuple[Tensor, Tensor]:
        """Return spectrograms [B, 96, 256] in the models' scale and the power of the loudest of each, [B]."""
        return to_model(self.transform(wavs)), self.transform.power(wavs).amax(dim=(1, 2)).clamp(min=1e-4)


@dataclass(frozen=True)
class CodecTransfer:
    """The translator of latents: as much of a wave as a chunk of its training has.

    Args:
        content: Lab 1.
        bank: of styles.
        translator: see `Translator`.
        sound: from latents to waves and spectrograms.
        quantised: whether latents are.
        n_frames: latents of a window.
        noise: float32 [1, N], the same for all windows.
    """

    content: ContentModel
    bank: StyleBank
    translator: Translator
    sound: Sound
    quantised: bool
    n_frames: int
    noise: Tensor

    @classmethod
    def open(cls, folder: Path) -> CodecTransfer:
        """Open the models of a profile's folder; see `check_models`."""
        latents, (settings, _) = LatentCache.open(folder / "latents"), _settings()
        translator = load_translator(folder / "codec")
        noise = keyed_generator(0, STAGE, "noise").standard_normal((1, translator.settings.n_noise), np.float32)
        return cls(
            load_content(folder / "content"), StyleBank.open(folder / "bank"), translator, sound_of(latents, settings),
            bool(latents.config.get("quantised")), latents.n_frames, torch.from_numpy(noise),
        )  # fmt: skip

    @property
    def windows(self) -> Windows:
        """What it hears at once."""
        codec = self.sound.codec
        overlap = round(_CODEC_OVERLAP_S * codec.sample_rate)
        return Windows(codec.sample_rate, self.n_frames * codec.hop_length, overlap, coherent=True)

    @torch.no_grad()
    def style_vector(self, style: Style) -> Tensor:
        """Return the unit vector of a style, float32 [1, 128]: a centroid, or the mean over an exemplar's windows."""
        if style.of_corpus:
            return _centroid(self.bank, style)
        return _mean_unit(self.bank.judge(self._latents(_windows_of(style, self.windows))))

    @torch.no_grad()
    def make(self, wav: np.ndarray, target: Tensor) -> np.ndarray:
        """Transfer float32 [T] of a window."""
        latents = self._latents(wav[None])
        source = self.content(self.sound.mels(self.sound.waves(latents)))
        return self.sound.waves(self.translator(latents, source.content, target, self.noise))[0].numpy()

    @torch.no_grad()
    def _latents(self, wavs: np.ndarray) -> Tensor:
        codec = self.sound.codec
        latents = codec.encode(torch.from_numpy(wavs)[:, None].clamp(-1, 1))
        return (codec.dequantise(codec.quantise(latents)) if self.quantised else latents).mT


def by_model(path: str, profile: str) -> Callable[[Recording, Style, int], Iterator[np.ndarray]]:
    """Return what transfers recordings by a trained path, ``mel`` or ``codec``, its models loaded once.

    Raises:
        WeightsError: the models are not there, or damaged.
        FormatError: likewise.
    """
    folder = check_models(path, profile)
    model = {"mel": MelTransfer, "codec": CodecTransfer}[path].open(folder)

    def made(source: Recording, style: Style, block: int) -> Iterator[np.ndarray]:
        target, rate = model.style_vector(style), model.windows.rate
        if source.rate > rate:
            text = "%s: by %s nothing above %d Hz is in the result"
            logger.info(text, path_to_text(source.path), path, rate // 2)
        yield from in_windows(source, model.windows, lambda wav: model.make(wav, target), block)

    return made


def _settings() -> tuple[MelSettings, SamplesSettings]:
    return load_section("transfer.cache", CacheSettings).mel, load_section("transfer.samples", SamplesSettings)


def _centroid(vectors: StyleTargets | StyleBank, style: Style) -> Tensor:
    return torch.from_numpy(vectors.centroids[[vectors.genres.index(style.name)]])


def _mean_unit(vectors: Tensor) -> Tensor:
    return torch.from_numpy(unit(vectors.numpy().mean(axis=0, keepdims=True)).astype(np.float32))


def _windows_of(style: Style, windows: Windows) -> np.ndarray:
    """Return windows of an exemplar that have sound, float32 [n, size]; a short exemplar is played again."""
    (exemplar,) = style.recordings
    needed = -(-windows.size * exemplar.rate // windows.rate)
    last = max(0, len(exemplar) - needed)
    count = min(_MOST_WINDOWS, 1 + 2 * last // needed)
    found = []
    for first in np.unique(np.linspace(0, last, count).round().astype(int)):
        wav = exemplar.read(first, first + needed).mean(axis=1)
        if wav.any():
            wav = soxr.resample(wav, exemplar.rate, windows.rate, quality="HQ")
            found.append(np.resize(wav, windows.size).astype(np.float32))
    return np.stack(found)
