"""The ``clap`` embedder: transformers' model behind the contract of every embedder."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedTokenizerBase

from soundgate.embeddings.base import AudioEmbedder
from soundgate.embeddings.clap.model import Clap, build_clap
from soundgate.embeddings.clap.settings import Settings
from soundgate.embeddings.clap.text import read_tokenizer, require_text_side
from soundgate.runtime.device import torch_device


class ClapEmbedder(AudioEmbedder):
    """CLAP: vectors of unit length, of up to 10 s of audio, and of text beside them.

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
        self._clap = clap
        self.model = clap.model.to(device)
        self.extractor = clap.extractor
        self.device = device
        self.origin = {"model": clap.source, "revision": clap.revision}

    def card(self) -> dict:
        """Return name, model, revision and sample rate."""
        return {"name": self.name, **self.origin, "sample_rate": self.sample_rate}

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """What turns text into tokens, read when it is first needed.

        Raises:
            WeightsError: there is none, or the weights have no text side.
        """
        return read_tokenizer(self._clap)

    @property
    def logit_scale(self) -> float:
        """What the model was trained to multiply cosines of audio and texts by, before a softmax over the texts.

        Raises:
            WeightsError: the weights have no text side.
        """
        require_text_side(self._clap)
        return float(self.model.logit_scale_a.exp())

    @torch.no_grad()
    def embed_text(self, texts: Sequence[str]) -> np.ndarray:
        """Embed texts in the space of `embed`.

        Args:
            texts: N texts.

        Returns:
            float32 [N, 512] of unit length.

        Raises:
            WeightsError: see `tokenizer`.
        """
        tokens = self.tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt").to(self.device)
        features = self.model.get_text_features(input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"])
        return functional.normalize(pooled(features).float(), dim=-1).cpu().numpy()

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
    """Return the embeddings [N, D] from what ``get_*_features`` gives: a tensor, or an object holding one.

    Raises:
        TypeError: it is neither.
    """
    tensor = features if isinstance(features, Tensor) else getattr(features, "pooler_output", None)
    if not isinstance(tensor, Tensor):
        raise TypeError(f"CLAP's features: expected a tensor or pooler_output, found {type(features).__name__}")
    return tensor


def load(settings: Settings) -> ClapEmbedder:
    """Load the embedder on the device that `soundgate.runtime.device` names.

    Args:
        settings: see `Settings`.

    Returns:
        The embedder.

    Raises:
        WeightsError: weights that cannot be found, read safely, or fitted to the architecture.
    """
    return ClapEmbedder(build_clap(settings), torch_device())
