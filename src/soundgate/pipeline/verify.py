"""A run beside what is committed: equal in bytes, equal within the interval, or another verdict."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click

from soundgate.pipeline.comparison import DIFFER, Compared, compare
from soundgate.pipeline.gate_files import TRACKS, Revision
from soundgate.pipeline.gates import default_profile, read_run
from soundgate.runtime.errors import SoundgateError
from soundgate.runtime.stage import errors_in_one_line

NAMED = {"equal": "equal", "within": "within their intervals", "beyond": "beyond them", "new": "new", "gone": "gone"}


def verify(root: Path, profile: str, name: str = "HEAD", tracks: Sequence[str] = TRACKS) -> tuple[list[str], bool]:
    """Compare a run's results with those of a revision.

    Args:
        root: of the repository.
        profile: whose results.
        name: see `soundgate.pipeline.gate_files.Revision`.
        tracks: that are compared, those of them that have been run.

    Returns:
        What there is to say, a line a track and one for all; and whether no decision flips: no gate that passed fails,
        and none that failed passes. A verdict that became undecided, or was, is named, but flips nothing.

    Raises:
        GateError: no track has been run, no Git, no repository, or no such revision.
    """
    now = read_run(root, profile, tracks)
    revision = Revision(root, name)
    before = revision.read_gates(profile, tuple(now))
    if not before:
        return [f"verify: no gates of profile {profile} are committed at {name}: nothing to compare"], True
    compared = compare(before, now)
    lines = [
        f"{track}: {_files(revision, profile, track)}; {_counts([one for one in compared if one.track == track])}"
        for track in now
        if track in before
    ]
    missing = {"not run": set(tracks) - set(now), f"not in {name}": set(now) - set(before)}
    lines += [f"{what}: {', '.join(sorted(own, key=TRACKS.index))}" for what, own in missing.items() if own]
    return [*lines, f"verify: {_counts(compared)}"], all(one.kind != "flips" for one in compared)


def verify_line(root: Path, profile: str, name: str = "HEAD") -> str:
    """Return the last line of `verify`, or why nothing can be compared."""
    try:
        return verify(root, profile, name)[0][-1]
    except SoundgateError as error:
        return f"verify: nothing compared. {error}"


def _counts(compared: Sequence[Compared]) -> str:
    kinds = Counter(one.kind for one in compared)
    counts = [f"{kinds[kind]} {said}" for kind, said in NAMED.items() if kinds[kind] or kind in ("equal", "within")]
    differing = [one for one in compared if one.kind in DIFFER]
    verb = "verdict differs" if len(differing) == 1 else "verdicts differ"
    listed = f" ({'; '.join(map(str, differing))})" if differing else ""
    flips = f", {kinds['flips']} of them from pass to fail or back" if kinds["flips"] else ""
    return f"{len(compared)} gates: {', '.join(counts)}, {len(differing)} {verb}{listed}{flips}"


def _files(revision: Revision, profile: str, track: str) -> str:
    folders = Path("metrics", profile), Path("plots", profile)
    own = {path for path in revision.files(*folders) if _track_of(path) == track}
    equal = own - revision.changed(*folders)
    return f"{len(equal)} of {len(own)} files equal in bytes"


def _track_of(path: str) -> str:
    """Return the track of a file below ``metrics/<profile>`` or ``plots/<profile>``."""
    parts = Path(path).parts[2:]
    # A track's folders are its own, those of its parts (structure_pairs), and its table among those of all tracks.
    name = parts[1] if parts[0] == "gates" and len(parts) > 1 else parts[0]
    return name.partition(".")[0].partition("_")[0]


@click.command("verify", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("revision", default="HEAD", metavar="[REV]")
@click.option("--profile", help="Profile to compare; by default the one params.yaml was composed for.")
@click.option("--track", "tracks", multiple=True, type=click.Choice(TRACKS), help="Only this track; may be repeated.")
def main(revision: str, profile: str | None, tracks: tuple[str, ...]) -> None:
    """Compare the results of a run with those committed at REV (by default HEAD).

    Exit code 1 only where a gate passes that failed, or fails that passed.
    """
    with errors_in_one_line():
        lines, agrees = verify(Path(), profile or default_profile(), revision, tracks or TRACKS)
    click.echo("\n".join(lines))
    if not agrees:
        sys.exit(1)


if __name__ == "__main__":
    main()
