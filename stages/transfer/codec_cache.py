"""Encode every chunk of music into the latents of a codec."""

from pathlib import Path

import click

from soundgate.runtime.config import load_section, read_section
from soundgate.runtime.device import torch_device
from soundgate.runtime.files import write_json
from soundgate.runtime.imports import package_modules
from soundgate.runtime.scratch import open_scratch
from soundgate.runtime.stage import deterministic_torch, input_option, output_option, stage_command
from soundgate.tracks.transfer.cache import ChunkCache
from soundgate.tracks.transfer.caching import CacheSettings
from soundgate.tracks.transfer.codec.caching import CodecCacheSettings, build_latents
from soundgate.tracks.transfer.codec.loading import load_differentiable


@stage_command("transfer-codec-cache")
@input_option("cache", "Folder of the chunk cache.")
@input_option("music", "Folder of the music corpus.")
@click.option("--codec", required=True, help="Name of the codec; its settings are transfer.codec_settings.<name>.")
@output_option("out", "Folder for latents.npy, scale.npz and config.json.")
@output_option("metrics", "JSON file for the counts.")
def main(cache: Path, music: Path, codec: str, out: Path, metrics: Path) -> None:
    """Encode the chunks of all tracks; killed, the next run goes on with the next track."""
    settings = load_section("transfer.codec_cache", CodecCacheSettings)
    chunks = load_section("transfer.cache", CacheSettings).chunks
    codec_settings = read_section(f"transfer.codec_settings.{codec}")
    deterministic_torch(0)
    device = torch_device()
    model = load_differentiable(codec, codec_settings)
    scratch = open_scratch(
        "transfer-codec-cache",
        out,
        modules=[__spec__.name, *package_modules(f"soundgate.codecs.{codec}")],
        params={"codec_cache": settings.model_dump(), "codec": codec, "settings": codec_settings},
        inputs=[cache, music / "index.parquet"],
    )
    counts = build_latents(
        settings, ChunkCache.open(cache), chunks.duration_s, model.to(device), codec_settings, device,
        scratch.folder, scratch.result,
    )  # fmt: skip
    write_json(metrics, counts)
    scratch.publish()


if __name__ == "__main__":
    main()
