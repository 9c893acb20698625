"""The command: `soundgate seeds`."""

from __future__ import annotations

from pathlib import Path

import click

from soundgate.pipeline.gate_files import TRACKS
from soundgate.runtime.console import logger, set_up_logging
from soundgate.runtime.stage import errors_in_one_line


@click.group("seeds", context_settings={"help_option_names": ["-h", "--help"]})
def seeds() -> None:
    """Measure how much the gates vary over seeds of training."""


@seeds.command()
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--profile", help="Of the configuration; by default the one params.yaml was composed for.")
@click.option("--track", "tracks", multiple=True, type=click.Choice(TRACKS), help="Only this track; may be repeated.")
@click.option("--seeds", "n_seeds", default=5, type=click.IntRange(min=2), show_default=True, help="Of each track.")
@click.option("--jobs", default=1, type=click.IntRange(min=1), show_default=True, help="Runs at a time.")
def run(overrides: tuple[str, ...], profile: str | None, tracks: tuple[str, ...], n_seeds: int, jobs: int) -> None:
    """Run each track with other seeds of training beside its own, up to its gates, and keep their values.

    Every finished seed is a file below seeds/<profile>/<track>; killed, the next call goes on. What is there is not
    run again unless the code of a training or the OVERRIDES have changed. Runs are made at the last commit, in clones
    of the repository (scratch/seeds). The next `soundgate repro` reckons with the spread.
    """
    # Imported here: `soundgate seeds --help` should not wait for DVC.
    from soundgate.pipeline.gates import default_profile
    from soundgate.pipeline.seeds.running import SeedOptions, SeedRuns

    set_up_logging()
    with errors_in_one_line():
        options = SeedOptions(profile or default_profile(), tracks, n_seeds, jobs, overrides)
        written = SeedRuns(options, Path()).run()
        logger.info("%d runs measured; commit seeds/ and run: soundgate repro", len(written))
