"""Embed the target rooms."""

from pathlib import Path

import click

from soundgate.embeddings.registry import load_embedder
from soundgate.runtime.config import load_section, load_seed, read_section
from soundgate.runtime.files import sha256_of, write_json
from soundgate.runtime.imports import package_modules
from soundgate.runtime.ledger import Ledger
from soundgate.runtime.scratch import open_scratch
from soundgate.runtime.stage import deterministic_torch, input_option, output_option, stage_command
from soundgate.tracks.rooms.chain import ChainSettings, reuse_part
from soundgate.tracks.rooms.embed import (
    CARD_NAME,
    EmbedSettings,
    embed_rooms,
    embeddings_card,
    require_catalogue,
    save_embeddings,
)
from soundgate.tracks.rooms.irs import CATALOGUE_NAME, SAMPLES_NAME, load_catalogue


@stage_command("rooms-embed")
@input_option("irs", "Folder of the impulse responses, with irs.npy and ir_catalogue.json.")
@click.option("--embedder", required=True, help="Its name; its settings are the section embedder.<name>.")
@output_option("out", "Folder for clap_cache.npz and card.json.")
def main(irs: Path, embedder: str, out: Path) -> None:
    """Embed white noise played in each target room; killed, the next run goes on from the last batch."""
    settings, seed = load_section("rooms.embed", EmbedSettings), load_seed()
    embedder_settings = read_section(f"embedder.{embedder}")
    catalogue_sha256 = sha256_of(irs / CATALOGUE_NAME)
    if reuse_part(load_section("rooms.chain", ChainSettings), "embeddings", out):
        require_catalogue(out, catalogue_sha256)
        return
    deterministic_torch(seed)
    scratch = open_scratch(
        "rooms-embed",
        out,
        modules=[__spec__.name, *package_modules(f"soundgate.embeddings.{embedder}")],
        params=settings.model_dump() | {"seed": seed, "embedder": embedder_settings},
        inputs=[irs / CATALOGUE_NAME, irs / SAMPLES_NAME],
    )
    loaded = load_embedder(embedder, embedder_settings)
    embeddings = embed_rooms(load_catalogue(irs), loaded, settings, seed, Ledger(scratch.folder / "batches"))
    save_embeddings(scratch.result, embeddings)
    card = embeddings_card(loaded, settings, seed, len(embeddings), catalogue_sha256)
    write_json(scratch.result / CARD_NAME, card)
    scratch.publish()


if __name__ == "__main__":
    main()
