"""Watches a training as it runs: every so many steps its figures, what the rules find in them, and a record of both."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import torch
from torch import nn

from soundgate.runtime.console import logger
from soundgate.training.health.findings import Finding
from soundgate.training.health.records import RecordFile, finite, new_record
from soundgate.training.health.rules import judge
from soundgate.training.health.seen import figures_of
from soundgate.training.health.settings import HealthSettings
from soundgate.training.health.traffic import Traffic
from soundgate.training.health.watch import Watch
from soundgate.training.task import Task
from soundgate.training.tensorboard import Curves

# So many steps before a check every optimiser's next step is measured: not all take one at every step.
_LEAD = 8


class Unwatched:
    """Stands where no monitor is wanted."""

    def before(self, step: int) -> None:
        """Nothing."""

    def after(self, step: int, losses: Mapping[str, float], n_items: int) -> None:
        """Nothing."""

    def refuse(self, reason: str) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class Monitor(Unwatched):
    """The monitor of one training. It draws from no generator, changes no weight, and no failure of it stops a run.

    Args:
        task: modules and optimisers are looked at; ``probe()``, ``seen()`` and ``losses()`` are asked where it has
            them.
        settings: see `HealthSettings`.
        folder: gets ``diagnostics.jsonl``; None: none is written.
        curves: folder for TensorBoard; None: nothing is written.
        step: from which the run goes on.
        losses: of the steps before, as many as there are.
        name: of the run, for log lines.
    """

    def __init__(
        self,
        task: Task,
        settings: HealthSettings,
        folder: Path | None,
        curves: Path | None,
        step: int,
        losses: Sequence[Mapping[str, float]],
        name: str,
    ) -> None:
        self.task, self.settings, self.name = task, settings, name
        self.records = RecordFile(folder, step)
        self.curves = Curves(curves, (record.scalars() for record in self.records.records if record.is_check))
        self.watch = Watch(task.modules, task.optimisers, self._asked_losses)
        self.traffic = Traffic(task.modules)
        since = step % settings.interval
        self._losses = list(losses[max(0, len(losses) - since) :]) if since else []
        self._refused: list[str] = []
        self._n_items, self._since_s = 0, time.monotonic()
        self._asked = {name for name in ("probe", "seen", "losses") if hasattr(task, name)}
        self._known: set[tuple[str, str]] = set()

    def before(self, step: int) -> None:
        """Get ready for step ``step``, counted from 0."""
        remaining = -(step + 1) % self.settings.interval
        if remaining < _LEAD and not self.watch.is_armed:
            self.watch.arm()
            self.traffic.arm()

    def after(self, step: int, losses: Mapping[str, float], n_items: int) -> None:
        """Take note of a step that is done, its losses, and how many items it took; check where it is time to."""
        self._losses.append(losses)
        self._n_items += n_items
        if (step + 1) % self.settings.interval == 0:
            self._check(step + 1)
        elif self._refused:
            self._alarm(step + 1)

    def refuse(self, reason: str) -> None:
        """Take note of a batch that is not finite, before `after` is called for it."""
        self._refused.append(reason)

    def close(self) -> None:
        """Leave the training as it was found."""
        self.watch.close()
        self.traffic.close()

    def _check(self, step: int) -> None:
        metrics = finite(self._figures())
        window = [*self.records.checks(self.settings.n_kept - 1), metrics]
        findings = judge(window, self.settings)
        self._add(step, metrics, findings)
        self._losses, self._n_items, self._since_s = [], 0, time.monotonic()
        self._refused = []

    def _alarm(self, step: int) -> None:
        """Record at once what cannot wait for the next check."""
        findings = [Finding("non_finite", "critical", "batch", reason) for reason in self._refused]
        self._add(step, {"nonfinite/batches": float(len(self._refused))}, findings, is_check=False)
        self._refused = []

    def _add(self, step: int, metrics: dict, findings: list[Finding], is_check: bool = True) -> None:
        record = new_record(step, metrics, findings, is_check)
        self.records.add(record)
        if is_check:
            self.curves.add(record.scalars())
        for finding in findings:
            if (finding.rule, finding.subject) not in self._known:
                logger.warning(
                    "%s, step %d: %s, %s: %s. %s",
                    self.name, step, finding.level, finding.rule, finding.reason, finding.remedy,
                )  # fmt: skip
        self._known = {(finding.rule, finding.subject) for finding in findings}

    def _figures(self) -> dict[str, float]:
        losses = _means(self._losses)
        before = (self.records.checks(1) or [{}])[0]
        figures = {f"loss/{name}": value for name, value in losses.items()}
        for name, value in losses.items():
            earlier = before.get(f"loss/{name}")
            if earlier is not None:
                figures[f"change/{name}"] = value - earlier
        figures |= {f"batch/{name}": value for name, value in self._ask("seen", self._batch).items()}
        figures |= self.watch.collect() | self.traffic.collect()
        figures |= {f"probe/{name}": value for name, value in self._ask("probe", self._probed).items()}
        wrong = sum(not math.isfinite(value) for value in losses.values())
        figures |= {"nonfinite/batches": float(len(self._refused)), "nonfinite/losses": float(wrong)}
        elapsed_s = max(time.monotonic() - self._since_s, 1e-9)
        figures |= {"speed/items_per_s": self._n_items / elapsed_s, "speed/steps_per_s": len(self._losses) / elapsed_s}
        return figures | memory_mb()

    def _probed(self) -> Mapping[str, float]:
        return self.task.probe()

    def _batch(self) -> Mapping[str, float]:
        seen = self.task.seen()
        items = next((items for items in (seen.sound, seen.features) if items is not None), None)
        if items is not None:
            self.traffic.note("batch", items)
        return figures_of(seen)

    def _asked_losses(self) -> Mapping[str, float]:
        return self._ask("losses", lambda: self.task.losses())

    def _ask(self, method: str, ask: Callable[[], Mapping[str, float]]) -> dict[str, float]:
        """Return what a task tells by one of its methods; nothing from the first time on that it fails."""
        if method not in self._asked:
            return {}
        try:
            with undisturbed(self.task.modules.values()):
                return {name: float(value) for name, value in ask().items()}
        except Exception as error:  # Never worth a training.
            logger.warning("%s: no %s of the task from here on: %s", self.name, method, error)
            self._asked.discard(method)
            return {}


def memory_mb() -> dict[str, float]:
    """Return the memory of this process, and the most that was taken on the GPU where one is used, in MiB."""
    figures = {"memory/process_mb": psutil.Process().memory_info().rss / 2**20}
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        figures["memory/gpu_mb"] = torch.cuda.max_memory_allocated() / 2**20
    return figures


@contextmanager
def undisturbed(networks: Iterable[nn.Module]) -> Iterator[None]:
    """Evaluate networks without gradients, and leave their modes and PyTorch's generators as they were."""
    modes = [(module, module.training) for network in networks for module in network.modules()]
    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() and torch.cuda.is_initialized() else []
    with torch.random.fork_rng(list(devices)), torch.no_grad():
        try:
            for module, _ in modes:
                module.training = False
            yield
        finally:
            for module, mode in modes:
                module.training = mode


def _means(rows: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Return each loss's mean over the steps that had it."""
    values: dict[str, list[float]] = {}
    for row in rows:
        for name, value in row.items():
            values.setdefault(name, []).append(value)
    return {
        name: math.fsum(own) / len(own) if all(map(math.isfinite, own)) else math.nan for name, own in values.items()
    }
