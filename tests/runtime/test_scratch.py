import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from soundgate.runtime import code_hash as hashing
from soundgate.runtime.errors import FormatError
from soundgate.runtime.scratch import downloads_folder, open_scratch, publish


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository of one stage that reads one input."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SOUNDGATE_SCRATCH", raising=False)
    files = {
        "stages/__init__.py": "",
        "stages/track/__init__.py": "",
        "stages/track/fit.py": "from soundgate.helper import help_fit\n",
        "stages/track/other.py": "",
        "src/soundgate/__init__.py": "",
        "src/soundgate/helper.py": "def help_fit(): ...\n",
        "src/soundgate/stranger.py": "",
        "data/in/a.txt": "one",
    }
    for name, text in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text)
    return tmp_path


def opened(out="data/out", params=None, inputs=("data/in",)):
    """Open the stage's scratch and let go of it, as a process that ended did."""
    scratch = open_scratch("track-fit", out, modules=["stages.track.fit"], params=params or {"k": 1}, inputs=inputs)
    scratch.lock.close()
    return scratch


def fill(scratch, text="result"):
    scratch.result.mkdir(exist_ok=True)
    (scratch.result / "deep").mkdir(exist_ok=True)
    (scratch.result / "deep" / "a.txt").write_text(text)


def test_an_interrupted_run_finds_its_work_again(repository):
    first = opened()
    (first.folder / "checkpoint").write_text("half")
    assert first.folder.parent == Path("scratch/track-fit")
    assert (opened().folder / "checkpoint").read_text() == "half"


def test_what_a_kill_left_of_a_file_is_not_published(repository):
    first = opened()
    fill(first)
    (first.result / "deep/.a.123.partial.txt").write_text("ha")
    opened().publish()
    assert [path.name for path in Path("data/out").rglob("*")] == ["deep", "a.txt"]


@pytest.mark.parametrize(
    "change",
    [
        lambda: Path("data/in/a.txt").write_text("two"),
        lambda: Path("data/in/b.txt").write_text(""),
        lambda: Path("stages/track/fit.py").write_text("from soundgate.helper import help_fit as h\n"),
        lambda: Path("src/soundgate/helper.py").write_text("def help_fit(): return 1\n"),
    ],
    ids=["input changed", "input added", "stage changed", "imported code changed"],
)
def test_the_key_changes_with_inputs_and_code(repository, change):
    before = opened().folder
    change()
    assert opened().folder != before


def test_the_key_changes_with_params_out_and_libraries_and_with_nothing_else(repository, monkeypatch):
    before = opened().folder
    assert opened(params={"k": 2}).folder != before
    assert opened(out="data/elsewhere").folder != before
    Path("src/soundgate/stranger.py").write_text("x = 1\n")
    Path("stages/track/other.py").write_text("x = 1\n")
    assert opened().folder == before
    monkeypatch.setattr(hashing, "library_versions", lambda modules: {"numpy": "1.0"})
    assert opened().folder != before


def test_the_root_comes_from_the_environment(repository, monkeypatch):
    monkeypatch.setenv("SOUNDGATE_SCRATCH", str(repository / "elsewhere"))
    assert opened().folder.parent == repository / "elsewhere" / "track-fit"
    assert downloads_folder("corpus-speech") == repository / "elsewhere" / "corpus-speech" / "downloads"


def test_publishing_replaces_the_whole_out_and_keeps_the_work(repository):
    Path("data/out").mkdir()
    Path("data/out/stale.txt").write_text("old")
    scratch = opened()
    fill(scratch)
    scratch.publish()
    assert [p.name for p in Path("data/out").rglob("*")] == ["deep", "a.txt"]
    assert (scratch.result / "deep/a.txt").read_text() == "result"
    assert sorted(os.listdir("data")) == ["in", "out"]
    # What the pipeline does when it was killed before it recorded the output: it removes it and runs again.
    Path("data/out/deep/a.txt").unlink()
    again = opened()
    again.publish()
    assert Path("data/out/deep/a.txt").read_text() == "result"


def test_a_single_file_can_be_published_and_disks_may_differ(repository, monkeypatch):
    def refuse(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    Path("finished.txt").write_text("new")
    publish("finished.txt", "data/deep/out.txt")
    assert Path("data/deep/out.txt").read_text() == "new" and Path("finished.txt").exists()
    assert os.stat("finished.txt").st_ino != os.stat("data/deep/out.txt").st_ino


def test_success_removes_older_work_for_the_same_out_only(repository):
    old, other, downloads = opened(), opened(out="data/elsewhere"), downloads_folder("track-fit")
    new = opened(params={"k": 2})
    fill(new)
    assert old.folder.exists()
    new.publish()
    assert not old.folder.exists()
    assert new.folder.exists() and other.folder.exists() and downloads.exists()


def test_work_in_use_is_neither_shared_nor_removed(repository):
    holder = open_scratch("track-fit", "data/out", modules=["stages.track.fit"], params={"k": 1}, inputs=[])
    with pytest.raises(FormatError, match="nobody works in"):
        opened(inputs=())
    newer = opened(params={"k": 2}, inputs=())
    fill(newer)
    newer.publish()
    assert holder.folder.exists()
    holder.lock.close()
    newer.publish()
    assert not holder.folder.exists()


KILLED_WHILE_PUBLISHING = """
import os, signal, sys
from pathlib import Path
from soundgate.runtime import scratch
calls = 0
def counting(call):
    def counted(*arguments, **options):
        global calls
        calls += 1
        if calls == int(sys.argv[1]):
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments, **options)
    return counted
os.link, os.rename = counting(os.link), counting(os.rename)
Path.rename = counting(Path.rename)
scratch.shutil.copytree = counting(scratch.shutil.copytree)
scratch._remove = counting(scratch._remove)
scratch.publish("finished", "out")
"""


def test_killed_at_any_step_of_publishing_nothing_finished_is_lost(tmp_path):
    killed = 0
    for step in range(1, 30):
        folder = tmp_path / str(step)
        for name, text in (("finished", "new"), ("out", "old")):
            (folder / name).mkdir(parents=True)
            for i in range(3):
                (folder / name / f"{i}.txt").write_text(text)
        command = [sys.executable, "-c", KILLED_WHILE_PUBLISHING, str(step)]
        code = subprocess.run(command, cwd=folder, check=False).returncode
        assert [p.read_text() for p in sorted((folder / "finished").iterdir())] == ["new"] * 3
        if (folder / "out").exists():
            assert [p.read_text() for p in sorted((folder / "out").iterdir())] in (["old"] * 3, ["new"] * 3)
        publish(folder / "finished", folder / "out")
        assert [p.read_text() for p in (folder / "out").iterdir()] == ["new"] * 3
        assert sorted(os.listdir(folder)) == ["finished", "out"]
        if code == 0:
            break
        assert code == -signal.SIGKILL
        killed += 1
    assert code == 0 and killed >= 8
