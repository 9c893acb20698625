"""Embeddings of batches by any model that gives one vector for each utterance."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from soundgate.runtime.errors import CorpusError
from soundgate.tracks.voice.loading.batches import SpokenBatch
from soundgate.tracks.voice.loading.kinds import described, named_columns

# What models call the vector, where they give more.
_NAMES = ("embedding", "embeddings", "speaker_embedding", "speaker_embeddings", "xvector", "xvectors")
# What is this near to unit length is left as it is.
_UNIT = 1e-4


@contextmanager
def evaluating(model: nn.Module | Callable, device: str | torch.device) -> Iterator[None]:
    """Have a module on a device and in evaluation mode, and give it back in the mode that it came in."""
    modules = list(model.to(device).modules()) if isinstance(model, nn.Module) else []
    before = [module.training for module in modules]
    if modules:
        model.eval()
    try:
        yield
    finally:
        for module, was_training in zip(modules, before, strict=True):
            module.training = was_training


def model_rate(model: nn.Module | Callable) -> int | None:
    """Return the sample rate that a model says it hears, ``features.sample_rate``, in Hz; None where it says none."""
    return getattr(getattr(model, "features", None), "sample_rate", None)


@torch.no_grad()
def embed_batch(model: nn.Module | Callable, batch: SpokenBatch, device: str | torch.device, stage: str) -> Tensor:
    """Return unit vectors float32 [B, D] on the CPU; utterances of one length are heard together, without padding.

    What is not finite stays so, and zero vectors stay zero.

    Raises:
        CorpusError: the model gives something else than a vector for each utterance.
    """
    found: Tensor | None = None
    for length in np.unique(batch.lengths):
        places = np.flatnonzero(batch.lengths == length)
        wav = batch.wav if len(places) == len(batch.wav) else batch.wav[torch.from_numpy(places).to(batch.wav.device)]
        own = _vectors(model(wav[:, :length].to(device)), len(places), stage)
        if found is None:
            found = torch.zeros(len(batch.wav), own.shape[1])
        found[torch.from_numpy(places)] = own
    length = found.norm(dim=1, keepdim=True)
    return torch.where((length - 1).abs() < _UNIT, found, functional.normalize(found, dim=1))


def _vectors(output: object, size: int, stage: str) -> Tensor:
    """Return a model's output as float32 [size, D] on the CPU."""
    candidates = [output]
    columns = named_columns(output)
    if columns is not None:
        candidates = [columns[name] for name in _NAMES if name in columns][:1] or list(columns.values())
    elif isinstance(output, (tuple, list)):
        candidates = list(output)
    found = [own for candidate in candidates if (own := _vector(candidate, size)) is not None]
    if len(found) != 1:
        raise CorpusError(
            stage,
            expected=f"one embedding [{size}, D] from the model for {size} utterances",
            found=described(output),
            remedy="Give a function that picks it, such as lambda wav: model(wav)['embedding'].",
        )
    return found[0]


def _vector(value: object, size: int) -> Tensor | None:
    """Return float32 [size, D] of a tensor or array [size, D], [size, 1, D] or [size, D, 1]; None of anything else."""
    if isinstance(value, np.ndarray):
        value = torch.from_numpy(value)
    if not isinstance(value, Tensor) or not value.is_floating_point():
        return None
    if value.ndim == 3 and 1 in value.shape[1:]:
        value = value.flatten(1)
    return value.detach().float().cpu() if value.ndim == 2 and len(value) == size else None
