"""Everything the report shows, read from a profile's results."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import networkx as nx
from dvc.exceptions import DvcException
from dvc.repo import Repo
from omegaconf import OmegaConf

from soundgate.evaluation.verdicts import verdict_text
from soundgate.pipeline.comparison import Compared, compare
from soundgate.pipeline.compose import compose_text
from soundgate.pipeline.durations import read_durations
from soundgate.pipeline.gate_files import TRACKS, Gates, Revision
from soundgate.pipeline.gates import read_run
from soundgate.pipeline.report.gate_rows import Row, gate_rows, needs_text, value_text
from soundgate.pipeline.report.graph import Lane, lanes
from soundgate.pipeline.report.parameters import Changed, changed_parameters
from soundgate.pipeline.report.sounds import Sample, copy_samples
from soundgate.pipeline.report.stories import STORIES, Story
from soundgate.runtime.config import read_params
from soundgate.runtime.console import logger

SAMPLES = 4


@dataclass(frozen=True)
class Finding:
    """One answer to a track's question.

    Args:
        says: what the value is, in words.
        variant: that it is about; empty: there is one only.
        value: with its interval.
        needs: what the gate asks for.
        verdict: pass, fail, undecided.
        shown: the verdict in words.
    """

    says: str
    variant: str
    value: str
    needs: str
    verdict: str
    shown: str


@dataclass(frozen=True)
class Picture:
    """A picture beside the page.

    Args:
        path: relative to the page.
        caption: what it shows.
    """

    path: str
    caption: str


@dataclass(frozen=True)
class TrackResult:
    """What the report shows of one track.

    Args:
        name: of the track.
        question: that it was built to answer.
        counts: gates by verdict.
        findings: the gates that answer the question.
        rows: all gates.
        pictures: that carry the argument.
        samples: to listen to.
        links: further files by caption, relative to the page.
    """

    name: str
    question: str
    counts: Mapping[str, int]
    findings: Sequence[Finding]
    rows: Sequence[Row]
    pictures: Sequence[Picture]
    samples: Sequence[Sample]
    links: Mapping[str, str]


@dataclass(frozen=True)
class Pipeline:
    """What the report shows of how the results were made.

    Args:
        lanes: stages by track; empty: the pipeline is composed for another profile.
        changed: parameters that differ from the profile's default; None: not known, for the same reason.
    """

    lanes: Sequence[Lane]
    changed: Sequence[Changed] | None


def read_tracks(root: Path, profile: str, folder: Path, revision: str | None) -> list[TrackResult]:
    """Read the results of the tracks that have been run; copy their pictures and sounds beside the page.

    Args:
        root: of the repository.
        profile: whose results.
        folder: of the page.
        revision: to compare with; None: none.

    Raises:
        GateError: no track has been run, or there is no such revision.
    """
    run = read_run(root, profile)
    before = {} if revision is None else Revision(root, revision).read_gates(profile)
    found = []
    for track, gates in run.items():
        compared = compare({track: before[track]}, {track: gates}) if track in before else []
        found.append(_track(root, profile, folder, track, gates, {one.gate: one for one in compared if one.now}))
    return found


def read_pipeline(root: Path, profile: str) -> Pipeline:
    """Ask DVC for the stages and what is out of date; where another run holds the repository, that stays unknown."""
    params = read_params(root / "params.yaml")
    if params.get("profile") != [profile]:
        return Pipeline([], None)
    default = OmegaConf.to_container(OmegaConf.create(compose_text([f"profile={profile}"], root / "conf")))
    with Repo(root) as repo:
        graph = nx.relabel_nodes(repo.index.graph, lambda stage: stage.addressing)
        try:
            stale = set(repo.status())
        except DvcException as error:
            logger.warning("report: what is out of date is not known: %s", " ".join(str(error).split()))
            stale = None
    return Pipeline(lanes(graph, read_durations(root), stale, TRACKS), changed_parameters(default, params))


def findings(story: Story, gates: Gates) -> list[Finding]:
    """Return the gates that answer a track's question, in the order of its story."""
    found = []
    for pattern, says in story.findings.items():
        for name in (name for name in gates if fnmatchcase(name, pattern)):
            variant = name.partition(":")[0].partition("/")[0] if "*" in pattern else ""
            gate = gates[name]
            shown = value_text(gate), needs_text(gate), gate["verdict"], verdict_text(gate)
            found.append(Finding(says, variant, *shown))
    return found


def _track(
    root: Path, profile: str, folder: Path, track: str, gates: Gates, changes: Mapping[str, Compared]
) -> TrackResult:
    story = STORIES[track]
    verdicts = [gate["verdict"] for gate in gates.values()]
    pictures = [
        _picture(root / "plots" / profile, path, caption, folder)
        for pattern, caption in story.pictures.items()
        for path in sorted((root / "plots" / profile).glob(pattern))
    ]
    pack = (root / "data" / profile / story.samples).parent
    samples = copy_samples(pack, folder, track, SAMPLES) if story.samples else []
    return TrackResult(
        track,
        story.question,
        {verdict: verdicts.count(verdict) for verdict in ("pass", "fail", "undecided")},
        findings(story, gates),
        gate_rows(gates, changes),
        pictures,
        samples,
        _links(root, profile, folder, story),
    )


def _picture(plots: Path, path: Path, caption: str, folder: Path) -> Picture:
    inside = path.relative_to(plots)
    copy = Path("pictures", "_".join(inside.parts))
    (folder / copy).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, folder / copy)
    variant = f" ({inside.parts[1]})" if len(inside.parts) > 2 and inside.parts[0].startswith("structure") else ""
    return Picture(copy.as_posix(), caption + variant)


def _links(root: Path, profile: str, folder: Path, story: Story) -> dict[str, str]:
    """Return the reports and the listening page that there are, by name."""
    metrics = root / "metrics" / profile
    paths = [path for pattern in story.details for path in sorted(metrics.glob(pattern))]
    named = {path.relative_to(metrics).as_posix(): path for path in paths}
    page = root / "data" / profile / story.samples
    if story.samples and page.is_file():
        named["all samples"] = page
    return {name: Path(os.path.relpath(path, folder)).as_posix() for name, path in named.items()}
