"""The ``bands`` codec: its transform and its codebooks behind the contract of every codec."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from soundgate.codecs.bands.settings import Settings
from soundgate.codecs.bands.transform import BandsTransform
from soundgate.codecs.closed_form import ClosedFormCodec
from soundgate.codecs.gain_shape.layout import N_BANDS, SAMPLE_RATE, SUB_FRAMES, SUB_HOP


class PlainMetric:
    """Squared error, the same in every band."""

    def active(self, stage: int, n_codebooks: int) -> Tensor:
        """Return bool [D]: every codebook codes all bands."""
        return torch.ones(N_BANDS, dtype=torch.bool)

    def weights(self, quantised: Tensor) -> Tensor:
        """Return ones [N, D]."""
        return torch.ones_like(quantised)

    def target(self, latents: Tensor, quantised: Tensor) -> Tensor:
        """Return the latents."""
        return latents


class BandsCodec(ClosedFormCodec):
    """Log energies of 22 Bark bands at 24 kHz, the gains of `gain_shape` without its shapes.

    Lossy by design: the decoder makes noise of the right energies, as whispered speech is. For analyses that ask what
    of a sound can be foretold: nothing foretells the shapes, which are three quarters of `gain_shape`'s innovation.
    Like `gain_shape` it looks 160 samples (6.7 ms) past its hop, and needs no warming up.

    Args:
        settings: see `Settings`.
    """

    latent_space = "band energies"

    def __init__(self, settings: Settings) -> None:
        n_sub_frames = SUB_FRAMES[settings.frame_rate]
        super().__init__(
            settings,
            PlainMetric(),
            partial(BandsTransform, n_sub_frames, settings.window),
            name="bands",
            sample_rate=SAMPLE_RATE,
            hop_length=n_sub_frames * SUB_HOP,
            dim=N_BANDS,
            lookahead=SUB_HOP // 2,
        )


def load(settings: Settings) -> BandsCodec:
    """Load the codec.

    Args:
        settings: see `Settings`.

    Returns:
        The codec; with a path, its codebooks are read now.

    Raises:
        WeightsError: codebooks that cannot be read or have another shape, or weights set to ``"hub"``.
    """
    codec = BandsCodec(settings)
    codec.load_codebooks()
    return codec
