"""From experiments to collected runs: of the queue here, or of DVC's own commands in the repository."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from ruamel.yaml import YAML

from soundgate.pipeline.workplace import git
from soundgate.runtime.config import PARAMS_FILE
from soundgate.runtime.console import logger
from soundgate.runtime.errors import TrainingError
from soundgate.tracks.voice.ablations.collected import read_card, run_folder, write_run
from soundgate.tracks.voice.ablations.judges import judges_hear
from soundgate.tracks.voice.ablations.planning import Pipeline, Planned, digest_of

_CODE = ("src", "stages")


def collect(
    run: Planned, experiment: str, where: Path, pipeline: Pipeline, collected: Path, further: Mapping[str, object]
) -> None:
    """Keep what an experiment gave as a run.

    Args:
        run: which.
        experiment: its commit.
        where: the repository that has it.
        pipeline: see `Pipeline`.
        collected: the profile's folder of collected runs.
        further: what its card says beside the run and its judges.

    Raises:
        TrainingError: the experiment lacks a file.
    """
    scores, audit = (
        git(where, "show", f"{experiment}:{path.format(profile=run.profile)}") + "\n"
        for path in (pipeline.scores, pipeline.audit)
    )
    card = {
        "arm": run.arm,
        "seed": run.seed,
        "name": run.name,
        "overrides": list(run.further),
        "changed": run.changed,
        "code": run.code,
        "experiment": experiment,
        "judges": judges_hear(json.loads(audit), pipeline.checks),
    }
    write_run(run_folder(collected, run.arm, run.seed), scores, card | dict(further))


def collect_native(runs: Sequence[Planned], pipeline: Pipeline, collected: Path, root: Path) -> list[str]:
    """Collect what `dvc exp run` made in the repository: experiments with the parameters and the code of planned runs.

    Whatever they are named and whatever commit they began with; what is collected already is left as it is, and
    experiments of other parameters or of other code than the working tree's are passed over.

    Args:
        runs: that are looked for.
        pipeline: see `Pipeline`.
        collected: the profile's folder of collected runs.
        root: of the repository.

    Returns:
        Names of the experiments that were collected.
    """
    wanted = {run.digest: run for run in runs if not is_collected(run, collected)}
    names = []
    for line in git(root, "for-each-ref", "--format=%(objectname) %(refname)", "refs/exps/").splitlines():
        experiment, ref = line.split(" ", 1)
        parts = ref.split("/")
        if len(parts) != 5 or len(parts[2] + parts[3]) != 40:  # Of DVC's queue, not experiments.
            continue
        run = wanted.get(_digest(experiment, pipeline, runs[0].code, root))
        if run is None or git(root, "diff", "--name-only", experiment, "--", *_present(root)):
            continue
        further = dict.fromkeys(("train_seconds", "gpu_seconds", "peak_memory_mb"))
        try:
            collect(run, experiment, root, pipeline, collected, {"commit": parts[2] + parts[3]} | further)
        except TrainingError as error:
            logger.warning("Experiment %s is passed over: %s", parts[4], error)
            continue
        logger.info("Collected: %s, seed %d, from experiment %s", run.arm, run.seed, parts[4])
        names.append(parts[4])
        del wanted[run.digest]
    return names


def is_collected(run: Planned, collected: Path) -> bool:
    """Whether a run is there, with the parameters and the code that it is planned with."""
    card = read_card(run_folder(collected, run.arm, run.seed))
    return card is not None and card.get("name") == run.name


def _digest(experiment: str, pipeline: Pipeline, code: str, root: Path) -> str | None:
    params = YAML(typ="safe").load(git(root, "show", f"{experiment}:{PARAMS_FILE}"))
    if len(params.get("profile") or ()) != 1:
        return None
    return digest_of(params["profile"][0], params, pipeline, code)


def _present(root: Path) -> list[str]:
    return [name for name in _CODE if (root / name).exists()]
