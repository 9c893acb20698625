"""What `soundgate ablations` does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from soundgate.pipeline.workplace import refuse_failures
from soundgate.runtime.console import logger
from soundgate.runtime.errors import ConfigError
from soundgate.tracks.voice.ablations.collected import ROOT, read_collected
from soundgate.tracks.voice.ablations.collecting import collect_native
from soundgate.tracks.voice.ablations.launching import gpus_of
from soundgate.tracks.voice.ablations.outputs import write_comparison
from soundgate.tracks.voice.ablations.planning import VOICE, Pipeline, known_arms, plan
from soundgate.tracks.voice.ablations.power import Design, power_text, spread_text
from soundgate.tracks.voice.ablations.running import Arms, Means
from soundgate.tracks.voice.ablations.settings import ComparisonSettings


class AblationOptions(NamedTuple):
    """The command's options.

    Args:
        arms: names; none: all.
        n_seeds: of each arm.
        profile: of the configuration.
        jobs: runs at a time.
        gpus: dealt out to the jobs.
        overrides: for all arms.
        processes: that each training runs in.
    """

    arms: tuple[str, ...]
    n_seeds: int
    profile: str
    jobs: int
    gpus: tuple[str, ...]
    overrides: tuple[str, ...]
    processes: int = 1


def run_ablations(options: AblationOptions, pipeline: Pipeline = VOICE, root: Path = Path()) -> str:
    """Say what the seeds can find, run what is not collected, compare, and return where the comparison is.

    Args:
        options: see `AblationOptions`.
        pipeline: see `Pipeline`.
        root: of the repository.

    Raises:
        ConfigError: an arm that is not known, or fewer GPUs than processes.
        TrainingError: something failed; what did not is collected and compared.
    """
    settings = known_arms(options.profile, root)
    arms = _asked(settings, options.arms)
    gpus_of(0, options.gpus, options.processes)
    runs = plan(options.profile, arms, settings.baseline, options.n_seeds, options.overrides, pipeline, root)
    logger.info("%s", power_text(_design(settings, arms), options.n_seeds))
    means = Means(options.jobs, options.gpus, options.processes)
    failed = Arms(runs, options.profile, pipeline, means, root / ROOT / options.profile, root).run()
    where = compare_profile(options.profile, root)
    refuse_failures(failed)
    return where


def collect_experiments(
    arms: Sequence[str],
    n_seeds: int,
    profile: str,
    overrides: Sequence[str],
    pipeline: Pipeline = VOICE,
    root: Path = Path(),
) -> str:
    """Collect what DVC's own commands ran of the arms, compare, and return what was found and where the comparison is.

    Args:
        arms: names; none: all.
        n_seeds: of each arm, from 0 on.
        profile: of the configuration.
        overrides: that all arms were run with.
        pipeline: see `Pipeline`.
        root: of the repository.

    Raises:
        ConfigError: an arm that is not known.
    """
    settings = known_arms(profile, root)
    runs = plan(profile, _asked(settings, arms), settings.baseline, n_seeds, overrides, pipeline, root)
    names = collect_native(runs, pipeline, root / ROOT / profile, root)
    return f"{len(names)} experiments collected: {compare_profile(profile, root)}"


def show_power(
    arms: Sequence[str], n_seeds: int, effect: float, power: float, profile: str, root: Path = Path()
) -> str:
    """Return how many seeds an effect needs, what seeds find, and what one standard deviation was so far.

    Args:
        arms: to be run; none: all.
        n_seeds: of each arm.
        effect: in standard deviations of an arm's paired difference over seeds.
        power: asked for.
        profile: of the configuration.
        root: of the repository.

    Raises:
        ConfigError: an arm that is not known.
    """
    settings = known_arms(profile, root)
    design = _design(settings, _asked(settings, arms))
    said = spread_text(settings, read_collected(root / ROOT / profile))
    return "\n".join([power_text(design, n_seeds, effect, power), *([said] if said else [])])


def _asked(settings: ComparisonSettings, arms: Sequence[str]) -> Sequence[str]:
    unknown = sorted(set(arms) - set(settings.all_arms))
    if unknown:
        raise ConfigError("--arms", expected=", ".join(settings.all_arms), found=", ".join(unknown))
    return arms or settings.all_arms


def _design(settings: ComparisonSettings, arms: Sequence[str]) -> Design:
    return Design(max(1, len(set(arms) & set(settings.arms))), settings.level)


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
