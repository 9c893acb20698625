"""moshi's Mimi model with weights from the hub, a file, or random ones."""

from __future__ import annotations

from pathlib import Path

import torch
from moshi.models import MimiModel, loaders
from moshi.utils import compile as moshi_compile
from torch import nn

from soundgate.codecs.mimi.settings import Settings
from soundgate.codecs.random_init import example, fill_codebooks, scale_convolutions
from soundgate.codecs.weights import fit_weights, hub_file, keyed_random_state, read_weights

# moshi compiles its rotary embedding at the first call on a GPU, and turns that off elsewhere through a
# process-wide flag that it sets and restores in every layer: threads that encode at once would see each
# other's restored value. Switched off for good, the flag never changes.
moshi_compile._compile_disabled = True


def build_model(settings: Settings) -> MimiModel:
    """Build Mimi.

    Args:
        settings: where the weights are from, see `Settings`.

    Returns:
        The model on the CPU, frozen, in evaluation mode, its codebooks computed.

    Raises:
        WeightsError: weights that cannot be found, read safely, or fitted to the architecture.
    """
    source: str | Path = settings.weights
    if source == "hub":
        source = hub_file(loaders.DEFAULT_REPO, loaders.MIMI_NAME, settings.revision, settings.sha256)
    state = None if source == "random" else read_weights(source)
    with torch.inference_mode(False):
        with keyed_random_state("mimi"):
            model = loaders.get_mimi(None, device="cpu")
        if state is None:
            _randomise(model)
        else:
            fit_weights(model, state, source)
        model.requires_grad_(False).eval()
        for codebook in _codebooks(model):
            # Read once here: the first reading caches it, and inside inference mode that would bar gradients.
            assert codebook.embedding is not None
    return model


def _codebooks(model: MimiModel) -> list[nn.Module]:
    quantisers = (model.quantizer.rvq_first, model.quantizer.rvq_rest)
    return [layer._codebook for quantiser in quantisers for layer in quantiser.vq.layers]


@torch.no_grad()
def _randomise(model: MimiModel) -> None:
    model.eval()
    wav = 0.1 * example("mimi", 1, 1, 4 * model.frame_size)
    features = scale_convolutions(model.encoder, lambda: model.encoder(wav))
    (features,) = model.encoder_transformer(features)
    latents = scale_convolutions(model.downsample, lambda: model.downsample(features))
    quantisers = (model.quantizer.rvq_first, model.quantizer.rvq_rest)
    inner = [scale_convolutions(q.input_proj, lambda q=q: q.input_proj(latents)) for q in quantisers]
    outer = [
        scale_convolutions(q.output_proj, lambda q=q, x=x: q.output_proj(x))
        for q, x in zip(quantisers, inner, strict=True)
    ]
    upsampled = scale_convolutions(model.upsample, lambda: model.upsample(sum(outer)))
    (features,) = model.decoder_transformer(upsampled)
    scale_convolutions(model.decoder, lambda: model.decoder(features), rms=0.1)
    fill_codebooks([codebook.embedding_sum for codebook in _codebooks(model)], "mimi")
