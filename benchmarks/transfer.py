"""Training steps per second, where their time goes and peak memory of track `transfer`; rate of its cache.

Needs a finished `soundgate repro` of the profile params.yaml is composed for. Every part runs in a process of its
own, so that its peak memory is its own; rounds are interleaved, medians are reported. The reference is the bare
network: forward and backward on one batch that is there already, without data, losses and critics. What a step takes
beyond it is what could be saved at most without another network.

    python benchmarks/transfer.py [--rounds 5] [--steps 8]
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import click
import numpy as np
import torch

from soundgate.pipeline.gates import default_profile
from soundgate.runtime.config import load_section
from soundgate.runtime.device import keep_freed_memory, torch_device
from soundgate.runtime.stage import deterministic_torch
from soundgate.tracks.transfer.cache import ChunkCache
from soundgate.tracks.transfer.caching import CacheSettings
from soundgate.tracks.transfer.chunks import chunk_wavs
from soundgate.tracks.transfer.codec import task as codec
from soundgate.tracks.transfer.codec.bank import StyleBank
from soundgate.tracks.transfer.codec.latents import LatentCache
from soundgate.tracks.transfer.codec.settings import CodecTransferSettings
from soundgate.tracks.transfer.codec.sound import sound_of
from soundgate.tracks.transfer.content.model import load_content
from soundgate.tracks.transfer.content.settings import ContentSettings
from soundgate.tracks.transfer.content.task import ContentTask
from soundgate.tracks.transfer.mel.model import load_mel_model
from soundgate.tracks.transfer.mel.settings import MelTransferSettings
from soundgate.tracks.transfer.mel.stages import IdentityTask, TransferTask
from soundgate.tracks.transfer.mel.task import Frozen, new_networks
from soundgate.tracks.transfer.style.targets import StyleTargets

PARTS = (
    "content", "content_network", "mel_stage1", "mel_stage2", "mel_network",
    "codec_stage2", "codec_network", "cache", "latents",
)  # fmt: skip
RESULTS = Path("benchmarks/results")


def folder() -> Path:
    return Path("data") / default_profile() / "transfer"


def content_task() -> ContentTask:
    settings = load_section("transfer.content", ContentSettings)
    return ContentTask(ChunkCache.open(folder() / "cache"), settings, 0, torch_device(), 100)


def content(steps: int):
    task = content_task()
    size = task.settings.loop.batch_size
    for step in range(steps):
        yield lambda step=step: task.step(np.arange(size) + step, step)


def content_network(steps: int):
    task = content_task()
    mels = task.cache.batch(task.rows[: 5 * task.settings.loop.batch_size // 2]).to(task.device)

    def both() -> None:
        analysis = task.model(mels)
        (analysis.content.sum() + analysis.sequence.sum() + analysis.style.sum()).backward()

    for _ in range(steps):
        yield both


def mel_parts():
    settings = load_section("transfer.mel", MelTransferSettings)
    device = torch_device()
    model = load_content(folder() / "content").to(device)
    frozen = Frozen(ChunkCache.open(folder() / "cache"), model, StyleTargets.open(folder() / "style"), device)
    return settings, frozen, new_networks(settings, frozen, 0)


def mel_task(kind: type, late: bool, steps: int):
    settings, frozen, networks = mel_parts()
    loop = settings.stage1.loop if kind is IdentityTask else settings.stage2.loop
    task = kind(frozen, networks, settings, 0, 100)
    for step in range(steps):
        yield lambda step=step: task.step(np.arange(loop.batch_size) + step, step + (80 if late else 0))


def mel_network(steps: int):
    settings, frozen, networks = mel_parts()
    rows = frozen.cache.rows("train")[: settings.stage1.loop.batch_size]
    analysis = frozen.content(frozen.cache.batch(rows).to(frozen.device))
    target = torch.from_numpy(frozen.targets.targets[rows]).to(frozen.device)
    for _ in range(steps):
        yield lambda: networks.generator(analysis.content, analysis.sequence, target).sum().backward()


def cache(steps: int):
    from soundgate.audio.mel import MelTransform

    settings = load_section("transfer.cache", CacheSettings)
    chunks = ChunkCache.open(folder() / "cache")
    tracks = chunks.index[chunks.index["is_music"]].groupby("path")["start_s"].apply(list)
    transform = MelTransform(settings.mel)

    def one(path: str, starts: list[float]) -> None:
        transform(torch.from_numpy(chunk_wavs(path, starts, settings.chunks.duration_s, settings.mel.sample_rate)))

    for path, starts in list(tracks.items())[:steps]:
        yield lambda path=path, starts=starts: one(path, starts)


def codec_parts():
    settings, device, data = load_section("transfer.codec", CodecTransferSettings), torch_device(), folder()
    latents, bank = LatentCache.open(data / "latents"), StyleBank.open(data / "bank")
    bank.judge.to(device)
    frozen = codec.Frozen(
        ChunkCache.open(data / "cache"), latents, load_content(data / "content").to(device),
        StyleTargets.open(data / "style"), bank,
        sound_of(latents, load_section("transfer.cache", CacheSettings).mel).to(device),
        load_mel_model(data / "mel").to(device), device,
    )  # fmt: skip
    return settings, frozen, codec.new_networks(settings, frozen, 0)


def codec_stage2(steps: int):
    settings, frozen, networks = codec_parts()
    task = codec.CodecTask(2, frozen, networks, settings, 0, 100)
    for step in range(steps):
        yield lambda step=step: task.step(np.arange(settings.stage2.loop.batch_size) + step, step + 80)


def codec_network(steps: int):
    settings, frozen, networks = codec_parts()
    rows = frozen.cache.rows("train")[: settings.stage2.loop.batch_size]
    n_frames = frozen.sound.n_frames(settings.duration_s)
    latents = frozen.latents.batch(rows, 0, n_frames).to(frozen.device)
    asked = [torch.randn(len(rows), n, device=frozen.device) for n in (128, frozen.bank.dim, 32)]
    for _ in range(steps):
        yield lambda: networks.generator(latents, *asked).sum().backward()


def latents(steps: int):
    chunks, known = ChunkCache.open(folder() / "cache"), LatentCache.open(folder() / "latents")
    encoder = sound_of(known, load_section("transfer.cache", CacheSettings).mel).codec
    duration_s = load_section("transfer.cache", CacheSettings).chunks.duration_s
    tracks = chunks.index[chunks.index["is_music"]].groupby("path")["start_s"].apply(list)

    def one(path: str, starts: list[float]) -> None:
        encoder.encode(torch.from_numpy(chunk_wavs(path, starts, duration_s, encoder.sample_rate))[:, None])

    for path, starts in list(tracks.items())[:steps]:
        yield lambda path=path, starts=starts: one(path, starts)


RUNS = {
    "content": content,
    "content_network": content_network,
    "mel_stage1": lambda steps: mel_task(IdentityTask, True, steps),
    "mel_stage2": lambda steps: mel_task(TransferTask, True, steps),
    "mel_network": mel_network,
    "codec_stage2": codec_stage2,
    "codec_network": codec_network,
    "cache": cache,
    "latents": latents,
}


def measure(part: str, steps: int) -> dict:
    """Time each step after two to warm up."""
    deterministic_torch(0)
    keep_freed_memory()
    taken = []
    for number, step in enumerate(RUNS[part](steps + 2)):
        started = time.perf_counter()
        step()
        if number >= 2:
            taken.append(time.perf_counter() - started)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"seconds": statistics.median(taken), "peak_gib": peak}


def table(results: dict[str, list[dict]], batch: dict[str, int]) -> str:
    lines = ["| part | ms a step | steps/s | against its network | peak GiB |", "|---|---|---|---|---|"]
    median = {part: statistics.median(run["seconds"] for run in runs) for part, runs in results.items()}
    for part, runs in results.items():
        network = median.get(f"{part.split('_')[0]}_network")
        ratio = f"{median[part] / network:.2f}" if network else ""
        peak = max(run["peak_gib"] for run in runs)
        lines.append(f"| {part} | {1000 * median[part]:.0f} | {1 / median[part]:.2f} | {ratio} | {peak:.2f} |")
    return "\n".join(
        [
            *lines,
            "",
            f"Batch sizes: {batch}. `cache`, `latents`: a step is a track, read, resampled, transformed or encoded.",
            "",
        ]
    )


@click.command()
@click.option("--rounds", default=5, show_default=True)
@click.option("--steps", default=8, show_default=True, help="Timed in each round.")
@click.option("--part", type=click.Choice(PARTS), help="One part in this process, as JSON.")
def main(rounds: int, steps: int, part: str | None) -> None:
    """Measure training and caching of track transfer."""
    if part:
        click.echo(json.dumps(measure(part, steps)))
        return
    results: dict[str, list[dict]] = {name: [] for name in PARTS}
    for _ in range(rounds):
        for name in PARTS:
            command = [sys.executable, __file__, "--part", name, "--steps", str(steps)]
            output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            results[name].append(json.loads(output.splitlines()[-1]))
    content_settings = load_section("transfer.content", ContentSettings)
    batch = {
        "content": content_settings.loop.batch_size,
        "mel": load_section("transfer.mel", MelTransferSettings).stage1.loop.batch_size,
        "codec": load_section("transfer.codec", CodecTransferSettings).stage2.loop.batch_size,
    }
    text = table(results, batch)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "transfer.json").write_text(json.dumps(results, indent=2) + "\n")
    threads = f"{torch.get_num_threads()} threads, PyTorch {torch.__version__}, median of {rounds} interleaved rounds"
    (RESULTS / "transfer.md").write_text(f"# Track `transfer`: training and caching\n\n{threads}.\n\n{text}")
    click.echo(text)


if __name__ == "__main__":
    main()
