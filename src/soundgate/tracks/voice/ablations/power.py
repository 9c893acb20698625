"""How many seeds an effect needs, before any arm is run: the comparison's own test, simulated."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from soundgate.evaluation.multiple import fewest_units, flipped_t, sign_flips
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.voice.ablations.collected import Collected
from soundgate.tracks.voice.ablations.comparison import STAGE, paired
from soundgate.tracks.voice.ablations.settings import ComparisonSettings

N_SIMULATIONS = 1000
MOST_SEEDS = 200
_N_FLIPS = 999
_LARGEST_EFFECT = 64.0


class Design(NamedTuple):
    """What is compared.

    Args:
        n_arms: that are tested together on an endpoint, without A/A.
        level: chance of any false difference on the endpoint.
        n_simulations: of the whole comparison.
    """

    n_arms: int
    level: float
    n_simulations: int = N_SIMULATIONS


def power_of(design: Design, effect: float, n_seeds: int) -> float:
    """Return how often one arm with an effect is found on an endpoint, the other arms having none.

    Runs are simulated as normal, independent between arms, so that differences to the common baseline have a
    correlation of one half. An arm is found if sign flips of all arms together give p <= level and its paired t exceeds
    that of A/A, as in `compare`. The standard error of 1,000 simulations is at most 0.016. Equal arguments give equal
    results.

    Args:
        design: see `Design`.
        effect: mean of the arm's difference, in its standard deviations over seeds.
        n_seeds: of each arm.
    """
    if n_seeds < fewest_units(design.level):
        return 0.0
    generator = keyed_generator(0, STAGE, f"power {design.n_arms} {n_seeds}")
    signs = sign_flips(n_seeds, generator, _N_FLIPS)
    found = 0
    for _ in range(design.n_simulations):
        runs = generator.standard_normal((n_seeds, design.n_arms + 2))
        differences = (runs[:, 1:] - runs[:, :1]) / np.sqrt(2)
        differences[:, 0] += effect
        t = flipped_t(signs, differences[:, :-1])
        again = flipped_t(signs[:1], differences[:, -1:])[0, 0]
        found += (t.max(axis=1) >= t[0, 0] * (1 - 1e-9)).mean() <= design.level and t[0, 0] > again
    return float(found / design.n_simulations)


def seeds_for(design: Design, effect: float, power: float) -> int | None:
    """Return the fewest seeds with which an effect is found with a power; None where ``MOST_SEEDS`` do not suffice.

    Args:
        design: see `Design`.
        effect: see `power_of`; above 0.
        power: asked for, in (0, 1).
    """
    low = fewest_units(design.level) - 1
    high = low + 1
    while power_of(design, effect, high) < power:
        if high == MOST_SEEDS:
            return None
        low, high = high, min(2 * high, MOST_SEEDS)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power_of(design, effect, middle) >= power else (middle, high)
    return high


def effect_for(design: Design, n_seeds: int, power: float) -> float | None:
    """Return the smallest effect, to 0.05, that seeds find with a power; None where they find none, however large.

    Args:
        design: see `Design`.
        n_seeds: of each arm.
        power: asked for, in (0, 1).
    """
    low, high = 0.0, 1.0
    while power_of(design, high, n_seeds) < power:
        if high >= _LARGEST_EFFECT:
            return None
        low, high = high, 2 * high
    while high - low > 0.05:
        middle = (low + high) / 2
        low, high = (low, middle) if power_of(design, middle, n_seeds) >= power else (middle, high)
    return high


def _counted(n_arms: int) -> str:
    return "1 arm" if n_arms == 1 else f"{n_arms} arms"


def power_text(design: Design, n_seeds: int, effect: float = 1.0, power: float = 0.8) -> str:
    """Return in words what seeds find, and how many an effect needs.

    Args:
        design: see `Design`.
        n_seeds: that are asked for.
        effect: see `power_of`.
        power: asked for.
    """
    needed, smallest = seeds_for(design, effect, power), effect_for(design, n_seeds, power)
    need = f"more than {MOST_SEEDS}" if needed is None else needed
    finds = "no effect, however large" if smallest is None else f"effects of {smallest:.1f} SD or more"
    return "\n".join(
        [
            f"Power, by {design.n_simulations} simulations of the comparison: {_counted(design.n_arms)} tested "
            f"together by sign flips, level {design.level:g} on an endpoint; SD is that of an arm's paired difference "
            "over seeds.",
            f"An effect of {effect:g} SD is found with a power of {power:.0%} by {need} seeds an arm.",
            f"{n_seeds} seeds an arm find {finds} with a power of {power:.0%}.",
        ]
    )


def spread_text(settings: ComparisonSettings, collected: Collected) -> str:
    """Return what one SD is on each endpoint in the runs that are collected; empty where no arm has three seeds.

    Args:
        settings: see `ComparisonSettings`.
        collected: the runs.
    """
    lines = []
    for endpoint in settings.endpoints:
        by_arm = [paired(collected.scores, arm, settings, endpoint).by_seed for arm in settings.arms]
        spreads = pd.Series([np.std(own, ddof=1) for own in by_arm if len(own) >= 3 and np.isfinite(own).all()])
        if len(spreads):
            least, middle, most = spreads.quantile([0, 0.5, 1])
            lines.append(f"{endpoint}: 1 SD was {middle:.3g} in the median arm collected ({least:.3g} to {most:.3g}).")
    return "\n".join(lines)
