"""Caches, and first steps of trainings, of 100 hours of speech and 5,000 songs: time and memory that nothing can take.

What workers would compute of each file lies there already, as noise; the caches are put together from it, and trainings
read them. Each case runs in a process of its own; memory is the anonymous pages of it and its children (pages of mapped
files can be dropped and do not count). It needs some 45 GB in the folder for temporary files at the default size.

    python benchmarks/data_scale.py [--hours 100] [--songs 5000] [--case NAME]
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
import pandas as pd
import psutil
import torch
from gpu_trainings import N_STEPS, Setup, Training, composed, frozen

from soundgate.codecs.latent_store import LatentStoreWriter
from soundgate.runtime.files import write_json
from soundgate.runtime.npz import write_npz
from soundgate.tracks.structure.dynamics.linear import LinearFitter
from soundgate.tracks.structure.dynamics.settings import TrainSettings as DynamicsSettings
from soundgate.tracks.structure.dynamics.task import STATISTICS_FRAMES, DynamicsTask, frame_scale
from soundgate.tracks.structure.dynamics.windows import Frames, Windows
from soundgate.tracks.structure.sequences import TRAIN
from soundgate.tracks.structure.split import SPLITS as FRAME_SPLITS
from soundgate.tracks.structure.store import load_sequences
from soundgate.tracks.transfer.cache import ChunkCache
from soundgate.tracks.transfer.caching import PARTS, CacheSettings
from soundgate.tracks.transfer.caching import build_cache as build_chunks
from soundgate.tracks.transfer.codec.latents import LatentCache, write_latents
from soundgate.tracks.transfer.content.settings import ContentSettings
from soundgate.tracks.transfer.content.task import ContentTask
from soundgate.tracks.voice.cache import VoiceCache
from soundgate.tracks.voice.caching import CacheSettings as VoiceCacheSettings
from soundgate.tracks.voice.caching import build_cache as build_voices
from soundgate.tracks.voice.embeddings.similarity import pairs_of
from soundgate.tracks.voice.gan.settings import TrainSettings as GanSettings
from soundgate.tracks.voice.gan.task import GanTask
from soundgate.tracks.voice.speaker.model import SpeakerEncoder
from soundgate.tracks.voice.speaker.settings import SpeakerSettings

RESULTS = Path(__file__).parent / "results"
CPU = torch.device("cpu")
# Utterances that validate the speaker encoder after each epoch.
VALIDATION = 5_000
UTTERANCE_S, MOST_SPEAKERS, N_GENRES, N_SOURCES = 12.0, 100, 8, 20
# Mimi's.
DIM, HOP, RATE, LATENT_LENGTH = 512, 1920, 24_000, 63
LIMIT_GB = 6.0


class Size(NamedTuple):
    """How much there is."""

    hours: float
    songs: int

    @property
    def utterances(self) -> int:
        """Of all speakers together."""
        return round(self.hours * 3600 / UTTERANCE_S)

    @property
    def speakers(self) -> int:
        """Of some minutes each."""
        return min(MOST_SPEAKERS, self.utterances // 15)


def setup() -> Setup:
    return Setup(composed("embedded"), CPU)


def steps(training: Training) -> None:
    for number in range(3):
        training.step(number)


def speech(size: Size) -> pd.DataFrame:
    names = [f"s{number % size.speakers:03d}-{number:06d}" for number in range(size.utterances)]
    return pd.DataFrame({
        "utt_id": names, "speaker_id": [name[:4] for name in names], "path": names, "duration_s": UTTERANCE_S,
    })  # fmt: skip


def prepare_voices(size: Size, work: Path) -> None:
    settings = setup().section("voice.cache", VoiceCacheSettings).features
    n_samples = round(UTTERANCE_S * settings.sample_rate)
    generator = np.random.default_rng(0)
    noise = generator.integers(-3000, 3000, n_samples).astype(np.int16)
    (work / "parts").mkdir(parents=True)
    for number, name in enumerate(speech(size)["utt_id"]):
        f0 = np.full(settings.n_frames(n_samples), 100 + number % 100, np.float32)
        write_npz(work / "parts" / f"{name}.npz", {"samples": np.roll(noise, number), "f0": f0})


def cache_voices(size: Size, work: Path) -> None:
    settings = setup().section("voice.cache", VoiceCacheSettings).model_copy(update={"speaker_s": 1e9})
    build_voices(settings, speech(size), 0, work, work / "cache")
    shutil.rmtree(work / "parts")


def train_voices(size: Size, work: Path) -> None:
    cache, settings = VoiceCache.open(work / "cache"), setup().section("voice.train", GanSettings)
    encoder = SpeakerEncoder(setup().section("voice.speaker", SpeakerSettings).network, cache.settings)
    task = GanTask(cache, frozen(encoder, CPU), settings, 0, N_STEPS, CPU)
    steps(Training(task, len(cache.rows("train")), settings.task_loop.batch_size))


def compare_voices(size: Size, work: Path) -> None:
    embeddings = np.random.default_rng(0).standard_normal((VALIDATION, 128), np.float32)
    pairs = pairs_of(embeddings, np.arange(VALIDATION) % MOST_SPEAKERS)
    float(pairs.similarity[pairs.same].mean()), float(pairs.similarity[~pairs.same].mean())


def songs(size: Size) -> pd.DataFrame:
    names = [f"song{number:05d}" for number in range(size.songs)]
    return pd.DataFrame({
        "track_id": names, "utt_id": names, "path": names, "score_id": "", "kept": True,
        "genre": [f"genre{number % N_GENRES}" for number in range(size.songs)],
        "source": [f"source{number // N_GENRES % N_SOURCES}" for number in range(size.songs)],
    })  # fmt: skip


def prepare_chunks(size: Size, work: Path) -> None:
    settings = setup().section("transfer.cache", CacheSettings)
    n_frames = 1 + round(settings.chunks.duration_s * settings.mel.sample_rate) // settings.mel.hop_length
    generator = np.random.default_rng(0)
    mels = generator.uniform(-80, 0, (settings.chunks.per_track, settings.mel.n_mels, n_frames)).astype(np.float16)
    (work / PARTS).mkdir(parents=True)
    for number, name in enumerate(songs(size)["track_id"]):
        np.save(work / PARTS / f"{name}.npy", np.roll(mels, number, axis=2))


def cache_chunks(size: Size, work: Path) -> None:
    settings, table = setup().section("transfer.cache", CacheSettings), songs(size)
    speech_index = pd.DataFrame(columns=["utt_id", "speaker_id", "path", "duration_s", "sha256"])
    durations = dict.fromkeys(table["track_id"], 200.0)
    own = settings.model_copy(update={"n_non_music": 0})
    build_chunks(own, table, durations, speech_index.astype({"duration_s": float}), 0, work, work / "cache")
    shutil.rmtree(work / PARTS)


def train_content(size: Size, work: Path) -> None:
    cache, settings = ChunkCache.open(work / "cache"), setup().section("transfer.content", ContentSettings)
    task = ContentTask(cache, settings, 0, CPU, N_STEPS)
    steps(Training(task, len(task.rows), settings.loop.batch_size))


def cache_latents(size: Size, work: Path) -> None:
    cache = ChunkCache.open(work / "cache")
    rows, generator = cache.rows(), np.random.default_rng(0)
    noise = generator.standard_normal((4, DIM, LATENT_LENGTH)).astype(np.float16)
    counts = cache.index.iloc[rows].groupby("track_id", sort=False).size()
    parts = (np.roll(noise, number, axis=2)[:count] for number, count in enumerate(counts))
    write_latents(work / "latents", rows, parts, (cache.index["split"] == "train").to_numpy()[rows], {})
    LatentCache.open(work / "latents").batch(rows[:64])


def prepare_frames(size: Size, work: Path) -> None:
    writer = LatentStoreWriter(work, DIM, sample_rate=RATE, hop_length=HOP)
    length, generator = round(UTTERANCE_S * RATE / HOP), np.random.default_rng(0)
    noise = generator.standard_normal((length, DIM)).astype(np.float32)
    table = speech(size)
    for number, name in enumerate(table["utt_id"]):
        writer.add(name, np.roll(noise, number, axis=1))
    writer.close()
    splits = np.array(FRAME_SPLITS)[np.arange(len(table)) % size.speakers * len(FRAME_SPLITS) // size.speakers]
    t, n_rows = np.tile(np.arange(length), len(table)), len(table) * length
    names = {name: pd.Categorical(table[name].repeat(length)) for name in ("utt_id", "speaker_id")}
    frames = pd.DataFrame(names | {
        "split": pd.Categorical(splits.repeat(length), categories=FRAME_SPLITS), "t": t, "row": np.arange(n_rows),
        "energy": 1.0, "is_high_energy": np.arange(n_rows) % 2 == 0, "pos_frac": t / length,
    })  # fmt: skip
    frames.to_parquet(work / "frames.parquet")


def train_dynamics(size: Size, work: Path) -> None:
    settings = setup().section("dynamics.train", DynamicsSettings)
    sequences, _ = load_sequences(work, work / "frames.parquet", settings.history)
    frames = Frames.of(sequences, settings.history)
    some = frames.some(TRAIN, STATISTICS_FRAMES, 0, "benchmark")
    linear = LinearFitter(frames, settings.ridge, frame_scale(frames, some)).fit(settings.window)[1]
    task = DynamicsTask(Windows(frames, settings.window, 1), settings.family, linear, settings, 0, "benchmark", CPU)
    steps(Training(task, len(task.rows), settings.batch_size))


# Each with what comes before it, which is not measured; cases of one folder in their order.
CASES: dict[str, tuple[str, Callable | None, Callable]] = {
    "voice, cache": ("voice", prepare_voices, cache_voices),
    "voice, GAN": ("voice", None, train_voices),
    "voice, pairs": ("voice pairs", None, compare_voices),
    "transfer, cache": ("transfer", prepare_chunks, cache_chunks),
    "transfer, content": ("transfer", None, train_content),
    "transfer, latents": ("transfer", None, cache_latents),
    "structure, dynamics": ("structure", prepare_frames, train_dynamics),
}


def anonymous_bytes(process: psutil.Process) -> int:
    """Return the memory of a process and its children that is no part of a file."""
    total = 0
    for one in [process, *process.children(recursive=True)]:
        try:
            fields = dict(line.split(":") for line in Path(f"/proc/{one.pid}/status").read_text().splitlines())
            total += int(fields["RssAnon"].split()[0]) * 1024
        except (OSError, KeyError):  # It has ended.
            continue
    return total


def run_case(function: Callable, size: Size, work: Path) -> tuple[float, float]:
    """Run a function in a process of its own; return seconds and the most memory, in GB."""
    process = multiprocessing.get_context("spawn").Process(target=function, args=(size, work))
    begun, peak = time.monotonic(), 0
    process.start()
    watched = psutil.Process(process.pid)
    while process.is_alive():
        peak = max(peak, anonymous_bytes(watched))
        process.join(0.1)
    if process.exitcode:
        raise SystemExit(f"{function.__name__} failed")
    return time.monotonic() - begun, peak / 1e9


@click.command()
@click.option("--hours", default=100.0, help="Of speech.")
@click.option("--songs", "n_songs", default=5000, help="With four chunks each.")
@click.option("--case", "chosen", multiple=True, type=click.Choice(tuple(CASES)), help="Only these.")
def main(hours: float, n_songs: int, chosen: tuple[str, ...]) -> None:
    """Measure time and memory of caches and first training steps."""
    # There is nothing left for workers to do.
    os.environ["SOUNDGATE_WORKERS"] = "1"
    size, rows = Size(hours, n_songs), {}
    folders = {folder for name, (folder, *_) in CASES.items() if not chosen or name in chosen}
    with tempfile.TemporaryDirectory() as root:
        for name, (folder, prepare, measured) in CASES.items():
            if folder not in folders:
                continue
            if prepare is not None:
                run_case(prepare, size, Path(root, folder))
            seconds, peak = run_case(measured, size, Path(root, folder))
            rows[name] = {"seconds": round(seconds, 1), "peak_gb": round(peak, 2)}
            click.echo(f"{name:24} {seconds:8.1f} s {peak:6.2f} GB{'' if peak <= LIMIT_GB else '  too much'}")
    if not chosen and size == Size(100.0, 5000):
        write_json(RESULTS / "data_scale.json", {"hours": hours, "songs": n_songs, "limit_gb": LIMIT_GB, "cases": rows})


if __name__ == "__main__":
    main()
