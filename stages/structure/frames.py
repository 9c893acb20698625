"""Describe every latent frame."""

from pathlib import Path

import pandas as pd

from soundgate.codecs.latent_store import LatentStore
from soundgate.runtime.config import load_section
from soundgate.runtime.files import atomic_path
from soundgate.runtime.stage import input_option, output_option, stage_command
from soundgate.tracks.structure.frames import FramesSettings, frame_table


@stage_command("structure-frames")
@input_option("corpus", "Folder of the speech corpus, whose audio gives the energies.")
@input_option("split", "Folder with split.parquet.")
@input_option("latents", "Folder with latents.zarr and latents_index.parquet.")
@output_option("out", "The table to write, frames.parquet.")
def main(corpus: Path, split: Path, latents: Path, out: Path) -> None:
    """Write one row for each latent frame: utterance, speaker, split, position, energy, row of its latent."""
    settings = load_section("structure.frames", FramesSettings)
    store = LatentStore.open(latents)
    table = frame_table(
        pd.read_parquet(latents / "latents_index.parquet"),
        pd.read_parquet(split / "split.parquet"),
        settings,
        sample_rate=store.sample_rate,
        hop_length=store.hop_length,
        warmup_frames=store.details["warmup_frames"],
    )
    with atomic_path(out) as temporary:
        table.to_parquet(temporary, index=False)


if __name__ == "__main__":
    main()
