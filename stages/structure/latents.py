"""Encode the speech corpus into codec latents."""

from pathlib import Path

import click

from soundgate.codecs.extraction import extract_latents
from soundgate.codecs.registry import load_codec
from soundgate.corpora.index import read_index
from soundgate.runtime.config import load_section, load_seed, read_section
from soundgate.runtime.device import torch_device
from soundgate.runtime.imports import package_modules
from soundgate.runtime.scratch import open_scratch
from soundgate.runtime.stage import deterministic_torch, input_option, output_option, stage_command
from soundgate.tracks.structure.latents import LatentsSettings


@stage_command("structure-latents")
@input_option("corpus", "Folder of the speech corpus, with index.parquet.")
@click.option("--codec", required=True, help="Name of the codec; its settings are the section codec.<name>.")
@output_option("out", "Folder for latents.zarr and latents_index.parquet.")
def main(corpus: Path, codec: str, out: Path) -> None:
    """Encode every utterance that is long enough; killed, the next run goes on from the last shard."""
    settings = load_section("structure.latents", LatentsSettings)
    codec_settings = read_section(f"codec.{codec}")
    deterministic_torch(load_seed())
    scratch = open_scratch(
        "structure-latents",
        out,
        modules=[__spec__.name, *package_modules(f"soundgate.codecs.{codec}")],
        params=settings.model_dump() | {"codec": codec_settings},
        inputs=[corpus / "index.parquet"],
    )
    device = torch_device()
    extract_latents(
        read_index(corpus),
        load_codec(codec, codec_settings).to(device),
        scratch.result,
        device=device,
        **settings.model_dump(),
    )
    scratch.publish()


if __name__ == "__main__":
    main()
