"""What ``soundgate repro`` does: compose, run, show the gates, write the report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from soundgate.pipeline import compose, gates, reproduce, verify
from soundgate.pipeline.code import refresh_libraries
from soundgate.pipeline.dvc_errors import check_site_cache
from soundgate.pipeline.names import check_names
from soundgate.pipeline.report.page import report_line
from soundgate.pipeline.tracks import tracks_to_run
from soundgate.runtime.config import read_params
from soundgate.runtime.console import logger


def run(overrides: Sequence[str], jobs: int | None, options: Sequence[str], root: Path = Path()) -> int:
    """Run what is out of date, then show the gates and write the report.

    Args:
        overrides: composed into ``params.yaml`` first; none: it is run as it stands.
        jobs: stages at a time; None: as `default_jobs` says.
        options: tracks to run, one or several names each; none: all whose corpora are given.
        root: the repository.

    Returns:
        The exit code.
    """
    if overrides and compose.compose_file(overrides):
        restore = "`soundgate compose` restores the default"
        logger.info("params.yaml: composed anew for %s; %s", " ".join(overrides), restore)
    params = read_params()
    check_names(params)
    tracks, not_run = tracks_to_run(params, options)
    for line in not_run:
        logger.warning(line)
    check_site_cache(root)
    refresh_libraries(root)
    code = reproduce.reproduce(root, jobs or reproduce.default_jobs(), reproduce.stage_environment(), tracks)
    if code == 0:
        profile = gates.default_profile()
        gates.show(profile)
        click.echo(report_line(root, profile))
        click.echo(verify.verify_line(root, profile))
    return code
