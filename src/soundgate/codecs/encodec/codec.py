"""The ``encodec`` codec: Meta's model behind the contract of every codec."""

from __future__ import annotations

from typing import Self

from encodec import EncodecModel
from torch import Tensor, nn
from torch.nn import functional

from soundgate.codecs.base import Codec
from soundgate.codecs.encodec.model import build_model
from soundgate.codecs.encodec.settings import Settings

# The last convolution spans 7 frames and pads by reflecting the 6 that follow the first: frames 0 to 2 depend
# on later ones, and frames 0 to 6 on what padding makes of the first one.
WARMUP_FRAMES = 7


class EncodecCodec(Codec):
    """EnCodec: 24 kHz, 75 Hz, 128-D; causal from frame 3 on, free of padding from frame 7 on.

    What reaches frame 7 and later ones from the start's padding is a trace (1 % at frame 7 with random
    weights, fading within 20 frames), by the paddings of the layers below and the recurrent layers' state.
    Latents are the encoder's output, not quantised.

    Args:
        model: encodec's model, with weights.
        settings: see `Settings`.

    Source: Défossez et al. 2022, "High Fidelity Neural Audio Compression", section 3.1.
    """

    def __init__(self, model: EncodecModel, settings: Settings) -> None:
        super().__init__(
            name="encodec",
            sample_rate=model.sample_rate,
            hop_length=int(model.encoder.hop_length),
            dim=model.encoder.dimension,
            n_codebooks=settings.n_codebooks,
            codebook_size=model.quantizer.bins,
            warmup_frames=WARMUP_FRAMES,
        )
        self.settings = settings
        self.model = model

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode, but for the LSTMs: cuDNN gives gradients in training mode only.

        They have no dropout, so that the two modes compute the same.
        """
        super().train(False)
        for module in self.modules():
            if isinstance(module, nn.LSTM):
                module.train(True)
        return self

    def weights(self) -> dict[str, Tensor]:
        """Return the model's tensors under encodec's names."""
        return self.model.state_dict()

    def _encode(self, wav: Tensor) -> Tensor:
        """Encode, with zeros after an utterance shorter than the reflection reaches.

        Differs: encodec pads such a short one's features instead, so that its latents would depend on whether
        it was batched with a longer one.
        """
        n_frames = wav.shape[-1] // self.hop_length
        missing = max(0, WARMUP_FRAMES + 1 - n_frames)
        padded = functional.pad(wav, (0, missing * self.hop_length))
        return self.model.encoder(padded)[..., :n_frames].transpose(1, 2)

    def _quantise(self, latents: Tensor) -> Tensor:
        return self.model.quantizer.vq.encode(latents.transpose(1, 2), n_q=self.n_codebooks).transpose(0, 1)

    def _decode(self, latents: Tensor) -> Tensor:
        return self.model.decoder(latents.transpose(1, 2))

    def _dequantise(self, codes: Tensor) -> Tensor:
        return self.model.quantizer.decode(codes.transpose(0, 1)).transpose(1, 2)


def load(settings: Settings) -> EncodecCodec:
    """Load the codec.

    Args:
        settings: see `Settings`.

    Returns:
        The codec on the CPU.

    Raises:
        WeightsError: weights that cannot be found, read safely, or fitted to the architecture.
    """
    return EncodecCodec(build_model(settings), settings)
