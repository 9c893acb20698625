"""What is told of a beat before anything is learned: its levels, and which of its neighbours it is like."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from soundgate.runtime.arithmetic import square_root
from soundgate.tracks.editor.windows import pool

# Equal parts of a beat by which beats are compared.
_PARTS = 4
# In the models' scale: what is so far above a band's quietest frame counts 1/e less towards its floor.
_FLOOR_SOFTNESS = 1 / 20
# To which power a likeness is taken: of beats of one piece, most are somewhat alike.
_SHARPNESS = 4
# Levels in units of 8 dB, so that weights of the usual size tell what matters.
UNIT = 0.1
# What `compared` says of each neighbour.
N_COMPARED = 4


def moments(raw: Tensor, beat_of_frame: Tensor, n_beats: int) -> Tensor:
    """Return mean, spread and a soft minimum of each band over a beat's frames, in ``UNIT``, [B, N, 3 · M].

    Args:
        raw: [B, T, M] in the models' scale.
        beat_of_frame: int64 [B, T], ``n_beats`` in padding.
        n_beats: N.
    """
    n_mels = raw.shape[-1]
    pooled = pool(torch.cat([raw, raw.square(), torch.exp(-raw / _FLOOR_SOFTNESS)], -1), beat_of_frame, n_beats)
    mean, square, decayed = pooled.split(n_mels, -1)
    spread = square_root((square - mean.square()).clamp(min=1e-6))
    floor = -_FLOOR_SOFTNESS * decayed.clamp(min=1e-12).log()
    return torch.cat([mean - 0.5, spread, floor - 0.5], -1) / UNIT


def compared(raw: Tensor, beat_of_frame: Tensor, levels: Tensor, mask: Tensor, n_lags: int) -> Tensor:
    """Compare each beat with those 1, 2, ... before it and after it.

    Args:
        raw: [B, T, M] in the models' scale.
        beat_of_frame: int64 [B, T], N in padding.
        levels: [B, N, 3 · M], from `moments`.
        mask: bool [B, N].
        n_lags: how many before it, and how many after it.

    Returns:
        [B, N, 4 · 2 · n_lags]: of each neighbour whether there is one, how like it is (0 to 1), and by how much this
        beat's mean level and floor lie above its, the more it is like; in ``UNIT``.
    """
    level, _, floor = levels.unflatten(-1, (3, -1)).mean(-1).unbind(-1)
    like = likeness(_patterns(raw, beat_of_frame, mask.shape[1]), mask).clamp(min=0) ** _SHARPNESS
    there = (mask[:, :, None] & mask[:, None, :]).to(raw.dtype)
    above = [like * (own[:, :, None] - own[:, None, :]) for own in (level, floor)]
    return torch.cat([_at_lags(table, n_lags) for table in (there, like, *above)], -1)


def likeness(patterns: Tensor, mask: Tensor) -> Tensor:
    """Return the cosine of each beat's pattern with each other's, both less the recording's mean, [B, N, N].

    Args:
        patterns: [B, N, D].
        mask: bool [B, N]; what is no beat is like nothing.
    """
    weight = mask[..., None].to(patterns.dtype)
    centred = (patterns - (patterns * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True)) * weight
    unit = functional.normalize(centred, dim=-1)
    return unit @ unit.mT


def _patterns(raw: Tensor, beat_of_frame: Tensor, n_beats: int) -> Tensor:
    """Return the mean spectrum of each of a beat's equal parts, [B, N, parts · M]."""
    numbers = torch.arange(n_beats, device=raw.device)
    lengths = (beat_of_frame[:, :, None] == numbers).sum(1)
    within = beat_of_frame.clamp(max=n_beats - 1)
    starts = (lengths.cumsum(1) - lengths).gather(1, within)
    place = torch.arange(raw.shape[1], device=raw.device) - starts
    part = (place * _PARTS // lengths.gather(1, within).clamp(min=1)).clamp(0, _PARTS - 1)
    parts = torch.where(beat_of_frame < n_beats, within * _PARTS + part, n_beats * _PARTS)
    return pool(raw, parts, n_beats * _PARTS).unflatten(1, (n_beats, _PARTS)).flatten(2)


def _at_lags(table: Tensor, n_lags: int) -> Tensor:
    """Return what a table [B, N, N] says of each beat's neighbours, [B, N, 2 · n_lags]; 0 where there is none."""
    n_beats = table.shape[1]
    own = torch.arange(n_beats, device=table.device)[:, None] + n_lags
    lags = torch.arange(1, n_lags + 1, device=table.device)
    places = torch.cat([own - lags, own + lags], 1).expand(len(table), -1, -1)
    return functional.pad(table, (n_lags, n_lags)).gather(2, places)
