"""Conversion of recordings of any length."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from soundgate.tracks.voice.cache import Utterances
from soundgate.tracks.voice.model.converter import VoiceConverter, Voices, levels
from soundgate.tracks.voice.model.excitation import frame_phases
from soundgate.tracks.voice.model.networks import moments

_BLOCK_FRAMES = 1_024


@torch.no_grad()
def convert(
    model: VoiceConverter,
    wav: np.ndarray,
    f0: np.ndarray,
    own: tuple[float, float],
    voice: Voices,
    block_frames: int = _BLOCK_FRAMES,
) -> np.ndarray:
    """Say a recording in a voice; the same in blocks as at once.

    Args:
        model: trained; also on a GPU.
        wav: float32 [T] at the features' rate, of one speaker.
        f0: float32 [L] in Hz, L = 1 + T // hop_length, 0 where unvoiced.
        own: mean and deviation of the natural logarithm of the source speaker's F0.
        voice: a batch of one.
        block_frames: frames that are computed at a time.

    Returns:
        float32 [(L - 1) · hop_length].
    """
    n_frames, hop = len(f0), model.features.hop_length
    assert n_frames == model.features.n_frames(len(wav)), (n_frames, len(wav))
    made = np.zeros((n_frames - 1) * hop, np.float32)
    if not len(made):
        return made
    device = model.window.device
    voice = Voices(*(value.to(device) for value in voice))
    utterance = _utterance(wav, f0, own, device)
    pitch, asked = model.prosody(utterance, voice)
    phases = frame_phases(asked, hop, model.features.sample_rate)
    level = levels(utterance.wav)
    cepstra = _cepstra(model, utterance.wav / level, n_frames, block_frames)
    own_moments = moments(cepstra)
    for first in range(0, n_frames - 1, block_frames):
        last = min(first + block_frames, n_frames - 1)
        start, end = max(0, first - model.context), min(n_frames, last + 1 + model.context)
        frames = slice(start, end)
        excitation = model.excitation(asked[:, frames], phases[:, frames], start)
        block = model.render(cepstra[..., frames], own_moments, pitch[:, frames], excitation, voice)
        made[first * hop : last * hop] = (level * block)[0, (first - start) * hop : (last - start) * hop].cpu().numpy()
    return made


def _utterance(wav: np.ndarray, f0: np.ndarray, own: tuple[float, float], device: torch.device) -> Utterances:
    values = (torch.tensor(np.asarray(value, np.float32), device=device)[None] for value in (wav, f0, *own))
    return Utterances(*values, speaker=torch.zeros(1, dtype=torch.int64, device=device))


def _cepstra(model: VoiceConverter, wav: Tensor, n_frames: int, block_frames: int) -> Tensor:
    """Return [1, n_cepstra, L], computed in blocks of frames."""
    hop = model.features.hop_length
    beyond = -(-model.features.n_fft // (2 * hop))
    blocks = []
    for first in range(0, n_frames, block_frames):
        last = min(first + block_frames, n_frames)
        start = max(0, first - beyond)
        mels = model.log_mel(wav[:, start * hop : (last + beyond) * hop])
        blocks.append(model.content.cepstra(mels[..., first - start : last - start]))
    return torch.cat(blocks, dim=-1)
