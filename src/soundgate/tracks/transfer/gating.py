"""How a stage of this track hands a gated number to the audit that judges it."""

from __future__ import annotations

from typing import Literal

from soundgate.evaluation.statistics import Estimate


def gated(
    estimate: Estimate | float | None, side: Literal["above", "below"], threshold: float, control: float | None = None
) -> dict:
    """Return a number with its threshold, as the stages' metrics files hold it under ``gates``.

    Args:
        estimate: the value, with its interval where it is an estimate.
        side: ``above``: passes at or above the threshold; ``below``: at or below.
        threshold: of the gate.
        control: what a broken model would have.

    Returns:
        ``value``, ``side``, ``threshold`` and, where they are known, ``ci_low``, ``ci_high``, ``n``, ``control``.
    """
    known = estimate.as_dict() if isinstance(estimate, Estimate) else {"value": estimate}
    limits = {"side": side, "threshold": threshold}
    return known | limits | ({} if control is None else {"control": control})
