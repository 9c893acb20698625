"""The track's own commands: `soundgate edit` and `soundgate recover`."""

from __future__ import annotations

import math
from pathlib import Path

import click

from soundgate.runtime.console import set_up_logging
from soundgate.runtime.stage import errors_in_one_line
from soundgate.tracks.editor.exports.formats import NAMES


class _Time(click.ParamType):
    """A length: seconds, ``M:SS`` or ``H:MM:SS``; a float in s."""

    name = "M:SS"

    def convert(self, value, param, ctx) -> float:
        """Read a length."""
        if isinstance(value, float):
            return value
        *front, last = value.split(":")
        try:
            parts = [int(part) for part in front] + [float(last)]
        except ValueError:
            parts = [math.nan]
        seconds = sum(part * 60**power for power, part in enumerate(reversed(parts)))
        inside = all(0 <= part < 60 for part in parts[1:])
        if len(parts) > 3 or not inside or not 0 < seconds < math.inf:
            self.fail(f"expected a length such as 3:00 or 45.5 (seconds), found {value!r}", param, ctx)
        return seconds


_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_EXPORT = click.option(
    "--export",
    "exports",
    multiple=True,
    type=click.Choice(NAMES),
    help="Write the edit for another program too; can be given several times.",
)


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
@click.option(
    "--method",
    type=click.Choice(["rules", "policy"]),
    default="rules",
    show_default=True,
    help="rules cut dead air, talk, count-ins and repeated takes; policy is the trained network.",
)
@click.option(
    "--aggressiveness",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="Do what is at least 1 - this sure; all else is kept.",
)
@click.option(
    "--target-length",
    type=_Time(),
    help="Length of the edit, to one bar: leave bars out, or play bars again, where it is heard least.",
)
@click.option(
    "--keep-structure",
    is_flag=True,
    help="With --target-length: the first and last section stay, and half of every other that is different.",
)
@click.option("--loudness", type=click.FloatRange(-70, 0), help="Scale to this loudness, LUFS, without clipping.")
@click.option("--models", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Folder of the models.")
@_EXPORT
@click.option("--explain", is_flag=True, help="Show, and write as CSV, what is done with each beat and why.")
def edit(
    source: Path,
    out: Path,
    labels: Path | None,
    beats: Path | None,
    mode: str,
    method: str,
    aggressiveness: float,
    target_length: float | None,
    keep_structure: bool,
    loudness: float | None,
    models: Path | None,
    exports: tuple[str, ...],
    explain: bool,
) -> None:
    """Edit IN: decide what is cut, play what is kept, write OUT in the format of IN.

    A finished song comes back as it is: what is not surely dead air, talk, a count-in or a take that is played again
    is kept.

    Beside OUT lie the edit list (.edit.json), the labels as an Audacity label track (.labels.txt), which --labels
    takes back, and a picture (.png). --export adds an OpenTimelineIO timeline (.otio), a Reaper project (.rpp), a CMX
    3600 list (.edl) or a Final Cut Pro X project (.fcpxml); --labels takes these back too. The label track is also what
    `--export audacity` stands for.
    """
    if keep_structure and target_length is None:
        raise click.UsageError("--keep-structure needs --target-length.")
    if target_length is not None and (labels is not None or method != "rules"):
        raise click.UsageError("--target-length goes with --method rules alone, not with the policy or --labels.")
    # Imported here: `soundgate --help` should not wait for PyTorch.
    set_up_logging()
    with errors_in_one_line():
        from soundgate.tracks.editor.editing.limits import check_length

        check_length(source)
        from soundgate.tracks.editor.editing.command import EditOptions, run_edit
        from soundgate.tracks.editor.editing.pipeline import Deciding

        deciding = Deciding(method, aggressiveness, target_length, keep_structure)
        run_edit(EditOptions(source, out, labels, beats, mode, loudness, models, exports, explain, deciding))


@click.command("recover", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("raw", type=click.Path(path_type=Path))
@click.argument("edit", required=False, type=click.Path(path_type=Path))
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Edit list to write (.json); of folders, a folder."
)
@_EXPORT
def recover(raw: Path, edit: Path | None, out: Path, exports: tuple[str, ...]) -> None:
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
            run_recover_folders(raw, edit, out, exports)
        elif edit is None:
            raise click.UsageError("EDIT is missing: RAW is a file.")
        else:
            run_recover(raw, edit, out, exports)
