"""The track's own commands: `soundgate edit` and `soundgate recover`."""

from __future__ import annotations

from pathlib import Path

import click

from soundgate.runtime.console import set_up_logging
from soundgate.runtime.stage import errors_in_one_line

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("edit", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("source", metavar="IN", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Audio file to write: .wav, .flac, .aif, ..."
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
@click.option("--explain", is_flag=True, help="Show, and write as CSV, what is done with each beat and why.")
def edit(
    source: Path,
    out: Path,
    labels: Path | None,
    beats: Path | None,
    mode: str,
    loudness: float | None,
    models: Path | None,
    explain: bool,
) -> None:
    """Edit IN: label its beats, play what is kept, write OUT in the format of IN.

    Beside OUT lie the edit list (.edit.json), the labels as an Audacity label track (.labels.txt), which --labels
    takes back, and a picture (.png).
    """
    # Imported here: `soundgate --help` should not wait for PyTorch.
    set_up_logging()
    with errors_in_one_line():
        from soundgate.tracks.editor.editing.command import EditOptions, run_edit

        run_edit(EditOptions(source, out, labels, beats, mode, loudness, models, explain))


@click.command("recover", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("raw", type=click.Path(path_type=Path))
@click.argument("edit", required=False, type=click.Path(path_type=Path))
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Edit list to write (.json); of folders, a folder."
)
def recover(raw: Path, edit: Path | None, out: Path) -> None:
    """Find out how EDIT was made of RAW: write its edit list, and what is left when that is rendered.

    RAW and EDIT are files, two folders of files with equal names, or RAW alone a folder of <id>_raw.* and <id>_edit.*.
    Beside OUT lie clock, polarity, channels and residuals (.recovered.json) and a picture (.png). The exit code is 1
    where EDIT is of another recording.
    """
    # Imported here: `soundgate --help` should not wait for PyTorch.
    set_up_logging()
    with errors_in_one_line():
        from soundgate.tracks.editor.recovery.command import run_recover, run_recover_folders

        if raw.is_dir():
            run_recover_folders(raw, edit, out)
        elif edit is None:
            raise click.UsageError("EDIT is missing: RAW is a file.")
        else:
            run_recover(raw, edit, out)
