"""PPO's variants, over seeds and learning rates: what each earns on the validation pairs.

Needs a finished `soundgate repro` of the profile params.yaml is composed for: its cache, imitation and reconstruction.
A run is one variant, learning rate and seed; its outcome is (R - R_keep) / (R_oracle - R_keep) on the validation pairs,
R the mean reward without label bonus. The seed changes batches, labels drawn and the value network, not the imitation
that all begin with. Finished runs are kept in the scratch folder, so that an interrupted benchmark goes on.

    python benchmarks/policy.py [--seeds 3] [--rates 1e-4,3e-4,1e-3] [--updates 40]
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import click
import pandas as pd

from soundgate.pipeline.gates import default_profile
from soundgate.runtime.config import load_section
from soundgate.runtime.device import keep_freed_memory, torch_device
from soundgate.runtime.ledger import Ledger
from soundgate.runtime.scratch import open_scratch
from soundgate.runtime.stage import deterministic_torch
from soundgate.tracks.editor.cache import PairCache
from soundgate.tracks.editor.policy.model import load_predictor
from soundgate.tracks.editor.policy.ppo import Frozen, train_policy
from soundgate.tracks.editor.policy.settings import PolicySettings
from soundgate.tracks.editor.reconstruct.model import load_reconstruction

RESULTS = Path(__file__).parent / "results"
VARIANTS = {
    "beat, bandit": {},
    "beat, sequence": {"advantage": "sequence"},
    "seed_summed": {"ratio": "seed_summed"},
    "beat, bandit, no label bonus": {"labels": 0.0},
}


def varied(settings: PolicySettings, variant: str, rate: float, updates: int) -> PolicySettings:
    """Return the settings of a run of so many updates, a quarter of them the value network's alone."""
    changes = VARIANTS[variant]
    loop = settings.ppo.loop.model_copy(update={"epochs": 1, "steps_per_epoch": updates})
    own = {"advantage": "bandit", "ratio": "beat", "learning_rate": rate, "loop": loop, "value_warmup": updates // 4}
    reward = settings.reward.model_copy(update={"labels": changes.get("labels", settings.reward.labels)})
    ppo = settings.ppo.model_copy(update=own | {name: value for name, value in changes.items() if name != "labels"})
    return settings.model_copy(update={"ppo": ppo, "reward": reward})


def run(frozen: Frozen, settings: PolicySettings, seed: int, checkpoint: Path) -> dict[str, float]:
    """Train once and return the last epoch's figures with the run's seconds and its gain."""
    started = time.perf_counter()
    deterministic_torch(seed)
    last = train_policy(frozen, settings, seed, checkpoint)[1][-1]
    keep, oracle = last["validation_all_keep"], last["validation_oracle"]
    gains = {
        f"gain{name}": (last[f"validation_{method}"] - keep) / (oracle - keep)
        for name, method in (("", "policy"), ("_imitation", "imitation"))
    }
    return last | gains | {"seconds": time.perf_counter() - started}


def table(runs: pd.DataFrame, updates: int, n_seeds: int) -> str:
    """Return mean and standard deviation over seeds of every variant and rate, as Markdown."""
    columns = [
        "| variant | rate | gain | above imitation | labels drawn right | KL | clipped | largest log-ratio | s |"
    ]
    lines = ["# PPO's variants", "", *columns, "|---|---|---|---|---|---|---|---|---|"]
    for (variant, rate), own in runs.groupby(["variant", "rate"], sort=False):
        above = own["gain"] - own["gain_imitation"]
        spreads = " | ".join(f"{values.mean():.3f} ± {values.std():.3f}" for values in (own["gain"], above))
        means = own[["reward_labels", "kl", "clipped", "log_ratio_largest", "seconds"]].mean()
        numbers = " | ".join(f"{value:.3g}" for value in means)
        lines.append(f"| {variant} | {rate:g} | {spreads} | {numbers} |")
    known = (
        f"Gain: (R - R_keep) / (R_oracle - R_keep) on the validation pairs, R the mean reward without label bonus; the "
        f"imitation that all begin with has {runs['gain_imitation'].iloc[0]:.3f}. {updates} updates; mean ± standard "
        f"deviation over {n_seeds} seeds. The other columns are means over a run's updates."
    )
    return "\n".join([*lines, "", known, ""])


@click.command()
@click.option("--seeds", default=3, show_default=True, help="How many; at least 3 for a spread that means something.")
@click.option("--rates", default="1e-4,3e-4,1e-3", show_default=True, help="Learning rates, by commas.")
@click.option("--updates", default=40, show_default=True, help="Batches drawn and learnt from in a run.")
def main(seeds: int, rates: str, updates: int) -> None:
    """Compare the variants and write `benchmarks/results/policy.json` and `policy.md`."""
    keep_freed_memory()
    data, device = Path("data") / default_profile() / "editor", torch_device()
    settings = load_section("editor.policy", PolicySettings)
    frozen = Frozen(
        PairCache.open(data / "cache"),
        load_predictor(data / "imitation").to(device),
        load_reconstruction(data / "reconstruction").to(device),
    )
    scratch = open_scratch(
        "benchmark-policy",
        RESULTS / "policy.json",
        modules=["stages.editor.policy"],
        params={"policy": settings.model_dump(mode="json")},
        inputs=[data / name for name in ("cache", "imitation", "reconstruction")],
    )
    done, runs = Ledger(scratch.folder / "runs"), []
    for variant in VARIANTS:
        for rate in map(float, rates.split(",")):
            for seed in range(seeds):
                name = f"{variant} {rate:g} {updates} {seed}".replace(",", "")
                own, checkpoint = varied(settings, variant, rate, updates), scratch.folder / f"{name}.pt"
                figures = done.once(name, lambda own=own, s=seed, c=checkpoint: run(frozen, own, s, c))
                checkpoint.unlink(missing_ok=True)
                runs.append({"variant": variant, "rate": rate, "seed": seed} | figures)
    text = table(pd.DataFrame(runs), updates, seeds)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "policy.json").write_text(json.dumps(runs, indent=2) + "\n")
    (RESULTS / "policy.md").write_text(text)
    click.echo(text)


if __name__ == "__main__":
    main()
