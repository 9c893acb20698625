"""The rules: from the figures of a run's last checks to findings. Pure, the same for every training.

Here are those that judge a run by its own past; the others are in `soundgate.training.health.trendless`.

A figure is named ``<kind>/<subject>``; what is not there is not judged. Kinds: ``loss`` (mean over the steps since the
check before), ``gradient`` (norm before clipping), ``update`` (norm of one step's change over that of the weights),
``parameter`` (norm), ``steps`` (of an optimiser since the check before), ``nonfinite`` (counts), ``probe`` (what a
task tells of itself).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from soundgate.training.health.checks import Checks, Rule
from soundgate.training.health.findings import Finding
from soundgate.training.health.robust import has_fallen, has_risen, has_risen_linearly, lasts_below
from soundgate.training.health.settings import HealthSettings
from soundgate.training.health.trendless import ADVERSARIAL_LOSSES, TRENDLESS

# What the losses of a discriminator are called, here and in the field.
DISCRIMINATOR_LOSSES = ("discriminator", "critic", "disc", "d")
# Terms that rise in healthy runs: a learning critic tells features apart, penalties and sums come and go.
_MAY_RISE = (*DISCRIMINATOR_LOSSES, *ADVERSARIAL_LOSSES, "feature_matching", "r1", "loss", "total")
PAIRWISE_RATIO, SWAP_CHANGE = "probe/pairwise_ratio", "probe/swap_change"
SPEAKER_SIMILARITY = "probe/speaker_similarity"


def judge(metrics: Sequence[Mapping[str, float | None]], settings: HealthSettings) -> list[Finding]:
    """Return what the rules find at the last of these checks.

    Args:
        metrics: figures of the run's checks, oldest first; not empty. Only the last ``settings.n_kept`` matter.
        settings: see `HealthSettings`.
    """
    checks = Checks(metrics[-settings.n_kept :])
    return [finding for rule in RULES for finding in rule(checks, settings)]


def _non_finite(checks: Checks, settings: HealthSettings) -> Iterator[Finding]:
    for key, count in checks.now.items():
        if key.startswith("nonfinite/") and count:
            subject = key.partition("/")[2]
            yield Finding("non_finite", "critical", subject, f"{count:.0f} {subject} not finite")


def _gradients(checks: Checks, settings: HealthSettings) -> Iterator[Finding]:
    limits = settings.thresholds
    for network, norms in checks.networks("gradient"):
        if lasts_below(norms, limits.vanished, settings.sustained):
            yield Finding("vanished", "critical", network, f"gradient norm {norms[-1]:.3g}")
        elif has_risen(norms, settings, limits.gradient):
            level = "critical" if has_risen(norms, settings, limits.gradient**2) else "warning"
            yield Finding("exploding", level, network, f"gradient norm {norms[-1]:.3g}, {_was(norms, settings)}")


def _updates(checks: Checks, settings: HealthSettings) -> Iterator[Finding]:
    limits = settings.thresholds
    for network, ratios in checks.networks("update"):
        if lasts_below(ratios, limits.frozen, settings.sustained):
            yield Finding("frozen", "critical", network, f"update ratio {ratios[-1]:.3g}")
        elif has_fallen(ratios, settings, limits.halted):
            yield Finding("frozen", "critical", network, f"update ratio {ratios[-1]:.3g}, {_was(ratios, settings)}")
        elif has_risen(ratios, settings, limits.update):
            yield Finding("rate", "critical", network, f"update ratio {ratios[-1]:.3g}, {_was(ratios, settings)}")
    for optimiser, steps in checks.networks("steps"):
        if lasts_below(steps, 0.5, settings.sustained) and np.any(steps > 0):
            reason = f"no step of its optimiser in {settings.sustained} checks"
            yield Finding("frozen", "critical", optimiser, reason)


def _losses(checks: Checks, settings: HealthSettings) -> Iterator[Finding]:
    for name, values in checks.networks("loss"):
        if name not in _MAY_RISE and has_risen(values, settings, settings.thresholds.loss):
            yield Finding("diverging", "warning", name, f"loss {values[-1]:.3g}, {_was(values, settings)}")


def _dominance(checks: Checks, settings: HealthSettings) -> Iterator[Finding]:
    """The discriminator's loss low *and* the generator's adversarial loss high."""
    limits, z = settings.thresholds, settings.thresholds.dominance_z
    own = next((values for name in DISCRIMINATOR_LOSSES if len(values := checks.of(f"loss/{name}"))), None)
    other = next((values for name in ADVERSARIAL_LOSSES if len(values := checks.of(f"loss/{name}"))), None)
    if own is None or other is None or not has_fallen(own, settings, limits.dominated, z):
        return
    if has_risen_linearly(other, settings, z):
        reason = f"its loss {own[-1]:.3g}, {_was(own, settings)}; the generator's {other[-1]:.3g}"
        yield Finding("dominance", "critical", "discriminator", f"{reason}, {_was(other, settings)}")


def _collapse(checks: Checks, settings: HealthSettings) -> Iterator[Finding]:
    limits = settings.thresholds
    what = "distance between outputs over that between real ones"
    yield from _lost("collapse", PAIRWISE_RATIO, what, (limits.collapse, limits.collapsed), checks, settings)


def _conditioning(checks: Checks, settings: HealthSettings) -> Iterator[Finding]:
    limits = settings.thresholds
    what = "output change per speaker swap"
    yield from _lost("conditioning", SWAP_CHANGE, what, (limits.detached, limits.never_attached), checks, settings)


def _lost(
    rule: str, key: str, what: str, limits: tuple[float, float], checks: Checks, settings: HealthSettings
) -> Iterator[Finding]:
    """A figure that has fallen by the first limit, a factor of its median, or never was above the second."""
    values = checks.of(key)
    reason = f"{what} {values[-1]:.3g}" if len(values) else ""
    if has_fallen(values, settings, limits[0]):
        reason = f"{reason}, {_was(values, settings)}"
    elif not lasts_below(values, limits[1], settings.settled):
        return
    yield Finding(rule, "critical", key.partition("/")[2], reason)


def _similarity(checks: Checks, settings: HealthSettings) -> Iterator[Finding]:
    values = checks.of(SPEAKER_SIMILARITY)
    if lasts_below(values, settings.thresholds.similarity, settings.settled):
        yield Finding("similarity", "warning", "speaker_similarity", f"{values[-1]:.3g} to the target")


def _was(series: np.ndarray, settings: HealthSettings) -> str:
    before = series[: -settings.sustained][-settings.window :]
    return f"before {np.median(before):.3g}"


RULES: tuple[Rule, ...] = (
    _non_finite, _gradients, _updates, _losses, _dominance, _collapse, _conditioning, _similarity, *TRENDLESS,
)  # fmt: skip
