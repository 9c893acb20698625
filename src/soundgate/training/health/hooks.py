"""The health monitor in a training loop of one's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from torch import Tensor, nn
from torch.optim import Optimizer

from soundgate.runtime.processes import is_main
from soundgate.training.health.defaults import DEFAULTS
from soundgate.training.health.monitor import Monitor, Unwatched
from soundgate.training.health.seen import Seen
from soundgate.training.health.settings import HealthSettings

Probe = Callable[[], Mapping[str, float]]


class Watched:
    """What the monitor looks at; see `soundgate.training.task.Task`.

    Args:
        modules: a network, or several by name.
        optimisers: an optimiser, or several by name.
        probe: figures of one's own, see `watch`.
        seen: likewise.
        losses: likewise.
    """

    def __init__(
        self,
        modules: nn.Module | Mapping[str, nn.Module],
        optimisers: Optimizer | Mapping[str, Optimizer],
        probe: Probe | None = None,
        seen: Callable[[], Seen] | None = None,
        losses: Probe | None = None,
    ) -> None:
        self.modules = dict(modules) if isinstance(modules, Mapping) else {"model": modules}
        self.optimisers = dict(optimisers) if isinstance(optimisers, Mapping) else {"optimiser": optimisers}
        asked = {"probe": probe, "seen": seen, "losses": losses}
        self.__dict__ |= {name: answer for name, answer in asked.items() if answer is not None}


class Health:
    """The monitor of one training, told of each step; made by `watch`.

    Args:
        monitor: is told.
        step: steps that were taken before.
    """

    def __init__(self, monitor: Unwatched, step: int) -> None:
        self._monitor, self._step = monitor, step
        monitor.before(step)

    def step(self, losses: Mapping[str, float | Tensor], n_items: int = 1) -> None:
        """Take note of a step after the optimisers' own.

        Args:
            losses: of the step by name; tensors of one number are read at the next check alone.
            n_items: how many items it was computed from.
        """
        kept = {name: value.detach() if isinstance(value, Tensor) else value for name, value in losses.items()}
        self._monitor.after(self._step, kept, n_items)
        self._step += 1
        self._monitor.before(self._step)

    def skip(self, reason: str) -> None:
        """Take note of a batch that the loop refused; a call of `step` follows, without losses."""
        self._monitor.refuse(reason)

    def close(self) -> None:
        """Take all hooks away."""
        self._monitor.close()


def begin(
    watched: Watched, folder: str | Path, settings: HealthSettings, step: int = 0, name: str = "training"
) -> Health:
    """Return the monitor of a training that is to be closed by hand; see `watch`."""
    if not settings.enabled or not is_main():
        return Health(Unwatched(), step)
    return Health(Monitor(watched, settings, Path(folder), None, step, [], name), step)


@contextmanager
def watch(
    modules: nn.Module | Mapping[str, nn.Module],
    optimisers: Optimizer | Mapping[str, Optimizer],
    folder: str | Path,
    *,
    probe: Probe | None = None,
    seen: Callable[[], Seen] | None = None,
    losses: Probe | None = None,
    settings: HealthSettings = DEFAULTS,
    step: int = 0,
    name: str = "training",
) -> Iterator[Health]:
    """Watch a loop; it draws from no generator and changes no weight, so the loop's results are those without it.

    Args:
        modules: a network, or several by name.
        optimisers: an optimiser, or several by name.
        folder: gets ``diagnostics.jsonl``, which ``soundgate health FOLDER`` shows.
        probe: called at every check, in evaluation mode and without gradients: figures by name, see
            `soundgate.training.task.Task`.
        seen: likewise, what the last step was computed from: are sound, labels and targets what they should be?
        losses: the losses of the present batch once more, by name; called likewise before and after a step that is
            looked at: does the step lower them?
        settings: see `HealthSettings`; ``DEFAULTS.model_copy(update={"interval": 25})`` checks every 25 steps.
        step: steps that were taken before; records of later ones are dropped.
        name: of the training, for log lines.

    Yields:
        Whom to tell of each step.
    """
    health = begin(Watched(modules, optimisers, probe, seen, losses), folder, settings, step, name)
    try:
        yield health
    finally:
        health.close()
