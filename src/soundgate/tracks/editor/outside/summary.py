"""ViSQOL's figures with intervals over songs, and what they are held against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from soundgate.evaluation.gates import gated, judge_gated
from soundgate.evaluation.groups import group_mean
from soundgate.evaluation.statistics import Estimate
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.editor.outside.listening import (
    FIGURES,
    GRIFFIN_LIM,
    NSIM,
    OTHER_PASSAGE,
    UNTRAINED,
    VISQOL,
    VOCODER,
)
from soundgate.tracks.editor.outside.passages import STAGE
from soundgate.tracks.editor.outside.settings import OutsideSettings


def over(table: pd.DataFrame, figure: str, system: str, control: str, seed: int, n_bootstrap: int) -> Estimate:
    """Return by how much a system lies above a control on the same passages; songs are the independent units."""
    by_system = {name: rows.reset_index(drop=True) for name, rows in table.groupby("system", sort=False)}
    own = by_system[system]
    generator = keyed_generator(seed, STAGE, f"bootstrap {figure} {system} over {control}")
    return group_mean((own[figure] - by_system[control][figure]).to_numpy(), own["group"], generator, n_bootstrap)


def by_system(table: pd.DataFrame, seed: int, n_bootstrap: int) -> dict[str, dict[str, Estimate]]:
    """Return each system's figures over songs."""
    return {
        system: {
            figure: group_mean(
                rows[figure].to_numpy(), rows["group"],
                keyed_generator(seed, STAGE, f"bootstrap {figure} {system}"), n_bootstrap,
            )
            for figure in FIGURES
        }
        for system, rows in table.groupby("system", sort=False)
    }  # fmt: skip


def outside_gates(
    table: pd.DataFrame, tried: Sequence[Mapping], settings: OutsideSettings, seed: int
) -> dict[str, dict]:
    """Hold the vocoder against its controls; a gate whose figure hears too little here cannot be judged.

    The gates' own control is what another passage in the vocoder's place would have.

    Args:
        table: see `Heard`.
        tried: from `try_judge`.
        settings: see `OutsideSettings`.
        seed: of the resampling.
    """
    thresholds = settings.thresholds
    demanded = {
        (VISQOL, UNTRAINED): thresholds.over_untrained,
        (VISQOL, GRIFFIN_LIM): thresholds.over_griffin_lim,
        (NSIM, UNTRAINED): thresholds.nsim_over_untrained,
        (NSIM, GRIFFIN_LIM): thresholds.nsim_over_griffin_lim,
    }
    gates = {}
    for (figure, control), threshold in demanded.items():
        own, broken = (
            over(table, figure, system, control, seed, settings.n_bootstrap) for system in (VOCODER, OTHER_PASSAGE)
        )
        unheard = [answer["asked"] for answer in tried if answer["figure"] == figure and answer["deaf"]]
        number = gated(own, "above", threshold, broken.value) | ({"deaf": "; ".join(unheard)} if unheard else {})
        gates[f"{figure}_over_{control}"] = judge_gated(number)
    return gates
