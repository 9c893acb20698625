"""The smallest trainings that are ones, for the tests of their faults."""

import torch
from ruamel.yaml import YAML

from soundgate.runtime.config import parse_section
from soundgate.tracks.voice.faults.rigs import Material
from soundgate.tracks.voice.faults.settings import FaultSettings
from soundgate.tracks.voice.speaker.model import SpeakerEncoder
from soundgate.tracks.voice.speaker.settings import NetworkSettings
from tests.pipeline_file import ROOT
from tests.tracks.voice.fault_cache import FEATURES, planted

SHORT = {"before": 5, "after": 4, "healthy": 3, "n_healthy": 1, "settled": 10}


def fault_settings(**trial):
    """Return the section as it stands in conf, its trainings shorter."""
    values = YAML(typ="safe").load((ROOT / "conf" / "voice.yaml").read_text())["health"]
    for architecture in ("gan", "speaker", "regression"):
        values[architecture] |= SHORT | {"interval": 1, "batch_size": 2 if architecture == "gan" else 6} | trial
    return parse_section("voice.health", values, FaultSettings)


def speaker():
    torch.manual_seed(0)
    network = NetworkSettings(width=16, dilations=[1, 2], dim=16, f_max_hz=6000)
    return SpeakerEncoder(network, FEATURES).eval()


def material(folder, **trial):
    return Material(planted(folder), speaker(), fault_settings(**trial))
