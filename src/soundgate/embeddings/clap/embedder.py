"""The ``clap`` embedder: transformers' model behind the contract of every embedder."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from soundgate.device import torch_device
from soundgate.embeddings.base import AudioEmbedder
from soundgate.embeddings.clap.model import Clap, build_clap
from soundgate.embeddings.clap.settings import Settings


class ClapEmbedder(AudioEmbedder):
    """The audio side of CLAP: vectors of unit length, of up to 10 s of audio.

    Shorter audio is repeated to fill the model's 10 s, as the model was trained. Longer audio is refused: the
    feature extractor would crop it at random.

    Args:
        clap: see `Clap`.
        device: where the model computes.

    Source: Wu et al. 2023, "Large-scale contrastive language-audio pretraining with feature fusion and
        keyword-to-caption augmentation".
    """

    def __init__(self, clap: Clap, device: torch.device) -> None:
        super().__init__("clap", clap.extractor.sampling_rate)
        self.model = clap.model.to(device)
        self.extractor = clap.extractor
        self.device = device
        self.origin = {"model": clap.source, "revision": clap.revision}

    def card(self) -> dict:
        """Return name, model, revision and sample rate."""
        return {"name": self.name, **self.origin, "sample_rate": self.sample_rate}

    @torch.no_grad()
    def _embed(self, wavs: Sequence[np.ndarray]) -> np.ndarray:
        limit = self.extractor.nb_max_samples
        longest = max(len(wav) for wav in wavs)
        if longest > limit:
            raise ValueError(f"wavs: expected at most {limit} samples, found {longest}; the rest would be cropped")
        inputs = self.extractor(list(wavs), sampling_rate=self.sample_rate, return_tensors="pt")
        # For a model with fusion the extractor marks one waveform, drawn at random, as longer than it is.
        is_longer = torch.zeros(len(wavs), 1, dtype=torch.bool, device=self.device)
        mel = inputs["input_features"].to(self.device, torch.float32)
        # TF32, the default for convolutions on a GPU, would make a vector depend on its batch.
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            features = self.model.get_audio_features(input_features=mel, is_longer=is_longer)
        return pooled(features).float().cpu().numpy()


def pooled(features: object) -> Tensor:
    """Return the embeddings [N, D] from what ``get_audio_features`` gives: a tensor, or an object holding one.

    Raises:
        TypeError: it is neither.
    """
    tensor = features if isinstance(features, Tensor) else getattr(features, "pooler_output", None)
    if not isinstance(tensor, Tensor):
        raise TypeError(f"get_audio_features: expected a tensor or pooler_output, found {type(features).__name__}")
    return tensor


def load(settings: Settings) -> ClapEmbedder:
    """Load the embedder on the device that `soundgate.device` names.

    Args:
        settings: see `Settings`.

    Returns:
        The embedder.

    Raises:
        WeightsError: weights that cannot be found, read safely, or fitted to the architecture.
    """
    return ClapEmbedder(build_clap(settings), torch_device())
