"""``soundgate faults``: how many faults the health monitor finds, and how often it alarms without any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from soundgate.runtime.console import set_up_logging
from soundgate.runtime.stage import errors_in_one_line

RESULTS = Path("benchmarks", "results", "health_faults")


@click.command("faults", context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--data", type=click.Path(exists=True, file_okay=False, path_type=Path), default=Path("data/embedded/voice"),
    show_default=True, help="Folder with the cache and the speaker encoder of a finished run.",
)  # fmt: skip
@click.option("--side", type=click.Choice(["held_out", "development"]), default="held_out", show_default=True)
@click.option(
    "--times", type=click.IntRange(1), default=1, show_default=True, help="Trainings, as multiples of conf's."
)
@click.option("--network", "networks", multiple=True, help="Only this: gan, encoder or regression; may be repeated.")
@click.option("-j", "--jobs", type=click.IntRange(1), default=1, show_default=True, help="Trainings at a time.")
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS, show_default=True, help="Folder of results.")
def faults(data: Path, side: str, times: int, networks: tuple[str, ...], jobs: int, out: Path) -> None:
    """Measure the health monitor on trainings with faults, and without.

    They are small ones of a GAN, a speaker encoder and a regression; stage voice-health takes those of --times 1.
    Writes faults_<side>.csv, curve_<side>.csv, curve_<side>.png and summary_<side>.json. Killed, the next call goes on.
    Adjust no rule by what is held out.
    """
    set_up_logging()
    with errors_in_one_line():
        _measure(data, side, times, networks, jobs, out)


def _measure(data: Path, side: str, times: int, networks: Sequence[str], jobs: int, out: Path) -> None:
    # Imported here: `soundgate faults --help` should not wait for PyTorch.
    from soundgate.runtime.config import load_section
    from soundgate.runtime.errors import ConfigError
    from soundgate.runtime.scratch import open_scratch
    from soundgate.runtime.stage import deterministic_torch
    from soundgate.tracks.voice.cache import VoiceCache
    from soundgate.tracks.voice.faults.rigs import ARCHITECTURES, Material
    from soundgate.tracks.voice.faults.settings import FaultSettings
    from soundgate.tracks.voice.faults.trials import observe_all, trials_of
    from soundgate.tracks.voice.speaker.model import load_speaker
    from soundgate.training.health.settings import HealthSettings

    settings, health = load_section("voice.health", FaultSettings), load_section("health", HealthSettings)
    deterministic_torch(0)
    scratch = open_scratch(
        "health-faults", RESULTS, modules=[__name__, "soundgate.training.health"],
        params={"faults": settings.model_dump(mode="json"), "health": health.model_dump(mode="json")},
        inputs=[data / "cache", data / "speaker"],
    )  # fmt: skip
    if unknown := set(networks) - ARCHITECTURES.keys():
        raise ConfigError("--network", expected=" or ".join(ARCHITECTURES), found=", ".join(sorted(unknown)))
    trials = [trial for trial in trials_of(side, settings, times) if trial.architecture in (networks or ARCHITECTURES)]
    material = Material(VoiceCache.open(data / "cache"), load_speaker(data / "speaker"), settings)
    runs = observe_all(trials, material, health, 0, scratch.folder, jobs)
    _write(runs, settings, health, side, out)


def _write(runs: Mapping, settings: object, health: object, side: str, out: Path) -> None:
    import pandas as pd

    from soundgate.runtime.files import write_json, write_text
    from soundgate.runtime.ledger import jsonable
    from soundgate.tracks.voice.faults.results import draw_curve, fault_table, summarise
    from soundgate.tracks.voice.faults.scoring import curve, outcomes_of

    points = curve(runs, settings, health)
    outcomes = outcomes_of(runs, settings, health)
    summary = summarise(outcomes)
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / f"faults_{side}.csv", fault_table(outcomes).to_csv(index=False))
    write_text(out / f"curve_{side}.csv", pd.json_normalize(points).round(6).to_csv(index=False))
    draw_curve(points, out / f"curve_{side}.png")
    write_json(out / f"summary_{side}.json", jsonable(summary))
    for line in _lines(summary):
        click.echo(line)


def _lines(summary: dict) -> Sequence[str]:
    names = {
        "found": "faults found", "false_alarms": "false alarms in 1,000 steps",
        "healthy_runs_with_alarm": "healthy trainings with an alarm",
    }  # fmt: skip
    return [f"{text}: {_told(summary[name])}" for name, text in names.items()]


def _told(estimate: Mapping[str, float | None]) -> str:
    """Return a value with its interval; "?" where there is none, as of one kind of fault alone."""
    keys = ("value", "ci_low", "ci_high")
    value, low, high = ("?" if estimate[key] is None else f"{estimate[key]:.3g}" for key in keys)
    return f"{value} [{low}, {high}], n = {estimate['n']}"
