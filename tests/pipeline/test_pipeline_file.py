"""Rules that dvc.yaml keeps."""

import importlib
import re
import shutil
import tomllib
from functools import cache
from pathlib import Path

import pytest
from dvc.repo import Repo
from packaging.utils import canonicalize_name
from ruamel.yaml import YAML

from soundgate.pipeline.code import LIBRARIES_FILE, code_hashes, plugin_kinds, refresh_libraries, write_code
from soundgate.pipeline.code_hashes import CODE_FILE
from soundgate.runtime.config import read_params
from tests.pipeline_file import ROOT, leaves, sections_read, stage_entries, stage_module

ENTRIES = {name: entry for name, entry in stage_entries().items() if name != "code"}
ALL = pytest.mark.parametrize("stage", ENTRIES)
PATH = re.compile(r"(?<!\S)(?:ablations|data|metrics|plots|models|scratch|seeds|sources|\.{0,2}/)\S*")
# Lists of one element by design: whatever is chosen, the result has one place.
ONE_AT_A_TIME = ("${rooms.embedder}", "${transfer.codecs}")


def paths(entry, key):
    """Return the paths of one list of a stage's entry, without their options."""
    return [next(iter(item)) if isinstance(item, dict) else item for item in entry.get(key, [])]


def code_of(entry):
    """Return the keys of code.yaml that a stage depends on."""
    ((file, keys),) = entry["params"][0].items()
    assert file == CODE_FILE
    return keys


def params_of(entry):
    return [name for name in entry["params"] if isinstance(name, str)]


def test_the_pipeline_can_be_read():
    assert len((ROOT / "dvc.yaml").read_text().splitlines()) <= 1700


@cache
def params():
    return read_params(ROOT / "params.yaml")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The hashes of the code, written anew: that takes seconds."""
    path = tmp_path_factory.mktemp("code") / CODE_FILE
    write_code(ROOT, path)
    return path


def test_the_hashes_committed_are_those_of_the_code(written):
    assert written.read_bytes() == (ROOT / CODE_FILE).read_bytes(), "run: dvc repro code"
    assert not refresh_libraries(ROOT), f"{LIBRARIES_FILE} was not that of the environment"


def test_the_stage_code_depends_on_all_that_is_hashed():
    assert stage_entries()["code"]["deps"] == [LIBRARIES_FILE, "src", "stages"]


@ALL
def test_a_stage_depends_on_its_code_and_on_the_plugins_it_can_load(stage):
    kinds = plugin_kinds(ROOT, stage_module(stage))
    if stage == "gates-summary":  # Says which spreads are of older code.
        assert code_of(ENTRIES[stage]) == ["stages"] and not kinds
        return
    assert code_of(ENTRIES[stage]) == [f"stages.{stage}", *(f"plugins.{kind}.${{item.{kind}}}" for kind in kinds)]
    assert set(kinds) <= set(ENTRIES[stage]["matrix"])
    hashes = YAML(typ="safe").load(ROOT / CODE_FILE)
    assert stage in hashes["stages"] and set(kinds) <= set(hashes["plugins"])


def test_a_plugin_and_nothing_else_is_concerned_by_a_change_in_it(copy, written):
    before = YAML(typ="safe").load(written)
    file = copy / "src/soundgate/codecs/mimi/codec.py"
    file.write_text(file.read_text() + "\nADDED = 1\n")
    after = code_hashes(copy)
    assert changed(before["stages"], after["stages"]) == set()
    assert changed(before["plugins"]["codec"], after["plugins"]["codec"]) == {"mimi"}
    base = copy / "src/soundgate/codecs/base.py"
    base.write_text(base.read_text() + "\nADDED = 1\n")
    assert changed(after["plugins"]["codec"], code_hashes(copy)["plugins"]["codec"]) == {
        "mimi",
        "encodec",
        "bands",
        "gain_shape",
        "lyra",
    }


def test_a_docstring_concerns_no_stage_and_a_module_of_one_track_that_track_alone(copy, written):
    before = YAML(typ="safe").load(written)
    console = copy / "src/soundgate/runtime/console.py"
    console.write_text(console.read_text().replace('"""What', '"""All that', 1) + "# The end.\n")
    assert code_hashes(copy) == before
    split = copy / "src/soundgate/tracks/structure/split.py"
    split.write_text(split.read_text() + "\n\ndef late():\n    from soundgate.audio import mdct\n    return mdct\n")
    stale = changed(before["stages"], code_hashes(copy)["stages"])
    assert {"structure-split", "structure-frames"} <= stale
    assert all(stage.startswith(("structure-", "dynamics-")) for stage in stale)


def changed(before, after):
    assert before.keys() == after.keys()
    return {name for name in before if before[name] != after[name]}


@pytest.fixture
def copy(tmp_path):
    for name in ("src", "stages"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


@ALL
def test_a_stage_says_everything_about_itself(stage):
    entry = ENTRIES[stage]
    assert entry["desc"] and (entry.get("deps") or entry.get("always_changed"))
    assert paths(entry, "outs") + paths(entry, "metrics") + paths(entry, "plots")
    assert re.fullmatch(r"\$\{(profile|pipeline\.runs\.\w+)\}", entry["matrix"]["p"])
    assert f"python -m {stage_module(stage)}" in entry["cmd"]
    assert "frozen" not in entry and ("always_changed" in entry) == (stage == "corpus-files")
    for item in (item for key in ("outs", "metrics", "plots") for item in entry.get(key, [])):
        assert isinstance(item, str) or "persist" not in next(iter(item.values()))
    for item in entry.get("metrics", []) + entry.get("plots", []):
        assert next(iter(item.values()))["cache"] is False
    for path in paths(entry, "outs"):
        kept = next(item for item in entry["outs"] if path in ([item] if isinstance(item, str) else item))
        assert isinstance(kept, str) == path.startswith("data/"), f"{path}: results are kept in Git"
    assert (ROOT / Path(*stage_module(stage).split("."))).with_suffix(".py").is_file()


@ALL
def test_paths_in_the_command_and_paths_declared_are_the_same(stage):
    entry = ENTRIES[stage]
    declared = {path for key in ("deps", "outs", "metrics", "plots") for path in paths(entry, key)}
    written = set(PATH.findall(entry["cmd"]))
    # What a corpus is made of stands in its parameters; a source list may name another one.
    beside = re.compile(r"\$\{(pipeline\.watched\.\w+|item\.\w+\.file)\}|sources/.*")
    assert written == {path for path in declared if not beside.fullmatch(path)}


@ALL
def test_the_command_gives_the_options_its_module_takes(stage):
    given = set(re.findall(r"(?<!\S)(--[\w-]+)", ENTRIES[stage]["cmd"]))
    options = [param for param in importlib.import_module(stage_module(stage)).main.params if not param.is_eager]
    assert given <= {name for option in options for name in option.opts}
    assert {option.opts[0] for option in options if option.required} <= given


@ALL
def test_no_value_that_a_user_may_write_freely_reaches_the_command(stage):
    """Names are checked where they are read, see `soundgate.runtime.config`; ``speech_of`` is one of two folders."""
    values = re.findall(r"\$\{([^}]+)\}", ENTRIES[stage]["cmd"])
    free = {
        value
        for value in values
        if not re.fullmatch(
            r"item\.(p|codec|embedder|origin|track|\w+\.name|pair\.\w+)|pipeline\.speech_of\.\w+", value
        )
    }
    assert not free


@ALL
def test_the_command_names_no_machine(stage):
    cmd = ENTRIES[stage]["cmd"]
    assert not re.search(r"(?<![\w}.])/|--(device|workers|jobs|scratch)\b|cuda|cpu", cmd)


@ALL
def test_paths_are_keyed_by_profile_and_variant(stage):
    entry = ENTRIES[stage]
    for path in paths(entry, "outs") + paths(entry, "metrics") + paths(entry, "plots"):
        for axis, values in entry["matrix"].items():
            if values in ONE_AT_A_TIME:
                continue
            assert f"${{item.{axis}}}" in path or f"${{item.{axis}.name}}" in path


@ALL
def test_params_cover_the_sections_the_stage_reads_and_are_there(stage):
    known = set(leaves(params()))
    items = {"${item.codec}": "gain_shape", "${item.embedder}": "acoustic", "${item.track}": "voice"}
    named = [re.sub(r"\$\{item\.\w+\}", lambda found: items[found[0]], name) for name in params_of(ENTRIES[stage])]
    for name in named:
        assert any(leaf == name or leaf.startswith(f"{name}.") for leaf in known), f"{name} is not in params.yaml"
    for section in sections_read(stage):
        for leaf in (leaf for leaf in known if leaf.startswith(f"{section}.")):
            assert any(leaf == name or leaf.startswith(f"{name}.") for name in named), f"{leaf} is missing"
    text = (ROOT / Path(*stage_module(stage).split("."))).with_suffix(".py").read_text()
    assert "seed" in named or "load_seed()" not in text
    assert ("training_seed" in named) == ("load_training_seed()" in text)


def test_a_stage_is_listed_after_those_that_it_needs():
    place = {name: number for number, name in enumerate(YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"])}
    with Repo(ROOT) as repo:
        edges = [(stage.addressing, needed.addressing) for stage, needed in repo.index.graph.edges]
    assert edges and all(place[after.partition("@")[0]] < place[stage.partition("@")[0]] for stage, after in edges)


def test_every_library_that_is_imported_is_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    written = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    declared = {canonicalize_name(re.match(r"[\w.-]+", one)[0]) for one in written}
    imported = {canonicalize_name(line.partition("==")[0]) for line in (ROOT / LIBRARIES_FILE).read_text().splitlines()}
    assert imported - declared == {"ruamel-yaml-clib"}  # Comes with ruamel.yaml[oldlibyaml].
