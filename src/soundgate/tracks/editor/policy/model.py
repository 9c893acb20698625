"""Policy and value network: frames by convolutions, beats by a transformer that is told what repeats."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from soundgate.tracks.editor.policy.settings import NetworkSettings
from soundgate.tracks.editor.reconstruct.attention import Transformer
from soundgate.tracks.editor.vocabulary import Label
from soundgate.tracks.editor.windows import pool
from soundgate.training.weights import read_model, save_model

# Frames a convolution moves on by: 93 ms at 22,050 Hz and hop 512, a quarter of a fast beat.
_STRIDE = 4
# Frames that levels are taken from: windows of n_fft 2048 at hop 512 overlap by three quarters.
_EVERY = 2
# In the models' scale: what is so far above a band's quietest frame counts 1/e less towards its floor.
_FLOOR_SOFTNESS = 1 / 20
_N_SIGNATURE = 32
# Levels in units of 8 dB, so that weights of the usual size tell what matters; positions, at first, whisper.
_UNIT = 0.1
_POSITION_SHARE = 0.1


class BeatEncoder(nn.Module):
    """Spectrograms to one vector a beat.

    A beat is told by what convolutions over its frames find, and by the mean, spread and floor of each band: a take
    that was played again differs from the first one by its noise, which only the floor shows. Each beat is also told
    how like it is to each of its neighbours, since attention alone learns slowly to see what repeats.

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
        n_inputs = settings.dim + 3 * n_mels
        self.inputs = nn.Linear(n_inputs, settings.dim)
        self.signature = nn.Linear(n_inputs, _N_SIGNATURE)
        self.likeness = nn.Linear(2 * settings.n_lags, settings.dim, bias=False)
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
        mask = torch.arange(n_beats, device=raw.device) <= beat_of_frame.masked_fill(~there, -1).amax(1, keepdim=True)
        levels = _moments(raw[:, ::_EVERY], beat_of_frame[:, ::_EVERY], n_beats)
        heard = torch.cat([self._found(raw, beat_of_frame, there, n_beats), levels], -1)
        where = _positions(n_beats, self.settings.dim, raw.device)
        values = self.inputs(heard) + self.position_share * where
        if self.settings.n_lags:
            values = values + self.likeness(_likeness(self.signature(heard), mask, self.settings.n_lags))
        return self.layers(values, mask)

    def _found(self, raw: Tensor, beat_of_frame: Tensor, there: Tensor, n_beats: int) -> Tensor:
        """Return what the convolutions find, [B, N, dim]; what lies beyond the end is 0 to each, as padding is."""
        hidden = functional.gelu(self.first(raw.mT / _UNIT)) * there[:, None, ::_STRIDE]
        return pool(functional.gelu(self.second(hidden)).mT, beat_of_frame[:, ::_STRIDE], n_beats)


def _moments(raw: Tensor, beat_of_frame: Tensor, n_beats: int) -> Tensor:
    """Return mean, spread and a soft minimum of each band over a beat's frames, in ``_UNIT``, [B, N, 3 · M]."""
    n_mels = raw.shape[-1]
    pooled = pool(torch.cat([raw, raw.square(), torch.exp(-raw / _FLOOR_SOFTNESS)], -1), beat_of_frame, n_beats)
    mean, square, decayed = pooled.split(n_mels, -1)
    spread = (square - mean.square()).clamp(min=1e-6).sqrt()
    floor = -_FLOOR_SOFTNESS * decayed.clamp(min=1e-12).log()
    return torch.cat([mean - 0.5, spread, floor - 0.5], -1) / _UNIT


def _positions(n_beats: int, dim: int, device: torch.device) -> Tensor:
    """Return sines and cosines of the beats' numbers, [N, dim], dim even.

    Source: Vaswani et al. 2017, section 3.5.
    """
    rates = torch.exp(torch.arange(0, dim, 2, device=device) * (-math.log(10_000) / dim))
    angles = torch.arange(n_beats, device=device)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


def _likeness(signature: Tensor, mask: Tensor, n_lags: int) -> Tensor:
    """Return the cosines of each beat's signature with those 1, 2, ... before it and after it, [B, N, 2 · n_lags].

    Signatures are taken relative to the recording's mean one; beyond an end the cosine is 0.
    """
    weight = mask[..., None].to(signature.dtype)
    centred = (signature - (signature * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True)) * weight
    unit = functional.normalize(centred, dim=-1)
    n_beats = unit.shape[1]
    cosines = functional.pad(unit @ unit.mT, (n_lags, n_lags))
    columns = torch.arange(n_beats, device=unit.device)[:, None] + n_lags
    lags = torch.arange(1, n_lags + 1, device=unit.device)
    places = torch.cat([columns - lags, columns + lags], 1)
    return cosines.gather(2, places.expand(len(unit), -1, -1))


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
