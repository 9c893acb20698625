"""The settings of the health monitor outside of this repository's pipeline: those of conf/health.yaml."""

from __future__ import annotations

from soundgate.training.health.settings import HealthSettings, Thresholds

DEFAULTS = HealthSettings(
    enabled=True,
    interval=100,
    window=20,
    least=8,
    sustained=3,
    settled=10,
    thresholds=Thresholds(
        z=6.0,
        loss=3.0,
        gradient=10.0,
        update=5.0,
        frozen=1e-8,
        vanished=1e-10,
        dominated=0.5,
        dominance_z=3.0,
        collapse=0.2,
        collapsed=0.01,
        detached=0.05,
        never_attached=1e-4,
        similarity=0.5,
    ),
)
