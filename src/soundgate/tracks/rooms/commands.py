"""The track's own commands: `soundgate rooms`."""

from __future__ import annotations

from pathlib import Path

import click

from soundgate.runtime.stage import errors_in_one_line


@click.group("rooms")
def main() -> None:
    """Look at the triples of track `rooms`."""


@main.command()
@click.argument("batch", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--triple", "row", type=click.IntRange(min=0), help="Row of the triple to draw and describe.")
@click.option("--picture", type=click.Path(path_type=Path), help="PNG to draw the triple into.")
@click.option("--listen", type=click.Path(path_type=Path), help="Folder for source.wav and target.wav of the triple.")
def inspect(batch: Path, row: int | None, picture: Path | None, listen: Path | None) -> None:
    """Verify BATCH (data/<profile>/rooms/batches/batch_NNNN.npz) and show what is in it.

    With --triple, everything known of that triple is printed; --picture draws waveforms, spectrograms and the
    rooms' decays, --listen writes the audio.
    """
    # Imported here: it draws, and `soundgate --help` should not wait for that.
    from soundgate.tracks.rooms.inspecting import inspect_batch

    with errors_in_one_line():
        inspect_batch(batch, row, picture, listen)
