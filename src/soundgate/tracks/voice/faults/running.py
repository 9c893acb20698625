"""Trainings with and without faults under the monitor, and what it said."""

from __future__ import annotations

import copy
import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch

from soundgate.runtime.execution import map_items
from soundgate.runtime.ledger import Ledger
from soundgate.runtime.randomness import keyed_seed
from soundgate.tracks.voice.cache import VoiceCache
from soundgate.tracks.voice.faults.injecting import FAULTS, FaultyTask
from soundgate.tracks.voice.faults.settings import FaultSettings
from soundgate.tracks.voice.gan.task import GanTask
from soundgate.tracks.voice.speaker.model import SpeakerEncoder
from soundgate.training.health.records import RECORDS_FILE, Record, read_records
from soundgate.training.health.settings import HealthSettings
from soundgate.training.loop import fit

STAGE = "voice-health"
HEALTHY = "healthy"


class Run(NamedTuple):
    """One training.

    Args:
        fault: planted; None: none.
        number: among the trainings of the same kind, which have weights and batches of their own.
    """

    fault: str | None
    number: int

    @property
    def name(self) -> str:
        """For people and files."""
        return f"{self.fault or HEALTHY}-{self.number}"


class Trials(NamedTuple):
    """What all trainings have in common.

    Args:
        cache: utterances to train on.
        speaker: the speaker encoder.
        settings: see `FaultSettings`.
        health: what is put to the test; interval, window and settled are the trials' own.
        seed: of all draws.
        ledger: keeps what is finished.
    """

    cache: VoiceCache
    speaker: SpeakerEncoder
    settings: FaultSettings
    health: HealthSettings
    seed: int
    ledger: Ledger

    @property
    def watched(self) -> HealthSettings:
        """The monitor's settings in the trainings."""
        own = {name: getattr(self.settings, name) for name in ("interval", "window", "settled")}
        return self.health.model_copy(update=own | {"enabled": True})


def observe_all(trials: Trials) -> dict[Run, list[dict]]:
    """Return what the monitor wrote of every training, less what depends on the machine.

    Returns:
        For each run its records: ``step``, ``status``, ``is_check``, ``findings`` (rule, level, subject), ``metrics``.
    """
    seen = map_items(partial(_observe_once, trials), range(trials.settings.n_healthy), "faults")
    runs: dict[Run, list[dict]] = {}
    for number, found in enumerate(seen):
        runs |= {Run(None if kind == HEALTHY else kind, number): records for kind, records in found.items()}
    return runs


def _observe_once(trials: Trials, number: int) -> dict[str, list[dict]]:
    return trials.ledger.once(f"trial-{number}", lambda: observe(trials, number))


def observe(trials: Trials, number: int) -> dict[str, list[dict]]:
    """Train once as far as faults come, and go on from there without any and, in the first trials, with each.

    Returns:
        Records as in `observe_all`, by fault and ``healthy``.
    """
    faults = list(FAULTS) if number < trials.settings.n_faulty else []
    seen = {}
    with tempfile.TemporaryDirectory() as folder:
        before = Path(folder, "before")
        _train(trials, number, None, trials.settings.fault_epoch, before)
        for fault in (None, *faults):
            own = Path(folder, fault or HEALTHY)
            shutil.copytree(before, own)
            _train(trials, number, fault, trials.settings.train.loop.epochs, own)
            seen[fault or HEALTHY] = [_timeless(record) for record in read_records(own / RECORDS_FILE)]
    return seen


def _train(trials: Trials, number: int, fault: str | None, epochs: int, folder: Path) -> None:
    settings, seed = trials.settings, keyed_seed(trials.seed, STAGE, f"trial {number}")
    speaker = copy.deepcopy(trials.speaker)
    task = GanTask(trials.cache, speaker, settings.train, seed, settings.n_steps, torch.device("cpu"))
    fit(
        FaultyTask(task, fault), settings.train.task_loop.model_copy(update={"epochs": epochs}),
        len(trials.cache.rows("train")), seed=seed, name=f"trial {number}",
        checkpoint=folder / "checkpoint.pt", health=trials.watched, diagnostics=folder,
    )  # fmt: skip


def _timeless(record: Record) -> dict:
    kept = {name: value for name, value in record.metrics.items() if not name.startswith(("speed/", "memory/"))}
    findings = [[finding.rule, finding.level, finding.subject] for finding in record.findings]
    return {
        "step": record.step, "status": record.status, "is_check": record.is_check, "findings": findings,
        "metrics": kept,
    }  # fmt: skip
