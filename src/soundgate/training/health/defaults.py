"""The settings of the health monitor outside of this repository's pipeline: those of conf/health.yaml."""

from __future__ import annotations

from soundgate.training.health.settings import HealthSettings, Thresholds

DEFAULTS = HealthSettings(
    enabled=True,
    interval=100,
    least_checks=20,
    window=20,
    least=6,
    sustained=3,
    settled=10,
    climbing=8,
    thresholds=Thresholds(
        z=5.0,
        loss=3.0,
        gradient=4.0,
        update=3.0,
        frozen=1e-8,
        halted=0.001,
        climbing=2.5,
        vanished=1e-10,
        dominated=0.5,
        dominance_z=3.0,
        collapse=0.2,
        collapsed=0.01,
        detached=0.05,
        never_attached=1e-4,
        similarity=0.5,
        slow=2e-5,
        fast=0.15,
        clipped=0.001,
        shrinking=0.5,
        spread=1e-05,
        copies=0.3,
        silence=0.25,
        mute=0.3,
        peaks=0.005,
        offset=0.2,
        bandwidth=0.5,
        labels=0.6,
        targets=0.6,
    ),
)
