"""The track's own commands: `soundgate transfer`, `soundgate triage` and `soundgate runs`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from soundgate.runtime.console import set_up_logging
from soundgate.runtime.stage import errors_in_one_line
from soundgate.runtime.threads import own_threads

_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command("triage", context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--input-csv", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path), help="CSV of the clips."
)
@click.option("--path-col", required=True, help="Its column with the audio files' paths.")
@click.option("--base-dir", required=True, type=_FOLDER, help="Folder the paths are relative to; none may leave it.")
@click.option("--session-name", required=True, help="Names the session; the same name goes on where it stood.")
@click.option("--max-clips", type=click.IntRange(min=1), help="Go through this many clips; by default all.")
@click.option("--out", default=Path("triage"), type=_FOLDER, show_default=True, help="Folder of the sessions.")
@click.option("--terminal", is_flag=True, help="Stay in the terminal, with the same keys.")
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="Port of the page; by default a free one.")
@click.option("--auto-open", is_flag=True, help="Open the page in the browser.")
@click.option("--seed", default=0, type=int, show_default=True, help="Of the order, with the session's name.")
@click.option("--blind", is_flag=True, help="Hide names, paths and scores; the export at the end reveals them.")
def triage(
    input_csv: Path,
    path_col: str,
    base_dir: Path,
    session_name: str,
    max_clips: int | None,
    out: Path,
    terminal: bool,
    port: int,
    auto_open: bool,
    seed: int,
    blind: bool,
) -> None:
    """Listen to clips in random order; accept or reject them.

    Keys, in the page and in the terminal: a accept, r reject, s skip (it comes back at the end), o replay, q quit.

    Every decision is on the disk before the next clip is shown: OUT/SESSION/decisions.csv. Quitting writes
    accepted.csv and rejected.csv beside it, with all columns of the CSV.
    """
    # Imported here and below: `soundgate --help` should not wait for a web server.
    from soundgate.tracks.transfer.triage.commands import TriageOptions, run_triage

    set_up_logging()
    with errors_in_one_line():
        run_triage(
            TriageOptions(
                input_csv, path_col, base_dir, session_name, out, max_clips, terminal, port, auto_open, seed, blind
            )
        )


@click.group("runs", context_settings={"help_option_names": ["-h", "--help"]})
def runs() -> None:
    """Keep finished runs of track `transfer` as numbered folders."""


@runs.command()
@click.option("--profile", help="Profile of the run; by default the one params.yaml was composed for.")
@click.option("--to", "destination", default=Path("runs"), type=_FOLDER, show_default=True, help="Folder of the runs.")
def export(profile: str | None, destination: Path) -> None:
    """Copy the finished run to TO/lab3_synthesis/runN, N the first free number from 1.

    What was exported before is not copied again.
    """
    from soundgate.pipeline.gates import default_profile
    from soundgate.tracks.transfer.runs import export_run

    set_up_logging()
    with errors_in_one_line():
        profile = profile or default_profile()
        data = Path("data", profile, "transfer")
        exported = export_run(data, Path("metrics", profile, "transfer"), data / "samples", destination)
        click.echo(f"{exported.folder}" + ("" if exported.new else ": exported before, nothing copied"))


@click.command("transfer", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("inputs", metavar="IN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--style",
    metavar="NAME|EXEMPLAR",
    required=True,
    help="How it is to sound: a recording, or a style of the profile's corpus.",
)
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Audio file to write; a folder for several."
)
@click.option(
    "--strength", type=click.FloatRange(0, 1), default=1.0, show_default=True, help="0: as it is; 1: the whole style."
)
@click.option(
    "--path",
    type=click.Choice(["eq", "knn", "codec", "mel"]),
    default="eq",
    show_default=True,
    help="eq: the style's level in each band; knn: its most similar moments; codec, mel: the trained paths.",
)
@click.option("--explain", is_flag=True, help="Write a picture and figures beside each output: OUT.png, OUT.json.")
@click.option("--profile", default="embedded", show_default=True, help="Whose corpus and models to use.")
def transfer(
    inputs: tuple[Path, ...], style: str, out: Path, strength: float, path: str, explain: bool, profile: str
) -> None:
    """Play recordings in another style: files or folders IN, in the format of IN.

    A file that cannot be transferred is named with the reason, and the others go on: exit code 1.
    """
    set_up_logging()
    with errors_in_one_line(), own_threads():
        # Imported here: `soundgate --help` should not wait for SciPy.
        from soundgate.tracks.transfer.transferring.command import Request, run_transfer
        from soundgate.tracks.transfer.transferring.file import Options

        refused = run_transfer(Request(inputs, style, out, profile, Options(path, strength, explain)))
    sys.exit(1 if refused else 0)
