"""The metrics as one flat table."""

from __future__ import annotations

import pandas as pd


def metrics_table(metrics: dict) -> pd.DataFrame:
    """Return one row for each condition and lag with the numbers people compare.

    Args:
        metrics: as `analyse` returns them.

    Returns:
        Columns ``condition, lag``, then the seed's numbers (``seed_*``), then the sound ones.
    """
    rows = []
    for name, condition in metrics["conditions"].items():
        for lag, entry in condition["lags"].items():
            seed, sound = entry["seed"], entry["sound"]
            gain = sound["gain_new"]["innovation"]
            rows.append(
                {
                    "condition": name,
                    "lag": int(lag),
                    "seed_variance_ratio_train": seed["variance_ratio_train"]["all"],
                    "seed_variance_ratio_eval": seed["variance_ratio_eval"]["all"],
                    "seed_degradation": seed["degradation"],
                    "seed_entropy_reduction": seed.get("entropy_reduction"),
                    "seed_entropy_reduction_nats_per_dim": seed.get("entropy_reduction_nats_per_dim"),
                    "seed_n_effective": seed["n_effective"],
                    "seed_excluded_train": seed["excluded_train"],
                    "gain": gain["value"],
                    "gain_ci_low": gain["ci_low"],
                    "gain_ci_high": gain["ci_high"],
                    "gain_seen": sound["gain_seen"]["innovation"]["value"],
                    "gain_difference": sound["gain_new"]["difference"]["value"],
                    "gain_next": sound["gain_new"]["next"]["value"],
                    "gain_without_confounds": sound["gain_new"]["deconfounded"]["value"],
                    "degradation": sound["degradation"]["value"],
                    "nats_per_frame": sound["nats_per_frame"]["value"],
                    "epsilon_squared": sound["epsilon_squared"],
                    "occupied": sound["occupied"],
                    "unseen": sound["unseen"],
                    "p_swap": sound["p_swap"],
                    "p_surrogate": sound["p_surrogate"],
                    "p_iaaft": sound["p_iaaft"],
                }
            )
    return pd.DataFrame(rows)
