"""The ``mimi`` codec: moshi's model behind the contract of every codec."""

from __future__ import annotations

import torch
from moshi.models import MimiModel
from torch import Tensor

from soundgate.codecs.base import Codec
from soundgate.codecs.mimi.model import build_model
from soundgate.codecs.mimi.settings import Settings


class MimiCodec(Codec):
    """Mimi: causal, 24 kHz, 12.5 Hz, 512-D.

    The model is always called outside its streaming mode, which is where its CUDA graphs, its inference-only
    state and its differences past 250 steps live; so gradients pass through ``decode``.

    Args:
        model: moshi's model, with weights.
        settings: see `Settings`.

    Source: Défossez et al. 2024, "Moshi", section 3.3.
    """

    def __init__(self, model: MimiModel, settings: Settings) -> None:
        super().__init__(
            name="mimi",
            sample_rate=model.sample_rate,
            hop_length=model.frame_size,
            dim=model.dimension,
            n_codebooks=settings.n_codebooks,
            codebook_size=model.cardinality,
        )
        self.settings = settings
        self.model = model
        self.latent_space = settings.latent_space
        self.projected = settings.latent_space == "projected"
        quantisers = (model.quantizer.rvq_first, model.quantizer.rvq_rest)
        into = torch.cat([quantiser.input_proj.weight[..., 0] for quantiser in quantisers], dim=0).detach()
        out_of = torch.cat([quantiser.output_proj.weight[..., 0] for quantiser in quantisers], dim=1).detach()
        # Latents (rows) times `into_quantisers` are both quantisers' inputs, side by side; those times
        # `out_of_quantisers` are both outputs, summed.
        self.register_buffer("into_quantisers", into.T.contiguous(), persistent=False)
        self.register_buffer("out_of_quantisers", out_of.T.contiguous(), persistent=False)
        inverse = torch.linalg.pinv(out_of.T.double()).float() if self.projected else None
        self.register_buffer("back_into_quantisers", inverse, persistent=False)

    def weights(self) -> dict[str, Tensor]:
        """Return the model's tensors under moshi's names."""
        return self.model.state_dict()

    def _encode(self, wav: Tensor) -> Tensor:
        latents = self.model.encode_to_latent(wav, quantize=False).transpose(1, 2)
        return self._project(latents) if self.projected else latents

    def _project(self, latents: Tensor) -> Tensor:
        return latents @ self.into_quantisers @ self.out_of_quantisers

    def _quantise(self, latents: Tensor) -> Tensor:
        """Quantise in the quantisers' own spaces.

        From projected latents both quantisers' inputs are recovered by the pseudo-inverse of the joint output
        projection, a square matrix (2 · 256 by 512): exact up to rounding where it has full rank.
        """
        matrix = self.back_into_quantisers if self.projected else self.into_quantisers
        first, rest = (latents @ matrix).transpose(1, 2).chunk(2, dim=1)
        quantiser = self.model.quantizer
        codes = [quantiser.rvq_first.vq.encode(first, n_q=1)]
        if self.n_codebooks > 1:
            codes.append(quantiser.rvq_rest.vq.encode(rest, n_q=self.n_codebooks - 1))
        return torch.cat(codes, dim=0).transpose(0, 1)

    def _decode(self, latents: Tensor) -> Tensor:
        return self._synthesise((latents if self.projected else self._project(latents)).transpose(1, 2))

    def _dequantise(self, codes: Tensor) -> Tensor:
        """Return the quantisers' output; for latents of the encoder, what the projections make that output of.

        That is the pseudo-inverse of both projections, exact up to rounding where they have full rank.
        """
        output = self.model.decode_latent(codes).transpose(1, 2)
        if self.projected:
            return output
        projections = self.into_quantisers.double() @ self.out_of_quantisers.double()
        return (output.double() @ torch.linalg.pinv(projections)).float()

    def _decode_codes(self, codes: Tensor) -> Tensor:
        return self._synthesise(self.model.decode_latent(codes))

    def _synthesise(self, decoder_input: Tensor) -> Tensor:
        """Upsampling, decoder transformer and decoder, [B, 512, L] to [B, 1, T].

        Differs: `MimiModel.decode` does the same, from codes only.
        """
        upsampled = self.model.upsample(decoder_input)
        (transformed,) = self.model.decoder_transformer(upsampled)
        return self.model.decoder(transformed)


def load(settings: Settings) -> MimiCodec:
    """Load the codec.

    Args:
        settings: see `Settings`.

    Returns:
        The codec on the CPU.

    Raises:
        WeightsError: weights that cannot be found, read safely, or fitted to the architecture.
    """
    return MimiCodec(build_model(settings), settings)
