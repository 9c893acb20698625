"""How much a value varies over seeds of training, and verdicts that reckon with it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.special import stdtrit

from soundgate.evaluation.verdicts import Interval, decide

FEWEST_SEEDS = 2


def spread_of(values: Sequence[float | None]) -> dict[str, object]:
    """Describe one gate's values over seeds.

    Args:
        values: one a seed; None where a training gave no number.

    Returns:
        ``values``, ``mean``, ``sd`` (the sample's, n - 1 in the denominator) and ``n``; mean and deviation are None
        where a value is missing or there are fewer than two.
    """
    known = len(values) >= FEWEST_SEEDS and None not in values
    mean, sd = (float(np.mean(values)), float(np.std(values, ddof=1))) if known else (None, None)
    return {"values": list(values), "mean": mean, "sd": sd, "n": len(values)}


def widened(value: float, interval: Interval | None, sd: float, n: int) -> Interval:
    """Return a value's interval with the spread over trainings in it.

    On each side the half-width h of the run's own interval (0 without one) and the reach of chance in training are
    added in quadrature: sqrt(h^2 + (t sd)^2), t the 97.5 % quantile of Student's distribution on n - 1 degrees of
    freedom. Both sources of error are taken as independent.

    Args:
        value: of the run.
        interval: the run's ``[low, high]``, over what it was measured on; ends that are unknown stay unknown.
        sd: standard deviation over ``n`` seeds.
        n: at least 2.
    """
    low, high = interval or (value, value)
    reach = float(stdtrit(n - 1, 0.975)) * sd
    return (
        None if low is None else value - math.hypot(max(value - low, 0.0), reach),
        None if high is None else value + math.hypot(max(high - value, 0.0), reach),
    )


def with_spread(gate: Mapping, spread: Mapping) -> dict:
    """Return a run's verdict with the spread over seeds beside it and in its interval.

    Args:
        gate: from `soundgate.evaluation.gates.verdict`.
        spread: of its values, from `spread_of`.

    Returns:
        The gate with ``seeds``, how many there are, and ``seed_sd``. Where a training of another seed gave no number
        the interval is unknown. A value that no seed changes is judged as before, and a gate whose judge is deaf
        cannot be judged.
    """
    known = dict(gate) | {"seeds": spread["n"], "seed_sd": spread["sd"]}
    if gate["value"] is None or spread["n"] < FEWEST_SEEDS or spread["sd"] == 0 or "deaf" in gate:
        return known
    own = (gate["ci_low"], gate["ci_high"]) if "ci_low" in gate else None
    interval = (None, None) if spread["sd"] is None else widened(gate["value"], own, spread["sd"], spread["n"])
    verdict = decide(gate["value"], gate["side"], gate["threshold"], interval)
    return known | {"ci_low": interval[0], "ci_high": interval[1], "verdict": verdict}


def with_spreads(gates: Mapping[str, Mapping], spreads: Mapping[str, Mapping]) -> dict[str, dict]:
    """Return verdicts by gate, those whose spread is known with it; see `with_spread`."""
    return {name: with_spread(gate, spreads[name]) if name in spreads else dict(gate) for name, gate in gates.items()}
