"""The track's own command: `soundgate edit`."""

from __future__ import annotations

from pathlib import Path

import click

from soundgate.runtime.console import set_up_logging
from soundgate.runtime.stage import errors_in_one_line
from soundgate.tracks.editor.exports.formats import NAMES

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("edit", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("source", metavar="IN", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Audio file to write: .wav, .flac, .aif, .mp3, ..."
)
@click.option("--labels", type=_FILE, help="Labels of your own: a label track, or a name a line for each beat.")
@click.option("--beats", type=_FILE, help="Beats of your own: a time in seconds a line.")
@click.option(
    "--mode",
    type=click.Choice(["splice", "generate", "full"]),
    default="splice",
    show_default=True,
    help="splice plays the recording alone; generate makes effects and transitions anew; full makes everything anew.",
)
@click.option("--loudness", type=click.FloatRange(-70, 0), help="Scale to this loudness, LUFS, without clipping.")
@click.option("--models", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Folder of the models.")
@click.option(
    "--export",
    "exports",
    multiple=True,
    type=click.Choice(NAMES),
    help="Write the edit for another program too; can be given several times.",
)
@click.option("--explain", is_flag=True, help="Show, and write as CSV, what is done with each beat and why.")
def edit(
    source: Path,
    out: Path,
    labels: Path | None,
    beats: Path | None,
    mode: str,
    loudness: float | None,
    models: Path | None,
    exports: tuple[str, ...],
    explain: bool,
) -> None:
    """Edit IN: label its beats, play what is kept, write OUT in the format of IN.

    Beside OUT lie the edit list (.edit.json), the labels as an Audacity label track (.labels.txt), which --labels
    takes back, and a picture (.png). --export adds an OpenTimelineIO timeline (.otio), a Reaper project (.rpp), a CMX
    3600 list (.edl) or a Final Cut Pro X project (.fcpxml); --labels takes these back too. The label track is also what
    `--export audacity` stands for.
    """
    # Imported here: `soundgate --help` should not wait for PyTorch.
    set_up_logging()
    with errors_in_one_line():
        from soundgate.tracks.editor.editing.limits import check_length

        check_length(source)
        from soundgate.tracks.editor.editing.command import EditOptions, run_edit

        run_edit(EditOptions(source, out, labels, beats, mode, loudness, models, exports, explain))
