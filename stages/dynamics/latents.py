"""Encode the speech corpus by a codec at other settings than its own, to compare with."""

from pathlib import Path

import click
import pandas as pd

from soundgate.codecs.extraction import extract_latents
from soundgate.codecs.latent_store import LatentStore
from soundgate.codecs.registry import load_codec
from soundgate.corpora.index import read_index
from soundgate.runtime.config import load_section, load_seed, read_section
from soundgate.runtime.device import torch_device
from soundgate.runtime.files import atomic_path
from soundgate.runtime.imports import package_modules
from soundgate.runtime.scratch import open_scratch
from soundgate.runtime.stage import deterministic_torch, input_option, output_option, stage_command
from soundgate.tracks.structure.dynamics.settings import ReferenceSettings
from soundgate.tracks.structure.frames import FramesSettings, frame_table
from soundgate.tracks.structure.latents import LatentsSettings


@stage_command("dynamics-latents")
@input_option("corpus", "Folder of the speech corpus, with index.parquet.")
@input_option("split", "Folder with split.parquet.")
@click.option("--codec", required=True, help="Name of the codec; its settings are the section codec.<name>.")
@output_option("out", "Folder for latents.zarr and latents_index.parquet.")
@output_option("frames", "The frame table to write.")
def main(corpus: Path, split: Path, codec: str, out: Path, frames: Path) -> None:
    """Encode every utterance that is long enough, and describe every frame."""
    latents = load_section("structure.latents", LatentsSettings)
    reference = load_section("dynamics.latents", ReferenceSettings)
    energies = load_section("structure.frames", FramesSettings)
    codec_settings = read_section(f"codec.{codec}") | reference.overrides
    deterministic_torch(load_seed())
    scratch = open_scratch(
        "dynamics-latents",
        out,
        modules=[__spec__.name, *package_modules(f"soundgate.codecs.{codec}")],
        params=latents.model_dump() | {"codec": codec_settings},
        inputs=[corpus / "index.parquet"],
    )
    device = torch_device()
    model = load_codec(codec, codec_settings).to(device)
    index = read_index(corpus)
    extract_latents(index, model, scratch.result, device=device, **latents.model_dump())
    store = LatentStore.open(scratch.result)
    table = frame_table(
        pd.read_parquet(scratch.result / "latents_index.parquet"),
        pd.read_parquet(split / "split.parquet"),
        energies,
        sample_rate=store.sample_rate,
        hop_length=store.hop_length,
        warmup_frames=store.details["warmup_frames"],
    )
    with atomic_path(frames) as temporary:
        table.to_parquet(temporary, index=False)
    scratch.publish()


if __name__ == "__main__":
    main()
