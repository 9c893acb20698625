"""What a converter does to utterances that are always the same: for curves and for the health monitor."""

from __future__ import annotations

import math

import numpy as np
import torch
from accelerate.utils import send_to_device
from torch import Tensor, nn

from soundgate.networks.film import Film
from soundgate.tracks.voice.cache import Utterances, VoiceCache
from soundgate.tracks.voice.gan.batches import pick
from soundgate.tracks.voice.model.converter import VoiceConverter

_DB = 20 / math.log(10)


class Listener:
    """A speaker encoder that hears and never learns.

    Args:
        encoder: [B, T] -> [B, D].
    """

    def __init__(self, encoder: nn.Module) -> None:
        self.encoder = encoder

    @torch.no_grad()
    def __call__(self, wav: Tensor) -> Tensor:
        """Return embeddings without gradients."""
        return self.encoder(wav)

    def follow(self, wav: Tensor) -> Tensor:
        """Return embeddings with gradients to the sound."""
        return self.encoder(wav)


def heard_rows(cache: VoiceCache, count: int) -> np.ndarray:
    """Return validation rows, of as many speakers as possible: a first utterance of each, then a second one."""
    rows = cache.rows("validation")
    codes = cache.speaker_codes[rows]
    turn = np.array([np.count_nonzero(codes[:place] == code) for place, code in enumerate(codes)])
    return rows[np.lexsort((codes, turn))][:count]


def other_speakers(speakers: Tensor) -> Tensor:
    """Return for each item the next one (around the end) of another speaker, int64 [B]; itself where there is none."""
    size = len(speakers)
    ahead = (torch.arange(size)[:, None] + torch.arange(size)) % size
    differs = speakers.cpu()[ahead] != speakers.cpu()[:, None]
    return ahead.gather(1, differs.int().argmax(dim=1, keepdim=True))[:, 0].to(speakers.device)


@torch.no_grad()
def probe(
    converter: VoiceConverter, mpd: nn.Module, mrd: nn.Module, listener: Listener, utterances: Utterances
) -> dict[str, float]:
    """Measure a converter; draws nothing and changes nothing.

    Returns:
        ``mel_db``, distance of rebuilt log-mel spectrograms, dB; ``speaker_similarity`` and ``source_similarity``,
        cosines of conversions with their target and their source; ``swap_change``, how much rebuilt sound changes with
        another embedding alone, relative to its norm; ``pairwise_ratio``, distance between rebuilt utterances over
        that between real ones; ``film_gamma`` and ``film_beta``, mean size of the scales less 1 and of the shifts;
        ``real_score`` and ``fake_score``, the discriminators' means.
    """
    utterances = send_to_device(utterances, next(converter.parameters()).device)
    voices = converter.voices(utterances)
    other = other_speakers(utterances.speaker)
    rebuilt = converter(utterances, voices)
    converted = converter(utterances, pick(voices, other))
    swapped = converter(utterances, voices._replace(embedding=voices.embedding[other]))
    real, made = converter.log_mel(utterances.wav), converter.log_mel(rebuilt)
    known, heard = listener(utterances.wav), listener(converted)
    figures = {
        "mel_db": (made - real).abs().mean() * _DB,
        "speaker_similarity": (heard * known[other]).sum(dim=1).mean(),
        "source_similarity": (heard * known).sum(dim=1).mean(),
        "swap_change": (swapped - rebuilt).norm() / rebuilt.norm().clamp(min=1e-8),
        "pairwise_ratio": _pairwise(made) / _pairwise(real).clamp(min=1e-8),
        "real_score": _score(mpd, mrd, utterances.wav),
        "fake_score": _score(mpd, mrd, rebuilt),
    }
    figures |= _conditioning(converter, converter.condition(voices))
    return {name: float(value) for name, value in figures.items()}


def _pairwise(mels: Tensor) -> Tensor:
    """Return the mean distance between different items [B, n_mels, L]."""
    distances = (mels[:, None] - mels).abs().mean(dim=(2, 3))
    return distances.sum() / max(1, len(mels) * (len(mels) - 1))


def _score(mpd: nn.Module, mrd: nn.Module, wav: Tensor) -> Tensor:
    return torch.stack([logits.mean() for critic in (mpd, mrd) for logits in critic(wav).logits]).mean()


def _conditioning(converter: VoiceConverter, condition: Tensor) -> dict[str, Tensor]:
    films = [module for module in converter.decoder.modules() if isinstance(module, Film)]
    scales, shifts = zip(*(film.linear(condition).chunk(2, dim=1) for film in films), strict=True)
    sizes = (torch.stack(values).abs().mean() for values in (scales, shifts))
    return dict(zip(("film_gamma", "film_beta"), sizes, strict=True))
