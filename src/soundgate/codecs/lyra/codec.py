"""The ``lyra`` codec: Lyra v2's published models behind the contract of every codec."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from soundgate.codecs.base import Codec
from soundgate.codecs.lyra import quantiser
from soundgate.codecs.lyra.files import SUFFIX, read_files
from soundgate.codecs.lyra.litert import require_stream, run_stream
from soundgate.codecs.lyra.settings import Settings

SAMPLE_RATE, HOP_LENGTH, DIM = 16_000, 320, 64
# The encoder begins with activations of zero, which silence does not give: the same sound after other sound has the
# same latents from frame 24 on.
WARMUP_FRAMES = 24


class LyraCodec(Codec):
    """Lyra v2, a SoundStream codec of speech: causal, 16 kHz, 50 Hz, 64-D; no gradients.

    Every item is a stream of its own through a new interpreter on the CPU, on one thread; latents go back to the
    device that the input is on. Networks are 8-bit: latents lie on a grid of 0.26, their spread is about 6. Computed
    as the files say, also under autocast.

    Args:
        files: content of each file, see `soundgate.codecs.lyra.files.read_files`.
        settings: see `Settings`.

    Raises:
        ConfigError: LiteRT is not installed.
        WeightsError: a file is no model that LiteRT runs, or not one of these.

    Source: Zeghidour et al. 2021, "SoundStream: An End-to-End Neural Audio Codec"; Google 2022, Lyra v2.
    Differs: frames are not coded into packets, and lost ones not concealed.
    """

    cpu_threads = 1
    differentiable = False

    def __init__(self, files: Mapping[str, bytes], settings: Settings) -> None:
        super().__init__(
            name="lyra",
            sample_rate=SAMPLE_RATE,
            hop_length=HOP_LENGTH,
            dim=DIM,
            n_codebooks=settings.n_codebooks,
            codebook_size=quantiser.CODEBOOK_SIZE,
            warmup_frames=WARMUP_FRAMES,
        )
        self.settings = settings
        # The files themselves, as tensors: they are what the codec is made of, wherever it is copied or sent.
        for name in ("soundstream_encoder", "quantizer", "lyragan"):
            self.register_buffer(name, torch.from_numpy(np.frombuffer(files[name], np.uint8).copy()))
        require_stream(self.soundstream_encoder, "soundstream_encoder" + SUFFIX, HOP_LENGTH, DIM)
        require_stream(self.lyragan, "lyragan" + SUFFIX, DIM, HOP_LENGTH)
        codebooks = quantiser.read_codebooks(self.quantizer, "quantizer" + SUFFIX, DIM)
        self.register_buffer("codebooks", codebooks[: settings.n_codebooks].contiguous(), persistent=False)

    def weights(self) -> dict[str, Tensor]:
        """Return the content of each file, uint8 [n], under its name in the folder that loading reads."""
        return {name + SUFFIX: content for name, content in self.state_dict().items()}

    def _encode(self, wav: Tensor) -> Tensor:
        return self._streamed("soundstream_encoder", wav.unflatten(-1, (-1, self.hop_length))[:, 0])

    def _decode(self, latents: Tensor) -> Tensor:
        return self._streamed("lyragan", latents).flatten(1)[:, None]

    def _streamed(self, name: str, frames: Tensor) -> Tensor:
        """Run one of the models over the frames [B, L, n_in] of each item."""
        model, items = getattr(self, name).cpu(), frames.detach().float().cpu().numpy()
        outputs = np.stack([run_stream(model, name + SUFFIX, item) for item in items])
        return torch.from_numpy(outputs).to(frames.device)

    def _quantise(self, latents: Tensor) -> Tensor:
        codes = quantiser.quantise(latents.flatten(0, 1), self.codebooks)
        return codes.reshape(*latents.shape[:2], -1).transpose(1, 2)

    def _dequantise(self, codes: Tensor) -> Tensor:
        flat = codes.transpose(1, 2).flatten(0, 1)
        return quantiser.dequantise(flat, self.codebooks).reshape(codes.shape[0], codes.shape[2], -1)


def load(settings: Settings) -> LyraCodec:
    """Load the codec.

    Args:
        settings: see `Settings`.

    Returns:
        The codec on the CPU.

    Raises:
        ConfigError: LiteRT is not installed.
        WeightsError: files that cannot be found, downloaded or run, or are others than those pinned.
    """
    return LyraCodec(read_files(settings), settings)
