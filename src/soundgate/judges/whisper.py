"""The network of Whisper tiny.en, and its transcripts token by token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import librosa
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from soundgate.runtime.arithmetic import decibels

SAMPLE_RATE = 16_000
WINDOW_S = 30
# A signal that is this short is heard with silence up to half a window behind it, in less than half of the time.
SHORT_S = 10
END, START, NO_SPEECH, NO_TIMESTAMPS = 50256, 50257, 50361, 50362
_N_FFT, _HOP, _N_MELS = 400, 160, 80
_DIM, _HEADS, _LAYERS, _TOKENS = 384, 6, 4, 51864
_MOST_FRAMES, _MOST_TOKENS = 1500, 448
_LONGEST, _LONGEST_OF_SHORT = 224, 32  # tokens: as published of 30 s, in proportion of less, and at least
_FLOOR, _RANGE = 1e-10, 8.0
_NO_SPEECH_LEAST = 0.6  # the published threshold

KeysValues = tuple[Tensor, Tensor]


class _Attention(nn.Module):
    """Attention whose projections are one product, as stored: query, key, value; or query, then key and value."""

    def __init__(self, *widths: int) -> None:
        super().__init__()
        self.layer_norm = nn.LayerNorm(_DIM)
        for number, width in enumerate(widths):
            self.add_module(f"linear_{number}", nn.Linear(_DIM, width))


class _SelfAttention(_Attention):
    def __init__(self) -> None:
        super().__init__(3 * _DIM, _DIM)

    def forward(self, hidden: Tensor, past: KeysValues | None = None) -> tuple[Tensor, KeysValues]:
        """Return hidden [1, L, 384] after attention to itself and the past, and the keys and values of both."""
        query, *own = (_heads(part) for part in self.linear_0(self.layer_norm(hidden)).chunk(3, dim=-1))
        key, value = own if past is None else (torch.cat(pair, dim=2) for pair in zip(past, own, strict=True))
        return hidden + self.linear_1(_attended(query, key, value)), (key, value)


class _CrossAttention(_Attention):
    def __init__(self) -> None:
        super().__init__(_DIM, 2 * _DIM, _DIM)

    def memory(self, encoded: Tensor) -> KeysValues:
        """Return keys and values of what is attended to, [1, S, 384]."""
        key, value = (_heads(part) for part in self.linear_1(encoded).chunk(2, dim=-1))
        return key, value

    def forward(self, hidden: Tensor, memory: KeysValues) -> Tensor:
        """Return hidden [1, L, 384] after attention to a memory."""
        return hidden + self.linear_2(_attended(_heads(self.linear_0(self.layer_norm(hidden))), *memory))


class _FeedForward(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer_norm = nn.LayerNorm(_DIM)
        self.linear_0, self.linear_1 = nn.Linear(_DIM, 4 * _DIM), nn.Linear(4 * _DIM, _DIM)

    def forward(self, hidden: Tensor) -> Tensor:
        """Return hidden [1, L, 384]."""
        return hidden + self.linear_1(functional.gelu(self.linear_0(self.layer_norm(hidden))))


class _EncoderLayer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.self_attention, self.ffn = _SelfAttention(), _FeedForward()

    def forward(self, hidden: Tensor) -> Tensor:
        """Return hidden [1, S, 384]."""
        return self.ffn(self.self_attention(hidden)[0])


class _DecoderLayer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.self_attention, self.attention, self.ffn = _SelfAttention(), _CrossAttention(), _FeedForward()

    def forward(self, hidden: Tensor, past: KeysValues | None, memory: KeysValues) -> tuple[Tensor, KeysValues]:
        """Return hidden [1, 1, 384] of a token, and keys and values of all tokens so far."""
        hidden, past = self.self_attention(hidden, past)
        return self.ffn(self.attention(hidden, memory)), past


class _Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(_N_MELS, _DIM, 3, padding=1)
        self.conv2 = nn.Conv1d(_DIM, _DIM, 3, stride=2, padding=1)
        self.position_encodings = nn.Embedding(_MOST_FRAMES, _DIM)
        for number in range(_LAYERS):
            self.add_module(f"layer_{number}", _EncoderLayer())
        self.layer_norm = nn.LayerNorm(_DIM)

    def forward(self, features: Tensor) -> Tensor:
        """Return what was heard, [1, S, 384], of features [80, 2 S]; S is 1500 as published, or less."""
        hidden = functional.gelu(self.conv2(functional.gelu(self.conv1(features[None])))).transpose(1, 2)
        hidden = hidden + self.position_encodings.weight[: hidden.shape[1]]
        for layer in _layers(self):
            hidden = layer(hidden)
        return self.layer_norm(hidden)


class _Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embeddings = nn.Embedding(_TOKENS, _DIM)
        self.position_encodings = nn.Embedding(_MOST_TOKENS, _DIM)
        for number in range(_LAYERS):
            self.add_module(f"layer_{number}", _DecoderLayer())
        self.layer_norm = nn.LayerNorm(_DIM)

    def forward(
        self, token: int, position: int, pasts: Sequence[KeysValues | None], memories: Sequence[KeysValues]
    ) -> tuple[Tensor, list[KeysValues]]:
        """Return the logits [51864] of the token that follows one, and each layer's keys and values so far."""
        hidden = (self.embeddings.weight[token] + self.position_encodings.weight[position])[None, None]
        found = []
        for layer, past, memory in zip(_layers(self), pasts, memories, strict=True):
            hidden, past = layer(hidden, past, memory)
            found.append(past)
        return functional.linear(self.layer_norm(hidden), self.embeddings.weight)[0, 0], found


@dataclass(frozen=True)
class Transcript:
    """What the network writes of a window.

    Attributes:
        tokens: without the special ones; none where the network holds that nobody speaks.
        log_probability: of the tokens and the end, their mean.
    """

    tokens: list[int]
    log_probability: float


class Whisper(nn.Module):
    """An encoder of 30 s and a decoder of tokens, four layers of 384 each; parameters are named as CTranslate2's.

    Source: Radford et al. 2022, "Robust speech recognition via large-scale weak supervision", model tiny.en.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = _Encoder(), _Decoder()

    @torch.inference_mode()
    def transcribe(self, wav: np.ndarray, never: Sequence[int], never_first: Sequence[int]) -> Transcript:
        """Write down a window token by token, always the likeliest.

        Args:
            wav: float32 [T] at 16 kHz, up to 30 s.
            never: tokens of text that are not chosen.
            never_first: those not chosen as the first.
        """
        encoded = self.encoder(log_mels(wav))
        memories = [layer.attention.memory(encoded) for layer in _layers(self.decoder)]
        logits, pasts = self.decoder(START, 0, [None] * _LAYERS, memories)
        if float(logits.softmax(dim=0)[NO_SPEECH]) > _NO_SPEECH_LEAST:
            return Transcript([], 0.0)
        longest = max(_LONGEST_OF_SHORT, _LONGEST * len(wav) // (WINDOW_S * SAMPLE_RATE))
        tokens, total, token = [], 0.0, NO_TIMESTAMPS
        while True:
            logits, pasts = self.decoder(token, 1 + len(tokens), pasts, memories)
            logits[START:] = -torch.inf
            logits[list(never) if tokens else [*never, *never_first]] = -torch.inf
            log_probabilities = logits.log_softmax(dim=0)
            token = int(log_probabilities.argmax())
            total += float(log_probabilities[token])
            if token == END or len(tokens) == longest:
                return Transcript(tokens, total / (len(tokens) + 1))
            tokens.append(token)


def log_mels(wav: np.ndarray) -> Tensor:
    """Return the features of a window [T] at 16 kHz with silence behind it: [80, 3000], [80, 1500] of up to 10 s."""
    padded_s = WINDOW_S // 2 if len(wav) <= SHORT_S * SAMPLE_RATE else WINDOW_S
    padded = torch.from_numpy(np.pad(wav, (0, padded_s * SAMPLE_RATE - len(wav))))
    window = torch.hann_window(_N_FFT)
    powers = torch.stft(padded, _N_FFT, _HOP, window=window, return_complex=True)[:, :-1].abs().square()
    levels = decibels((_filters() @ powers).clamp(min=_FLOOR)) / 10
    return (torch.maximum(levels, levels.max() - _RANGE) + 4) / 4


@cache
def _filters() -> Tensor:
    return torch.from_numpy(librosa.filters.mel(sr=SAMPLE_RATE, n_fft=_N_FFT, n_mels=_N_MELS))


def _layers(side: nn.Module) -> list[nn.Module]:
    return [side.get_submodule(f"layer_{number}") for number in range(_LAYERS)]


def _heads(values: Tensor) -> Tensor:
    """Return [1, 6, L, 64] of [1, L, 384]."""
    return values.unflatten(-1, (_HEADS, -1)).transpose(1, 2)


def _attended(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
