"""The command: `soundgate ablations`."""

from __future__ import annotations

from pathlib import Path

import click

from soundgate.runtime.console import set_up_logging
from soundgate.runtime.stage import errors_in_one_line


def _names(_context: click.Context, _param: click.Parameter, value: str) -> tuple[str, ...]:
    return tuple(value.replace(",", " ").split())


@click.group("ablations", context_settings={"help_option_names": ["-h", "--help"]})
def ablations() -> None:
    """Train the arms of track `voice`, and compare them."""


@ablations.command()
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--arms", default="", callback=_names, help="Names, by commas or spaces; by default all. [voice.ablations]"
)
@click.option("--seeds", default=6, type=click.IntRange(min=1), show_default=True, help="Runs of each arm.")
@click.option("--profile", default="tiny", show_default=True, help="Of the configuration.")
@click.option("--jobs", default=1, type=click.IntRange(min=1), show_default=True, help="Runs at a time.")
@click.option("--gpus", default="", callback=_names, help="Numbers of GPUs, dealt out to the jobs: 1,3.")
@click.option(
    "--ddp",
    default=1,
    type=click.IntRange(min=1),
    show_default=True,
    help="Processes of each training, on GPUs one each; its batch must be a multiple.",
)
def run(
    overrides: tuple[str, ...],
    arms: tuple[str, ...],
    seeds: int,
    profile: str,
    jobs: int,
    gpus: tuple[str, ...],
    ddp: int,
) -> None:
    """Run the arms through DVC's queue, collect their scores and compare them.

    First it says what so many seeds can find, see `soundgate ablations power`.
    What is collected is not run again unless parameters or code have changed; killed, the next call goes on.
    OVERRIDES are for all arms: voice.train.loop.epochs=10. Arms run at the last commit, in a clone of the repository
    (scratch/ablations/repository; `dvc --cd` there shows its queue).
    """
    # Imported here: `soundgate --help` should not wait for DVC.
    from soundgate.tracks.voice.ablations.command import AblationOptions, run_ablations

    set_up_logging()
    with errors_in_one_line():
        click.echo(run_ablations(AblationOptions(arms, seeds, profile, jobs, gpus, overrides, ddp)))


@ablations.command()
@click.option(
    "--effect",
    default=1.0,
    type=click.FloatRange(min=0, min_open=True),
    show_default=True,
    help="To be found, in standard deviations of an arm's paired difference over seeds.",
)
@click.option(
    "--power",
    "chance",
    default=0.8,
    show_default=True,
    help="Chance of finding it.",
    type=click.FloatRange(min=0, max=1, min_open=True, max_open=True),
)
@click.option("--arms", default="", callback=_names, help="To be run; by default all. [voice.ablations]")
@click.option("--seeds", default=6, type=click.IntRange(min=1), show_default=True, help="Runs of each arm.")
@click.option("--profile", default="tiny", show_default=True, help="Of the configuration.")
def power(effect: float, chance: float, arms: tuple[str, ...], seeds: int, profile: str) -> None:
    """Say how many seeds an effect needs and what so many seeds can find, before anything is run.

    By simulations of the comparison itself; some seconds. What one standard deviation is in units of an endpoint is
    said of the runs that are collected.
    """
    from soundgate.tracks.voice.ablations.command import show_power

    with errors_in_one_line():
        click.echo(show_power(arms, seeds, effect, chance, profile))


@ablations.command()
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--arms", default="", callback=_names, help="To be looked for; by default all. [voice.ablations]")
@click.option("--seeds", default=6, type=click.IntRange(min=1), show_default=True, help="Runs of each arm, from 0 on.")
@click.option("--profile", default="tiny", show_default=True, help="Of the configuration.")
def collect(overrides: tuple[str, ...], arms: tuple[str, ...], seeds: int, profile: str) -> None:
    """Collect what `dvc exp run --queue` and `dvc queue start` ran of the arms, and compare.

    Experiments are known by their parameters and code, whatever they are named; OVERRIDES are what all were run with
    beside profile, arm and seed. What is collected already is left as it is.
    """
    from soundgate.tracks.voice.ablations.command import collect_experiments

    set_up_logging()
    with errors_in_one_line():
        click.echo(collect_experiments(arms, seeds, profile, overrides))


@ablations.command()
@click.option("--profile", default="tiny", show_default=True, help="Of the configuration.")
def compare(profile: str) -> None:
    """Compare what is collected, without training: as `dvc repro voice-ablations`, for any profile."""
    from soundgate.tracks.voice.ablations.command import compare_profile

    set_up_logging()
    with errors_in_one_line():
        click.echo(compare_profile(profile, Path()))
