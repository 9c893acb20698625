"""EnCodec's 24 kHz model with weights from Meta's address, a file, or random ones."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from encodec import EncodecModel
from encodec.model import ROOT_URL

from soundgate.codecs.encodec.settings import Settings
from soundgate.codecs.random_init import example, fill_codebooks, scale_convolutions
from soundgate.codecs.weights import fit_weights, hub_url, keyed_random_state, read_weights

CHECKPOINT = "encodec_24khz-d7cc33bc.th"


def build_model(settings: Settings) -> EncodecModel:
    """Build EnCodec at 24 kHz.

    Args:
        settings: where the weights are from, see `Settings`.

    Returns:
        The model on the CPU, frozen, in evaluation mode.

    Raises:
        WeightsError: weights that cannot be found, read safely, or fitted to the architecture.

    Differs: encodec's own loader unpickles what it downloads and checks eight digits of its hash, once; here the
        same file is read as tensors only and checked by the whole hash, every time.
    """
    source: str | Path = settings.weights
    if source == "hub":
        source = hub_url(ROOT_URL + CHECKPOINT, settings.sha256)
    state = None if source == "random" else read_weights(source)
    with torch.inference_mode(False):
        with keyed_random_state("encodec"), warnings.catch_warnings():
            # The library's weight normalisation is the kind that newer PyTorch deprecates; its names
            # (weight_g, weight_v) are those of the published file.
            warnings.filterwarnings("ignore", category=FutureWarning)
            model = EncodecModel.encodec_model_24khz(pretrained=False)
        if state is None:
            _randomise(model)
        else:
            fit_weights(model, state, source)
    return model.requires_grad_(False).eval()


@torch.no_grad()
def _randomise(model: EncodecModel) -> None:
    wav = 0.1 * example("encodec", 1, 1, model.sample_rate // 4)
    latents = scale_convolutions(model.encoder, lambda: model.encoder(wav))
    scale_convolutions(model.decoder, lambda: model.decoder(latents), rms=0.1)
    fill_codebooks([layer._codebook.embed for layer in model.quantizer.vq.layers], "encodec")
