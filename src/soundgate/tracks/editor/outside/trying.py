"""Whether ViSQOL hears on this corpus what it is asked about, beside regressions that know nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd

from soundgate.evaluation.hearing import answer
from soundgate.judges.similarity import SimilarityJudge
from soundgate.tracks.editor.outside.listening import FIGURES, MORE_NOISE, NOISE, OTHER_PASSAGE, VISQOL, Heard
from soundgate.tracks.editor.outside.settings import OutsideSettings
from soundgate.tracks.editor.outside.summary import over


def try_judge(judge: SimilarityJudge, heard: Heard, settings: OutsideSettings, seed: int) -> list[dict]:
    """Return the judge's answers where the answer is known: a copy with a little noise is nearer than what is not.

    Args:
        judge: whose twins are asked the same.
        heard: from `listen`.
        settings: see `OutsideSettings`.
        seed: of the resampling.

    Returns:
        By figure and question: ``figure`` and the `answer` over songs; ``twin`` is the mean of ``judge.n_twins`` twins
        (None of ``visqol_nsim``, which has no weights).
    """
    rated = f"true sound with noise at {settings.noise_db:g} dB rated above"
    questions = {MORE_NOISE: f"{rated} that at {settings.more_noise_db:g} dB", OTHER_PASSAGE: f"{rated} another song"}
    twins = [_rated_by(judge.twin(number), heard) for number in range(judge.n_twins)]
    answers = []
    for figure in FIGURES:
        for lower, asked in questions.items():
            twin = None
            if figure == VISQOL:
                own = [over(one, figure, NOISE, lower, seed, settings.n_bootstrap).value for one in twins]
                twin = float(np.mean(own))
            estimate = over(heard.table, figure, NOISE, lower, seed, settings.n_bootstrap)
            answers.append({"figure": figure} | answer(asked, estimate, twin))
    return answers


def _rated_by(twin: SimilarityJudge, heard: Heard) -> pd.DataFrame:
    """Return the table as a twin rates it: the same similarities, another regression."""
    return heard.table.assign(**{VISQOL: [twin.rating(bands) for bands in heard.bands]})
