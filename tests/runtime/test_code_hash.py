import os
import subprocess
import sys

import pytest

from soundgate.runtime import code_hash as hashing
from soundgate.runtime.code_hash import code_hash, fingerprint, library_versions, work_hash
from soundgate.runtime.errors import ConfigError
from soundgate.runtime.imports import import_closure

FILES = {
    "stages/__init__.py": "",
    "stages/a.py": "import numpy\nfrom soundgate import one\nfrom soundgate.deep import two, value\n",
    "stages/b.py": "from soundgate import six\n",
    "src/soundgate/__init__.py": "",
    "src/soundgate/one.py": "def f():\n    import soundgate.deep.three as t\n    return t\n",
    "src/soundgate/deep/__init__.py": "value = 1\nfrom . import four\n",
    "src/soundgate/deep/two.py": "from ..one import f\nfrom .sub.five import x\n",
    "src/soundgate/deep/three.py": "",
    "src/soundgate/deep/four.py": "if TYPE_CHECKING:\n    import soundgate.six\n",
    "src/soundgate/deep/sub/__init__.py": "",
    "src/soundgate/deep/sub/five.py": "x = 1\n",
    "src/soundgate/six.py": '"""Six."""\nsix = 6\n',
    "src/soundgate/unused.py": "",
}


@pytest.fixture
def repository(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def hashes(root):
    return code_hash(root, ["stages.a"]), code_hash(root, ["stages.b"])


def test_the_closure_follows_every_kind_of_import(repository):
    found = {path.as_posix() for path in import_closure(repository, ["stages.a"])}
    assert found == set(FILES) - {"src/soundgate/unused.py", "stages/b.py"}
    with pytest.raises(ConfigError, match=r"stages\.c"):
        import_closure(repository, ["stages.c"])


@pytest.mark.parametrize(
    ("name", "text", "changes"),
    [
        ("src/soundgate/six.py", '"""Other words."""\n\n\nsix = (\n    6  # A comment.\n)\n', (False, False)),
        ("src/soundgate/six.py", '"""Six."""\nsix = 7\n', (True, True)),
        ("src/soundgate/deep/sub/five.py", "x = -1\n", (True, False)),
        ("src/soundgate/deep/sub/five.py", "x = 1.0\n", (True, False)),
        ("src/soundgate/unused.py", "y = 1\n", (False, False)),
        ("src/soundgate/deep/page.html", "<p>", (True, False)),
        ("src/soundgate/deep/templates/page.html", "<p>", (True, False)),
        ("src/soundgate/deep/__pycache__/x.bin", "1", (False, False)),
        ("src/soundgate/six.py", "from soundgate import unused\nsix = 6\n", (True, True)),
    ],
)
def test_what_can_change_a_result_changes_the_hash_and_nothing_else_does(repository, name, text, changes):
    before = hashes(repository)
    (repository / name).parent.mkdir(exist_ok=True)
    (repository / name).write_text(text)
    assert tuple(old != new for old, new in zip(before, hashes(repository), strict=True)) == changes


def test_a_module_that_moves_changes_the_hash_of_those_that_reach_it(repository):
    before = hashes(repository)
    (repository / "src/soundgate/deep/sub/five.py").rename(repository / "src/soundgate/deep/five.py")
    (repository / "src/soundgate/deep/two.py").write_text("from ..one import f\nfrom .five import x\n")
    after = hashes(repository)
    assert after[0] != before[0] and after[1] == before[1]


def test_a_library_counts_where_it_is_imported_and_by_its_release(repository, monkeypatch):
    versions = {"numpy": "1.0+cpu"}
    monkeypatch.setattr(hashing, "version", lambda name: versions[name])
    before = hashes(repository)
    versions["numpy"] = "1.0+cu130"
    assert hashes(repository) == before
    versions["numpy"] = "1.1+cpu"
    after = hashes(repository)
    assert after[0] != before[0] and after[1] == before[1]


TELLING = {
    "stages/c.py": "import numpy\nfrom soundgate import six\nfrom soundgate.runtime import console\n"
    "from soundgate.training.health import rules\n",
    "src/soundgate/runtime/__init__.py": "",
    "src/soundgate/runtime/console.py": "import rich\nfrom soundgate import told\n",
    "src/soundgate/training/__init__.py": "",
    "src/soundgate/training/health/__init__.py": "",
    "src/soundgate/training/health/rules.py": "limit = 1\n",
    "src/soundgate/told.py": "told = 1\n",
}


@pytest.mark.parametrize(
    ("name", "text", "changes"),
    [
        ("src/soundgate/runtime/console.py", "import rich\nfrom soundgate import told\nx = 1\n", False),
        ("src/soundgate/training/health/rules.py", "limit = 2\n", False),
        ("src/soundgate/training/health/page.html", "<p>", False),
        ("src/soundgate/told.py", "told = 2\n", False),
        ("src/soundgate/six.py", '"""Other words."""\nsix = 6  # A comment.\n', False),
        ("src/soundgate/six.py", "six = 7\n", True),
        ("src/soundgate/six.py", "from soundgate import told\nsix = 6\n", True),
        ("src/soundgate/training/__init__.py", "x = 1\n", True),
        ("stages/c.py", TELLING["stages/c.py"] + "x = 1\n", True),
    ],
)
def test_unfinished_work_is_gone_on_with_unless_its_numbers_change(repository, name, text, changes):
    for path, content in TELLING.items():
        (repository / path).parent.mkdir(parents=True, exist_ok=True)
        (repository / path).write_text(content)
    before, watched = (
        work_hash(repository, ["stages.c"]),
        work_hash(repository, ["stages.c", "soundgate.training.health"]),
    )
    (repository / name).write_text(text)
    assert (work_hash(repository, ["stages.c"]) != before) == changes
    # Where the watching is the result, it counts.
    after = work_hash(repository, ["stages.c", "soundgate.training.health"])
    assert (after != watched) == (changes or "training" in name)


@pytest.mark.parametrize("trains", [True, False])
def test_of_a_training_library_the_minor_version_decides_whether_work_is_gone_on_with(repository, monkeypatch, trains):
    versions = {"numpy": "2.4.1", "rich": "1.0"}
    monkeypatch.setattr(hashing, "version", lambda name: versions[name])
    (repository / "src/soundgate/training").mkdir()
    (repository / "src/soundgate/training/loop.py").write_text("")
    (repository / "stages/b.py").write_text("from soundgate.training import loop\n" if trains else "")
    (repository / "stages/a.py").write_text("import numpy, rich\nfrom stages import b\n")
    before = work_hash(repository, ["stages.a"])
    versions["rich"] = "2.0"
    assert work_hash(repository, ["stages.a"]) == before
    versions["numpy"] = "2.4.2"
    assert (work_hash(repository, ["stages.a"]) == before) == trains
    versions["numpy"] = "2.5.0"
    assert work_hash(repository, ["stages.a"]) != before


def test_libraries_are_named_as_they_are_installed():
    found = library_versions(["sklearn", "os", "soundgate", "stages", "no_such_module"])
    assert list(found) == ["scikit-learn"] and "+" not in found["scikit-learn"]


def test_bare_strings_do_not_count_and_other_strings_do():
    plain = fingerprint(b"def f():\n    return 1\n")
    assert fingerprint(b'"""Module."""\ndef f():\n    """Doc."""\n    return 1\n') == plain
    assert fingerprint(b'def f():\n    "not returned"\n    return 1\n') == plain
    assert fingerprint(b'def f():\n    return "1"\n') != plain
    assert fingerprint(b"def f():\n    return 1j\n") != plain
    assert fingerprint(b"async def f():\n    return 1\n") != plain


def test_the_hash_is_the_same_under_other_hash_seeds(repository):
    command = "from pathlib import Path; from soundgate.runtime.code_hash import code_hash; "
    command += "print(code_hash(Path(), ['stages.a']))"
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", command],
            cwd=repository,
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
        )
        assert done.stdout.strip() == code_hash(repository, ["stages.a"]), done.stderr
