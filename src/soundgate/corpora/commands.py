"""``soundgate corpora``: look at folders before anything is built from them, and lay out published recordings."""

from __future__ import annotations

import sys

import click

from soundgate.runtime.console import set_up_logging
from soundgate.runtime.paths import path_to_text
from soundgate.runtime.stage import errors_in_one_line

_GROUPS = {"speech": "speakers", "voices": "speakers", "rooms": "rooms", "music": "sources"}


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def corpora() -> None:
    """Look at folders of audio before anything is built from them; lay out published recordings."""


@corpora.command()
@click.argument("path", type=click.Path())
@click.option(
    "--as", "kind", type=click.Choice(tuple(_GROUPS)), default="speech", show_default=True,
    help="What the folder is for: speech, music in genre folders, impulse responses, dry voices.",
)  # fmt: skip
def check(path: str, kind: str) -> None:
    """Say what a folder is taken for: layout, speakers, hours, rates, every file that is refused and why.

    Every file is read. The exit code is 1 where nothing is usable.
    """
    # Imported here: pandas takes a second to load.
    from soundgate.corpora.checking import check_corpus

    set_up_logging()
    with errors_in_one_line():
        checked = check_corpus(path, kind)
    index = checked.index
    click.echo(f"{path_to_text(path)}: {kind}, {checked.layout}")
    hours, groups = index["duration_s"].sum() / 3600, index["speaker_id"].nunique()
    click.echo(f"  {len(index)} files of {groups} {_GROUPS[kind]}, {hours:.2f} h")
    rates = index["sample_rate"].value_counts().sort_index().items()
    click.echo(f"  sample rates: {', '.join(f'{rate} Hz ({count})' for rate, count in rates) or 'none'}")
    for line in checked.suffices:
        click.echo(f"  suffices for {line}")
    for line in checked.lacks:
        click.echo(f"  too little for {line}")
    click.echo(f"  {len(checked.refused)} files refused")
    for row in checked.refused.itertuples():
        click.echo(f"    {row.path}: {row.reason}")
    sys.exit(0 if len(index) else 1)


@corpora.command("lay-out")
@click.argument("table", type=click.Path(exists=True, dir_okay=False))
@click.argument("folders", nargs=-1, required=True, type=click.Path())
@click.option("--to", "out", default="own", show_default=True, type=click.Path(), help="The folder to link them in.")
def lay_out(table: str, folders: tuple[str, ...], out: str) -> None:
    """Find a table's recordings in folders, by their hashes, and link them where the table says.

    The names and places of the files do not matter. Each that is in none of the folders is named with where it was
    published; the exit code is then 1. The results below metrics/real stand on sources/published_audio.csv.
    """
    from soundgate.corpora.published import lay_out as laid_out
    from soundgate.corpora.published import read_table

    set_up_logging()
    with errors_in_one_line():
        laid = laid_out(read_table(table), folders, out)
    click.echo(f"{path_to_text(out)}: {len(laid.linked)} files")
    for row in laid.missing:
        click.echo(f"  missing: {row['path']}: {row['repository']}, {row['original']}, SHA-256 {row['sha256']}")
    sys.exit(1 if laid.missing else 0)
