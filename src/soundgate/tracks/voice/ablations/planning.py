"""Which runs there are to be: an arm, a seed, the parameters and the code that make it what it is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import NamedTuple

from ruamel.yaml import YAML

from soundgate.pipeline.compose import CONFIG_FOLDER, compose_text
from soundgate.runtime.code_hash import code_hash
from soundgate.runtime.config import parse_section
from soundgate.runtime.errors import ConfigError
from soundgate.tracks.voice.ablations.judges import VOICE_CHECKS, Check
from soundgate.tracks.voice.ablations.settings import ComparisonSettings


class Pipeline(NamedTuple):
    """What of the pipeline an arm is.

    Args:
        target: the stage that scores an arm.
        shared: stages that no arm changes, run once before the arms.
        scores: what the target writes, with ``{profile}`` in it.
        audit: its metrics, which tell whether its judges hear; likewise.
        checks: by measure, see `Check`.
        trained: the stage whose cost is an arm's.
        trainer: its module.
        seed: the parameter that a run's seed is added to.
        sections: all parameters that scores depend on.
        modules: of the stages that scores depend on.
    """

    target: str
    shared: tuple[str, ...]
    scores: str
    audit: str
    checks: Mapping[str, Check]
    trained: str
    trainer: str
    seed: str
    sections: tuple[str, ...]
    modules: tuple[str, ...]


# The audit gathers figures of embeddings and health monitor too, but scores do not depend on them.
_VERBS = ("speech", "cache", "speaker", "judge", "train", "audit")
VOICE = Pipeline(
    target="voice-audit",
    shared=("voice-judge", "voice-embeddings", "voice-health"),
    scores="metrics/{profile}/voice/scores.csv",
    audit="metrics/{profile}/voice/audit.json",
    checks=VOICE_CHECKS,
    trained="voice-train",
    trainer="stages.voice.train",
    seed="voice.train.seed",
    sections=("seed", "training_seed", "corpus.speech", *(f"voice.{verb}" for verb in _VERBS)),
    modules=("stages.corpus.speech", *(f"stages.voice.{verb}" for verb in _VERBS)),
)


class Planned(NamedTuple):
    """One run.

    Args:
        arm: its name.
        seed: from 0; the same for the runs that are paired.
        name: of the DVC experiment; it holds a hash of parameters and code, so that a name stands for one result.
        overrides: what `dvc exp run -S` gets.
        changed: parameters that differ from the baseline's: ``[baseline, own]`` by dotted key.
        code: hash of the code.
        further: overrides that all arms have, beside profile, arm and seed.
        profile: of the configuration.
    """

    arm: str
    seed: int
    name: str
    overrides: tuple[str, ...]
    changed: dict[str, list]
    code: str
    further: tuple[str, ...]
    profile: str

    @property
    def digest(self) -> str:
        """Of profile, parameters and code, see `digest_of`."""
        return self.name.rpartition("-")[2]


def known_arms(profile: str, root: Path = Path()) -> ComparisonSettings:
    """Return the comparison's settings, which name the arms.

    Raises:
        ConfigError: no such profile, or a wrong setting.
    """
    values = _composed([f"profile={profile}"], root)
    return parse_section("voice.ablations", _at(values, "voice.ablations"), ComparisonSettings)


def plan(
    profile: str,
    arms: Sequence[str],
    baseline: str,
    n_seeds: int,
    further: Sequence[str] = (),
    pipeline: Pipeline = VOICE,
    root: Path = Path(),
) -> list[Planned]:
    """Return the runs, seed by seed, so that whatever is finished first can be paired.

    Args:
        profile: of the configuration.
        arms: names of files under conf/ablation.
        baseline: the arm that parameters are compared with.
        n_seeds: seeds from 0 on.
        further: overrides for all arms, such as ``voice.train.loop.epochs=10``.
        pipeline: see `Pipeline`.
        root: of the repository.

    Raises:
        ConfigError: an arm, a profile or a parameter that does not exist.
    """
    code = code_hash(root, pipeline.modules)[:10]
    composed = {arm: _composed([f"profile={profile}", f"ablation={arm}", *further], root) for arm in {*arms, baseline}}
    reference = dict(_leaves(composed[baseline]))
    runs = []
    for seed in range(n_seeds):
        for arm in arms:
            first = _at(composed[arm], pipeline.seed)
            own = dict(_leaves(composed[arm])) | {pipeline.seed: first + seed}
            name = f"{profile}-{arm}-{seed}-{_digest(profile, own, pipeline, code)}"
            overrides = (f"profile={profile}", f"ablation={arm}", *further, f"{pipeline.seed}={first + seed}")
            before = reference | {pipeline.seed: reference[pipeline.seed] + seed}
            keys = sorted(own.keys() | before.keys())
            changed = {
                key: [before.get(key), own.get(key)] for key in keys if before.get(key, ...) != own.get(key, ...)
            }
            runs.append(Planned(arm, seed, name, overrides, changed, code, tuple(further), profile))
    return runs


def digest_of(profile: str, values: dict, pipeline: Pipeline, code: str) -> str:
    """Return what is equal for experiments with the same result.

    Args:
        profile: of the configuration.
        values: all parameters, nested.
        pipeline: see `Pipeline`, which says what of them scores depend on.
        code: hash of the code.
    """
    return _digest(profile, dict(_leaves(values)), pipeline, code)


def _digest(profile: str, own: dict[str, object], pipeline: Pipeline, code: str) -> str:
    sections = {key: value for key, value in own.items() if _inside(key, pipeline.sections)}
    text = json.dumps([profile, sections, code], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def _composed(overrides: Sequence[str], root: Path) -> dict:
    return YAML(typ="safe").load(compose_text(overrides, root / CONFIG_FOLDER))


def _at(values: dict, dotted: str) -> object:
    try:
        return reduce(getitem, dotted.split("."), values)
    except (KeyError, TypeError) as error:
        raise ConfigError(dotted, expected="this parameter in conf/", found="none") from error


def _leaves(value: object, prefix: str = "") -> Iterator[tuple[str, object]]:
    if not isinstance(value, dict) or not value:
        yield prefix, value
        return
    for key, inner in value.items():
        yield from _leaves(inner, f"{prefix}.{key}" if prefix else key)


def _inside(key: str, sections: Sequence[str]) -> bool:
    return any(f"{key}.".startswith(f"{section}.") for section in sections)
