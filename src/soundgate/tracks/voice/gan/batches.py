"""What a step trains on: drawn for the whole batch, and read for the share of it that a process has."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from soundgate.tracks.voice.cache import Utterances, VoiceCache
from soundgate.tracks.voice.gan.settings import TrainSettings
from soundgate.tracks.voice.model.converter import Draws, prosody
from soundgate.tracks.voice.model.excitation import frame_phases
from soundgate.training.distribution import own_share


class Batch(NamedTuple):
    """A step's crops and draws: B items of all processes, of which b are this one's.

    Args:
        utterances: [b] crops of its items, then those that a trainable speaker encoder is to hear beside them.
        position: int64 [B], of each item among them; -1 where it is not there.
        speaker: int64 [B].
        log_f0_mean: float32 [B], of the speaker, as the next.
        log_f0_std: float32 [B].
        sibling: int64 [b], of B, whose voice each is rebuilt in: another crop of the same speaker.
        target: int64 [b], of B, whose voice each is converted to, where it is.
        converted: int64 [C], of b, those that are: some of those whose target is another speaker; in order.
        n_converted: int64 [b + 1], how many of the first items are converted, where the program reads it at once.
        n_conversions: how many are in all processes.
        rebuilding: draws of the rebuilt ones, [b].
        converting: those of the converted ones; their bands are warped as those of the rebuilt.
        order: float32 [b, B + memory], of candidates for negatives.
        first_judged: sample from which on the discriminators look.
    """

    utterances: Utterances
    position: Tensor
    speaker: Tensor
    log_f0_mean: Tensor
    log_f0_std: Tensor
    sibling: Tensor
    target: Tensor
    converted: Tensor
    n_converted: np.ndarray
    n_conversions: int
    rebuilding: Draws
    converting: Draws
    order: Tensor
    first_judged: int


class Batches:
    """Draws batches of P different speakers, where there are so many, with K crops of each.

    Args:
        cache: the utterances.
        settings: see `TrainSettings`.
    """

    def __init__(self, cache: VoiceCache, settings: TrainSettings) -> None:
        self.cache, self.settings = cache, settings
        self.rows = cache.rows("train")
        codes = cache.speaker_codes[self.rows]
        self.of_speaker = {code: self.rows[codes == code] for code in np.unique(codes)}
        hop, rate = cache.settings.hop_length, cache.settings.sample_rate
        self.n_samples = max(1, round(settings.segment_s * rate / hop)) * hop
        judged = self.n_samples if settings.judged_s is None else round(settings.judged_s * rate)
        self.n_judged = min(self.n_samples, judged)

    def draw(self, items: np.ndarray) -> Batch:
        """Draw a batch from PyTorch's global generator: for all processes, and read this one's share.

        Args:
            items: int64 [P] in [0, rows of the training split); of a speaker who comes again, one of a speaker who is
                not in the batch takes the place.
        """
        own, settings = self.settings.utterances_per_speaker, self.settings
        rows = np.concatenate([self._group(row) for row in self._of_different_speakers(self.rows[items])])
        starts = self.cache.starts(rows, self.n_samples, torch.default_generator)
        speaker, pitches = torch.from_numpy(self.cache.speaker_codes[rows]), self.cache.pitches(rows)
        size, groups, share = len(rows), len(items), own_share(len(rows))
        place = torch.arange(size)
        sibling = place // own * own + (place + 1) % own
        target = (place + own * int(torch.randint(1, max(2, groups), ()))) % size
        chosen = ((place + 1) * settings.contrastive.share).floor() > (place * settings.contrastive.share).floor()
        converted = chosen & (speaker != speaker[target])
        warp = settings.network.content.warp * (2 * torch.rand(size) - 1)
        noises = [torch.randn(size, self.n_samples)[share] for _ in range(2)]
        order = torch.rand(size, size + settings.contrastive.memory)[share]
        first_judged = int(torch.randint(self.n_samples - self.n_judged + 1, ()))
        heard = self._heard(torch.cat([sibling[share], target[share][converted[share]]]), share)
        utterances = self.cache.crops(rows[heard], starts[heard], self.n_samples)
        mine = pick(utterances, slice(share.stop - share.start))
        rebuilding, converting = (
            Draws(noise, warp[share], self._phases(mine, *(own[voice[share]] for own in pitches)))
            for noise, voice in zip(noises, (sibling, target), strict=True)
        )
        return Batch(
            utterances, _positions(heard, size), speaker, *pitches, sibling[share], target[share],
            converted[share].nonzero()[:, 0], np.append(0, converted[share].numpy().cumsum()), int(converted.sum()),
            rebuilding, converting, order, first_judged,
        )  # fmt: skip

    def _heard(self, voices: Tensor, share: slice) -> np.ndarray:
        """Return the items that are read: the share, and whose voices a trainable speaker encoder is to learn from."""
        mine = np.arange(share.start, share.stop)
        more = np.setdiff1d(voices.numpy(), mine) if self.settings.speaker_trainable else mine[:0]
        return np.concatenate([mine, more])

    def _phases(self, utterances: Utterances, log_f0_mean: Tensor, log_f0_std: Tensor) -> Tensor:
        """Return the phases of the fundamentals that crops have in other crops' voices, [b, L]."""
        features = self.cache.settings
        _, f0 = prosody(utterances, log_f0_mean, log_f0_std, features)
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


def _positions(heard: np.ndarray, size: int) -> Tensor:
    positions = np.full(size, -1)
    positions[heard] = np.arange(len(heard))
    return torch.from_numpy(positions)


def pick(values: NamedTuple, places: Tensor | slice) -> NamedTuple:
    """Return some items of a named tuple of tensors [B, ...]."""
    return type(values)(*(value[places] for value in values))
