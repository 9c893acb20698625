"""Small voices, settings and tasks for the tests of the converter and its training."""

import numpy as np
import pandas as pd
import torch

from soundgate.tracks.voice.cache import COLUMNS, SPLITS, VoiceCache, write_cache
from soundgate.tracks.voice.features import FeatureSettings
from soundgate.tracks.voice.gan.settings import TrainSettings
from soundgate.tracks.voice.gan.task import GanTask
from soundgate.tracks.voice.speaker.model import SpeakerEncoder
from soundgate.tracks.voice.speaker.settings import NetworkSettings as SpeakerNetworkSettings

RATE, HOP = 8_000, 64
FEATURES = FeatureSettings(sample_rate=RATE, n_fft=256, hop_length=HOP, n_mels=20, f0_min_hz=60, f0_max_hz=400)
# Hz, of each speaker: mean fundamental and the resonance.
VOICES = {"ann": (240.0, 1_500.0), "bob": (110.0, 700.0), "cat": (170.0, 2_500.0), "dan": (90.0, 1_100.0)}
CPU = torch.device("cpu")
SETTINGS = {
    "network": {
        "content": {"n_cepstra": 12, "width": 16, "n_blocks": 1, "n_content": 4, "warp": 0.1},
        "decoder": {"width": 24, "n_blocks": 2, "n_voice": 8},
    },
    "loop": {"epochs": 1, "batch_size": 4, "steps_per_epoch": 4},
    "utterances_per_speaker": 2, "segment_s": 0.5, "width": 1 / 32, "judged_s": 0.25,
    "weights": {"mel": 1.0, "stft": 1.0, "adversarial": 0.1, "feature_matching": 2.0, "contrastive": 0.5},
    "contrastive": {
        "kind": "infonce", "temperature": 0.07, "margin": 0.3, "n_negatives": 3, "hard_negatives": True,
        "easy": 0.3, "medium": 0.6, "hard": 0.999999, "memory": 8, "share": 1.0,
    },
    "adversarial": "hinge", "gan_start": 0.0, "r1_gamma": 0.0, "r1_every": 1, "speaker_trainable": False,
    "learning_rate": 1e-3, "critic_rate": 0.5, "betas": [0.5, 0.9], "weight_decay": 0.01, "warm_up": 0,
    "final_rate": 0.1, "clip": 10.0, "precision": "fp32", "accumulation": 1, "compile": False,
    "sample_interval": 0, "n_evaluated": 4,
}  # fmt: skip


def settings(**changes):
    """Return settings with changes at dotted names, dots written as two underscores."""
    values = TrainSettings.model_validate(SETTINGS).model_dump()
    for name, value in changes.items():
        *folders, last = name.split("__")
        inside = values
        for folder in folders:
            inside = inside[folder]
        inside[last] = value
    return TrainSettings.model_validate(values)


def only(*names):
    """Return changes that leave no weights but those named."""
    return {f"weights__{name}": 0.0 for name in SETTINGS["weights"] if name not in names}


def spoken(f0, resonance_hz, duration_s, seed):
    """Return samples of a voice with a gliding fundamental, pauses, and one resonance, and its F0 track."""
    generator = np.random.default_rng(seed)
    n_frames = int(duration_s * RATE) // HOP + 1
    track = f0 * np.exp(0.15 * np.sin(np.arange(n_frames) / generator.uniform(4, 9)))
    track[(np.arange(n_frames) % 40) > 33] = 0
    curve = np.repeat(track, HOP)[: (n_frames - 1) * HOP]
    phase = np.cumsum(curve / RATE)
    wav = np.zeros_like(curve)
    for harmonic in range(1, 40):
        frequency = harmonic * curve
        gain = np.exp(-(((frequency - resonance_hz) / 600) ** 2)) * ((curve > 0) & (frequency < RATE / 2))
        wav += gain * np.cos(2 * np.pi * harmonic * phase)
    wav = 0.05 * wav + 0.002 * generator.standard_normal(len(wav))
    return wav, track.astype(np.float32)


def write_voices(folder, n_train=3):
    """Write a cache of the voices: some seconds of each in the training, validation and test splits."""
    rows, samples, f0 = [], [], []
    for split in SPLITS:
        for number, (speaker, (pitch, resonance)) in enumerate(VOICES.items()):
            for take in range(n_train if split == "train" else 1):
                wav, track = spoken(pitch, resonance, 0.8 + 0.1 * take, seed=100 * number + take + 10 * len(split))
                logs = np.log(track[track > 0])
                name = f"{split}-{speaker}-{take}"
                rows.append([name, speaker, split, f"{name}.flac", len(wav), float(logs.mean()), float(logs.std())])
                samples.append(np.rint(wav.clip(-0.99, 0.99) * 2**15).astype(np.int16))
                f0.append(track)
    table = pd.DataFrame(rows, columns=COLUMNS).astype({"log_f0_mean": "float32", "log_f0_std": "float32"})
    write_cache(folder, FEATURES, table, samples, f0)
    return VoiceCache.open(folder)


def speaker_encoder(seed=0):
    torch.manual_seed(seed)
    network = SpeakerNetworkSettings(width=16, dilations=[1, 2], dim=12, f_max_hz=3_500)
    return SpeakerEncoder(network, FEATURES).eval()


def new_task(cache, **changes):
    return GanTask(cache, speaker_encoder(), settings(**changes), seed=0, n_steps=8, device=CPU)


def take_steps(task, n_steps=1, first=0):
    """Take steps as the loop would, and return their losses."""
    rows = np.arange(0, len(task.batches.rows), 3)
    n_groups = task.settings.task_loop.batch_size
    losses = []
    for step in range(first, first + n_steps):
        torch.manual_seed(1_000 + step)
        losses.append(task.step(np.resize(np.roll(rows, -step), n_groups), step))
    return losses
