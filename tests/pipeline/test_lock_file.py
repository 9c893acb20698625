import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo

from soundgate.pipeline.lock_file import COPY, LockFile, mend
from tests.pipeline.repository import dvc_here, make_repository, stage


@pytest.fixture(scope="module")
def committed(tmp_path_factory):
    """A repository with a whole, committed lock file of twenty stages."""
    folder = tmp_path_factory.mktemp("repository")
    stages = {
        f"voice-s{number}": stage(f"echo {number} > {number}.txt", outs=[{f"{number}.txt": {"cache": False}}])
        for number in range(20)
    }
    make_repository(folder, stages)
    dvc_here(folder, "repro", "-q")
    for command in (["add", "-A"], ["commit", "-qm", "lock"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


@pytest.fixture
def repository(committed, tmp_path, monkeypatch):
    """A copy of it, to work in."""
    monkeypatch.chdir(shutil.copytree(committed, tmp_path / "repository"))
    return Path()


def entries(folder):
    return yaml.safe_load((folder / "dvc.lock").read_text())["stages"]


def test_an_entry_written_again_gives_the_same_bytes_and_an_odd_one_what_dvc_gives(repository):
    before = Path("dvc.lock").read_bytes()
    lock = LockFile(repository)
    for name, entry in entries(repository).items():
        lock.record(name, entry)
    assert Path("dvc.lock").read_bytes() == before
    odd = {"cmd": "echo 'a: b' # " + "x" * 200, "params": {"params.yaml": {"a.b": {"c": [1, None, "né"], "d": {}}}}}
    lock.record("voice-s3", odd)
    lock.record("voice-new@p", odd)
    assert list(entries(repository))[3] == "voice-s3" and list(entries(repository))[-1] == "voice-new@p"
    assert entries(repository)["voice-s3"] == entries(repository)["voice-new@p"] == odd
    with Repo(repository) as repo:
        assert repo.index.stages


def test_entries_stand_in_the_order_of_the_pipeline_whichever_ended_first(tmp_path):
    (tmp_path / "dvc.lock").write_text("schema: '2.0'\nstages:\n  b@other:\n    cmd: x\n  a@other:\n    cmd: x\n")
    lock = LockFile(tmp_path, ["a@p", "b@p", "c@p"])
    for name in ("c@p", "a@p", "b@p"):
        lock.record(name, {"cmd": "x"})
    assert list(entries(tmp_path)) == ["b@other", "a@other", "a@p", "b@p", "c@p"]


def test_a_lock_file_is_begun_where_there_is_none(tmp_path):
    LockFile(tmp_path).record("a-b@p", {"cmd": "true"})
    assert (tmp_path / "dvc.lock").read_text() == "schema: '2.0'\nstages:\n  a-b@p:\n    cmd: 'true'\n"


@pytest.mark.parametrize("share", [0.0, 0.05, 0.31, 0.5, 0.77, 0.999])
@pytest.mark.parametrize("copy", [True, False], ids=["from the copy", "from Git"])
def test_a_file_cut_anywhere_is_whole_again(repository, share, copy):
    whole = Path("dvc.lock").read_bytes()
    assert not mend(repository) and (repository / COPY).read_bytes() == whole
    if not copy:
        (repository / COPY).unlink()
    Path("dvc.lock").write_bytes(whole[: int(share * len(whole))])
    assert mend(repository)
    assert Path("dvc.lock").read_bytes() == whole
    assert "up to date" in dvc_here(repository, "status")


def test_entries_that_are_newer_than_the_last_whole_file_are_kept(repository):
    mend(repository)
    LockFile(repository).record("voice-s0", {"cmd": "newer"})
    text = Path("dvc.lock").read_text()
    Path("dvc.lock").write_text(text[: len(text) // 2])
    assert mend(repository)
    assert entries(repository)["voice-s0"] == {"cmd": "newer"} and len(entries(repository)) == 20


def test_without_any_whole_file_what_is_left_is_kept(repository):
    text = Path("dvc.lock").read_text()
    subprocess.run(["git", "rm", "-q", "--cached", "dvc.lock"], check=True)
    subprocess.run(["git", "commit", "-qm", "none"], check=True)
    Path("dvc.lock").write_text(text[: len(text) // 2])
    assert mend(repository)
    assert 5 < len(entries(repository)) < 15
    Path("dvc.lock").write_text("")
    assert mend(repository) and len(entries(repository)) < 20
    with Repo(repository) as repo:
        assert repo.index.stages


OLD = b"voice-s0:\n  cmd: echo 0 > 0.txt\n  outs:\n  - path: 0.txt\n    md5: 8973\nvoice-s1:\n  cmd: x\n"


def in_conflict(whole):
    lines = whole.splitlines(keepends=True)
    theirs = [line.replace(b"md5: ", b"md5: f") for line in lines[5:14]]
    return b"".join([*lines[:5], b"<<<<<<< HEAD\n", *lines[5:14], b"=======\n", *theirs, b">>>>>>> b\n", *lines[14:]])


@pytest.mark.parametrize("copy", [True, False], ids=["from the copy", "from Git"])
@pytest.mark.parametrize(
    "damage",
    [
        in_conflict,
        lambda whole: whole[:300] + bytes(100) + whole[400:],
        lambda whole: whole.replace(b"path: 4.txt", b"path: \xff.txt"),
        lambda whole: whole.replace(b"    cmd: echo 4 >", b"    foo: echo 4 >"),
        lambda whole: whole.replace(b"schema: '2.0'", b"schema: '3.0'"),
        lambda whole: whole.removeprefix(b"schema: '2.0'\n"),
        lambda whole: OLD,
    ],
    ids=["conflict", "zeros inside", "not UTF-8", "unknown key", "another schema", "no schema", "older format"],
)
def test_only_entries_that_dvc_can_read_are_kept(repository, damage, copy):
    whole = Path("dvc.lock").read_bytes()
    mend(repository)
    if not copy:
        (repository / COPY).unlink()
    Path("dvc.lock").write_bytes(damage(whole))
    assert mend(repository)
    assert Path("dvc.lock").read_bytes() == whole


def test_a_damaged_copy_and_a_machine_without_git_leave_what_is_whole(repository, monkeypatch):
    whole = Path("dvc.lock").read_bytes()
    mend(repository)
    (repository / COPY).write_bytes(b"\xff\xfe" + whole)
    Path("dvc.lock").write_bytes(whole[: len(whole) // 2])
    assert mend(repository) and Path("dvc.lock").read_bytes() == whole
    (repository / COPY).write_bytes(b"\xff\xfe" + whole)
    Path("dvc.lock").write_bytes(whole[: len(whole) // 2])
    monkeypatch.setenv("PATH", "")
    assert mend(repository) and 5 < len(entries(repository)) < 15


def test_no_lock_file_is_nothing_to_mend(tmp_path):
    assert not mend(tmp_path)
