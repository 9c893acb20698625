"""From the tables of the outside judges to figures and verdicts, of one run or of several together."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

from soundgate.tracks.voice.audit.systems import CONVERTED
from soundgate.tracks.voice.baselines.methods import BASELINES
from soundgate.tracks.voice.outside.methods import best_method, differences
from soundgate.tracks.voice.outside.settings import OutsideSettings
from soundgate.tracks.voice.outside.summary import outside_gates, summarise
from soundgate.tracks.voice.outside.trying import answers


class Found(NamedTuple):
    """What the outside judges find.

    Args:
        figures: ``judges``, ``systems``, ``over``, ``over_baselines`` and ``best_method``.
        gates: verdicts by name.
    """

    figures: dict
    gates: dict[str, dict]


def judge_tables(table: pd.DataFrame, trials: pd.DataFrame, settings: OutsideSettings, seed: int) -> Found:
    """Return figures with intervals over speakers, and the verdicts.

    Args:
        table: from `soundgate.tracks.voice.outside.listening.OutsideListening.table`.
        trials: from `soundgate.tracks.voice.outside.trying.ask_trials`.
        settings: see `OutsideSettings`.
        seed: of the resampling.
    """
    tried = answers(trials, settings, seed)
    systems, over = summarise(table, seed, settings.n_bootstrap)
    compared = differences(table, seed, settings.n_bootstrap)
    figures = {
        "judges": tried,
        "systems": {
            name: {measure: estimate.as_dict() for measure, estimate in own.items()} for name, own in systems.items()
        },
        "over": {name: estimate.as_dict() for name, estimate in over.items()},
        "over_baselines": {
            name: {measure: own.as_dict() for measure, own in compared[CONVERTED, name].items()} for name in BASELINES
        },
        "best_method": best_method(systems, compared, tried),
    }
    return Found(figures, outside_gates(systems, over, compared, tried, settings.thresholds))
