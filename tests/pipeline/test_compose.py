import importlib
import os
import re
import subprocess
from functools import reduce
from operator import getitem

import pytest
from click.testing import CliRunner
from dvc.utils.hydra import compose_and_dump
from omegaconf import OmegaConf
from ruamel.yaml import YAML

from soundgate.codecs.registry import CODEC_NAMES
from soundgate.embeddings.registry import EMBEDDER_NAMES
from soundgate.pipeline import compose as composing
from soundgate.runtime.config import load_section, parse_section
from soundgate.runtime.errors import ConfigError
from soundgate.tracks.voice.gan.settings import TrainSettings
from tests.pipeline.compositions import compose_once, composed, text_of
from tests.pipeline_file import ROOT, leaves, sections_read, stage_entries

PROFILES = sorted(path.stem for path in (ROOT / "conf/profile").glob("*.yaml"))
ABLATIONS = sorted(path.stem for path in (ROOT / "conf/ablation").glob("*.yaml"))
SIZES = sorted(path.stem for path in (ROOT / "conf/size").glob("*.yaml"))
CHOICES = [
    (f"{group}={name}",)
    for group, names in (("profile", PROFILES), ("ablation", ABLATIONS), ("size", SIZES))
    for name in names
]


def test_the_committed_parameters_are_the_default_composition():
    assert (ROOT / "params.yaml").read_text() == text_of(), "run: soundgate compose"


@pytest.mark.parametrize("overrides", [(), *CHOICES, ("profile=full", "ablation=none", "seed=7", "+a.b=[1,x]")])
def test_the_bytes_are_those_dvc_writes(overrides, tmp_path, monkeypatch):
    made = compose_once(monkeypatch)
    out = tmp_path / "params.yaml"
    compose_and_dump(out, str(ROOT / "conf"), None, "config", str(ROOT / "conf/plugins"), list(overrides))
    assert text_of(*overrides) == out.read_text() and len(made) == 1


@pytest.mark.parametrize("overrides", CHOICES)
def test_every_section_of_every_choice_is_valid(overrides):
    given = [f"{key}=x" for key in ("corpus.speech.origin", "corpus.music.origin") if overrides == ("profile=real",)]
    check_all_sections(composed(*overrides, *given))


def check_all_sections(params):
    """Hold every section that a stage reads against its settings' model."""
    sections = {section: model for stage in stage_entries() for section, model in sections_read(stage).items()}
    assert {"corpus.speech", "structure.split", "structure.latents", "structure.frames"} <= set(sections)
    for section, model in sections.items():
        parse_section(section, reduce(getitem, section.split("."), params), model)


def test_what_the_checks_of_a_change_make_small_at_profile_real_is_valid():
    """They take an hour, and a setting that has another name would end them."""
    arrays = re.search(r"^bad=.*?^\)$", (ROOT / ".ci/run").read_text(), re.DOTALL | re.MULTILINE)[0]
    command = ["bash", "-c", f'{arrays}\nprintf "%s\\0" "${{own[@]}}"']
    overrides = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\0")[:-1]
    assert overrides[0] == "profile=real" and len(overrides) > 50
    check_all_sections(composed(*overrides))


def check_sections(kind, package, names, path):
    """Hold the section ``<kind>.<name>`` of every implementation in a package against its settings' model."""
    path.write_text(text_of())
    sections = YAML(typ="safe").load(path)[kind]
    assert set(sections) == set(names)
    for name in names:
        model = importlib.import_module(f"soundgate.{package}.{name}").Settings
        load_section(f"{kind}.{name}", model, path)
        # A setting that is not in conf/ cannot be overridden from the command line.
        assert set(sections[name]) == set(model.model_fields)


def test_every_codec_has_a_valid_section(tmp_path):
    check_sections("codec", "codecs", CODEC_NAMES, tmp_path / "params.yaml")


def test_every_embedder_has_a_valid_section(tmp_path):
    check_sections("embedder", "embeddings", EMBEDDER_NAMES, tmp_path / "params.yaml")
    package = importlib.import_module("soundgate.embeddings.clap")
    assert composed()["embedder"]["clap"] == package.Settings().model_dump()


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_names_itself_and_adds_no_key(name):
    params = composed(f"profile={name}")
    assert params["profile"] == ["real" if name == "published" else name]
    assert set(leaves(params)) == set(leaves(composed()))


def said_by(name):
    """Return what an ablation's file sets itself, and the ablation that it begins with, if with one."""
    said = OmegaConf.to_container(OmegaConf.load(ROOT / f"conf/ablation/{name}.yaml"))
    begun_with = [entry for entry in said.pop("defaults", []) if entry != "_self_"]
    return set(leaves(said)), *begun_with


def test_a_size_is_a_profiles_or_asked_for_and_adds_no_key():
    voice = {name: composed("profile=full", f"size={name}")["voice"] for name in SIZES}
    assert voice["full"] == composed("profile=full")["voice"]
    for name, alone in (("none", composed()), ("h200", composed("size=h200"))):
        assert all(voice[name][section] == alone["voice"][section] for section in ("speaker", "judge", "train"))
    assert all(set(leaves(own)) == set(leaves(voice["none"])) for own in voice.values())
    assert composed("profile=full", "ablation=batch_16")["voice"]["train"]["loop"]["batch_size"] == 16


@pytest.mark.parametrize("name", sorted(set(SIZES) - {"none"}))
def test_a_size_has_the_rates_and_discriminators_of_the_seed(name):
    train = parse_section("voice.train", composed(f"size={name}")["voice"]["train"], TrainSettings)
    assert train.learning_rate == 1e-4 and train.learning_rate * train.critic_rate == 5e-5
    assert train.betas == (0.5, 0.9) and train.width == 1 and train.sample_interval == 5
    assert train.contrastive.n_negatives == 6 and train.weights.feature_matching == 2
    if name == "full":
        assert train.loop.batch_size == 8 and train.segment_s == 2 and train.judged_s is None
        assert train.task_loop.steps_per_epoch * train.loop.epochs == 200_000


@pytest.mark.parametrize("name", sorted(set(ABLATIONS) - {"none", "baseline"}))
def test_an_ablation_changes_something_and_only_what_it_says(name):
    said, *begun_with = said_by(name)
    default, ablated = composed(*(f"ablation={other}" for other in begun_with)), composed(f"ablation={name}")

    def flat(params):
        # Section pipeline follows from the others.
        names = [leaf for leaf in leaves(params) if not leaf.startswith("pipeline.")]
        return {leaf: reduce(getitem, leaf.split("."), params) for leaf in names}

    before, after = flat(default), flat(ablated)
    changed = {leaf for leaf in before.keys() | after.keys() if before.get(leaf, ...) != after.get(leaf, ...)}
    assert changed and changed <= said


def test_the_profiles_say_what_they_stand_for():
    speech = {name: composed(f"profile={name}")["corpus"]["speech"] for name in PROFILES}
    assert {name: section["source"] for name, section in speech.items()} == {
        "embedded": "generated", "tiny": "generated", "real": "folder", "published": "folder",
        "full": "librispeech",
    }  # fmt: skip
    assert composed("profile=full")["structure"]["codecs"] == ["mimi", "encodec"]
    assert composed("profile=full")["gates"]["structure"]["variants"] == ["mimi", "encodec"]
    assert composed("seed=5")["corpus"]["speech"]["seed"] == 5


@pytest.mark.parametrize(
    ("override", "part"),
    [
        ("profile=large", "embedded; full; published; real; tiny"),
        ("structure.split.train_fractoin=0.5", "Could not override 'structure.split.train_fractoin'"),
        ("sed=1", "Could not override 'sed'"),
        ("structure.split.train_fraction", "structure.split.train_fraction"),
    ],
)
def test_an_unknown_choice_is_refused_by_name(override, part):
    with pytest.raises(ConfigError) as caught:
        composing.compose_text([override], ROOT / "conf")
    assert part in str(caught.value) and "\n" not in str(caught.value)


def test_values_still_missing_are_refused_by_name(tmp_path):
    (tmp_path / "config.yaml").write_text("a:\n  folder: ???\n  n: 1\nb: ???\n")
    with pytest.raises(ConfigError, match=r"a\.folder, b: expected a value; found \?\?\?.*a\.folder=VALUE"):
        composing.compose_text((), tmp_path)
    assert composing.compose_text(["a.folder=x", "b=2"], tmp_path) == "a:\n  folder: x\n  'n': 1\nb: 2\n"


def test_the_command_writes_whole_or_not_at_all(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    out = tmp_path / "params.yaml"
    refused = CliRunner().invoke(composing.main, ["profile=large", "--out", str(out)])
    assert refused.exit_code == 1 and "ConfigError" in refused.output and not out.exists()
    assert CliRunner().invoke(composing.main, ["profile=tiny", "--out", str(out)]).exit_code == 0
    tiny, written = out.read_text(), os.stat(out).st_mtime_ns
    assert "- tiny\n" in tiny
    assert CliRunner().invoke(composing.main, ["profile=large", "--out", str(out)]).exit_code == 1
    assert CliRunner().invoke(composing.main, ["profile=tiny", "--out", str(out)]).exit_code == 0
    assert (out.read_text(), os.stat(out).st_mtime_ns) == (tiny, written)
    assert os.listdir(tmp_path) == ["params.yaml"]


def test_outside_the_repository_it_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="root of the repository"):
        composing.compose_text()
