import importlib
import re
import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from soundgate.pipeline.deps import PLUGINS, code_deps, main_deps, plugin_closure, with_code_deps
from soundgate.runtime.config import read_params
from soundgate.runtime.errors import ConfigError
from soundgate.runtime.imports import import_closure
from tests.pipeline_file import ROOT, leaves, sections_read, stage_entries, stage_module

ENTRIES = stage_entries()
ALL = pytest.mark.parametrize("stage", ENTRIES)
PATH = re.compile(
    r"(?<!\S)(?:ablations|data|metrics|plots|models|scratch|seeds|sources|\.{0,2}/)\S*|\$\{(?:corpus|editor|item)\.\w+\.origin\}"
)
# Lists of one element by design: whatever is chosen, the result has one place.
ONE_AT_A_TIME = ("${rooms.embedder}", "${transfer.codecs}")


def paths(entry, key):
    """Return the paths of one list of a stage's entry, without their options."""
    return [next(iter(item)) if isinstance(item, dict) else item for item in entry.get(key, [])]


def is_code(path):
    return path.startswith(("src/", "stages/"))


def test_code_dependencies_are_what_the_imports_say():
    assert main_deps(check=True, root=ROOT), "run: soundgate deps"


@pytest.fixture
def copy(tmp_path):
    for name in ("src", "stages"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "dvc.yaml", tmp_path / "dvc.yaml")
    return tmp_path


def test_a_module_imported_anew_is_drift_until_it_is_added(copy):
    split = copy / "src/soundgate/tracks/structure/split.py"
    split.write_text(split.read_text() + "\n\ndef late():\n    from soundgate.audio import mdct\n    return mdct\n")
    assert not main_deps(check=True, root=copy)
    assert not main_deps(check=False, root=copy)
    entry = YAML(typ="safe").load((copy / "dvc.yaml").read_text())["stages"]["structure-split"]
    assert {"src/soundgate/audio/mdct.py", "src/soundgate/audio/__init__.py"} <= set(entry["deps"])
    assert entry["deps"][: len(paths(entry, "deps"))][0] == "data/${item.p}/speech"
    assert main_deps(check=True, root=copy)


def test_a_dependency_too_many_is_drift_and_comments_survive(copy):
    main_deps(check=False, root=copy)
    text = (copy / "dvc.yaml").read_text()
    wrong = text.replace("    - src/soundgate/runtime/config.py\n", "    - src/soundgate/confog.py\n")
    assert wrong != text
    assert with_code_deps(wrong, copy) == text
    assert "# structure: do codec latents hold" in text


def test_the_closure_follows_every_kind_of_import(tmp_path):
    files = {
        "stages/__init__.py": "",
        "stages/a.py": "import numpy\nfrom soundgate import one\nfrom soundgate.deep import two, value\n",
        "src/soundgate/__init__.py": "",
        "src/soundgate/one.py": "def f():\n    import soundgate.deep.three as t\n    return t\n",
        "src/soundgate/deep/__init__.py": "value = 1\nfrom . import four\n",
        "src/soundgate/deep/two.py": "from ..one import f\nfrom .sub.five import x\n",
        "src/soundgate/deep/three.py": "",
        "src/soundgate/deep/four.py": "if TYPE_CHECKING:\n    import soundgate.six\n",
        "src/soundgate/deep/sub/__init__.py": "",
        "src/soundgate/deep/sub/five.py": "x = 1\n",
        "src/soundgate/six.py": "",
        "src/soundgate/unused.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = {path.as_posix() for path in import_closure(tmp_path, ["stages.a"])}
    assert found == set(files) - {"src/soundgate/unused.py"}
    with pytest.raises(ConfigError, match=r"stages\.b"):
        import_closure(tmp_path, ["stages.b"])


def test_a_codec_that_imports_another_codec_is_refused(copy):
    kind = PLUGINS[0]
    outside = {path.as_posix() for path in plugin_closure(kind, copy)}
    assert "src/soundgate/codecs/base.py" in outside
    assert not [path for path in outside if path.startswith("src/soundgate/codecs/") and path.count("/") > 3]
    mimi = copy / "src/soundgate/codecs/mimi/codec.py"
    mimi.write_text(mimi.read_text() + "\nfrom soundgate.codecs.encodec import settings\n")
    with pytest.raises(ConfigError, match=r"codecs/mimi.*codecs/encodec"):
        plugin_closure(kind, copy)


def test_a_stage_that_loads_a_codec_depends_on_its_items_codec_alone():
    inside = [dep for dep in ENTRIES["structure-latents"]["deps"] if dep.startswith("src/soundgate/codecs/")]
    folders = [dep for dep in inside if dep.count("/") > 3 or not dep.endswith(".py")]
    assert folders == ["src/soundgate/codecs/${item.codec}"]
    entry = {"cmd": "python -m stages.structure.latents", "matrix": {"p": "${profile}"}}
    with pytest.raises(ConfigError, match=r"`codec` in its matrix"):
        code_deps("structure-latents", entry, ROOT)


def test_a_stage_runs_the_module_of_its_name():
    with pytest.raises(ConfigError, match=r"python -m stages\.structure\.split"):
        code_deps("structure-split", {"cmd": "python -m stages.structure.frames"}, ROOT)


@ALL
def test_a_stage_says_everything_about_itself(stage):
    entry = ENTRIES[stage]
    assert entry["desc"] and entry["deps"] and entry["params"]
    assert paths(entry, "outs") + paths(entry, "metrics") + paths(entry, "plots")
    assert entry["matrix"]["p"] == "${profile}"
    assert not {"frozen", "always_changed"} & set(entry)
    for item in (item for key in ("outs", "metrics", "plots") for item in entry.get(key, [])):
        assert isinstance(item, str) or "persist" not in next(iter(item.values()))
    for item in entry.get("metrics", []) + entry.get("plots", []):
        assert next(iter(item.values()))["cache"] is False
    assert (ROOT / Path(*stage_module(stage).split("."))).with_suffix(".py").is_file()


@ALL
def test_paths_in_the_command_and_paths_declared_are_the_same(stage):
    entry = ENTRIES[stage]
    declared = {path for key in ("deps", "outs", "metrics", "plots") for path in paths(entry, key)}
    written = set(PATH.findall(entry["cmd"]))
    # A source list may name another one.
    assert written == {path for path in declared if not is_code(path) and not path.startswith("sources/")}


@ALL
def test_the_command_gives_the_options_its_module_takes(stage):
    given = set(re.findall(r"(?<!\S)(--[\w-]+)", ENTRIES[stage]["cmd"]))
    options = [param for param in importlib.import_module(stage_module(stage)).main.params if not param.is_eager]
    assert given <= {name for option in options for name in option.opts}
    assert {option.opts[0] for option in options if option.required} <= given


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
def test_params_are_leaves_and_cover_the_sections_the_stage_reads(stage):
    params = read_params(ROOT / "params.yaml")
    known = set(leaves(params))
    items = {"${item.codec}": "gain_shape", "${item.embedder}": "acoustic"}
    named = [re.sub(r"\$\{item\.\w+\}", lambda found: items[found[0]], name) for name in ENTRIES[stage]["params"]]
    sections = sections_read(stage)
    for name in named:
        inside = [leaf for leaf in known if leaf == name or leaf.startswith(f"{name}.")]
        assert inside, f"{name} is not in params.yaml"
        assert name in known or name.startswith(("codec.", "embedder.")) or name not in sections, (
            f"{name} is a whole section"
        )
    for section in sections:
        for leaf in (leaf for leaf in known if leaf.startswith(f"{section}.")):
            assert any(leaf == name or leaf.startswith(f"{name}.") for name in named), f"{leaf} is missing"
    if "load_seed" in (ROOT / Path(*stage_module(stage).split("."))).with_suffix(".py").read_text():
        assert "seed" in named
