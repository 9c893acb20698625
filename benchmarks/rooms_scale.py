"""Rooms at scale: planning a million triples, reading one batch of them, and triples rendered by loader workers.

    python benchmarks/rooms_scale.py [--run data/embedded/rooms] [--triples 1000000] [--workers 1 --workers 2]

The plan is made of the run's own rooms and voices, in a process of its own whose peak memory is the largest of any
process. Triples are rendered by spawned workers, each with one thread; the time to start them is left out.
"""

from __future__ import annotations

import resource
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path

import click
import numpy as np
import pandas as pd
from extraction import hardware
from torch.utils.data import DataLoader

from soundgate.runtime.config import load_section
from soundgate.runtime.console import set_up_logging
from soundgate.runtime.device import torch_device
from soundgate.runtime.files import write_text
from soundgate.tracks.rooms.irs import load_catalogue
from soundgate.tracks.rooms.plan import PLAN_NAME, Draws, PlanSettings, write_plan
from soundgate.tracks.rooms.rendered import RenderedTriples, TripleSampler
from soundgate.tracks.rooms.segments import load_segments

RESULT = Path(__file__).parent / "results" / "rooms_scale.md"
WARM_UP, TIMED, READS = 8, 64, 20


def plan(run: Path, folder: Path, n_triples: int) -> tuple[float, float]:
    """Write a plan; return seconds, and the peak memory of the largest process in GB."""
    settings = load_section("rooms.plan", PlanSettings).model_copy(
        update={"n_triples": n_triples, "triples_per_batch": 500}
    )
    started = time.perf_counter()
    draws = Draws(load_segments(run / "vocals").table, load_catalogue(run / "irs").entries, settings, 0)
    write_plan(folder / PLAN_NAME, draws, settings)
    seconds = time.perf_counter() - started
    usage = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return seconds, max(usage) / 2**20


def read_batches(path: Path, n_batches: int) -> float:
    """Return the median seconds to read the rows of one batch."""
    times = []
    for batch in np.linspace(0, n_batches - 1, READS).astype(int):
        started = time.perf_counter()
        rows = pd.read_parquet(path, filters=[("batch", "==", batch)])
        times.append(time.perf_counter() - started)
        assert rows["batch"].eq(batch).all() and len(rows)
    return float(np.median(times))


def rendered_a_second(run: Path, workers: int) -> float:
    """Return triples a second out of a loader with spawned workers."""
    triples = RenderedTriples(run, "train")
    sampler = TripleSampler(triples, count=WARM_UP * workers + TIMED)
    loader = DataLoader(triples, 4, sampler=sampler, num_workers=workers, multiprocessing_context="spawn")
    taken, started = 0, 0.0
    for batch in loader:
        if taken == WARM_UP * workers:
            started = time.perf_counter()
        taken += len(batch["item"])
    return TIMED / (time.perf_counter() - started)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--run", type=click.Path(exists=True, path_type=Path), default=Path("data/embedded/rooms"))
@click.option("--triples", default=1_000_000, show_default=True, help="Rows of the long plan.")
@click.option("--workers", multiple=True, type=int, default=(1, 2), show_default=True, help="Loader workers.")
def main(run: Path, triples: int, workers: tuple[int, ...]) -> None:
    """Measure, and write benchmarks/results/rooms_scale.md."""
    set_up_logging()
    lines = ["# Rooms at scale", "", f"`benchmarks/rooms_scale.py`, {hardware(torch_device())}.", ""]
    lines += ["| triples planned | seconds | peak memory of a process, GB | reading one batch, ms |"]
    lines += ["| --- | --- | --- | --- |"]
    with tempfile.TemporaryDirectory() as temporary:
        for n_triples in (triples // 100, triples):
            folder = Path(temporary, str(n_triples))
            folder.mkdir()
            with get_context("spawn").Pool(1) as pool:
                seconds, memory_gb = pool.apply(plan, (run, folder, n_triples))
            n_batches = int(pd.read_parquet(folder / PLAN_NAME, columns=["batch"])["batch"].max()) + 1
            read_ms = 1000 * read_batches(folder / PLAN_NAME, n_batches)
            lines.append(f"| {n_triples:,} | {seconds:.1f} | {memory_gb:.2f} | {read_ms:.1f} |")
    rates = {count: rendered_a_second(run, count) for count in workers}
    first = rates[workers[0]]
    lines += ["", "| loader workers | triples a second | against the first |", "| --- | --- | --- |"]
    lines += [f"| {count} | {rate:.2f} | {rate / first:.2f} |" for count, rate in rates.items()]
    write_text(RESULT, "\n".join(lines) + "\n")
    click.echo("\n".join(lines))


if __name__ == "__main__":
    main()
