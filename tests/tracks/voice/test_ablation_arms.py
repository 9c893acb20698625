"""The arms' files: each composes, changes what it is named for and nothing else, and hears as much as the baseline."""

from functools import cache, reduce
from operator import getitem

import pytest
from ruamel.yaml import YAML

from soundgate.pipeline.compose import compose_text
from soundgate.runtime.config import parse_section
from soundgate.runtime.errors import ConfigError
from soundgate.tracks.voice.ablations.planning import VOICE, known_arms
from soundgate.tracks.voice.gan.settings import TrainSettings
from tests.pipeline_file import ROOT, leaves

PROFILES = sorted(path.stem for path in (ROOT / "conf/profile").glob("*.yaml"))
# Under voice.train: the baseline's value, the arm's.
CHANGES = {
    "baseline_again": {"seed": (0, 1000)},
    "no_contrastive": {"weights.contrastive": (0.5, 0.0)},
    "no_gan": {"weights.adversarial": (..., 0.0), "weights.feature_matching": (..., 0.0)},
    "low_contrastive": {"weights.contrastive": (0.5, 0.1)},
    "high_contrastive": {"weights.contrastive": (0.5, 1.0)},
    "no_hard_negative": {"contrastive.hard_negatives": (True, False)},
    "more_negatives": {"contrastive.n_negatives": (6, 12)},
    "segment_1s": {"segment_s": (2.0, 1.0), "judged_s": (0.25, 0.125)},
    "segment_4s": {"segment_s": (2.0, 4.0), "judged_s": (0.25, 0.5)},
    "batch_4": {"loop.batch_size": (8, 4)},
    "batch_16": {"loop.batch_size": (8, 16)},
}


@cache
def composed(profile, arm):
    return YAML(typ="safe").load(compose_text([f"profile={profile}", f"ablation={arm}"], ROOT / "conf"))


def flat(profile, arm):
    values = composed(profile, arm)
    return {leaf: reduce(getitem, leaf.split("."), values) for leaf in leaves(values)}


def train(profile, arm):
    return parse_section("voice.train", composed(profile, arm)["voice"]["train"], TrainSettings)


def test_every_arm_of_the_seed_document_has_a_file_and_is_compared():
    settings = known_arms("embedded", ROOT)
    assert settings.all_arms == ("baseline", *CHANGES)
    assert all((ROOT / f"conf/ablation/{arm}.yaml").is_file() for arm in settings.all_arms)
    assert all((ROOT / "ablations" / profile / "README.md").is_file() for profile in PROFILES)


@pytest.mark.parametrize("profile", ["embedded", "tiny"])
@pytest.mark.parametrize("arm", CHANGES)
def test_an_arm_changes_what_it_is_named_for_and_nothing_else(profile, arm):
    baseline, own = flat(profile, "baseline"), flat(profile, arm)
    changed = {key for key in baseline.keys() | own.keys() if baseline.get(key, ...) != own.get(key, ...)}
    assert changed == {f"voice.train.{key}" for key in CHANGES[arm]}
    for key, (before, after) in CHANGES[arm].items():
        assert own[f"voice.train.{key}"] == after
        assert before is ... or baseline[f"voice.train.{key}"] == before


@pytest.mark.parametrize("profile", PROFILES)
def test_an_epoch_is_whole_steps_of_every_arm(profile):
    # The largest step: 8 crops of 4 s, or 16 of 2 s.
    assert train(profile, "baseline").epoch_s % 32 == 0


@pytest.mark.parametrize("profile", ["embedded", "tiny"])
def test_every_arm_hears_as_much_audio(profile):
    heard = {}
    for arm in ("baseline", *CHANGES):
        settings = train(profile, arm)
        assert settings.epoch_s is not None, "steps would not follow the arm's batch and crop"
        steps = settings.task_loop.n_steps(10**6)
        crops = settings.task_loop.batch_size * settings.utterances_per_speaker
        heard[arm] = steps * crops * settings.segment_s
    assert set(heard.values()) == {heard["baseline"]}, heard
    assert heard["baseline"] == train(profile, "baseline").loop.epochs * train(profile, "baseline").epoch_s


@pytest.mark.parametrize("profile", ["embedded", "tiny"])
@pytest.mark.parametrize("arm", ["baseline", *CHANGES])
def test_discriminators_join_and_the_rate_rises_before_an_arm_ends(profile, arm):
    settings = train(profile, arm)
    steps = settings.task_loop.n_steps(10**6)
    assert settings.gan_start * steps <= steps - 2, "the arm without discriminators would be the baseline"
    assert settings.warm_up < steps


@pytest.mark.parametrize("profile", ["embedded", "tiny"])
@pytest.mark.parametrize("arm", ["segment_1s", "segment_4s"])
def test_discriminators_look_at_the_same_share_of_a_crop(profile, arm):
    baseline, own = train(profile, "baseline"), train(profile, arm)
    assert own.judged_s / own.segment_s == baseline.judged_s / baseline.segment_s


def test_an_epochs_length_is_said_once():
    values = train("embedded", "baseline").model_dump()
    values["loop"]["steps_per_epoch"] = 10
    with pytest.raises(ConfigError, match="steps_per_epoch must be null"):
        parse_section("voice.train", values, TrainSettings)


def test_runs_are_named_after_sections_and_stages_that_exist():
    names = set(flat("tiny", "baseline"))
    for section in VOICE.sections:
        assert any(f"{name}.".startswith(f"{section}.") for name in names), section
    stages = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
    assert {VOICE.target, VOICE.trained, *VOICE.shared} <= set(stages)
    outs = [name for out in stages[VOICE.target]["outs"] for name in ([out] if isinstance(out, str) else out)]
    assert VOICE.scores.replace("{profile}", "${item.p}") in outs
    modules = {f"stages.{track}.{verb}" for track, _, verb in (name.partition("-") for name in upstream(stages))}
    gathered = {"stages.voice.embeddings", "stages.voice.health"}
    assert modules - gathered == set(VOICE.modules), "a run's name must change with everything its scores depend on"
    # What the arms share must not depend on what they change.
    assert not {VOICE.trained, VOICE.target} & set().union(*(upstream(stages, stage) for stage in VOICE.shared))


def upstream(stages, stage=VOICE.target):
    """Return a stage and all that it depends on."""
    made = {}
    for name, entry in stages.items():
        for out in (out for key in ("outs", "metrics", "plots") for out in entry.get(key, [])):
            made[out if isinstance(out, str) else next(iter(out))] = name
    found, waiting = set(), [stage]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            deps = [one for dep in stages[name]["deps"] for one in one_of_two(dep)]
            waiting += [made[dep] for dep in deps if dep in made]
    return found


def one_of_two(dep):
    """Return the folders that a track's speech may be in, the shared one and its own; of others the dependency."""
    folder, found, track = dep.partition("${pipeline.speech_of.")
    return [f"{folder}speech", f"{folder}{track.rstrip('}')}/speech"] if found else [dep]
