"""What a step trains on: drawn for the whole batch, however many processes share it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from soundgate.tracks.voice.cache import Utterances, VoiceCache
from soundgate.tracks.voice.gan.settings import TrainSettings
from soundgate.tracks.voice.model.converter import Draws, prosody
from soundgate.tracks.voice.model.excitation import frame_phases


class Batch(NamedTuple):
    """A step's crops and draws, of all processes.

    Args:
        utterances: [B] crops.
        sibling: int64 [B], whose voice each is rebuilt in: another crop of the same speaker.
        target: int64 [B], whose voice each is converted to, where it is.
        converted: int64 [C], the places of those that are: some of those whose target is another speaker; in order.
        n_converted: int64 [B + 1], how many of the first b items are converted, where the program reads it at once.
        rebuilding: draws of the rebuilt ones.
        converting: those of the converted ones; their bands are warped as those of the rebuilt.
        order: float32 [B, B + memory], of candidates for negatives.
        first_judged: sample from which on the discriminators look.
    """

    utterances: Utterances
    sibling: Tensor
    target: Tensor
    converted: Tensor
    n_converted: np.ndarray
    rebuilding: Draws
    converting: Draws
    order: Tensor
    first_judged: int


class Batches:
    """Draws batches of P different speakers, where there are so many, with K crops of each.

    Args:
        cache: the utterances.
        settings: see `TrainSettings`.
        device: to put batches on.
    """

    def __init__(self, cache: VoiceCache, settings: TrainSettings, device: torch.device) -> None:
        self.cache, self.settings, self.device = cache, settings, device
        self.rows = cache.rows("train")
        codes = cache.speaker_codes[self.rows]
        self.of_speaker = {code: self.rows[codes == code] for code in np.unique(codes)}
        hop, rate = cache.settings.hop_length, cache.settings.sample_rate
        self.n_samples = max(1, round(settings.segment_s * rate / hop)) * hop
        judged = self.n_samples if settings.judged_s is None else round(settings.judged_s * rate)
        self.n_judged = min(self.n_samples, judged)

    def draw(self, items: np.ndarray) -> Batch:
        """Draw a batch from PyTorch's global generator.

        Args:
            items: int64 [P] in [0, rows of the training split); of a speaker who comes again, one of a speaker who is
                not in the batch takes the place.
        """
        own, settings = self.settings.utterances_per_speaker, self.settings
        rows = np.concatenate([self._group(row) for row in self._of_different_speakers(self.rows[items])])
        utterances = self.cache.batch(rows, self.n_samples, torch.default_generator)
        size, groups = len(rows), len(items)
        place = torch.arange(size)
        sibling = place // own * own + (place + 1) % own
        target = (place + own * int(torch.randint(1, max(2, groups), ()))) % size
        chosen = ((place + 1) * settings.contrastive.share).floor() > (place * settings.contrastive.share).floor()
        converted = chosen & (utterances.speaker != utterances.speaker[target])
        warp = settings.network.content.warp * (2 * torch.rand(size) - 1)
        rebuilding, converting = (
            Draws(torch.randn(size, self.n_samples), warp, self._phases(utterances, voice))
            for voice in (sibling, target)
        )
        order = torch.rand(size, size + settings.contrastive.memory)
        first_judged = int(torch.randint(self.n_samples - self.n_judged + 1, ()))
        n_converted = np.append(0, converted.numpy().cumsum())
        places = converted.nonzero()[:, 0]
        batch = Batch(
            utterances, sibling, target, places, n_converted, rebuilding, converting, order, first_judged
        )  # fmt: skip
        return on_device(batch, self.device)

    def _phases(self, utterances: Utterances, voice: Tensor) -> Tensor:
        """Return the phases of the fundamentals that crops have in other crops' voices, [B, L]."""
        features = self.cache.settings
        _, f0 = prosody(utterances, utterances.log_f0_mean[voice], utterances.log_f0_std[voice], features)
        return frame_phases(f0, features.hop_length, features.sample_rate)

    def _of_different_speakers(self, rows: np.ndarray) -> np.ndarray:
        """Return rows in which drawn ones of absent speakers stand for those of repeated ones, as far as there are."""
        codes = self.cache.speaker_codes[rows]
        repeated = np.setdiff1d(np.arange(len(rows)), np.unique(codes, return_index=True)[1])
        absent = np.setdiff1d(list(self.of_speaker), codes)
        for place, code in zip(repeated, absent[torch.randperm(len(absent)).numpy()], strict=False):
            own = self.of_speaker[code]
            rows[place] = own[int(torch.randint(len(own), ()))]
        return rows

    def _group(self, row: int) -> np.ndarray:
        """Return a row and others of the same speaker, all different as far as there are enough."""
        others = self.of_speaker[self.cache.speaker_codes[row]]
        others = others[others != row] if len(others) > 1 else others
        n_more = self.settings.utterances_per_speaker - 1
        order = torch.randperm(len(others)).numpy()
        return np.concatenate([[row], others[np.resize(order, n_more)]])


def on_device(values: NamedTuple, device: torch.device) -> NamedTuple:
    """Return a (nested) named tuple with all its tensors on a device."""

    def moved(value: object) -> object:
        if isinstance(value, Tensor):
            return value.to(device)
        return on_device(value, device) if isinstance(value, tuple) else value

    return type(values)(*map(moved, values))


def pick(values: NamedTuple, places: Tensor | slice) -> NamedTuple:
    """Return some items of a named tuple of tensors [B, ...]."""
    return type(values)(*(value[places] for value in values))
