"""One session of triage from its options to its lists."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

from soundgate.tracks.transfer.triage.clips import read_listing
from soundgate.tracks.transfer.triage.decisions import ACCEPT, REJECT, SKIP
from soundgate.tracks.transfer.triage.server import serve
from soundgate.tracks.transfer.triage.session import UNDECIDED, Session
from soundgate.tracks.transfer.triage.terminal import run_terminal

_SHOWN_ROWS = 5


@dataclass(frozen=True)
class TriageOptions:
    """What to listen to, and how.

    Args:
        table: CSV of the clips.
        path_column: of the table.
        base_dir: the folder the paths are relative to.
        session_name: names the session's folder and its order.
        out: sessions' folder.
        max_clips: how many clips to go through; None: all.
        terminal: whether to stay in the terminal.
        port: of the page; 0 takes a free one.
        auto_open: whether to open the page in the browser.
        seed: of the order.
        blind: whether names, paths and scores stay hidden until the export.
    """

    table: Path
    path_column: str
    base_dir: Path
    session_name: str
    out: Path
    max_clips: int | None
    terminal: bool
    port: int
    auto_open: bool
    seed: int
    blind: bool


def run_triage(options: TriageOptions) -> None:
    """Go through a session, then write its lists.

    Raises:
        ConfigError: an option that will not do; see `read_listing`, `Session` and `serve`.
        FormatError: a table or an earlier session that cannot be read.
    """
    listing = read_listing(options.table, options.path_column, options.base_dir)
    session = Session(options.session_name, listing, options.out, options.max_clips, options.seed, options.blind)
    counts = session.counts()
    click.echo(
        f"Session {session.name}: {counts['total']} clips, {counts[ACCEPT]} accepted, {counts[REJECT]} rejected, "
        f"{counts[SKIP]} skipped, {counts[UNDECIDED]} undecided."
    )
    if listing.unusable:
        click.secho(f"{len(listing.unusable)} rows cannot be used:", fg="yellow")
        for clip in listing.unusable[:_SHOWN_ROWS]:
            click.echo(f"  row {clip.row + 1}, {clip.path!r}: {clip.problem}")
        if len(listing.unusable) > _SHOWN_ROWS:
            click.echo(f"  and {len(listing.unusable) - _SHOWN_ROWS} more; all are in unusable.csv at the end.")
    try:
        if options.terminal:
            run_terminal(session)
        else:
            serve(session, options.port, options.auto_open)
    finally:
        written = session.close()
    counts = session.counts()
    click.echo(f"{counts[ACCEPT]} accepted, {counts[REJECT]} rejected: {', '.join(map(str, written))}")
