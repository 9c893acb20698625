"""Gate verdicts of a profile, shown as a table to a person: ``soundgate gates``."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from soundgate.evaluation.verdicts import FAIL, PASS, UNDECIDED, Verdict, overall, verdict_text
from soundgate.pipeline.code_hashes import read_hashes
from soundgate.pipeline.comparison import KINDS, Compared, compare
from soundgate.pipeline.gate_files import SEEDS, TRACKS, Gates, Revision, gates_path, read_gates
from soundgate.pipeline.seeds.age import age_of, read_spread
from soundgate.runtime.config import read_params
from soundgate.runtime.errors import ConfigError, GateError
from soundgate.runtime.stage import errors_in_one_line

WIDTH = 100
COLOURS = {PASS: "green", FAIL: "red", UNDECIDED: "yellow", None: "dim"}


def show(profile: str, root: Path = Path(), console: Console | None = None, tracks: Sequence[str] = TRACKS) -> Verdict:
    """Print the gates of the tracks that have been run, and return the verdict on all of them together.

    Args:
        profile: whose gates.
        root: of the repository.
        console: to print to.
        tracks: that may be shown.

    Raises:
        GateError: none of the tracks has been run.
    """
    found = read_run(root, profile, tracks)
    given = [gate["verdict"] for gates in found.values() for gate in gates.values()]
    counts = f"{given.count(PASS)} of {len(given)} pass, {given.count(FAIL)} fail, {given.count(UNDECIDED)} undecided"
    table = _table("gate", "value", "95 % interval", "n", "needs", "seeds", "verdict")
    hashes = read_hashes(root)
    for track, gates in found.items():
        path = root / gates_path(profile, track, SEEDS)
        age = age_of(read_spread(path), hashes) if path.is_file() else ""
        for prefix, own in _by_part(gates).items():
            table.add_row(f"[bold]{escape(' '.join(filter(None, [track, prefix])))}[/bold]")
            for name, gate in own.items():
                table.add_row(f"  {escape(name)}", *_cells(gate, age))
    out = console or plain_console()
    out.print(f"[bold]Gates of profile {escape(profile)}: {counts}[/bold]")
    out.print(table)
    _say_what_is_missing(out, "not run", set(tracks) - set(found))
    return overall(given)


def show_changes(
    profile: str, name: str, root: Path = Path(), console: Console | None = None, tracks: Sequence[str] = TRACKS
) -> Verdict:
    """Print the gates that differ from those of a revision, and return the verdict on all of them together.

    Args:
        profile: whose gates.
        name: see `soundgate.pipeline.gate_files.Revision`.
        root: of the repository.
        console: to print to.
        tracks: that may be shown.

    Raises:
        GateError: no track has been run, or there is no such revision.
    """
    now = read_run(root, profile, tracks)
    before = Revision(root, name).read_gates(profile, tracks)
    compared = compare(before, now)
    changed = [one for one in compared if one.kind != "equal"]
    table = _table("gate", escape(name), "now", "needs", "verdict")
    for kind in KINDS:
        for one in (one for one in changed if one.kind == kind):
            table.add_row(*_change_cells(one))
    out = console or plain_console()
    out.print(f"[bold]Profile {escape(profile)}: {len(changed)} of {len(compared)} gates differ from {escape(name)}[/]")
    if changed:
        out.print(table)
    _say_what_is_missing(out, "not run", set(tracks) - set(now))
    _say_what_is_missing(out, f"not in {name}", set(now) - set(before))
    return overall(gate["verdict"] for gates in now.values() for gate in gates.values())


def read_run(root: Path, profile: str, tracks: Sequence[str] = TRACKS) -> dict[str, Gates]:
    """Return the gates of the tracks that have been run.

    Raises:
        GateError: none of them has.
    """
    found = read_gates(root, profile, tuple(tracks))
    if not found:
        where = root / gates_path(profile, tracks[0] if len(tracks) == 1 else "<track>")
        remedy = f"Run: soundgate repro profile={profile}"
        raise GateError(where, expected="the gates of this profile", found="no such file", remedy=remedy)
    return found


def plain_console() -> Console:
    """Return where tables go: as wide as the terminal, `WIDTH` columns where there is none."""
    return Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False)


def default_profile() -> str:
    """Return the profile ``params.yaml`` was composed for.

    Raises:
        ConfigError: it names none.
    """
    profile = read_params().get("profile")
    if not isinstance(profile, list) or len(profile) != 1 or not isinstance(profile[0], str):
        raise ConfigError("profile", expected="a list of one name", found=repr(profile))
    return profile[0]


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(columns[0], overflow="fold")
    for name in columns[1:]:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _by_part(gates: Gates) -> dict[str, Gates]:
    """Return gates named ``<variant>/<part>: <gate>`` by variant and part; the others under an empty name."""
    parts: dict[str, Gates] = {}
    for name, gate in gates.items():
        prefix, _, own = name.rpartition(": ")
        parts.setdefault(prefix, {})[own] = gate
    return parts


def _cells(gate: Mapping, age: str) -> list[str]:
    ends = gate.get("ci_low"), gate.get("ci_high")
    interval = "" if None in ends else f"{ends[0]:.3g}…{ends[1]:.3g}"
    n = "" if gate.get("n") is None else str(gate["n"])
    seeds = {"measured": "", "unknown": " ?", "old": " old"}
    trained = "" if age in ("", "nothing trained") else "one seed"
    known = f"{gate['seeds']}{seeds[age]}" if gate.get("seeds") and age in seeds else trained
    return [_number(gate["value"]), interval, n, _needs(gate), known, _coloured(gate)]


def _change_cells(one: Compared) -> list[str]:
    before, now = one.before or {}, one.now or {}
    said = " → ".join(dict.fromkeys(_coloured(gate) for gate in (before, now)))
    name = f"{one.track} {escape(one.gate)}"
    return [name, *(_number(gate.get("value")) if gate else "" for gate in (before, now)), _needs(now or before), said]


def _coloured(gate: Mapping) -> str:
    return f"[{COLOURS[gate.get('verdict')]}]{verdict_text(gate) if gate else 'none'}[/]"


def _needs(gate: Mapping) -> str:
    return f"{'≤' if gate['side'] == 'below' else '≥'} {gate['threshold']:.4g}"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4g}"


def _say_what_is_missing(out: Console, what: str, tracks: set[str]) -> None:
    if tracks:
        out.print(f"{escape(what)}: {', '.join(track for track in TRACKS if track in tracks)}")


@click.command("gates", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--profile", help="Profile to show; by default the one params.yaml was composed for.")
@click.option("--track", "tracks", multiple=True, type=click.Choice(TRACKS), help="Only this track; may be repeated.")
@click.option("--diff", metavar="REV", help="Show what differs from a commit, branch, tag or experiment.")
@click.option("--strict", is_flag=True, help="Exit 1 unless every gate shown passes.")
def main(profile: str | None, tracks: tuple[str, ...], diff: str | None, strict: bool) -> None:
    """Show the exit gates of a profile: value, interval, threshold, verdict."""
    with errors_in_one_line():
        asked = profile or default_profile()
        own = tracks or TRACKS
        verdict = show(asked, tracks=own) if diff is None else show_changes(asked, diff, tracks=own)
    if strict and verdict != PASS:
        sys.exit(1)


if __name__ == "__main__":
    main()
