"""What ``soundgate repro`` does: compose, run, show the gates."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from soundgate.pipeline import compose, gates, reproduce
from soundgate.pipeline.code import refresh_libraries
from soundgate.pipeline.inputs import NEEDS, missing
from soundgate.runtime.config import read_params
from soundgate.runtime.console import logger


def run(overrides: Sequence[str], jobs: int | None, tracks: Collection[str], root: Path = Path()) -> int:
    """Run what is out of date, then show the gates.

    Args:
        overrides: composed into ``params.yaml`` first; none: it is run as it stands.
        jobs: stages at a time; None: as `default_jobs` says.
        tracks: run only these; by default all whose corpora are given.
        root: the repository.

    Returns:
        The exit code.
    """
    if overrides and compose.compose_file(overrides):
        restore = "`soundgate compose` restores the default"
        logger.info("params.yaml: composed anew for %s; %s", " ".join(overrides), restore)
    params = read_params()
    for track in NEEDS:
        lacking = missing(track, params)
        if lacking and (not tracks or track in tracks):
            what = " and ".join(f"no {corpus.what} ({corpus.setting})" for corpus in lacking)
            logger.info("not run: %s: %s", track, what)
    refresh_libraries(root)
    code = reproduce.reproduce(root, jobs or reproduce.default_jobs(), reproduce.stage_environment(), tracks)
    if code == 0:
        gates.show(gates.default_profile())
    return code
