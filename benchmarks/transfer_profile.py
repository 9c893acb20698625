"""Where the time of a training step goes on both paths of track `transfer`.

Needs a finished `soundgate repro` of the profile params.yaml is composed for. Every part is run by itself, forward and
backward, on the batch of the profile, and its median is held against the median of whole steps in the same run: early
ones and late ones, in which the critic plays. Parts that a step runs twice are counted twice.

    python benchmarks/transfer_profile.py [--rounds 7]
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import torch
from transfer import codec_parts, mel_parts

from soundgate.runtime.device import keep_freed_memory
from soundgate.runtime.stage import deterministic_torch
from soundgate.tracks.transfer.codec.task import CodecTask
from soundgate.tracks.transfer.mel.stages import TransferTask

RESULTS = Path("benchmarks/results/transfer_profile.md")
N_STEPS = 100


def backward(made: torch.Tensor) -> None:
    made.sum().backward()


def analysed(frozen, mels: torch.Tensor) -> None:
    analysis = frozen.content(mels)
    backward(analysis.content.sum() + analysis.sequence.sum() + analysis.style.sum())


def judged(critic, heard: torch.Tensor, condition: torch.Tensor) -> None:
    backward(torch.stack([logits.sum() for logits in critic(heard, condition).logits]))


def codec_steps() -> dict[str, Callable[[], None]]:
    settings, frozen, networks = codec_parts()
    task = CodecTask(2, frozen, networks, settings, 0, N_STEPS)
    rows = np.arange(settings.stage2.loop.batch_size)
    ask, noise = task.ask(task.draw(rows, 3)), torch.randn(len(rows), settings.translator.n_noise)
    latents = ask.latents.clone().requires_grad_(True)
    waves = frozen.sound.waves(latents).detach().requires_grad_(True)
    mels = frozen.sound.mels(waves).detach().requires_grad_(True)
    return {
        "whole step, before the critic": lambda: task.step(rows, 5),
        "whole step, with the critic": lambda: task.step(rows, N_STEPS - 2),
        "drawing, source's wave and analysis": lambda: task.ask(task.draw(rows, 3)),
        "translator": lambda: backward(networks.generator(ask.latents, ask.source.content, ask.style, noise)),
        "codec's decoder": lambda: backward(frozen.sound.waves(latents)),
        "resampling and mel": lambda: backward(frozen.sound.mels(waves)),
        "Lab 1": lambda: analysed(frozen, mels),
        "texture": lambda: task.textures.loss(mels, ask.genres).backward(),
        "teacher": lambda: task._teacher_loss(ask, mels).backward(),
        "latent judge": lambda: backward(frozen.bank.judge(latents)),
        "critic, once": lambda: judged(networks.critic, task._window(waves, 3), ask.style),
    }


def mel_steps() -> dict[str, Callable[[], None]]:
    settings, frozen, networks = mel_parts()
    task = TransferTask(frozen, networks, settings, 0, N_STEPS)
    rows = np.arange(settings.stage2.loop.batch_size)
    shift = task.draw(rows, 3)
    mels = shift.mels.clone().requires_grad_(True)
    source, condition = frozen.content(shift.mels), shift.condition
    return {
        "whole step, critic's turn": lambda: task.step(rows, 4),
        "whole step, not its turn": lambda: task.step(rows, 5),
        "drawing, source's analysis": lambda: frozen.content(task.draw(rows, 3).mels),
        "generator": lambda: backward(networks.generator(source.content, source.sequence, condition)),
        "Lab 1": lambda: analysed(frozen, mels),
        "critic, once": lambda: judged(networks.critic, mels, condition),
    }


def medians(parts: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Return each part's median seconds; parts take turns, after one round to warm up."""
    taken: dict[str, list[float]] = {name: [] for name in parts}
    for number in range(rounds + 1):
        for name, run in parts.items():
            started = time.perf_counter()
            run()
            if number:
                taken[name].append(time.perf_counter() - started)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def table(path: str, seconds: dict[str, float]) -> list[str]:
    whole = next(iter(seconds.values()))
    lines = [f"## {path}", "", "| part | ms | share of the first line |", "|---|---|---|"]
    return [*lines, *(f"| {name} | {1000 * own:.0f} | {own / whole:.2f} |" for name, own in seconds.items()), ""]


@click.command()
@click.option("--rounds", default=7, show_default=True)
def main(rounds: int) -> None:
    """Measure the parts of a training step."""
    deterministic_torch(0)
    keep_freed_memory()
    lines = ["# Where a training step of track transfer goes", ""]
    lines += [f"Medians of {rounds} rounds, forward and backward, {torch.get_num_threads()} thread(s).", ""]
    lines += table("Codec latents, stage 2", medians(codec_steps(), rounds))
    lines += table("Mels, stage 2", medians(mel_steps(), rounds))
    RESULTS.write_text("\n".join(lines))
    click.echo("\n".join(lines))


if __name__ == "__main__":
    main()
