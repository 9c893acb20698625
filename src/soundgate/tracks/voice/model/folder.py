"""A trained converter on disk: its own weights, and its speaker encoder in a folder inside."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from soundgate.runtime.config import parse_section
from soundgate.runtime.errors import WeightsError
from soundgate.tracks.voice.features import FeatureSettings
from soundgate.tracks.voice.model.converter import VoiceConverter
from soundgate.tracks.voice.model.settings import NetworkSettings
from soundgate.tracks.voice.speaker.model import load_speaker, save_speaker
from soundgate.training.weights import read_model, save_model

SPEAKER_FOLDER = "speaker"


def save_converter(folder: str | Path, model: VoiceConverter) -> None:
    """Write the weights, and the settings of network and features."""
    config = {"network": model.settings.model_dump(), "features": model.features.model_dump()}
    save_model(folder, _own_parts(model), config)
    save_speaker(Path(folder) / SPEAKER_FOLDER, model.speaker)


def load_converter(folder: str | Path) -> VoiceConverter:
    """Read what `save_converter` wrote, on the CPU, in evaluation mode.

    Raises:
        WeightsError: a file is missing or damaged, or the weights are not such of a converter.
        ConfigError: the settings in it are not such of a converter.
    """
    config, tensors = read_model(folder)
    model = VoiceConverter(
        parse_section("network", config["network"], NetworkSettings),
        parse_section("features", config["features"], FeatureSettings),
        load_speaker(Path(folder) / SPEAKER_FOLDER),
    )
    try:
        _own_parts(model).load_state_dict(tensors)
    except RuntimeError as error:
        raise WeightsError(folder, expected="a voice converter", found=str(error).splitlines()[0]) from error
    return model.eval().requires_grad_(False)


def _own_parts(model: VoiceConverter) -> nn.ModuleDict:
    return nn.ModuleDict({name: getattr(model, name) for name in ("content", "projection", "decoder")})
