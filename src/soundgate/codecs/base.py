"""The contract every codec keeps: waveforms to frames of latents, to codes, and back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self

import torch
from pydantic import BaseModel
from torch import Tensor, nn
from torch.nn import functional

from soundgate.codecs.precision import full_precision


class Codec(nn.Module, ABC):
    """A frozen codec: ``encode`` is whole-utterance and batched, ``decode`` is differentiable where it says so.

    Batching by right zero-padding changes nothing: the first ⌈T/hop⌉ frames of a padded waveform are the
    frames of the waveform itself. Parameters take no gradients and the module stays in evaluation mode.

    Args:
        name: the codec's name in the registry.
        sample_rate: Hz.
        hop_length: samples a frame.
        dim: D, the latents' dimension.
        n_codebooks: K, codebooks in use.
        codebook_size: entries in each codebook.
        lookahead: samples past its own hop that a frame's latents depend on; 0 for a causal codec.
        warmup_frames: frames at the start whose latents depend on how the start was padded; analysis drops
            them.

    Attributes:
        cpu_threads: threads of each operation when many utterances are encoded on a CPU. The last digits
            depend on it, so it belongs to the codec and not to the machine.
        differentiable: whether gradients pass; where they do not, what requires one is refused.
        latent_space: which of the codec's spaces its latents are in.
        settings: the codec's own, checked.
    """

    cpu_threads = 2
    differentiable = True
    latent_space = "encoder"
    settings: BaseModel

    def __init__(
        self,
        *,
        name: str,
        sample_rate: int,
        hop_length: int,
        dim: int,
        n_codebooks: int,
        codebook_size: int,
        lookahead: int = 0,
        warmup_frames: int = 0,
    ) -> None:
        super().__init__()
        self.name = name
        self.sample_rate = sample_rate
        self.hop_length = hop_length
        self.dim = dim
        self.n_codebooks = n_codebooks
        self.codebook_size = codebook_size
        self.lookahead = lookahead
        self.warmup_frames = warmup_frames

    @property
    def frame_rate(self) -> float:
        """Frames a second, Hz."""
        return self.sample_rate / self.hop_length

    @property
    def causal(self) -> bool:
        """Whether a frame depends on no sample after its own hop (past the warm-up frames)."""
        return self.lookahead == 0

    def n_frames(self, n_samples: int) -> int:
        """Return ⌈n_samples / hop_length⌉, the number of frames of a waveform."""
        return -(-n_samples // self.hop_length)

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode, also inside a model that is being trained."""
        return super().train(False)

    def encode(self, wav: Tensor) -> Tensor:
        """Encode whole utterances into latents.

        Args:
            wav: float32 [B, 1, T] in [−1, 1] at ``sample_rate``, T ≥ 1; zero-padded here to a whole frame.

        Returns:
            float32 [B, L, D] with L = ⌈T / hop_length⌉, also under autocast.

        Raises:
            TypeError: wav is not float32.
            ValueError: a wrong shape, no samples, a value that is not finite, or a gradient asked of a codec that
                has none.
        """
        _check_float("wav", wav)
        self._check_gradient("wav", wav)
        if wav.ndim != 3 or wav.shape[1] != 1 or 0 in wav.shape:
            raise ValueError(f"wav: expected [B, 1, T] with B, T >= 1, found {list(wav.shape)}")
        n_frames = self.n_frames(wav.shape[-1])
        padded = functional.pad(wav, (0, n_frames * self.hop_length - wav.shape[-1]))
        with full_precision(wav.device):
            latents = self._encode(padded).float()
        assert latents.shape == (wav.shape[0], n_frames, self.dim), latents.shape
        return latents

    @torch.no_grad()
    def quantise(self, latents: Tensor) -> Tensor:
        """Find the codes of latents.

        Args:
            latents: float32 [B, L, D].

        Returns:
            int64 [B, K, L] in [0, codebook_size).

        Raises:
            TypeError: latents are not float32.
            ValueError: a wrong shape or a value that is not finite.
        """
        self._check_latents(latents)
        with full_precision(latents.device):
            return self._quantise(latents)

    def decode(self, latents: Tensor) -> Tensor:
        """Decode latents that were not quantised; gradients reach the latents where the codec is differentiable.

        Args:
            latents: float32 [B, L, D].

        Returns:
            float32 [B, 1, L · hop_length].

        Raises:
            TypeError: latents are not float32.
            ValueError: a wrong shape, a value that is not finite, or a gradient asked of a codec that has none.
        """
        self._check_latents(latents)
        self._check_gradient("latents", latents)
        with full_precision(latents.device):
            wav = self._decode(latents).float()
        assert wav.shape == (latents.shape[0], 1, latents.shape[1] * self.hop_length), wav.shape
        return wav

    @torch.no_grad()
    def decode_codes(self, codes: Tensor) -> Tensor:
        """Decode codes.

        Args:
            codes: int64 [B, K', L] in [0, codebook_size), the first K' ≤ K codebooks.

        Returns:
            float32 [B, 1, L · hop_length].

        Raises:
            TypeError: codes are not int64.
            ValueError: a wrong shape or a code out of range.
        """
        self._check_codes(codes)
        with full_precision(codes.device):
            return self._decode_codes(codes).float()

    @torch.no_grad()
    def dequantise(self, codes: Tensor) -> Tensor:
        """Return the latents that codes stand for: those that `decode` turns into what `decode_codes` gives.

        Args:
            codes: int64 [B, K', L] in [0, codebook_size), the first K' ≤ K codebooks.

        Returns:
            float32 [B, L, D].

        Raises:
            TypeError: codes are not int64.
            ValueError: a wrong shape or a code out of range.
        """
        self._check_codes(codes)
        with full_precision(codes.device):
            return self._dequantise(codes).float()

    @abstractmethod
    def weights(self) -> dict[str, Tensor]:
        """Return the tensors, under the names, that loading from a file reads."""

    @abstractmethod
    def _encode(self, wav: Tensor) -> Tensor:
        """Encode checked whole frames [B, 1, L · hop] into [B, L, D]."""

    @abstractmethod
    def _quantise(self, latents: Tensor) -> Tensor:
        """Find the codes of checked latents."""

    @abstractmethod
    def _decode(self, latents: Tensor) -> Tensor:
        """Decode checked latents."""

    @abstractmethod
    def _dequantise(self, codes: Tensor) -> Tensor:
        """Find the latents of checked codes."""

    def _decode_codes(self, codes: Tensor) -> Tensor:
        """Decode checked codes; a codec whose codes do not pass through its latents has its own way."""
        return self._decode(self._dequantise(codes))

    def _check_codes(self, codes: Tensor) -> None:
        if codes.dtype != torch.int64:
            raise TypeError(f"codes: expected int64, found {codes.dtype}")
        if codes.ndim != 3 or 0 in codes.shape or codes.shape[1] > self.n_codebooks:
            expected = f"[B, 1 to {self.n_codebooks}, L] with B, L >= 1"
            raise ValueError(f"codes: expected {expected}, found {list(codes.shape)}")
        if codes.min() < 0 or codes.max() >= self.codebook_size:
            found = f"[{int(codes.min())}, {int(codes.max())}]"
            raise ValueError(f"codes: expected values in [0, {self.codebook_size}), found {found}")

    def _check_latents(self, latents: Tensor) -> None:
        _check_float("latents", latents)
        if latents.ndim != 3 or latents.shape[-1] != self.dim or 0 in latents.shape:
            expected = f"[B, L, {self.dim}] with B, L >= 1"
            raise ValueError(f"latents: expected {expected}, found {list(latents.shape)}")

    def _check_gradient(self, what: str, values: Tensor) -> None:
        if values.requires_grad and torch.is_grad_enabled() and not self.differentiable:
            remedy = "Detach them, or use a codec that is differentiable."
            found = f"codec {self.name} passes no gradients"
            raise ValueError(f"{what}: expected a differentiable codec for what requires a gradient; {found}. {remedy}")


def _check_float(what: str, values: Tensor) -> None:
    if values.dtype != torch.float32:
        raise TypeError(f"{what}: expected float32, found {values.dtype}")
    if not torch.isfinite(values).all():
        n_wrong = int((~torch.isfinite(values)).sum())
        raise ValueError(f"{what}: expected finite values, found {n_wrong} NaN or infinite")
