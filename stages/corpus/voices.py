"""Build a corpus of dry voices."""

import shutil
from pathlib import Path

import click

from soundgate.corpora.named import load_named
from soundgate.corpora.voices import VoicesSettings, build_voice_corpus
from soundgate.runtime.scratch import downloads_folder
from soundgate.runtime.stage import origin_option, output_option, stage_command


@stage_command("corpus-voices")
@click.option("--name", required=True, help="Name of the corpus; its settings are the entry in corpus.voices.sources.")
@origin_option()
@output_option("out", "Folder for the audio, index.parquet and rejected.csv.")
def main(name: str, origin: Path | None, out: Path) -> None:
    """Build a corpus of dry voices: audio and an index of it, with every rejected file and why."""
    settings = load_named("corpus.voices", "sources", name, origin, VoicesSettings)
    # The index names the audio by its final path, so it is made there; only downloads outlive a kill.
    shutil.rmtree(out, ignore_errors=True)
    build_voice_corpus(settings, out, downloads_folder("corpus-voices"))


if __name__ == "__main__":
    main()
