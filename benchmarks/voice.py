"""Steps per second, peak memory and where the time goes in the training of the voice converter.

Run: python benchmarks/voice.py [--steps 12] [--folder data/embedded/voice] [--out benchmarks/results]

Every variant is the baseline of `params.yaml` with one setting changed, in a process of its own. The variants take
turns, round after round, and the medians of the rounds' ratios to the baseline count, so that a machine that is busy
with other things slows all. Parts are told by leaving them out: a step without discriminators against a step with them.
"""

import multiprocessing
import resource
import time
from pathlib import Path

import click
import numpy as np
import torch

from soundgate.runtime.config import load_section
from soundgate.runtime.console import logger
from soundgate.runtime.device import torch_device
from soundgate.runtime.files import write_json, write_text
from soundgate.tracks.voice.cache import VoiceCache
from soundgate.tracks.voice.gan.settings import TrainSettings
from soundgate.tracks.voice.gan.task import GanTask
from soundgate.tracks.voice.speaker.model import load_speaker

BASELINE = "baseline"
VARIANTS = {
    BASELINE: {},
    "without discriminators": {"gan_start": 1.0},
    "without contrastive loss": {"weights.contrastive": 0.0},
    "without both": {"gan_start": 1.0, "weights.contrastive": 0.0},
    "segment 0.5 s": {"segment_s": 0.5},
    "segment 2 s": {"segment_s": 2.0},
    "discriminators half as wide": {"width": 0.03125},
    "discriminators twice as wide": {"width": 0.125},
    "bf16": {"precision": "bf16"},
    "compiled decoder": {"compile": True},
    "batch in two parts": {"accumulation": 2},
}
WARM_UP = 2


@click.command()
@click.option("--folder", type=click.Path(path_type=Path), default=Path("data/embedded/voice"), show_default=True)
@click.option("--steps", default=8, show_default=True, help="Measured steps of a variant in a round.")
@click.option("--rounds", default=3, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=Path("benchmarks/results"), show_default=True)
def main(folder: Path, steps: int, rounds: int, out: Path) -> None:
    measured = {name: [] for name in VARIANTS}
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        for number in range(rounds):
            for name in VARIANTS:
                measured[name].append(pool.apply(measure, (folder, name, steps)))
                logger.info("round %d, %s: %s", number + 1, name, measured[name][-1])
    rows = {name: summary(results, measured[BASELINE]) for name, results in measured.items()}
    write_json(out / "voice.json", {"device": str(torch_device()), "steps": steps, "rounds": rounds, "variants": rows})
    write_text(out / "voice.md", table(rows, steps, rounds))


def measure(folder: Path, name: str, steps: int) -> dict:
    """Return the seconds of a step and the peak memory of the process, or why the variant does not run."""
    settings = with_changes(load_section("voice.train", TrainSettings), VARIANTS[name])
    cache, device, n_steps = VoiceCache.open(folder / "cache"), torch_device(), 1000
    task = GanTask(cache, load_speaker(folder / "speaker"), settings, 0, n_steps, device)
    generator, n_rows = np.random.default_rng(0), len(cache.rows("train"))
    took = []
    # At the end of the training, where all losses are in.
    for step in range(n_steps - WARM_UP - steps, n_steps):
        items = generator.permutation(n_rows)[: settings.task_loop.batch_size]
        torch.manual_seed(step)
        since = time.perf_counter()
        try:
            task.step(items, step)
        except Exception as error:
            return {"failed": f"{type(error).__name__}: {str(error).splitlines()[0][:120]}"}
        if device.type == "cuda":
            torch.cuda.synchronize()
        took.append(time.perf_counter() - since)
    peak = torch.cuda.max_memory_allocated() if device.type == "cuda" else 0
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"step_s": float(np.median(took[WARM_UP:])), "peak_bytes": peak or rss}


def with_changes(settings: TrainSettings, changes: dict) -> TrainSettings:
    """Return the settings with some of them, named by their path, changed."""
    values = settings.model_dump()
    for path, value in changes.items():
        *above, last = path.split(".")
        section = values
        for key in above:
            section = section[key]
        section[last] = value
    return TrainSettings.model_validate(values)


def summary(results: list[dict], baseline: list[dict]) -> dict:
    """Return a variant's medians, and the median over rounds of its speed against the baseline's."""
    failed = [result["failed"] for result in results if "failed" in result]
    if failed:
        return {"failed": failed[0]}
    ratios = [own["step_s"] / reference["step_s"] for own, reference in zip(results, baseline, strict=True)]
    seconds = float(np.median([result["step_s"] for result in results]))
    return {
        "step_s": seconds,
        "steps_per_s": 1 / seconds,
        "ratio": float(np.median(ratios)),
        "peak_gb": float(np.median([result["peak_bytes"] for result in results])) / 1e9,
    }


def table(rows: dict, steps: int, rounds: int) -> str:
    """Return the results as Markdown."""
    lines = [
        "# Training of the voice converter",
        "",
        f"Medians of {rounds} rounds of {steps} steps each, {torch.get_num_threads()} threads, {torch_device()}.",
        "Ratio: seconds of a step over the baseline's in the same round; below 1 is faster.",
        "",
        "| variant | seconds a step | steps a second | ratio | peak memory, GB |",
        "|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        if "failed" in row:
            lines.append(f"| {name} | {row['failed']} | | | |")
        else:
            speed = f"{row['step_s']:.3f} | {row['steps_per_s']:.2f} | {row['ratio']:.2f}"
            lines.append(f"| {name} | {speed} | {row['peak_gb']:.2f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
