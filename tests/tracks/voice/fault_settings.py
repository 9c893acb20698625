"""The smallest GAN that is one, for the tests of its faults."""

import torch

from soundgate.runtime.config import parse_section
from soundgate.tracks.voice.faults.settings import FaultSettings
from soundgate.tracks.voice.speaker.model import SpeakerEncoder
from soundgate.tracks.voice.speaker.settings import NetworkSettings
from tests.tracks.voice.fault_cache import FEATURES

TRAIN = {
    "network": {
        "content": {"n_cepstra": 12, "width": 16, "n_blocks": 1, "n_content": 8, "warp": 0.1},
        "decoder": {"width": 16, "n_blocks": 1, "n_voice": 16},
    },
    "loop": {"epochs": 11, "batch_size": 2, "steps_per_epoch": 2, "checkpoint_s": 1e9},
    "utterances_per_speaker": 1, "segment_s": 0.5, "width": 0.03125, "judged_s": 0.25,
    "weights": {"mel": 1.0, "stft": 0.0, "adversarial": 0.1, "feature_matching": 2.0, "contrastive": 0.5},
    "contrastive": {
        "kind": "infonce", "temperature": 0.07, "margin": 0.3, "n_negatives": 2, "hard_negatives": True, "easy": 0.3,
        "medium": 0.6, "hard": 0.85, "memory": 32, "share": 1.0,
    },
    "adversarial": "hinge", "gan_start": 0.0, "r1_gamma": 0.0, "r1_every": 16, "speaker_trainable": False,
    "learning_rate": 0.001, "critic_rate": 0.5, "betas": [0.5, 0.9], "weight_decay": 0.01, "warm_up": 4,
    "final_rate": 1.0, "clip": 10.0, "precision": "fp32", "accumulation": 1, "compile": False,
    "sample_interval": 0, "n_evaluated": 2,
}  # fmt: skip
FAULTS = {
    "train": TRAIN, "interval": 1, "window": 20, "settled": 30, "fault_epoch": 8, "n_healthy": 2, "n_faulty": 1,
}  # fmt: skip


def fault_settings(**changes):
    return parse_section("voice.health", FAULTS | changes, FaultSettings)


def speaker():
    torch.manual_seed(0)
    network = NetworkSettings(width=16, dilations=[1, 2], dim=16, f_max_hz=6000)
    return SpeakerEncoder(network, FEATURES).eval()
