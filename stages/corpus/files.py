"""List the files of a folder that a corpus is made from."""

from pathlib import Path

import click

from soundgate.corpora.listing import write_listing
from soundgate.corpora.origins import folder_origins
from soundgate.runtime.errors import ConfigError
from soundgate.runtime.scratch import scratch_root
from soundgate.runtime.stage import output_option, stage_command


@stage_command("corpus-files")
@click.option(
    "--name",
    required=True,
    help="The corpus: speech, voice_speech, music, songs, pairs, rooms-<pool>, voices-<source>.",
)
@output_option("out", "The listing to write, a JSON file.")
def main(name: str, out: Path) -> None:
    """Write down what a folder of the user's holds, with hashes; files that did not change are not read again."""
    origins = folder_origins()
    if name not in origins:
        raise ConfigError("--name", expected=f"one of {', '.join(origins)}", found=name)
    write_listing(origins[name], out, scratch_root() / "corpus-files" / "hashes" / f"{name}.jsonl")


if __name__ == "__main__":
    main()
