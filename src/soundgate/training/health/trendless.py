"""Rules that need no trend: what they judge is wrong whatever it was before, so they hold from the first checks on.

Figures beside those of `soundgate.training.health.rules`: ``effect`` (relative change of a loss of the batch by the
step on it), ``clipped`` (norm of the gradient at the step over that before clipping), ``shrink`` (cosine of the change
with that of weights which shrink), ``print``, ``copies``, ``spread``, ``evaluating`` and ``attached`` (see
`soundgate.training.health.traffic`), ``batch`` (see `soundgate.training.health.seen`).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from soundgate.training.health.checks import Checks, Rule
from soundgate.training.health.findings import Finding
from soundgate.training.health.robust import lasts_above, lasts_below
from soundgate.training.health.settings import HealthSettings

# What the losses of a generator against discriminators are called, here and in the field.
ADVERSARIAL_LOSSES = ("adversarial", "adv", "gen", "generator", "g")
# Pairs of one label that are compared before labels are doubted.
_LABEL_PAIRS = 20
# By how much the limit is lower for few of them: two thirds of the standard error of a share of 0.7, over their root.
_LABEL_MARGIN = 0.3
# The share of a loss's last changes that are upwards where it climbs.
_MOSTLY = 0.7


def _rates(checks: Checks, settings: HealthSettings) -> Iterator[Finding]:
    """A rate that moves weights by next to nothing, or by more than they can follow."""
    limits = settings.thresholds
    for network, ratios in checks.networks("update"):
        if lasts_below(ratios, limits.slow, settings.least) and limits.frozen < np.max(ratios) < limits.slow:
            yield Finding("slow", "warning", network, f"update ratio {ratios[-1]:.3g}, never above {max(ratios):.3g}")
        elif lasts_above(ratios, limits.fast, settings.sustained):
            yield Finding("rate", "critical", network, f"update ratio {ratios[-1]:.3g}")


def _optimiser(checks: Checks, settings: HealthSettings) -> Iterator[Finding]:
    limits = settings.thresholds
    for network, shares in checks.networks("clipped"):
        if lasts_below(shares, limits.clipped, settings.sustained):
            yield Finding("clipping", "critical", network, f"{shares[-1]:.3g} of the gradient's norm is left")
    for network, cosines in checks.networks("shrink"):
        if lasts_above(cosines, limits.shrinking, settings.sustained):
            reason = f"cosine {cosines[-1]:.2f} of a step with weights that shrink"
            yield Finding("decay", "warning", network, reason)


def _parts(checks: Checks, settings: HealthSettings) -> Iterator[Finding]:
    """Parts of a network that do not learn while others do."""
    limits = settings.thresholds
    for kind, rule, limit in (("update", "frozen", limits.frozen), ("gradient", "vanished", limits.vanished)):
        for part, values in checks.all(kind):
            whole = checks.now.get(f"{kind}/{part.partition('.')[0]}")
            if "." in part and whole and whole > limit and lasts_below(values, limit, settings.sustained):
                yield Finding(rule, "warning", part, f"{kind} {values[-1]:.3g} while its network's is {whole:.3g}")


def _effects(checks: Checks, settings: HealthSettings) -> Iterator[Finding]:
    """A loss that steps raise on the very batch they were computed from."""
    for loss, changes in checks.all("effect"):
        latest = changes[-settings.climbing :]
        if len(latest) < settings.climbing:
            continue
        error = float(np.std(latest, ddof=1)) / np.sqrt(len(latest))
        if np.mean(latest) > settings.thresholds.climbing * error and np.mean(latest > 0) > _MOSTLY:
            reason = f"steps change it by {np.mean(latest):+.2%} on average over {len(latest)} checks"
            yield Finding("climbing", "warning", loss, reason)


def _traffic(checks: Checks, settings: HealthSettings) -> Iterator[Finding]:
    limits, count = settings.thresholds, settings.sustained
    for network, spreads in [*checks.all("spread"), ("outputs", checks.of("batch/spread"))]:
        if lasts_below(spreads, limits.spread, count):
            reason = f"between items lies {spreads[-1]:.3g} of the output's variance"
            yield Finding("constant", "critical", network, reason)
    for network, shares in checks.all("evaluating"):
        if lasts_above(shares, 0.0, count):
            reason = f"{shares[-1]:.0%} of dropout and batch normalisation are in evaluation mode"
            yield Finding("mode", "warning", network, reason)
    attached = [values for _, values in checks.all("attached")]
    adversarial = any(checks.now.get(f"loss/{name}") is not None for name in ADVERSARIAL_LOSSES)
    if adversarial and len(attached) > 1 and all(lasts_below(values, 0.5, count) for values in attached):
        yield Finding("detached", "critical", "adversarial", "no gradient flows through a network into another")


def _repeats(checks: Checks, settings: HealthSettings) -> Iterator[Finding]:
    limits, count = settings.thresholds, settings.sustained
    for name, prints in checks.all("print"):
        known = [value in prints[: len(prints) - back] for back, value in enumerate(prints[: -count - 1 : -1], 1)]
        if len(known) == count and all(known):
            yield Finding("repeating", "critical", name, f"the last {count} batches looked at were there before")
    for name, shares in checks.all("copies"):
        if lasts_above(shares, limits.copies, count):
            yield Finding("copies", "warning", name, f"{shares[-1]:.0%} of a batch's items are there before in it")


def _sound(checks: Checks, settings: HealthSettings) -> Iterator[Finding]:
    limits, count = settings.thresholds, settings.sustained
    for key, limit, what in (
        ("silence", limits.silence, "of the frames are silent"),
        ("mute", limits.mute, "of the items are silent"),
        ("clipped", limits.peaks, "of the samples are at the peak"),
        ("offset", limits.offset, "of the level is an offset"),
    ):
        values = checks.of(f"batch/{key}")
        if lasts_above(values, limit, count):
            rule = {"mute": "silence", "clipped": "peaks"}.get(key, key)
            yield Finding(rule, "warning", "batch", f"{values[-1]:.0%} {what}")
    widths = checks.of("batch/bandwidth")
    if len(widths) >= count and np.median(widths[-settings.least :]) < limits.bandwidth:
        reason = f"sound ends at {np.median(widths[-settings.least :]):.0%} of half the sample rate"
        yield Finding("bandwidth", "warning", "batch", reason)


def _meaning(checks: Checks, settings: HealthSettings) -> Iterator[Finding]:
    """Labels and targets that are not those of their items."""
    limits = settings.thresholds
    shares, pairs = checks.of("batch/labels"), checks.of("batch/label_pairs")
    shares, pairs = shares[-settings.window :], pairs[-settings.window :]
    if len(shares) == len(pairs) and len(shares) >= settings.least and pairs.sum() >= _LABEL_PAIRS:
        share = float(np.average(shares, weights=pairs))
        if share < limits.labels - _LABEL_MARGIN / np.sqrt(pairs.sum()):
            reason = f"{share:.0%} of the pairs of one label are nearer than pairs of two; by chance 50%"
            yield Finding("labels", "warning", "batch", reason)
    shares = checks.of("batch/targets")
    if lasts_below(shares, limits.targets, settings.least):
        reason = f"{shares[-1]:.0%} of the outputs are nearer to their own target than to another's; by chance 50%"
        yield Finding("targets", "warning", "batch", reason)


TRENDLESS: tuple[Rule, ...] = (_rates, _optimiser, _parts, _effects, _traffic, _repeats, _sound, _meaning)
