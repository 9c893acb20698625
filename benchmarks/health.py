"""What the health monitor costs: its share of a training's processor time, on the converter of track voice.

Run: python benchmarks/health.py [--steps 200] [--interval 100] [--rounds 3]

Needs the cache and the speaker encoder of a finished `soundgate repro`. Everything the monitor does is timed where it
does it: what is called before and after a step, and the hooks on gradients and optimisers. Two trainings, one watched
and one not, differ by several per cent from run to run on a shared machine, more than what is to be measured.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

import click
import numpy as np
import torch

from soundgate.runtime.config import load_section
from soundgate.tracks.voice.cache import VoiceCache
from soundgate.tracks.voice.gan.settings import TrainSettings
from soundgate.tracks.voice.gan.task import GanTask
from soundgate.tracks.voice.speaker.model import load_speaker
from soundgate.training.health.monitor import Monitor
from soundgate.training.health.settings import HealthSettings, load_health
from soundgate.training.health.traffic import Traffic
from soundgate.training.health.watch import Watch
from soundgate.training.loop import fit

# None of them calls another.
TIMED = (
    (Monitor, "before"), (Monitor, "after"), (Watch, "_see"), (Watch, "_before_step"), (Watch, "_after_step"),
    (Traffic, "_see"),
)  # fmt: skip


@click.command()
@click.option("--folder", type=click.Path(path_type=Path), default=Path("data/embedded/voice"), show_default=True)
@click.option("--steps", default=200, show_default=True, help="Of each training.")
@click.option("--interval", default=100, show_default=True)
@click.option("--rounds", default=3, show_default=True)
def main(folder: Path, steps: int, interval: int, rounds: int) -> None:
    """Print the monitor's share of a training's processor time, the median of several rounds."""
    torch.set_num_threads(1)
    settings = load_section("voice.train", TrainSettings)
    health = load_health().model_copy(update={"interval": interval, "least_checks": 1})
    cache = VoiceCache.open(folder / "cache")
    shares = []
    for number in range(rounds):
        task = GanTask(cache, load_speaker(folder / "speaker"), settings, 0, steps, torch.device("cpu"))
        total_s, watching_s = train(task, len(cache.rows("train")), settings, steps, health)
        shares.append(watching_s / (total_s - watching_s))
        print(f"round {number + 1}: {total_s:.2f} s, {watching_s:.3f} s of it the monitor's: {shares[-1]:.2%} more")
    print(f"interval {interval}: median {np.median(shares):.2%} ({rounds} rounds of {steps} steps, one thread)")


def train(
    task: GanTask, n_items: int, settings: TrainSettings, steps: int, health: HealthSettings
) -> tuple[float, float]:
    """Return the processor time of so many watched steps, and the part of it that is the monitor's."""
    loop = settings.task_loop.model_copy(update={"epochs": 1, "steps_per_epoch": steps, "checkpoint_s": 1e9})
    task.evaluate = dict
    with tempfile.TemporaryDirectory() as made, clock() as spent:
        since = time.process_time()
        fit(
            task, loop, n_items, seed=0, name="benchmark", checkpoint=Path(made, "checkpoint.pt"),
            health=health, diagnostics=Path(made),
        )  # fmt: skip
        return time.process_time() - since, sum(spent)


@contextmanager
def clock() -> Iterator[list[float]]:
    """Collect the processor time of every call of the monitor."""
    spent: list[float] = []

    def timed(function: Callable) -> Callable:
        def call(*arguments: object, **options: object) -> object:
            since = time.process_time()
            try:
                return function(*arguments, **options)
            finally:
                spent.append(time.process_time() - since)

        return call

    with ExitStack() as stack:
        for owner, name in TIMED:
            stack.enter_context(patch.object(owner, name, timed(getattr(owner, name))))
        yield spent


if __name__ == "__main__":
    main()
