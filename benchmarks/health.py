"""What the health monitor costs: the time of a training's steps with it over that without.

Run: python benchmarks/health.py [--steps 200] [--interval 100]

Both trainings are the same to the bit. They take turns, pair after pair, and the median of the pairs' ratios counts, so
that a machine that is busy with other things slows both.
"""

import tempfile
import time
from pathlib import Path

import click
import numpy as np
import torch

from soundgate.config import load_section
from soundgate.tracks.voice.cache import VoiceCache
from soundgate.tracks.voice.gan.settings import TrainSettings
from soundgate.tracks.voice.gan.task import GanTask
from soundgate.tracks.voice.speaker.model import load_speaker
from soundgate.training.health.settings import load_health
from soundgate.training.loop import fit


@click.command()
@click.option("--folder", type=click.Path(path_type=Path), default=Path("data/embedded/voice"), show_default=True)
@click.option("--steps", default=100, show_default=True, help="Of each training.")
@click.option("--interval", default=100, show_default=True)
@click.option("--pairs", default=5, show_default=True)
def main(folder: Path, steps: int, interval: int, pairs: int) -> None:
    torch.set_num_threads(1)
    settings = load_section("voice.train", TrainSettings)
    cache, health = VoiceCache.open(folder / "cache"), load_health().model_copy(update={"interval": interval})
    ratios = []
    for pair in range(pairs):
        # Who goes first changes from pair to pair.
        order = (None, health) if pair % 2 else (health, None)
        taken = {watched is not None: train(folder, cache, settings, steps, watched) for watched in order}
        ratios.append(taken[True] / taken[False])
        print(f"pair {pair + 1}: {taken[False]:.2f} s without, {taken[True]:.2f} s with, ratio {ratios[-1]:.4f}")
    low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
    print(f"interval {interval}: median ratio {middle:.4f} (quartiles {low:.4f}, {high:.4f}; {pairs} pairs)")


def train(folder, cache, settings, steps, health):
    """Return the processor time of so many steps."""
    task = GanTask(cache, load_speaker(folder / "speaker"), settings, 0, steps, torch.device("cpu"))
    loop = settings.task_loop.model_copy(update={"epochs": 1, "steps_per_epoch": steps, "checkpoint_s": 1e9})
    task.evaluate = dict
    with tempfile.TemporaryDirectory() as made:
        since = time.process_time()
        fit(
            task, loop, len(cache.rows("train")), seed=0, name="benchmark", checkpoint=Path(made, "checkpoint.pt"),
            health=health, diagnostics=Path(made),
        )  # fmt: skip
        return time.process_time() - since


if __name__ == "__main__":
    main()
