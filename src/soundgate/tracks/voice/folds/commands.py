"""The command: `soundgate folds`."""

from __future__ import annotations

from pathlib import Path

import click

from soundgate.runtime.console import logger, set_up_logging
from soundgate.runtime.stage import errors_in_one_line


@click.group("folds", context_settings={"help_option_names": ["-h", "--help"]})
def folds() -> None:
    """Cross-validate track `voice`: every speaker is unseen once."""


@folds.command()
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--profile", help="Of the configuration; by default the one params.yaml was composed for.")
@click.option("--jobs", default=1, type=click.IntRange(min=1), show_default=True, help="Runs at a time.")
def run(overrides: tuple[str, ...], profile: str | None, jobs: int) -> None:
    """Run track `voice` once for each fold of the speakers, and judge all of them together.

    Every finished fold is a folder below folds/<profile>/voice; killed, the next call goes on. What is there is not run
    again unless code or OVERRIDES have changed. Runs are made at the last commit, in clones of the repository
    (scratch/folds); folders of your own must be given by absolute paths. The gates over all speakers go to
    metrics/<profile>/voice/folds.json and folds.md.
    """
    # Imported here: `soundgate folds --help` should not wait for DVC.
    from soundgate.pipeline.gates import default_profile
    from soundgate.tracks.voice.folds.records import read_folds
    from soundgate.tracks.voice.folds.running import FoldOptions, FoldRuns
    from soundgate.tracks.voice.folds.together import write_together

    set_up_logging()
    with errors_in_one_line():
        runs = FoldRuns(FoldOptions(profile or default_profile(), jobs, overrides), Path())
        done = runs.run()
        folder = Path("metrics", runs.profile, "voice")
        write_together(read_folds(runs.folder), runs.params, folder)
        logger.info("%d folds run, %d there; see %s", len(done), runs.n_folds, folder / "folds.md")
