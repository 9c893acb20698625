"""Codecs whose latents are a fixed transform of the waveform: only their codebooks are fitted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

from soundgate.codecs import codebooks
from soundgate.codecs.base import Codec
from soundgate.codecs.synthetic import speech_like
from soundgate.codecs.weights import read_weights
from soundgate.runtime.errors import WeightsError

# Seconds of synthetic sound for the built-in codebooks: 4,500 frames at 75 Hz, 2,000 at 12.5 Hz.
BUILTIN_DURATION_S = {75: 60.0, 12.5: 160.0}


class ClosedFormSettings(Protocol):
    """What the settings of such a codec have."""

    frame_rate: float
    weights: str
    n_codebooks: int
    codebook_size: int


class ClosedFormCodec(Codec):
    """A codec in closed form. Computed in float32, also under autocast.

    Args:
        settings: the codec's own.
        metric: what quantising minimises.
        transform: makes the transform (``analyse`` and ``synthesise``) that computes in a precision.
        facts: see `Codec`.
    """

    cpu_threads = 1  # Its operations are short: reading the files takes longer than all of them.

    def __init__(
        self,
        settings: ClosedFormSettings,
        metric: codebooks.Metric,
        transform: Callable[[torch.dtype], nn.Module],
        **facts: str | int,
    ) -> None:
        super().__init__(n_codebooks=settings.n_codebooks, codebook_size=settings.codebook_size, **facts)
        self.settings = settings
        self.metric = metric
        self.transform = transform(torch.float32)
        self._make_transform = transform
        self.register_buffer("_codebooks", None, persistent=False)

    @property
    def codebooks(self) -> Tensor:
        """float32 [K, M, D]; the built-in ones are fitted when first asked for, and kept."""
        if self._codebooks is None:
            self.set_codebooks(self._builtin_codebooks())
        return self._codebooks

    def set_codebooks(self, values: Tensor, source: str = "codebooks") -> None:
        """Replace the codebooks.

        Args:
            values: float32 [K, M, D].
            source: what an error is about.

        Raises:
            WeightsError: another shape or dtype.
        """
        shape = [self.n_codebooks, self.codebook_size, self.dim]
        if list(values.shape) != shape or values.dtype != torch.float32:
            raise WeightsError(
                source,
                expected=f"codebooks float32 {shape}",
                found=f"{values.dtype} {list(values.shape)}",
                remedy="Set frame_rate, n_codebooks and codebook_size to those the file was fitted with.",
            )
        self._codebooks = values.to(self.transform.basis.device)

    def fit(self, latents: Tensor, seed: int = 0) -> None:
        """Fit the codebooks on a corpus' latents.

        Args:
            latents: float32 [N, D], frames in any order, N ≥ codebook_size.
            seed: of the initial entries.

        Raises:
            ValueError: too few frames.
        """
        self.set_codebooks(self._fitted(latents, seed))

    def load_codebooks(self) -> None:
        """Read the codebooks that the settings name; the built-in ones wait until they are needed.

        Raises:
            WeightsError: codebooks that cannot be read or have another shape, or weights set to ``"hub"``.
        """
        weights = self.settings.weights
        if weights in ("builtin", "random"):
            return
        if weights == "hub":
            expected = "builtin, random, or the path of a codebook file"
            raise WeightsError(f"codec.{self.name}.weights", expected=expected, found="hub: there is none")
        values = read_weights(weights)
        if list(values) != ["codebooks"]:
            found = f"tensors named {', '.join(list(values)[:6])}"
            raise WeightsError(weights, expected="one tensor named codebooks", found=found)
        self.set_codebooks(values["codebooks"], source=weights)

    def weights(self) -> dict[str, Tensor]:
        """Return the codebooks under the name that loading from a file reads."""
        return {"codebooks": self.codebooks}

    def _fitted(self, latents: Tensor, seed: int) -> Tensor:
        key = f"{self.name.replace('_', '-')}-codebooks"
        return codebooks.fit(latents, self.metric, self.n_codebooks, self.codebook_size, seed, key)

    @torch.inference_mode(False)
    @torch.no_grad()
    def _builtin_codebooks(self) -> Tensor:
        """Fit codebooks on keyed synthetic sound: the same on every machine, in one to two seconds."""
        wav = torch.from_numpy(speech_like(BUILTIN_DURATION_S[self.settings.frame_rate], self.sample_rate))
        n_threads = torch.get_num_threads()
        # Many small products: on a busy machine threads that wait for each other take ten times as long.
        torch.set_num_threads(1)
        try:
            return self._fitted(self._make_transform(torch.float64).analyse(wav[None])[0], seed=0)
        finally:
            torch.set_num_threads(n_threads)

    def _encode(self, wav: Tensor) -> Tensor:
        # In bf16 the quiet bands would be wrong by a tenth, and nothing gained: this is fast as it is.
        with torch.autocast(wav.device.type, enabled=False):
            return self.transform.analyse(wav[:, 0])

    def _decode(self, latents: Tensor) -> Tensor:
        with torch.autocast(latents.device.type, enabled=False):
            return self.transform.synthesise(latents)[:, None]

    def _quantise(self, latents: Tensor) -> Tensor:
        codes = codebooks.quantise(latents.flatten(0, 1), self.codebooks, self.metric)
        return codes.reshape(*latents.shape[:2], -1).transpose(1, 2)

    def _dequantise(self, codes: Tensor) -> Tensor:
        flat = codes.transpose(1, 2).flatten(0, 1)
        return codebooks.dequantise(flat, self.codebooks).reshape(codes.shape[0], codes.shape[2], -1)
