"""Phase 0 at the size of LibriSpeech train-clean-100: conditioning and scoring of 1.1 M frames x 512, time and memory.

The latents are a random stable linear process of 251 speakers, written once to a file. Everything
the stages `structure-conditioning` and `structure-metrics` compute is computed, with the default parameters.

    python benchmarks/structure_scale.py [--frames 1100000] [--dim 512]
"""

from __future__ import annotations

import json
import tempfile
import threading
import time
from pathlib import Path

import click
import numpy as np
import psutil

from soundgate.runtime.config import load_section
from soundgate.tracks.structure.analysis import analyse
from soundgate.tracks.structure.fitting import fit_conditioning
from soundgate.tracks.structure.sequences import EVAL, HOLDOUT, TRAIN, Sequences
from soundgate.tracks.structure.settings import ConditioningSettings, MetricsSettings
from soundgate.tracks.structure.store import CHUNK_FRAMES
from soundgate.tracks.structure.targets import FileRows

RESULTS = Path(__file__).parent / "results"
LENGTH, N_SPEAKERS = 157, 251


def make_latents(path: Path, n_utterances: int, dim: int) -> FileRows:
    """Write float32 rows ``[n_utterances * LENGTH, dim]`` of AR(1) frames mixed over dimensions."""
    generator = np.random.default_rng(0)
    mix = generator.standard_normal((dim, dim), np.float32) / np.float32(dim**0.5)
    with open(path, "wb") as file:
        for _ in range(n_utterances):
            noise = generator.standard_normal((LENGTH, dim), np.float32)
            for t in range(1, LENGTH):
                noise[t] += 0.7 * noise[t - 1]
            (noise @ mix).tofile(file)
    return FileRows(path, dim, np.dtype(np.float32))


def sequences_of(latents: FileRows, n_utterances: int) -> Sequences:
    """Return the sequences: 200 of 251 speakers train, a tenth of their utterances hold-out."""
    generator = np.random.default_rng(1)
    speaker = np.sort(generator.integers(N_SPEAKERS, size=n_utterances))
    split = np.where(speaker >= 200, EVAL, np.where(generator.random(n_utterances) < 0.1, HOLDOUT, TRAIN))
    order = np.argsort(split, kind="stable")
    energy = generator.random(n_utterances * LENGTH)
    return Sequences(
        latents,
        order * LENGTH,
        np.full(n_utterances, LENGTH),
        speaker[order],
        split[order],
        energy,
        energy > 0.5,
        np.tile(np.arange(LENGTH) / LENGTH, n_utterances),
        CHUNK_FRAMES,
    )


class PeakMemory(threading.Thread):
    """Samples the resident memory of this process and its children, pages they share counted once."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak, self.done = 0, threading.Event()

    def run(self) -> None:
        me = psutil.Process()
        while not self.done.wait(0.2):
            total = 0
            for process in [me, *me.children(recursive=True)]:
                try:
                    info = process.memory_info()
                    total += info.rss - (info.shared if process is not me else 0)
                except psutil.NoSuchProcess:
                    continue
            self.peak = max(self.peak, total)


def timed(name: str, function, rows: list[dict]):
    """Call and note seconds and peak private memory."""
    memory = PeakMemory()
    memory.start()
    started = time.monotonic()
    result = function()
    seconds = time.monotonic() - started
    memory.done.set()
    rows.append({"step": name, "seconds": round(seconds, 1), "peak_gb": round(memory.peak / 1e9, 2)})
    print(rows[-1], flush=True)
    return result


@click.command()
@click.option("--frames", default=1_100_000, show_default=True)
@click.option("--dim", default=512, show_default=True)
@click.option(
    "--folder", type=click.Path(path_type=Path), help="Where the 2 x 2.3 GB of arrays go; default: temporary."
)
def main(frames: int, dim: int, folder: Path | None) -> None:
    """Run and write `benchmarks/results/structure_scale.md`."""
    conditioning = load_section("structure.conditioning", ConditioningSettings)
    metrics = load_section("structure.metrics", MetricsSettings)
    n_utterances, rows = frames // LENGTH, []
    with tempfile.TemporaryDirectory(dir=folder) as work:
        sequences = sequences_of(make_latents(Path(work) / "latents.bin", n_utterances, dim), n_utterances)
        fitted = timed("conditioning", lambda: fit_conditioning(sequences, conditioning, 0), rows)
        timed("metrics", lambda: analyse(sequences, fitted, conditioning, metrics, 0, Path(work)), rows)
    products = 2 * (conditioning.history + 1) * sequences.n_frames * dim**2 * 2
    size = 4096
    a = np.ones((size, size), np.float32)
    started = time.monotonic()
    a @ a
    peak = 2 * size**3 / (time.monotonic() - started)
    total = sum(row["seconds"] for row in rows)
    lines = [
        "# Phase 0 at scale",
        "",
        f"{sequences.n_frames:,} frames x {dim}, {psutil.cpu_count()} cores; `python benchmarks/structure_scale.py`.",
        "",
        "| step | seconds | peak resident memory, GB |",
        "| --- | --- | --- |",
        *(f"| {r['step']} | {r['seconds']} | {r['peak_gb']} |" for r in rows),
        f"| both | {total:.1f} | {max(r['peak_gb'] for r in rows)} |",
        "",
        f"Floor: the lagged products and the innovations are {products / 1e12:.1f} TFLOP in float32, "
        f"{products / peak:.0f} s at the {peak / 1e9:.0f} GFLOP/s a matrix product reached here.",
    ]
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "structure_scale.md").write_text("\n".join(lines) + "\n")
    (RESULTS / "structure_scale.json").write_text(json.dumps(rows, indent=2) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
