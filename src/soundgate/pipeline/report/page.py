"""The report's page: one HTML file, with pictures and sounds beside it."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from soundgate.evaluation.verdicts import FAIL, PASS, UNDECIDED
from soundgate.pipeline.report import gate_rows, graph
from soundgate.pipeline.report.content import read_pipeline, read_tracks
from soundgate.runtime.errors import SoundgateError
from soundgate.runtime.files import write_text

FOLDER, PAGE = "reports", "index.html"


def write_report(root: Path, profile: str, revision: str | None = None) -> Path:
    """Write ``reports/<profile>/index.html`` with the pictures and sounds it shows.

    It opens from disk and needs no server. The same results give the same page.

    Args:
        root: of the repository.
        profile: whose results.
        revision: a commit, branch, tag or experiment whose gates are compared with; None: none.

    Returns:
        The page.

    Raises:
        GateError: no track has been run, or there is no such revision.
    """
    folder = root / FOLDER / profile
    folder.mkdir(parents=True, exist_ok=True)
    tracks = read_tracks(root, profile, folder, revision)
    totals = {verdict: sum(track.counts[verdict] for track in tracks) for verdict in (PASS, FAIL, UNDECIDED)}
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(files(__package__).joinpath("templates", "report.html").read_text("utf-8"))
    page = template.render(
        profile=profile,
        revision=revision,
        totals=totals,
        tracks=tracks,
        pipeline=read_pipeline(root, profile),
        bar_width=gate_rows.WIDTH,
        box=graph.BOX,
    )
    write_text(folder / PAGE, page)
    return folder / PAGE


def report_line(root: Path, profile: str) -> str:
    """Write the report, beside what is committed where there is a repository; say where it is, or why it is not."""
    try:
        return f"report: {write_report(root, profile, 'HEAD' if (root / '.git').exists() else None)}"
    except SoundgateError as error:
        return f"report: not written. {error}"
