"""No two processes at once have one folder for what numba compiles."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from soundgate import compile_ahead
from soundgate.runtime.execution import map_items
from tests.pipeline_file import ROOT

SHOW = """
import os, soundgate, numba
print(os.environ.get("NUMBA_CACHE_DIR"), numba.config.CACHE_DIR or None, flush=True)
input()
"""


class Running:
    """A process that has imported soundgate and waits until it is ended."""

    def __init__(self, home, before="", **variables):
        own = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
        own |= {"XDG_CACHE_HOME": str(home)} | variables
        command = [sys.executable, "-c", before + SHOW]
        self.process = subprocess.Popen(command, env=own, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.folder, self.used = self.process.stdout.readline().split()

    def end(self):
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def start(tmp_path):
    running = []

    def launch(*arguments, **variables):
        running.append(Running(tmp_path, *arguments, **variables))
        return running[-1]

    yield launch
    for process in running:
        process.end()


def test_processes_at_once_have_folders_of_their_own_and_the_next_finds_the_first(start, tmp_path):
    root = tmp_path / "soundgate/numba"
    first = start()
    second = start(NUMBA_CACHE_DIR=first.folder)  # As the first's child would inherit it.
    assert [first.folder, second.folder] == [str(root / "0"), str(root / "1")]
    assert (first.used, second.used) == (first.folder, second.folder)
    first.end()
    assert start().folder == str(root / "0")


def test_a_folder_begins_with_what_the_fullest_has_and_it_has_not(start, tmp_path):
    root, functions = tmp_path / "soundgate/numba", ["f-1.py312.nbi", "f-1.py312.1.nbc", "f-1.py312.2.nbc"]
    others = [name.replace("f-1", "g-2") for name in functions]
    left_by_a_kill = ["h-3.py312.nbi.tmp.f00", "h-3.py312.1.nbc"]
    for number, files in enumerate((functions, [*functions, *others, *left_by_a_kill])):
        (root / str(number) / "librosa").mkdir(parents=True)
        for name in files:
            (root / str(number) / "librosa" / name).write_text(f"{name} of {number}")
    running = [start() for _ in range(3)]
    assert Path(running[2].folder) == root / "2"
    contents = [{path.name: path.read_text() for path in (root / place / "librosa").iterdir()} for place in "02"]
    assert contents[0] == {name: f"{name} of 0" for name in functions} | {name: f"{name} of 1" for name in others}
    # Both others have as much by then.
    assert contents[1].keys() == {*functions, *others} and len({contents[1][name][-1] for name in functions}) == 1


def test_a_ufunc_and_its_kernel_come_from_one_folder(start, tmp_path):
    kernel, ufunc = ["f-1.py312.nbi", "f-1.py312.1.nbc"], ["guf-f-1.py312.nbi", "guf-f-1.py312.1.nbc"]
    others = [name.replace("f-1", "g-2") for name in [*kernel, *ufunc]]
    alone = "guf-h-3.py312.nbi"  # Its kernel was not yet there when it was listed, or is lost.
    for number, files in enumerate(([*kernel, "g-2.py312.nbi"], [*kernel, *ufunc, *others, alone])):
        folder = tmp_path / "soundgate/numba" / str(number) / "librosa"
        folder.mkdir(parents=True)
        for name in files:
            (folder / name).write_text(f"{name} of {number}")
    first, _, third = start(), start(), start()
    assert {path.name for path in (Path(first.folder) / "librosa").iterdir()} == {*kernel, "g-2.py312.nbi"}
    contents = {path.name: path.read_text() for path in (Path(third.folder) / "librosa").iterdir()}
    assert contents == {name: f"{name} of 1" for name in [*kernel, *ufunc, *others]}


def test_a_folder_of_the_users_and_a_numba_loaded_before_are_left_alone(start, tmp_path):
    own = str(tmp_path / "mine")
    assert start(NUMBA_CACHE_DIR=own).used == own
    assert start("import numba").folder == "None"


def test_without_a_home_a_folder_for_temporary_files_serves_that_is_the_users_alone(start, tmp_path):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    places = {"XDG_CACHE_HOME": "/proc/nobody", "TMPDIR": str(temporary)}
    root = temporary / f"soundgate-{os.getuid()}"
    first, second = start(**places), start(**places)
    assert [first.used, second.used] == [str(root / "numba/0"), str(root / "numba/1")]
    assert root.stat().st_mode & 0o777 == 0o700


def test_a_user_without_an_entry_and_a_home_gets_no_folder_named_by_a_tilde(tmp_path):
    code = "import os, pwd; pwd.getpwuid = lambda uid: {}[uid]; import soundgate; print(os.environ['NUMBA_CACHE_DIR'])"
    own = {"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=own, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert Path(done.stdout.strip()).is_relative_to(tmp_path / f"soundgate-{os.getuid()}")
    assert os.listdir(tmp_path) == [f"soundgate-{os.getuid()}"]


@pytest.mark.parametrize("kind", ["open to others", "a link", "a file"])
def test_a_folder_that_another_could_write_to_is_not_used(start, tmp_path, kind):
    root = tmp_path / f"soundgate-{os.getuid()}"
    if kind == "a file":
        root.write_text("")
    else:
        other = tmp_path / "other"
        other.mkdir(mode=0o700)
        root.mkdir() if kind == "open to others" else root.symlink_to(other)
    assert start(XDG_CACHE_HOME="/proc/nobody", TMPDIR=str(tmp_path)).folder == "None"


def test_without_a_place_to_write_numba_has_its_own(start):
    assert start(XDG_CACHE_HOME="/proc/nobody", TMPDIR="/proc/nobody").folder == "None"


def test_where_numba_has_none_either_a_line_says_which_variable_names_one():
    refused = "import soundgate; raise RuntimeError('cannot cache function f: no locator available for file g')"
    own = os.environ | {"XDG_CACHE_HOME": "/proc/nobody", "TMPDIR": "/proc/nobody"}
    own.pop("NUMBA_CACHE_DIR", None)
    done = subprocess.run([sys.executable, "-c", refused], env=own, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "NUMBA_CACHE_DIR" in done.stderr and len(done.stderr.splitlines()) == 1


def folder_of_process(_):
    return os.getpid(), os.environ["NUMBA_CACHE_DIR"]


def test_workers_have_folders_of_their_own(monkeypatch):
    if Path(os.environ["NUMBA_CACHE_DIR"]).parts[-3:-1] != ("soundgate", "numba"):
        pytest.skip("NUMBA_CACHE_DIR is set")
    found = dict(map_items(folder_of_process, range(8), "Folders", workers=2))
    # A worker whose memory grew is replaced, and the next one may have its folder.
    folders = [found[pid] for pid in found if psutil.pid_exists(pid)]
    assert os.environ["NUMBA_CACHE_DIR"] not in found.values()
    assert folders and len(set(folders)) == len(folders)


def test_what_is_compiled_ahead_is_there_for_the_next_process():
    compile_ahead.main()
    kept = {path.name.split("-")[0] for path in Path(os.environ["NUMBA_CACHE_DIR"]).rglob("*.nbi")}
    used = {"beat.__beat_track_dp", "pitch._pi_wrapper", "sequence.__dtw_calc_accu_cost", "utils.__peak_pick"}
    assert kept >= used | {"utils._phasor_angles", "numba_accel._gammatone_spectrogram_numba"}
