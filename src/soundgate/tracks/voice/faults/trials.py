"""Trainings with and without faults under the monitor, and what it measured."""

from __future__ import annotations

import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import NamedTuple

from soundgate.runtime.execution import map_items
from soundgate.runtime.ledger import Ledger
from soundgate.runtime.randomness import keyed_seed
from soundgate.tracks.voice.faults.registry import FAULTS, Side, side_of_fault, side_of_trial
from soundgate.tracks.voice.faults.rigs import ARCHITECTURES, Material, Rig
from soundgate.tracks.voice.faults.settings import FaultSettings
from soundgate.training.health.records import RECORDS_FILE, Record, read_records
from soundgate.training.health.settings import HealthSettings
from soundgate.training.loop import LoopSettings, fit
from soundgate.training.task import Task

STAGE = "voice-health"
# A first measurement has used up the held-out trainings below: the rule for labels was changed after it.
_FIRST: dict[Side, int] = {"development": 0, "held_out": 100}
# Of no use for rules, and another on every machine.
_MACHINE = ("speed/", "memory/")


class Trial(NamedTuple):
    """One training.

    Args:
        architecture: a key of ``ARCHITECTURES``.
        fault: a key of ``FAULTS``; None: there is none.
        strength: position among the fault's strengths.
        number: of the training, which gives weights and batches.
    """

    architecture: str
    fault: str | None
    strength: int
    number: int

    @property
    def name(self) -> str:
        """For people and files."""
        return f"{self.architecture}-{self.fault or 'healthy'}-{self.strength}-{self.number}"


def trials_of(side: Side, settings: FaultSettings, times: int = 1) -> list[Trial]:
    """Return a side's trainings: every fault at every strength in every architecture where it can be, and none.

    Args:
        side: of faults and of numbers.
        settings: how many there are.
        times: so many times as many.
    """
    numbers = _numbers(side, times * settings.n_trials)
    faulty = [
        Trial(architecture, fault, strength, number)
        for fault, spec in FAULTS.items()
        if side_of_fault(fault) == side
        for architecture in spec.architectures
        for strength in range(len(spec.strengths))
        for number in numbers
    ]
    healthy = [
        Trial(architecture, None, 0, number)
        for architecture in ARCHITECTURES
        for number in _numbers(side, times * settings.trial(architecture).n_healthy)
    ]
    return faulty + healthy


def _numbers(side: Side, count: int) -> list[int]:
    first = _FIRST[side]
    return [number for number in range(first, first + 2 * count) if side_of_trial(number) == side]


class _Observed:
    """A task that is asked nothing at the end of an epoch."""

    def __init__(self, task: Task) -> None:
        self.modules, self.optimisers, self.step = task.modules, task.optimisers, task.step
        for name in ("probe", "seen", "losses"):
            if hasattr(task, name):
                setattr(self, name, getattr(task, name))

    def evaluate(self) -> dict[str, float]:
        return {}


def observe_all(
    trials: list[Trial],
    material: Material,
    health: HealthSettings,
    seed: int,
    folder: Path,
    jobs: int | None = None,
) -> dict[Trial, list[dict]]:
    """Return what the monitor measured in trainings.

    Those of one architecture and number into which a fault comes are one training up to there.

    Args:
        trials: of any kind.
        material: see `Material`.
        health: the monitor's settings, all but the interval.
        seed: of the experiment.
        folder: keeps what is finished; killed, the next call goes on.
        jobs: trainings at a time; see `map_items`.

    Returns:
        For each its records: ``step``, ``is_check``, ``metrics``, less what depends on the machine.
    """
    run = partial(_observe, material=material, health=health, seed=seed, folder=folder)
    healthy = [trial._replace(fault=None, strength=0) for trial in trials if _comes(trial)]
    for _ in map_items(partial(run, is_beginning=True), dict.fromkeys(healthy), "before faults", jobs):
        pass
    return dict(zip(trials, map_items(run, trials, "faults", jobs), strict=True))


def _comes(trial: Trial) -> bool:
    """Whether a fault comes into a training that was healthy."""
    return trial.fault is not None and not FAULTS[trial.fault].from_start


def _beginning(trial: Trial, folder: Path) -> Path:
    return folder / "before" / f"{trial.architecture}-{trial.number}"


def _observe(
    trial: Trial, material: Material, health: HealthSettings, seed: int, folder: Path, is_beginning: bool = False
) -> list[dict]:
    settings = material.settings.trial(trial.architecture)
    if is_beginning:
        _train(trial, settings.before, _beginning(trial, folder), material, health, seed)
        return []

    def train() -> dict:
        with tempfile.TemporaryDirectory() as made:
            own, n_checks = Path(made, "run"), settings.after if trial.fault else settings.healthy
            if _comes(trial):
                shutil.copytree(_beginning(trial, folder), own)
                n_checks += settings.before
            _train(trial, n_checks, own, material, health, seed)
            return {"records": [_timeless(record) for record in read_records(own / RECORDS_FILE)]}

    return Ledger(folder / "trials").once(trial.name, train)["records"]


def _train(trial: Trial, n_checks: int, folder: Path, material: Material, health: HealthSettings, seed: int) -> None:
    settings = material.settings.trial(trial.architecture)
    own = keyed_seed(seed, STAGE, f"{trial.architecture} {trial.number}")
    rig: Rig = ARCHITECTURES[trial.architecture](material, own)
    if trial.fault is not None:
        fault = FAULTS[trial.fault]
        fault.plant(rig, fault.strengths[trial.strength])
    loop = LoopSettings(
        epochs=n_checks, batch_size=settings.batch_size, steps_per_epoch=settings.interval, checkpoint_s=1e9
    )
    fit(
        _Observed(rig.task), loop, len(material.cache.rows("train")), seed=own,
        name=f"{trial.architecture} {trial.number}", checkpoint=folder / "checkpoint.pt",
        health=settings.watched(health), diagnostics=folder,
    )  # fmt: skip


def _timeless(record: Record) -> dict:
    kept = {name: value for name, value in record.metrics.items() if not name.startswith(_MACHINE)}
    return {"step": record.step, "is_check": record.is_check, "metrics": kept}
