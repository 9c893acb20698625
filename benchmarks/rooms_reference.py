"""A REFERENCE FOR TIMING: the first recipe for reverberation triples, written straight, as a notebook would have it.

Nothing of the project imports this. It follows the recipe's phases 2 and 4 to 7 line by line with the usual
libraries: librosa for loading and trimming, noisereduce, pyloudnorm, scipy's fftconvolve and filters, `np.savez`.
Nothing in it is slowed down on purpose; where the recipe leaves a choice, the cheaper one is taken (second-order
filters, impulse responses in memory, no compression). Arrays keep the type the libraries give them: pyloudnorm
returns float64, so that segments, and the convolutions with them, are float64.

What the track does and this leaves undone: impulse responses aligned at their direct path, energies matched
before mixing, draws keyed by item and planned first, SNR over active frames, noise reduction that spares speech,
filters safe on digital silence, splits, a report of what was done to each triple, durable writes, a budget that
is never exceeded, verified inputs. One thing is added: a gain among the effects, so that both draw 3 to 6 of seven.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import librosa
import noisereduce
import numpy as np
import pyloudnorm
from scipy.signal import butter, fftconvolve, lfilter, sosfilt

SAMPLE_RATE = 48_000
CLIP_SAMPLES = 240_000
TARGET_LUFS = -23.0
TRIM_TOP_DB = 40
PROP_DECREASE = 0.9
FILES_PER_CHUNK = 500
TRIPLES_PER_BATCH = 500
BUDGET_GB = 19.0
SEED = 42


@dataclass(frozen=True)
class Paths:
    """The working folder and its parts."""

    base: Path

    @property
    def batches(self) -> Path:
        return self.base / "batches"

    @property
    def sterilised(self) -> Path:
        return self.base / "sterilized_batches"


def run(
    voices: Path, bad_pool: dict, target_pool: dict, clap_cache: dict, base: Path, reduce_noise: bool,
    triples_per_batch: int = TRIPLES_PER_BATCH,
) -> int:  # fmt: skip
    """Phases 4 to 7: from a folder of voices and two pools in memory to hashed batches.

    Returns:
        How many triples there are.
    """
    random.seed(SEED)
    np.random.seed(SEED)
    paths = Paths(base)
    paths.batches.mkdir(parents=True, exist_ok=True)
    paths.sterilised.mkdir(parents=True, exist_ok=True)
    segments = sterilise(voices, paths, reduce_noise)
    n_triples = generate_triples(segments, bad_pool, target_pool, clap_cache, paths, triples_per_batch)
    write_manifest(paths, n_triples)
    return n_triples


def folder_size_gb(folder: Path) -> float:
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            total += os.path.getsize(os.path.join(root, name))
    return total / 1e9


def peak_normalise(wav: np.ndarray) -> np.ndarray:
    peak = np.max(np.abs(wav))
    return wav / peak if peak > 0 else wav


# Phase 2: impulse responses.


def load_pool(folder: Path) -> dict[str, np.ndarray]:
    pool = {}
    for path in sorted(folder.rglob("*.wav")):
        wav, _ = librosa.load(path, sr=SAMPLE_RATE, mono=True)
        if len(wav) >= 64:
            pool[path.stem] = peak_normalise(wav)
    return pool


# Phase 4: dry vocals.


def sterilise(voices: Path, paths: Paths, reduce_noise: bool) -> list[np.ndarray]:
    files = sorted(path for path in voices.rglob("*") if path.suffix in (".wav", ".flac", ".mp3"))
    random.Random(SEED).shuffle(files)
    meter = pyloudnorm.Meter(SAMPLE_RATE)
    for start in range(0, len(files), FILES_PER_CHUNK):
        segments = []
        for path in files[start : start + FILES_PER_CHUNK]:
            segments += sterilise_file(path, meter, reduce_noise)
        with open(paths.sterilised / f"batch_{start:06d}.pkl", "wb") as file:
            pickle.dump(segments, file, protocol=pickle.HIGHEST_PROTOCOL)
        state = {"cursor": min(start + FILES_PER_CHUNK, len(files))}
        (paths.base / "sterilize_state.json").write_text(json.dumps(state))
        if folder_size_gb(paths.base) > BUDGET_GB:
            break
    compiled = []
    for path in sorted(paths.sterilised.glob("*.pkl")):
        with open(path, "rb") as file:
            compiled += pickle.load(file)
    return compiled


def sterilise_file(path: Path, meter: pyloudnorm.Meter, reduce_noise: bool) -> list[np.ndarray]:
    wav, _ = librosa.load(path, sr=SAMPLE_RATE, mono=True)
    if len(wav) < SAMPLE_RATE:
        return []
    if reduce_noise:
        wav = noisereduce.reduce_noise(y=wav, sr=SAMPLE_RATE, prop_decrease=PROP_DECREASE)
    wav, _ = librosa.effects.trim(wav, top_db=TRIM_TOP_DB)
    if len(wav) < SAMPLE_RATE:
        return []
    wav = pyloudnorm.normalize.loudness(wav, meter.integrated_loudness(wav), TARGET_LUFS)
    segments = []
    for start in range(0, len(wav), CLIP_SAMPLES):
        segment = wav[start : start + CLIP_SAMPLES]
        segments.append(np.pad(segment, (0, CLIP_SAMPLES - len(segment))))
    return segments


# Phase 5: the messy toolkit.


def shaped_noise(n: int, exponent: float) -> np.ndarray:
    spectrum = np.fft.rfft(np.random.randn(n))
    frequency = np.fft.rfftfreq(n, 1 / SAMPLE_RATE)
    frequency[0] = frequency[1]
    return np.fft.irfft(spectrum / frequency**exponent, n)


def hvac_noise(n: int) -> np.ndarray:
    b, a = butter(2, [45, 710], "bandpass", fs=SAMPLE_RATE)
    return lfilter(b, a, np.random.randn(n))


def mains_hum(n: int) -> np.ndarray:
    t = np.arange(n) / SAMPLE_RATE
    hum = np.zeros(n)
    for harmonic in range(1, 7):
        hum += np.sin(2 * np.pi * 60 * harmonic * t + random.uniform(0, 2 * np.pi)) / harmonic
    return hum


NOISES: tuple[Callable[[int], np.ndarray], ...] = (
    np.random.randn, lambda n: shaped_noise(n, 0.5), lambda n: shaped_noise(n, 1.0), hvac_noise, mains_hum,
)  # fmt: skip


def add_noise(wav: np.ndarray) -> np.ndarray:
    noise = random.choice(NOISES)(len(wav))
    snr_db = random.uniform(5, 40)
    signal_power, noise_power = np.mean(wav**2), np.mean(noise**2)
    return wav + noise * np.sqrt(signal_power / (noise_power * 10 ** (snr_db / 10)))


def peaking(wav: np.ndarray, centre_hz: float, gain_db: float, q: float) -> np.ndarray:
    amplitude = 10 ** (gain_db / 40)
    w0 = 2 * np.pi * centre_hz / SAMPLE_RATE
    alpha = np.sin(w0) / (2 * q)
    b = np.array([1 + alpha * amplitude, -2 * np.cos(w0), 1 - alpha * amplitude])
    a = np.array([1 + alpha / amplitude, -2 * np.cos(w0), 1 - alpha / amplitude])
    return lfilter(b / a[0], a / a[0], wav)


def equalise(wav: np.ndarray) -> np.ndarray:
    for centre_hz in (150, 1_500, 6_000):
        wav = peaking(wav, centre_hz, random.uniform(-12, 12), 0.7)
    return wav


def high_pass(wav: np.ndarray) -> np.ndarray:
    return sosfilt(butter(2, random.uniform(60, 300), "high", fs=SAMPLE_RATE, output="sos"), wav)


def low_pass(wav: np.ndarray) -> np.ndarray:
    return sosfilt(butter(2, random.uniform(3_000, 16_000), "low", fs=SAMPLE_RATE, output="sos"), wav)


def gain(wav: np.ndarray) -> np.ndarray:
    return wav * 10 ** (random.uniform(-12, 6) / 20)


def bit_crush(wav: np.ndarray) -> np.ndarray:
    levels = 2 ** (random.randint(8, 16) - 1)
    return np.round(wav * levels) / levels


def hard_clip(wav: np.ndarray) -> np.ndarray:
    threshold = np.max(np.abs(wav)) * 10 ** (-random.uniform(1, 12) / 20)
    return np.clip(wav, -threshold, threshold)


EFFECTS = (add_noise, equalise, high_pass, low_pass, gain, bit_crush, hard_clip)


def degrade(wav: np.ndarray) -> np.ndarray:
    for effect in random.sample(EFFECTS, random.randint(3, 6)):
        wav = effect(wav)
    return wav


# Phase 6: triples.


def is_usable(wav: np.ndarray) -> bool:
    return bool(np.all(np.isfinite(wav))) and np.sqrt(np.mean(wav**2)) > 1e-4


def to_int16(wav: np.ndarray) -> np.ndarray:
    return (np.clip(wav, -1, 1) * 32767).astype(np.int16)


def generate_triples(
    segments: list[np.ndarray], bad_pool: dict, target_pool: dict, clap_cache: dict, paths: Paths, per_batch: int
) -> int:
    bad_ids, target_ids = list(bad_pool), list(target_pool)
    batch: list[tuple] = []
    batch_id = done = 0
    for cursor, dry in enumerate(segments):
        if folder_size_gb(paths.base) > BUDGET_GB:
            break
        bad_ir, target_id = bad_pool[random.choice(bad_ids)], random.choice(target_ids)
        target = peak_normalise(fftconvolve(dry, target_pool[target_id])[:CLIP_SAMPLES])
        wet = random.uniform(0.3, 1.0)
        messy = wet * fftconvolve(dry, bad_ir)[:CLIP_SAMPLES] + (1 - wet) * dry
        messy = peak_normalise(degrade(messy)[:CLIP_SAMPLES])
        if not (is_usable(messy) and is_usable(target)):
            continue
        batch.append((to_int16(messy), to_int16(target), clap_cache[target_id]))
        done += 1
        if len(batch) == per_batch:
            save_batch(batch, paths, batch_id, cursor + 1, done)
            batch, batch_id = [], batch_id + 1
    if batch:
        save_batch(batch, paths, batch_id, len(segments), done)
    return done


def save_batch(batch: list[tuple], paths: Paths, batch_id: int, cursor: int, done: int) -> None:
    source, target, clap = (np.stack(part) for part in zip(*batch, strict=True))
    path = paths.batches / f"batch_{batch_id:04d}.npz"
    np.savez(path, source_audio=source, target_audio=target, target_clap=clap)
    state = {"batch_id": batch_id + 1, "triples_completed": done, "vocal_cursor": cursor}
    (paths.base / "checkpoint.json").write_text(json.dumps(state))


# Phase 7: the manifest.


def write_manifest(paths: Paths, n_triples: int) -> None:
    checksums = {}
    for path in sorted(paths.batches.glob("batch_*.npz")):
        digest = hashlib.sha256()
        with open(path, "rb") as file:
            while block := file.read(2**20):
                digest.update(block)
        checksums[path.name] = digest.hexdigest()
    manifest = {
        "total_triples": n_triples, "audio_shape": [n_triples, CLIP_SAMPLES], "clap_shape": [n_triples, 512],
        "size_gb": folder_size_gb(paths.base), "sha256": checksums,
    }  # fmt: skip
    (paths.base / "manifest.json").write_text(json.dumps(manifest, indent=2))
