"""Reading of Tier 1 at 75 Hz x 100 h: a latent store, its frames as training reads them, and one epoch of all windows.

The store holds noise of 128 dimensions in utterances of 12 s. Steps are those of `stages.dynamics.train` but for the
network: open the store and its frame table, spill the frames, find what moves, gather every train frame's window and
step once, in a drawn order.

    python benchmarks/structure_reading.py [--hours 100] [--folder WHERE]
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import click
import numpy as np
import pandas as pd
from structure_scale import RESULTS, timed

from soundgate.codecs.latent_store import LatentStoreWriter
from soundgate.runtime.files import write_text
from soundgate.tracks.structure.dynamics.windows import Frames, Windows
from soundgate.tracks.structure.sequences import TRAIN
from soundgate.tracks.structure.store import load_sequences

DIM, RATE, HOP, UTTERANCE_S, N_SPEAKERS = 128, 24_000, 320, 12.0, 100
WINDOW, BATCH, LIMIT_GB = 8, 256, 4.0


def write_store(folder: Path, n_utterances: int) -> None:
    """Write latents and their frame table: four of five speakers train, the others hold-out and eval by half."""
    length, generator = round(UTTERANCE_S * RATE / HOP), np.random.default_rng(0)
    writer = LatentStoreWriter(folder, DIM, sample_rate=RATE, hop_length=HOP)
    noise = generator.standard_normal((length, DIM)).astype(np.float32)
    names = [f"u{number:06d}" for number in range(n_utterances)]
    for number, name in enumerate(names):
        writer.add(name, np.roll(noise, number, axis=1))
    writer.close()
    speaker = np.arange(n_utterances) * N_SPEAKERS // n_utterances
    split = np.where(speaker < 0.8 * N_SPEAKERS, 0, np.where(speaker < 0.9 * N_SPEAKERS, 1, 2))
    t = np.tile(np.arange(length, dtype=np.int32), n_utterances)
    table = pd.DataFrame({
        "utt_id": pd.Categorical.from_codes(np.repeat(np.arange(n_utterances), length), names),
        "speaker_id": pd.Categorical.from_codes(
            np.repeat(speaker, length), [f"s{number:03d}" for number in range(N_SPEAKERS)]),
        "split": pd.Categorical.from_codes(np.repeat(split, length), ["train", "holdout", "eval"]),
        "t": t, "row": np.arange(len(t), dtype=np.int32), "energy": np.float32(1), "is_high_energy": t % 2 == 0,
        "pos_frac": (t / length).astype(np.float32),
    })  # fmt: skip
    table.to_parquet(folder / "frames.parquet", index=False)


def read_epoch(frames: Frames) -> int:
    """Gather the window and the step of every train frame once; return how many there are."""
    windows, rows = Windows(frames, WINDOW, 1), frames.targets(TRAIN)
    rows = np.random.default_rng(0).permutation(rows)
    for begin in range(0, len(rows), BATCH):
        batch = rows[begin : begin + BATCH]
        assert windows(batch).shape[1:] == (WINDOW, DIM) and frames.steps(batch).shape[1] == DIM
    return len(rows)


@click.command()
@click.option("--hours", default=100.0, show_default=True)
@click.option("--folder", type=click.Path(path_type=Path), help="Where the 2 x 14 GB of frames go; default: temporary.")
def main(hours: float, folder: Path | None) -> None:
    """Run, and write `benchmarks/results/structure_reading.md` for the default size."""
    steps: list[dict] = []
    with tempfile.TemporaryDirectory(dir=folder) as work:
        os.environ["SOUNDGATE_SCRATCH"] = work
        timed("write the store", lambda: write_store(Path(work), round(hours * 3600 / UTTERANCE_S)), steps)
        table = Path(work) / "frames.parquet"
        sequences, _ = timed("open store and frame table", lambda: load_sequences(Path(work), table, WINDOW), steps)
        frames = timed("spill the frames", lambda: Frames.of(sequences, WINDOW), steps)
        n_read = timed("gather one epoch", lambda: read_epoch(frames), steps)
    verdict = "kept" if max(step["peak_gb"] for step in steps) <= LIMIT_GB else "not kept"
    lines = [f"| {s['step']} | {s['seconds']} | {s['peak_gb']} |" for s in steps]
    text = (
        f"# Reading of Tier 1 at scale\n\n{sequences.n_frames:,} frames x {DIM} ({hours:g} h at {RATE / HOP:g} Hz, "
        f"{sequences.n_frames * DIM * 4 / 1e9:.1f} GB), {n_read:,} windows of {WINDOW} frames in one epoch; "
        "`python benchmarks/structure_reading.py`.\n\n| step | seconds | peak resident memory, GB |\n"
        "| --- | --- | --- |\n" + "\n".join(lines) + f"\n\nLimit {LIMIT_GB:g} GB: {verdict}.\n"
    )
    click.echo(text)
    if hours == 100.0:
        write_text(RESULTS / "structure_reading.md", text)


if __name__ == "__main__":
    main()
