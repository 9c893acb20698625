"""How often the decisions are right: many data sets with known structure, or known to have none.

Writes `benchmarks/results/structure_calibration.csv` (one row a data set) and `.md` (the table). A data set is run
through conditioning, metrics, swap null and decision exactly as the pipeline runs it; the surrogate null, which takes
most of the time, is computed where every other criterion of the sound decision holds, since otherwise it cannot
change the decision.

    python benchmarks/structure_calibration.py [--n-null 264] [--n-planted 30] [--family "white noise"]
"""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

import click
import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from soundgate.evaluation.statistics import proportion_estimate
from soundgate.runtime.console import track
from soundgate.tracks.structure import planted
from soundgate.tracks.structure.analysis import analyse
from soundgate.tracks.structure.decision import decide
from soundgate.tracks.structure.fitting import fit_conditioning
from soundgate.tracks.structure.normaliser import fit_normalisers
from soundgate.tracks.structure.nulls import choose_utterances
from soundgate.tracks.structure.planted import CorpusShape, Switching
from soundgate.tracks.structure.settings import ConditioningSettings, DecisionSettings, MetricsSettings
from soundgate.tracks.structure.surrogates import reduced_sequences, surrogate_null

RESULTS = Path(__file__).parent / "results"
SMALL = CorpusShape(n_speakers=20, n_utterances=6, n_frames=100, dim=8)
LOW = CorpusShape(n_speakers=20, n_utterances=6, n_frames=100, dim=2)
LARGE = CorpusShape(n_speakers=40, n_utterances=10, n_frames=150, n_eval=10)
FEW = CorpusShape(n_speakers=20, n_utterances=15, n_frames=150, n_eval=8)
ENERGY = Switching(n_regimes=5, stay=0.0, white_noise=2.0, energy_shows=True)
CONDITIONS = {
    "mean_vq64": {"kind": "mean_vq", "n_clusters": 64},
    "pca8_vq256": {"kind": "pca_vq", "n_components": 8, "n_clusters": 256},
    "pca8_quartile": {"kind": "pca_quartile", "n_components": 8},
}
METRICS = MetricsSettings.model_validate(
    {
        "min_cluster_frames": 20,
        "medial": (0.17, 0.83),
        "n_bootstrap": 500,
        "n_confound_bins": 32,
        "stability_frames": 1000,
        "nulls": {
            "n_dims": 16,
            "n_swaps": 39,
            "swap_max_frames": 8000,
            "n_surrogates": 0,
            "surrogate_max_frames": 6000,
        },
        "ceiling": {"hidden": 16, "epochs": 0, "batch_size": 512, "learning_rate": 0.001, "max_frames": 1000},
        "power": {"gains": (0.01, 0.05), "n_draws": 10, "probability": 0.8, "max_frames": 100_000},
    }
)
N_SURROGATES = 24
DECISION = DecisionSettings.model_validate(
    {
        "seed": {
            "variance_ratio": 0.6,
            "degradation": 0.2,
            "persistence": 0.65,
            "baseline_tolerance": 0.05,
            "excluded_mass": 0.1,
        },
        "sound": {"min_gain": 0.01, "p_value": 0.05, "degradation": 0.2},
    }
)

# name -> (truth, window, generator of one data set from its seed)
NULLS = {
    "white noise": (8, lambda s: planted.autoregressive(SMALL, 0.0, s)),
    "white noise, 2-D, window 1": (1, lambda s: planted.autoregressive(LOW, 0.0, s)),
    "AR(1), a = -0.8, 2-D, window 1": (1, lambda s: planted.autoregressive(LOW, -0.8, s)),
    "rotation, 2-D, window 1": (1, lambda s: planted.rotation(LOW, 0.97, 2.0, s)),
    "AR(1), a = -0.5": (8, lambda s: planted.autoregressive(SMALL, -0.5, s)),
    "AR(1), a = 0.5": (8, lambda s: planted.autoregressive(SMALL, 0.5, s)),
    "AR(1), a = 0.95": (8, lambda s: planted.autoregressive(SMALL, 0.95, s)),
    "random walk": (8, lambda s: planted.autoregressive(SMALL, 1.0, s)),
    "AR(1), a = 0.7, Student's t(4)": (8, lambda s: planted.autoregressive(SMALL, 0.7, s, 4.0)),
    "VAR(2), speaker levels": (8, lambda s: planted.vector_autoregressive(SMALL, s)),
    "volatility clusters": (8, lambda s: planted.volatile(SMALL, s)),
}
CONFOUNDED = {
    "speaker-specific dynamics": (
        1,
        "loss_on_new_speakers",
        lambda s: Switching(n_regimes=5, speaker_specific=0.5).generate(FEW, s),
    ),
    "energy-only dynamics": (1, "gain_without_confounds", lambda s: ENERGY.generate(LARGE, s)),
}
PLANTED = {
    "switching, window 1": (1, Switching(n_regimes=5, stay=0.7)),
    "switching, window 8": (8, Switching(stay=0.9)),
}


def conditioning(window: int, dim: int, n_regimes: int | None = None) -> ConditioningSettings:
    """Return the default conditions with as many components as a window has dimensions, at most 8.

    Where the number of regimes is given, a condition ``regimes`` with as many clusters comes first: its cells are the
    planted ones, so that its gain has the closed form. (64 clusters also see the last response, and gain by that.)
    """
    size = min(8, window * dim)
    conditions = {name: {**c, "n_components": size} if "n_components" in c else c for name, c in CONDITIONS.items()}
    if n_regimes:
        conditions = {"regimes": {"kind": "mean_vq", "n_clusters": n_regimes}} | conditions
    return ConditioningSettings.model_validate(
        {
            "window": window,
            "lags": (1, 2, 4),
            "conditions": conditions,
            "ridges": (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0),
            "n_init": 5 if n_regimes else 1,
            "max_fit_frames": 8000,
            "n_seeds": 0,
        }
    )


def run_one(family: str, truth: str, window: int, generate, number: int) -> dict:
    """Analyse one data set and return its row."""
    os.environ["SOUNDGATE_WORKERS"] = "1"
    warnings.filterwarnings("ignore", category=RuntimeWarning)
    sequences = generate(number)
    settings = conditioning(window, sequences.dim, PLANTED[family][1].n_regimes if family in PLANTED else None)
    first = next(iter(settings.conditions))
    fitted = fit_conditioning(sequences, settings, number)
    metrics, _ = analyse(sequences, fitted, settings, METRICS, number)
    decision = decide(metrics, DECISION)
    if decision["sound"]["verdict"] == "pass":
        decision = with_surrogates(sequences, metrics, settings, number)
    fails = [c for c, v in decision["sound"]["criteria"][first].items() if v["verdict"] != "pass"]
    leader = metrics["conditions"][first]["lags"]["1"]["sound"]
    gain = leader["gain_new"]["innovation"]
    return {
        "family": family,
        "truth": truth,
        "number": number,
        "seed_pass": decision["seed"]["verdict"] == "pass",
        "sound_pass": decision["sound"]["verdict"] == "pass",
        "fails": " ".join(fails),
        "gain": gain["value"],
        "ci_low": gain["ci_low"],
        "ci_high": gain["ci_high"],
        "p_swap": leader["p_swap"],
        "p_surrogate": leader["p_surrogate"],
        "seed_variance_ratio": min(
            c["lags"]["1"]["seed"]["variance_ratio_train"]["all"] or np.inf for c in metrics["conditions"].values()
        ),
    }


def with_surrogates(sequences, metrics: dict, settings: ConditioningSettings, number: int) -> dict:
    """Add the surrogate null's p-values to the metrics and decide again."""
    full = METRICS.model_copy(update={"nulls": METRICS.nulls.model_copy(update={"n_surrogates": N_SURROGATES})})
    normaliser, _ = fit_normalisers(sequences, settings.history)
    few = sequences.subset(choose_utterances(sequences, full.nulls.surrogate_max_frames, number))
    reduced = reduced_sequences(few, normaliser, full.nulls.n_dims)
    null = surrogate_null(reduced, settings, full, number)
    rows = [(name, str(lag)) for lag in settings.lags for name in settings.conditions]
    for (name, lag), p in zip(rows, null.p_values[:, 0], strict=True):
        metrics["conditions"][name]["lags"][lag]["sound"]["p_surrogate"] = float(p)
    return decide(metrics, DECISION)


def tasks(n_null: int, n_planted: int) -> list:
    """Return the data sets to run: ``n_null`` nulls in all, ``n_planted`` of every other family."""
    each = -(-n_null // len(NULLS))
    found = [(f, "no structure", w, g, i) for f, (w, g) in NULLS.items() for i in range(each)]
    found += [(f, f"fails {c}", w, g, i) for f, (w, c, g) in CONFOUNDED.items() for i in range(n_planted // 2)]
    for family, (window, model) in PLANTED.items():
        found += [(family, "structure", window, lambda s, m=model: m.generate(LARGE, s), i) for i in range(n_planted)]
    return found


def table(rows: pd.DataFrame) -> str:
    """Return the Markdown table by family, and the totals with Wilson's intervals."""
    lines = [
        "| data | truth | n | seed's decision passes | sound decision passes | lowest seed ratio | gain, median "
        "| closed form | within interval |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for family, part in rows.groupby("family", sort=False):
        closed = inside = ""
        if family in PLANTED:
            window, model = PLANTED[family]
            value = model.closed_form_gain(1, window + 3)
            closed = f"{value:.4f}" + ("" if window == 1 else " (regime known)")
            inside = f"{np.mean((part['ci_low'] <= value) & (value <= part['ci_high'])):.0%}" if window == 1 else ""
        lines.append(
            f"| {family} | {part['truth'].iloc[0]} | {len(part)} | {part['seed_pass'].mean():.0%} | "
            f"{part['sound_pass'].mean():.0%} | {part['seed_variance_ratio'].min():.3f} | "
            f"{part['gain'].median():.4f} | {closed} | {inside} |"
        )
    null, real = rows[rows["truth"] == "no structure"], rows[rows["truth"] == "structure"]
    for label, part, column in (
        ("Type-I error of the sound decision", null, "sound_pass"),
        ("Type-I error of the seed's decision", null, "seed_pass"),
        ("Type-I error of the swap test alone (p <= 0.05)", null.assign(p=null["p_swap"] <= 0.05), "p"),
        ("Power of the sound decision", real, "sound_pass"),
        ("Power of the seed's decision", real, "seed_pass"),
    ):
        e = proportion_estimate(int(part[column].sum()), len(part))
        lines.append(f"\n{label}: {e.value:.1%} [{e.ci_low:.1%}, {e.ci_high:.1%}] of {e.n} data sets")
    for family, (_, criterion, _) in CONFOUNDED.items():
        part = rows[rows["family"] == family]
        hits = part["fails"].str.split().map(lambda failed: criterion in failed).sum()  # noqa: B023
        lines.append(f"\n{family}: `mean_vq64` fails `{criterion}` in {hits} of {len(part)} data sets")
    return "\n".join(lines) + "\n"


@click.command()
@click.option("--n-null", default=264, show_default=True, help="Null data sets in all.")
@click.option("--n-planted", default=30, show_default=True, help="Data sets of each planted family.")
@click.option("--family", help="Run one family only and replace its rows in the table.")
@click.option("--jobs", default=2, show_default=True, help="Processes.")
def main(n_null: int, n_planted: int, family: str | None, jobs: int) -> None:
    """Run every data set and write the tables."""
    everything = tasks(n_null, n_planted)
    todo = [task for task in everything if family in (None, task[0])]
    parallel = Parallel(n_jobs=jobs, return_as="generator", inner_max_num_threads=1, backend="loky")
    rows = pd.DataFrame(list(track(parallel(delayed(run_one)(*t) for t in todo), "data sets", len(todo))))
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "structure_calibration.csv"
    if family:
        others = pd.read_csv(path)
        order = list(dict.fromkeys(task[0] for task in everything))
        rows = pd.concat([others[others["family"] != family], rows])
        rows = rows.sort_values(["family", "number"], key=lambda c: c.map(order.index) if c.name == "family" else c)
    rows.to_csv(path, index=False, float_format="%.5g")
    text = (
        "# Calibration of the Phase 0 decisions\n\nWritten by `python benchmarks/structure_calibration.py`. The seed's "
        "decision uses the seed's thresholds; clusters count from 20 train frames on, these data sets being small.\n\n"
    )
    (RESULTS / "structure_calibration.md").write_text(text + table(rows))
    sys.stdout.write(table(rows))


if __name__ == "__main__":
    main()
