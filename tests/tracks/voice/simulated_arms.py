"""Arms with known effects: what a pair is like, what a seed does to a training, noise, and what the arm adds."""

import numpy as np
import pandas as pd

from soundgate.tracks.voice.ablations.collected import Collected
from soundgate.tracks.voice.ablations.settings import ComparisonSettings

MEASURES = {"similarity": "higher", "mel_db": "lower"}
N_PAIRS = 8


def settings(arms=("arm",), measures=MEASURES, **changes):
    values = {"baseline": "baseline", "again": "baseline_again", "arms": arms, "measures": measures}
    values |= {"endpoints": tuple(measures), "alpha": 0.05, "n_bootstrap": 100}
    return ComparisonSettings(**(values | changes))


def heard(runs, measures=MEASURES):
    """Return runs whose judges hear real recordings."""
    return runs.assign(judges=[{measure: {"hears": True} for measure in measures}] * len(runs))


def simulated(generator, effects, n_seeds=8, measures=MEASURES, seed_sd=0.3, noise_sd=0.3, pair_sd=3.0, heavy=False):
    """Return runs of the baseline, the baseline again and one arm for each effect.

    Args:
        effects: what each arm adds to every score, by arm.
        seed_sd: what a seed does to all of a run's scores; the arms of one seed share half of its variance.
        noise_sd: of each score of its own.
        pair_sd: how much evaluation pairs differ, the same for every run.
        heavy: noise of seeds by Student's t with 3 degrees of freedom, not by the normal distribution.
    """
    pairs, rows = generator.normal(0, pair_sd, N_PAIRS), []
    draw = (lambda *shape: generator.standard_t(3, shape) / np.sqrt(3)) if heavy else generator.standard_normal
    for measure in measures:
        shared = draw(n_seeds) if heavy else draw(n_seeds)
        for arm, effect in ({"baseline": 0.0, "baseline_again": 0.0} | effects).items():
            seeds = draw(n_seeds) if arm == "baseline_again" else np.sqrt(0.5) * (shared + draw(n_seeds))
            for seed in range(n_seeds):
                values = pairs + effect + seed_sd * seeds[seed] + noise_sd * generator.standard_normal(N_PAIRS)
                rows += [
                    {"arm": arm, "seed": seed, "source": f"s{k % 4}", "target": f"t{k}", "utterance": f"u{k}",
                     "measure": measure, "value": value}
                    for k, value in enumerate(values)
                ]  # fmt: skip
    scores = pd.DataFrame(rows)
    return Collected(scores, heard(scores[["arm", "seed"]].drop_duplicates().reset_index(drop=True), measures))
