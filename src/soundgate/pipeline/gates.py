"""Gate verdicts of a profile: gathered into a summary by the pipeline, shown as a table to a person."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import click
import pandas as pd
from rich.console import Console
from rich.table import Table

from soundgate.evaluation.gates import summarise
from soundgate.runtime.config import Section, read_params
from soundgate.runtime.errors import ConfigError, GateError
from soundgate.runtime.files import read_json, write_json, write_text
from soundgate.runtime.stage import errors_in_one_line

# `name` is what plots draw: a gate's own name stands once in every variant of a track.
COLUMNS = ["name", "track", "gate", "value", "side", "threshold", "margin", "pass", "ci_low", "ci_high", "n", "control"]


class SummarySettings(Section):
    """Section ``gates.summary``.

    Args:
        tracks: variants by track; a track without any has one gate file of its own.
        parts: by track, folders inside each variant's with a gate file more.
    """

    tracks: dict[str, tuple[str, ...]]
    parts: dict[str, tuple[str, ...]] = {}


def read_verdicts(settings: SummarySettings, folders: Sequence[Path]) -> dict[str, dict[str, dict]]:
    """Read the gate files of a profile: ``<folder>[/<variant>][/<part>]/gates.json``.

    Only the variants that are named are read: what an earlier composition left there does not count.

    Args:
        settings: the variants of each track.
        folders: one for each track, whose name is the folder's: ``metrics/<profile>/<track>``.

    Raises:
        ConfigError: the folders are not those of the tracks named.
        GateError: a gate file is missing.
    """
    by_track = {folder.name: folder for folder in folders}
    if set(by_track) != set(settings.tracks):
        raise ConfigError(
            "gates.summary.tracks",
            expected=f"the tracks {', '.join(by_track)}",
            found=", ".join(settings.tracks),
        )
    verdicts = {}
    for track, variants in settings.tracks.items():
        for variant, part in product(variants or ("",), ("", *settings.parts.get(track, ()))):
            folder = Path(variant, part)
            path = by_track[track] / folder / "gates.json"
            if not path.is_file():
                raise GateError(path, expected="a track's verdicts", found="no such file", remedy="Run: dvc repro")
            verdicts[(track / folder).as_posix()] = read_json(path)
    return verdicts


def gate_table(verdicts: dict[str, dict[str, dict]]) -> pd.DataFrame:
    """Return one row for each gate, with the columns ``COLUMNS``; what a verdict lacks is empty."""
    rows = [
        {"name": f"{track}: {gate}", "track": track, "gate": gate} | result
        for track, gates in verdicts.items()
        for gate, result in gates.items()
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def write_summary(settings: SummarySettings, folders: Sequence[Path], summary: Path, table: Path) -> None:
    """Write the counts as JSON and one row for each gate as CSV; see ``read_verdicts``.

    Raises:
        GateError: a gate file is missing, or a track has no gate.
    """
    verdicts = read_verdicts(settings, folders)
    write_json(summary, summarise(verdicts))
    write_text(table, gate_table(verdicts).to_csv(index=False, lineterminator="\n"))


def show(profile: str, root: Path = Path(), console: Console | None = None) -> bool:
    """Print a profile's gates and return whether all of them pass.

    Raises:
        GateError: the profile has no summary yet.
    """
    path = root / "plots" / profile / "gates.csv"
    if not path.is_file():
        remedy = f"Run: soundgate repro profile={profile}"
        raise GateError(path, expected="the gates of this profile", found="no such file", remedy=remedy)
    gates = pd.read_csv(path)
    table = Table(title=f"Gates of profile {profile}: {int(gates['pass'].sum())} of {len(gates)} pass")
    table.add_column("gate", overflow="fold")
    for name in ("value", "95 % interval", "n", "threshold", "margin", "verdict"):
        table.add_column(name, justify="right", no_wrap=True)
    for track, rows in gates.groupby("track", sort=False):
        table.add_row(f"[bold]{track}[/bold]")
        for row in rows.to_dict("records"):
            table.add_row(*_cells(row))
        table.add_section()
    (console or Console(width=None if sys.stdout.isatty() else 120)).print(table)
    return bool(gates["pass"].all())


def _cells(row: dict) -> list[str]:
    sign = {"below": "≤", "above": "≥"}[row["side"]]
    interval = "" if pd.isna(row["ci_low"]) else f"{row['ci_low']:.4g} … {row['ci_high']:.4g}"
    n = "" if pd.isna(row["n"]) else f"{row['n']:.0f}"
    value, margin = ("none" if pd.isna(row[key]) else f"{row[key]:.4g}" for key in ("value", "margin"))
    result = "[green]pass[/green]" if row["pass"] else "[red]fail[/red]"
    return [f"  {row['gate']}", value, interval, n, f"{sign} {row['threshold']:.4g}", margin, result]


def default_profile() -> str:
    """Return the profile ``params.yaml`` was composed for.

    Raises:
        ConfigError: it names none.
    """
    profile = read_params().get("profile")
    if not isinstance(profile, list) or len(profile) != 1:
        raise ConfigError("profile", expected="a list of one name", found=repr(profile))
    return profile[0]


@click.command("gates", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--strict", is_flag=True, help="Exit 1 if a gate fails.")
@click.option("--profile", help="Profile to show; by default the one params.yaml was composed for.")
def main(strict: bool, profile: str | None) -> None:
    """Show the exit gates of a profile: value, interval, threshold, margin, verdict."""
    with errors_in_one_line():
        passed = show(profile or default_profile())
    if strict and not passed:
        sys.exit(1)


if __name__ == "__main__":
    main()
