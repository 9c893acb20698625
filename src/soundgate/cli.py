"""The ``soundgate`` command: compose, reproduce, judge."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import click

from soundgate.runtime.console import set_up_logging, set_up_streams
from soundgate.runtime.errors import PipelineError
from soundgate.runtime.stage import errors_in_one_line

# Where each command is, and the first line of its help. Its module is imported when it is asked for: pandas and Hydra
# take a second to load.
COMMANDS = {
    "ablations": (
        "soundgate.tracks.voice.ablations.commands:ablations",
        "Train the arms of track `voice`, and compare them.",
    ),
    "compose": ("soundgate.pipeline.compose:main", "Compose conf/ into params.yaml."),
    "convert": (
        "soundgate.tracks.voice.convert.commands:convert",
        "Say recordings in another voice, known from seconds of reference: files or folders IN, in the format of IN.",
    ),
    "corpora": (
        "soundgate.corpora.commands:corpora",
        "Look at folders of audio before anything is built from them; lay out published recordings.",
    ),
    "edit": (
        "soundgate.tracks.editor.commands:edit",
        "Edit IN: decide what is cut, play what is kept, write OUT in the format of IN.",
    ),
    "faults": (
        "soundgate.tracks.voice.faults.commands:faults",
        "Measure the health monitor on trainings with faults, and without.",
    ),
    "folds": (
        "soundgate.tracks.voice.folds.commands:folds",
        "Cross-validate track `voice`: every speaker is unseen once.",
    ),
    "gates": (
        "soundgate.pipeline.gates:main",
        "Show the exit gates of a profile: value, interval, threshold, verdict.",
    ),
    "health": (
        "soundgate.training.health.command:health",
        "Show what the health monitor found, and what to do about it.",
    ),
    "judge": (
        "soundgate.judges.commands:judge",
        "Ask published models about audio files: quality, pitch, notes, words; with --reference likeness too.",
    ),
    "recover": (
        "soundgate.tracks.editor.commands:recover",
        "Find out how EDIT was made of RAW: write its edit list, and what is left when that is rendered.",
    ),
    "report": (
        "soundgate.pipeline.report.command:main",
        "Write one page of a profile's results: reports/PROFILE/index.html.",
    ),
    "rooms": ("soundgate.tracks.rooms.commands:main", "Look at the triples of track `rooms`."),
    "runs": ("soundgate.tracks.transfer.commands:runs", "Keep finished runs of track `transfer` as numbered folders."),
    "seeds": (
        "soundgate.pipeline.seeds.commands:seeds",
        "Measure how much the gates vary over seeds of training.",
    ),
    "transfer": (
        "soundgate.tracks.transfer.commands:transfer",
        "Play recordings in another style: files or folders IN, in the format of IN.",
    ),
    "triage": (
        "soundgate.tracks.transfer.commands:triage",
        "Listen to clips in random order; accept or reject them.",
    ),
    "verify": (
        "soundgate.pipeline.verify:main",
        "Compare the results of a run with those committed at REV (by default HEAD).",
    ),
}

# Read the repository's parameters or results in the folder they are called in.
IN_ROOT = ("compose", "faults", "folds", "gates", "report", "repro", "seeds", "verify")


class Commands(click.Group):
    """The group of all commands, those of ``COMMANDS`` imported one by one."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, sorted."""
        return sorted([*super().list_commands(ctx), *COMMANDS])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, or None where there is none of that name."""
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        return getattr(import_module(module), name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return a command and its arguments; one that works in the root alone is refused below it."""
        name, command, rest = super().resolve_command(ctx, args)
        if name in IN_ROOT and not {"-h", "--help"} & set(rest):
            require_root(Path())
        return name, command, rest

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; what it cannot do is said in a line."""
        with errors_in_one_line():
            return super().invoke(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a line a command, without importing those of ``COMMANDS``."""
        own = {name: command.get_short_help_str(200) for name, command in self.commands.items()}
        with formatter.section("Commands"):
            formatter.write_dl(sorted((own | {name: said for name, (_, said) in COMMANDS.items()}).items()))


def require_root(folder: Path) -> None:
    """Refuse a folder that lies in a repository below its root.

    Raises:
        PipelineError: it does.
    """
    above = [] if (folder / ".dvc").is_dir() else folder.resolve().parents
    for root in above:
        if (root / ".dvc").is_dir() and (root / "params.yaml").is_file():
            remedy = "Run this in the root of the repository."
            raise PipelineError(folder.resolve(), expected=str(root), found="a folder below it", remedy=remedy)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="soundgate")
def main() -> None:
    """Reproducible audio machine-learning experiments behind exit gates. Run it in the repository's root."""
    set_up_streams()


@main.command()
@click.argument("overrides", nargs=-1, metavar="[GROUP=OPTION | KEY=VALUE]...")
@click.option("-j", "--jobs", type=click.IntRange(min=1), help="Stages at a time.  [default: one a core; 1 with a GPU]")
@click.option("-t", "--track", "tracks", multiple=True, help="Only this track, or several: --track rooms,voice.")
def repro(overrides: tuple[str, ...], jobs: int | None, tracks: tuple[str, ...]) -> None:
    """Run what is out of date, then show the gates.

    Without arguments this runs params.yaml as it stands. With arguments it composes params.yaml first, for
    example: soundgate repro profile=tiny. A track whose audio is not given is named and left out.
    """
    # Imported here for the same reason as `COMMANDS`.
    from soundgate.pipeline import command

    set_up_logging()
    with errors_in_one_line():
        sys.exit(command.run(overrides, jobs, tracks))


if __name__ == "__main__":
    main()
