"""The monitor made stricter or laxer as a whole, by one number."""

from __future__ import annotations

import math

from soundgate.training.health.settings import HealthSettings, Thresholds

# What a figure is where nothing is wrong, from which a threshold is so far away: ratios by their logarithms, shares as
# they are. Factors and deviations are those of a figure that does not move, 1 and 0.
_RATIOS = {
    "loss": 1.0, "gradient": 1.0, "update": 1.0, "dominated": 1.0, "collapse": 1.0, "detached": 1.0, "frozen": 1e-3,
    "vanished": 1.0, "collapsed": 1.0, "never_attached": 0.1, "slow": 1e-3, "halted": 1.0, "fast": 1e-3,
    "clipped": 1.0, "spread": 1.0,
}  # fmt: skip
_SHARES = {
    "z": 0.0, "climbing": 0.0, "dominance_z": 0.0, "similarity": 1.0, "shrinking": 0.0, "copies": 0.0,
    "silence": 0.0, "mute": 0.0,
    "peaks": 0.0, "offset": 0.0, "bandwidth": 1.0, "labels": 1.0, "targets": 1.0,
}  # fmt: skip


def scaled(settings: HealthSettings, scale: float) -> HealthSettings:
    """Return settings whose every threshold is so many times as far from what is healthy: 1 leaves them as they are.

    Args:
        settings: of the monitor.
        scale: above 0; below 1 there are more alarms.
    """
    given = settings.thresholds.model_dump()
    assert given.keys() == _RATIOS.keys() | _SHARES.keys(), "every threshold has a healthy value"
    changed = {}
    for name, healthy in _RATIOS.items():
        changed[name] = healthy * math.exp(scale * math.log(given[name] / healthy)) if given[name] else 0.0
    for name, healthy in _SHARES.items():
        changed[name] = healthy + scale * (given[name] - healthy)
    return settings.model_copy(update={"thresholds": Thresholds.model_construct(**changed)})
