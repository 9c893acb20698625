"""Build a pool of room impulse responses."""

import shutil
from pathlib import Path

import click

from soundgate.corpora.named import load_named
from soundgate.corpora.rooms import RoomsSettings, build_room_corpus
from soundgate.runtime.scratch import downloads_folder
from soundgate.runtime.stage import origin_option, output_option, stage_command


@stage_command("corpus-rooms")
@click.option("--name", required=True, help="Name of the pool; its settings are the entry in corpus.rooms.pools.")
@origin_option()
@output_option("out", "Folder for the audio, index.parquet and rejected.csv.")
def main(name: str, origin: Path | None, out: Path) -> None:
    """Build a pool of rooms: impulse responses and an index of them, with every rejected file and why."""
    settings = load_named("corpus.rooms", "pools", name, origin, RoomsSettings)
    # The index names the audio by its final path, so it is made there; only downloads outlive a kill.
    shutil.rmtree(out, ignore_errors=True)
    build_room_corpus(settings, out, downloads_folder("corpus-rooms"))


if __name__ == "__main__":
    main()
