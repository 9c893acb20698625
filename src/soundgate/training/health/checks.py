"""The figures of a run's last checks, as rules read them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from soundgate.training.health.findings import Finding
from soundgate.training.health.settings import HealthSettings


class Checks:
    """The figures of a run's last checks, oldest first, the current one last."""

    def __init__(self, metrics: Sequence[Mapping[str, float | None]]) -> None:
        self.metrics = metrics
        self.now = metrics[-1]

    def of(self, key: str) -> np.ndarray:
        """Return a figure's values that are there, float [n]; none where it is missing now."""
        if self.now.get(key) is None:
            return np.empty(0)
        return np.array([values[key] for values in self.metrics if values.get(key) is not None], dtype=float)

    def networks(self, kind: str) -> Iterator[tuple[str, np.ndarray]]:
        """Yield the subject and the values of every figure of a kind, parts of networks left out."""
        yield from ((name, values) for name, values in self.all(kind) if "." not in name)

    def all(self, kind: str) -> Iterator[tuple[str, np.ndarray]]:
        """Yield the subject and the values of every figure of a kind, of parts of networks too."""
        for key in self.now:
            if key.startswith(f"{kind}/"):
                yield key.partition("/")[2], self.of(key)


Rule = Callable[[Checks, HealthSettings], Iterator[Finding]]
