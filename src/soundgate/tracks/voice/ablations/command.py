"""What `soundgate ablations` does."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from soundgate.pipeline.workplace import refuse_failures
from soundgate.runtime.errors import ConfigError
from soundgate.tracks.voice.ablations.collected import ROOT
from soundgate.tracks.voice.ablations.outputs import write_comparison
from soundgate.tracks.voice.ablations.planning import VOICE, Pipeline, known_arms, plan
from soundgate.tracks.voice.ablations.running import Arms, Means


class AblationOptions(NamedTuple):
    """The command's options.

    Args:
        arms: names; none: all.
        n_seeds: of each arm.
        profile: of the configuration.
        jobs: runs at a time.
        gpus: dealt out to the jobs.
        overrides: for all arms.
    """

    arms: tuple[str, ...]
    n_seeds: int
    profile: str
    jobs: int
    gpus: tuple[str, ...]
    overrides: tuple[str, ...]


def run_ablations(options: AblationOptions, pipeline: Pipeline = VOICE, root: Path = Path()) -> str:
    """Run what is not collected, compare, and return where the comparison is.

    Args:
        options: see `AblationOptions`.
        pipeline: see `Pipeline`.
        root: of the repository.

    Raises:
        ConfigError: an arm that is not known.
        TrainingError: something failed; what did not is collected and compared.
    """
    settings = known_arms(options.profile, root)
    unknown = sorted(set(options.arms) - set(settings.all_arms))
    if unknown:
        raise ConfigError("--arms", expected=", ".join(settings.all_arms), found=", ".join(unknown))
    arms = options.arms or settings.all_arms
    runs = plan(options.profile, arms, settings.baseline, options.n_seeds, options.overrides, pipeline, root)
    means = Means(options.jobs, options.gpus)
    failed = Arms(runs, options.profile, pipeline, means, root / ROOT / options.profile, root).run()
    where = compare_profile(options.profile, root)
    refuse_failures(failed)
    return where


def compare_profile(profile: str, root: Path) -> str:
    """Write the comparison of a profile where stage `voice-ablations` does, and return the report's path."""
    metrics, plots = (root / kind / profile / "voice" for kind in ("metrics", "plots"))
    write_comparison(
        known_arms(profile, root),
        root / ROOT / profile,
        metrics / "ablations.csv",
        metrics / "ablations.md",
        plots / "ablations.csv",
        plots / "ablation_comparison.png",
    )
    return str(metrics / "ablations.md")
