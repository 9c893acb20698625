"""Policy and value network: frames by convolutions, beats by a transformer that is told what repeats."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from soundgate.tracks.editor.policy.hearing import N_COMPARED, UNIT, compared, moments
from soundgate.tracks.editor.policy.settings import NetworkSettings
from soundgate.tracks.editor.reconstruct.attention import Transformer
from soundgate.tracks.editor.vocabulary import Label
from soundgate.tracks.editor.windows import pool
from soundgate.training.weights import read_model, save_model

# Frames a convolution moves on by: 93 ms at 22,050 Hz and hop 512, a quarter of a fast beat.
_STRIDE = 4
# Frames that levels are taken from: windows of n_fft 2048 at hop 512 overlap by three quarters.
_EVERY = 2
# How loud positions are beside what is heard, at first.
_POSITION_SHARE = 0.1
# Of what hardly varies, differences are not blown up.
_LEAST_SPREAD = 0.01


class BeatEncoder(nn.Module):
    """Spectrograms to one vector a beat.

    A beat is told by what convolutions over its frames find, and by the mean, spread and floor of each band: a take
    that was played again differs from the first one by its noise, which only the floor shows. Each beat is also told
    which of its neighbours are like it, and how much louder or noisier it is than those, since attention alone learns
    slowly to see what repeats.

    Differs: the seed's encoder has a vector a frame; decisions are a beat's here.

    Args:
        settings: see `NetworkSettings`.
        n_mels: bands.
    """

    def __init__(self, settings: NetworkSettings, n_mels: int) -> None:
        super().__init__()
        self.settings, self.n_mels = settings, n_mels
        self.first = nn.Conv1d(n_mels, settings.channels, 2 * _STRIDE - 1, stride=_STRIDE, padding=_STRIDE - 1)
        self.second = nn.Conv1d(settings.channels, settings.dim, 5, padding=2)
        n_heard = 3 * n_mels + N_COMPARED * 2 * settings.n_lags
        self.register_buffer("centre", torch.zeros(n_heard))
        self.register_buffer("spread", torch.ones(n_heard))
        n_inputs = settings.dim + n_heard
        self.inputs = nn.Sequential(
            nn.Linear(n_inputs, 2 * settings.dim), nn.GELU(), nn.Linear(2 * settings.dim, settings.dim)
        )
        self.position_share = nn.Parameter(torch.tensor(_POSITION_SHARE))
        self.layers = Transformer(settings.n_layers, settings.dim, settings.n_heads, settings.dropout)

    def forward(self, raw: Tensor, beat_of_frame: Tensor, n_beats: int) -> Tensor:
        """Return [B, N, dim].

        Args:
            raw: [B, T, n_mels] in the models' scale.
            beat_of_frame: int64 [B, T], ``n_beats`` in padding.
            n_beats: N.
        """
        there = beat_of_frame < n_beats
        heard, mask = self.hear(raw, beat_of_frame, n_beats)
        told = torch.cat([self._found(raw, beat_of_frame, there, n_beats), (heard - self.centre) / self.spread], -1)
        where = _positions(n_beats, self.settings.dim, raw.device)
        return self.layers(self.inputs(told) + self.position_share * where, mask)

    def hear(self, raw: Tensor, beat_of_frame: Tensor, n_beats: int) -> tuple[Tensor, Tensor]:
        """Return what is told of each beat before anything is learned, [B, N, H], and which are beats, bool [B, N]."""
        last = beat_of_frame.masked_fill(beat_of_frame == n_beats, -1).amax(1, keepdim=True)
        mask = torch.arange(n_beats, device=raw.device) <= last
        thinned, numbers = raw[:, ::_EVERY], beat_of_frame[:, ::_EVERY]
        levels = moments(thinned, numbers, n_beats)
        return torch.cat([levels, compared(thinned, numbers, levels, mask, self.settings.n_lags)], -1), mask

    def set_scale(self, centre: Tensor, spread: Tensor) -> None:
        """Set what `hear` is made relative to, [H] each: mean and standard deviation over the train pairs' beats."""
        self.centre.copy_(centre)
        self.spread.copy_(spread.clamp(min=_LEAST_SPREAD))

    def _found(self, raw: Tensor, beat_of_frame: Tensor, there: Tensor, n_beats: int) -> Tensor:
        """Return what the convolutions find, [B, N, dim]; what lies beyond the end is 0 to each, as padding is."""
        hidden = functional.gelu(self.first(raw.mT / UNIT)) * there[:, None, ::_STRIDE]
        return pool(functional.gelu(self.second(hidden)).mT, beat_of_frame[:, ::_STRIDE], n_beats)


def _positions(n_beats: int, dim: int, device: torch.device) -> Tensor:
    """Return sines and cosines of the beats' numbers, [N, dim], dim even.

    Source: Vaswani et al. 2017, section 3.5.
    """
    rates = torch.exp(torch.arange(0, dim, 2, device=device) * (-math.log(10_000) / dim))
    angles = torch.arange(n_beats, device=device)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


class EditPredictor(nn.Module):
    """The policy: logits of the labels of every beat.

    Args:
        settings: see `NetworkSettings`.
        n_mels: bands.
    """

    def __init__(self, settings: NetworkSettings, n_mels: int) -> None:
        super().__init__()
        self.settings, self.n_mels = settings, n_mels
        self.encoder = BeatEncoder(settings, n_mels)
        self.head = nn.Linear(settings.dim, len(Label))

    def forward(self, raw: Tensor, beat_of_frame: Tensor, n_beats: int) -> Tensor:
        """Return [B, N, 8]; PAD's logit is -inf. Arguments as `BeatEncoder`'s."""
        logits = self.head(self.encoder(raw, beat_of_frame, n_beats))
        is_pad = torch.arange(len(Label), device=logits.device) == Label.PAD
        return logits.masked_fill(is_pad, -torch.inf)


class ValueNetwork(nn.Module):
    """What a beat's reward will be, whatever its label.

    Args:
        settings: see `NetworkSettings`.
        n_mels: bands.
    """

    def __init__(self, settings: NetworkSettings, n_mels: int) -> None:
        super().__init__()
        self.encoder = BeatEncoder(settings, n_mels)
        self.head = nn.Linear(settings.dim, 1)

    def forward(self, raw: Tensor, beat_of_frame: Tensor, n_beats: int) -> Tensor:
        """Return [B, N]. Arguments as `BeatEncoder`'s."""
        return self.head(self.encoder(raw, beat_of_frame, n_beats))[..., 0]


def save_predictor(folder: str | Path, model: EditPredictor) -> None:
    """Write the model where `load_predictor` finds it."""
    save_model(folder, model, {"network": model.settings.model_dump(mode="json"), "n_mels": model.n_mels})


def load_predictor(folder: str | Path) -> EditPredictor:
    """Load a trained policy, frozen and in evaluation mode, on the CPU.

    Raises:
        WeightsError: a file is missing or damaged.
    """
    config, tensors = read_model(folder)
    model = EditPredictor(NetworkSettings.model_validate(config["network"]), config["n_mels"])
    model.load_state_dict(tensors)
    return model.requires_grad_(False).eval()
