"""A real converter and speaker encoder with random weights, small enough for tests."""

import torch

from soundgate.tracks.voice.model.converter import VoiceConverter
from soundgate.tracks.voice.model.settings import ContentSettings, DecoderSettings
from soundgate.tracks.voice.model.settings import NetworkSettings as ConverterSettings
from soundgate.tracks.voice.speaker.model import SpeakerEncoder
from soundgate.tracks.voice.speaker.settings import NetworkSettings as SpeakerSettings

from .planted_voices import FEATURES


def tiny_converter(seed=0):
    torch.manual_seed(seed)
    speaker = SpeakerEncoder(SpeakerSettings(width=8, dim=16, dilations=(1,), f_max_hz=7600.0), FEATURES)
    network = ConverterSettings(
        content=ContentSettings(n_cepstra=8, width=8, n_blocks=1, n_content=4, warp=0.0),
        decoder=DecoderSettings(width=8, n_blocks=1, n_voice=8),
    )
    return VoiceConverter(network, FEATURES, speaker).eval()
