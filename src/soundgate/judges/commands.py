"""``soundgate judge``: what published models say of files, and how those models do where the truth is known."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from soundgate.judges.registry import JUDGE_NAMES
from soundgate.runtime.console import set_up_logging, track
from soundgate.runtime.paths import path_to_text
from soundgate.runtime.stage import errors_in_one_line
from soundgate.runtime.threads import own_threads


@click.command("judge", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("files", metavar="FILE...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--reference", type=click.Path(path_type=Path), help="Compare each file with this one too.")
@click.option(
    "--judge", "names", multiple=True, type=click.Choice(JUDGE_NAMES), help="Only this judge; may be repeated."
)
@click.option("--seconds", type=click.FloatRange(1, 600), default=60, show_default=True, help="How much of each file.")
@click.option("--trial", type=click.Path(path_type=Path), help="Try the judges themselves on this folder of speech.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def judge(
    files: tuple[Path, ...],
    reference: Path | None,
    names: tuple[str, ...],
    seconds: float,
    trial: Path | None,
    as_json: bool,
) -> None:
    """Ask published models about audio files: quality, pitch, notes, words; with --reference likeness too.

    A file that cannot be read is named with the reason, and the others are judged: exit code 1.
    """
    if bool(files) == bool(trial):
        raise click.UsageError("Name files, or a folder by --trial.")
    set_up_logging()
    with errors_in_one_line(), own_threads():
        if trial:
            _try(trial, names or JUDGE_NAMES, as_json)
            return
        refused = _judge(files, reference, names or JUDGE_NAMES, seconds, as_json)
    sys.exit(1 if refused else 0)


def _judge(
    files: Sequence[Path], reference: Path | None, names: Sequence[str], seconds: float, as_json: bool
) -> dict[str, str]:
    """Print what judges say of files, and return those that are refused, with reasons."""
    # Imported here: `soundgate judge --help` should not wait for PyTorch.
    from soundgate.judges.files import judge_file, read_beginning
    from soundgate.judges.registry import load_judge
    from soundgate.judges.report import show_judged
    from soundgate.runtime.errors import AudioError

    beside = None if reference is None else read_beginning(reference, seconds)
    loaded = [load_judge(name) for name in names]
    asked = [one for one in loaded if one.figures or beside is not None]
    if not asked:
        raise click.UsageError(f"Judge {', '.join(names)} compares two signals: name --reference.")
    judged, refused = {}, {}
    for path in track(files, "files"):
        try:
            judged[path_to_text(path)] = judge_file(read_beginning(path, seconds), asked, beside)
        except AudioError as error:
            refused[path_to_text(path)] = error.found
    if as_json:
        limits = {one.name: one.card.never_ask for one in asked}
        found = {name: one.as_dict() for name, one in judged.items()}
        click.echo(json.dumps({"files": found, "refused": refused, "limits": limits}, indent=1))
    else:
        show_judged(judged, asked)
    for name, reason in refused.items():
        click.secho(f"{name}: {reason}", fg="red", err=True)
    return refused


def _try(folder: Path, names: Sequence[str], as_json: bool) -> None:
    from soundgate.judges.report import show_answers
    from soundgate.judges.trial.run import try_judges

    recordings = list(_recordings(folder))
    answers = list(track(try_judges(names, recordings), "questions"))
    if as_json:
        click.echo(json.dumps([answer.as_dict() for answer in answers], indent=1))
    else:
        show_answers(answers)


def _recordings(folder: Path) -> Iterator[object]:
    """Yield the usable files of a folder of speech, by their speakers."""
    from soundgate.audio.io import read_audio
    from soundgate.corpora.folder import folder_entries
    from soundgate.corpora.index import build_index
    from soundgate.judges.trial.questions import Recording

    listed = folder_entries(folder)
    index, _ = build_index(listed.entries, path_to_text(folder), refused=listed.refused)
    for row in index.itertuples():
        audio = read_audio(row.path, mono=True)
        yield Recording(row.utt_id, row.speaker_id, audio.wav[0], audio.sample_rate)
