"""The track's command for recordings of the user's own: `soundgate convert`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from soundgate.runtime.console import set_up_logging
from soundgate.runtime.stage import errors_in_one_line
from soundgate.runtime.threads import own_threads


@click.command("convert", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("inputs", metavar="IN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--to",
    metavar="FILE|FOLDER|SPEAKER",
    required=True,
    multiple=True,
    help="The voice wished for: recordings of it, or a speaker of the profile's corpus; may be repeated.",
)
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Audio file to write; a folder for several."
)
@click.option(
    "--method",
    type=click.Choice(["auto", "gan", "knn", "world"]),
    default="auto",
    show_default=True,
    help="gan: the trained converter; knn, world: without training; auto: the best one in the profile's audit.",
)
@click.option("--pitch", type=click.FloatRange(-36, 36), default=0.0, help="Semitones beyond the target's pitch.")
@click.option(
    "--formant",
    type=click.FloatRange(0.5, 2.0),
    default=1.0,
    help="Factor of the formants beyond the target's; not with gan.",
)
@click.option("--explain", is_flag=True, help="Write a picture and figures beside each output: OUT.png, OUT.json.")
@click.option("--force", is_flag=True, help="Convert what does not look like a voice too.")
@click.option("--profile", default="embedded", show_default=True, help="Whose audit, converter and corpus to use.")
@click.option(
    "--models", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Folder of a trained converter."
)
def convert(
    inputs: tuple[Path, ...],
    to: tuple[str, ...],
    out: Path,
    method: str,
    pitch: float,
    formant: float,
    explain: bool,
    force: bool,
    profile: str,
    models: Path | None,
) -> None:
    """Say recordings in another voice, known from seconds of reference: files or folders IN, in the format of IN.

    A file that cannot be converted is named with the reason, and the others go on: exit code 1.
    """
    set_up_logging()
    with errors_in_one_line(), own_threads():
        # Imported here: `soundgate --help` should not wait for PyTorch.
        from soundgate.tracks.voice.convert.command import Request, run_convert
        from soundgate.tracks.voice.convert.conversion import Options

        options = Options(pitch, formant, explain, force)
        refused = run_convert(Request(inputs, to, out, method, profile, models, options))
    sys.exit(1 if refused else 0)
