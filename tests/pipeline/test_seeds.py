"""The spread over seeds: what is run, what is kept, what a kill leaves, what is run again."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from dvc.repo import Repo

from soundgate.pipeline.seeds.records import Record, confirm_records, read_record, read_records, write_record
from soundgate.pipeline.workplace import Workplace
from soundgate.runtime.errors import ConfigError, TrainingError
from soundgate.runtime.files import read_json, write_json
from tests.pipeline.repository import dvc_here, make_repository
from tests.pipeline.toy_tracks import commit, measure, write_toy
from tests.pipeline_file import ROOT
from tests.waiting import wait_until

pytestmark = pytest.mark.slow


@pytest.fixture
def toy(tmp_path, monkeypatch):
    folder = tmp_path / "toy"
    write_toy(folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TOY_LOG", str(tmp_path / "log"))
    monkeypatch.setenv("TOY_BLOCK", str(tmp_path / "block"))
    monkeypatch.delenv("SOUNDGATE_SCRATCH", raising=False)
    return tmp_path


def use_dvc_here(patch):
    """Run DVC in this process, so one run at a time; other tests below have it run by its command."""

    def run(place, *arguments, quiet=True, scratch=None):
        dvc_here(place.folder, *arguments, environment=place.environment(scratch=scratch))

    patch.setattr(Workplace, "dvc", run)


@pytest.fixture
def here(toy, monkeypatch):
    use_dvc_here(monkeypatch)
    return toy


def log(toy):
    return (toy / "log").read_text().splitlines() if (toy / "log").exists() else []


def test_each_seed_trains_once_and_what_is_not_trained_never_again(here):
    written = measure(2)
    assert [str(path) for path in written] == [
        f"seeds/tiny/{track}/{seed}.json" for seed in (0, 1) for track in ("editor", "voice")
    ]
    assert sorted(line for line in log(here) if line.startswith("train")) == [
        "train-editor 0", "train-editor 1", "train-voice 0", "train-voice 1",
    ]  # fmt: skip
    assert log(here).count("corpus 0") == 1
    record = read_json("seeds/tiny/voice/1.json")
    commit_of = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    assert record == {
        "seed": 1, "commit": commit_of, "overrides": [], "code": {"voice-train": "one"},
        "values": {"gain": 0.1, "lost": None}, "confirmed": None,
    }  # fmt: skip
    before = log(here)
    assert measure(2) == [] and log(here) == before
    # One more seed is one run more of each track, and of one track alone where asked.
    assert [str(path) for path in measure(3, tracks=["voice"])] == ["seeds/tiny/voice/2.json"]
    assert not Path("scratch/seeds/work").exists() or not any(Path("scratch/seeds/work").iterdir())


def test_two_at_a_time_give_the_same(toy):
    assert len(measure(2, jobs=2)) == 4
    for track in ("voice", "editor"):
        values = [read_record(Path(f"seeds/tiny/{track}/{seed}.json")).values["gain"] for seed in (0, 1)]
        assert values == [0, 0.1]


def test_other_code_of_a_training_and_other_overrides_are_measured_again(here):
    measure(1)
    Path("code.yaml").write_text("stages: {voice-train: two, editor-train: one}\n")
    commit(Path(), "other code")
    assert [path.parent.name for path in measure(1)] == ["voice"]
    assert read_json("seeds/tiny/voice/0.json")["code"] == {"voice-train": "two"}
    assert len(measure(1, overrides=["further=2"])) == 2
    assert read_json("seeds/tiny/editor/0.json")["overrides"] == ["further=2"]


def test_seeds_stand_where_the_run_itself_gives_with_other_code_what_it_gave(here):
    records = [f"seeds/tiny/voice/{seed}.json" for seed in range(3)]
    measure(3, tracks=["voice"])
    measured = [read_json(path) for path in records]
    Path("code.yaml").write_text("stages: {voice-train: two, editor-train: one}\n")
    commit(Path(), "another comment")
    assert [str(path) for path in measure(3, tracks=["voice"])] == records
    now = read_json(records[0])["commit"]
    assert now != measured[0]["commit"]
    for before, path in zip(measured[1:], records[1:], strict=True):
        assert read_json(path) == before | {"code": {"voice-train": "two"}, "confirmed": now}
    assert measure(3, tracks=["voice"]) == []
    # Other values of the run itself confirm nothing: all are measured again.
    first = read_json(records[0])
    write_json(records[0], first | {"values": first["values"] | {"gain": 1e-12}})
    Path("code.yaml").write_text("stages: {voice-train: three, editor-train: one}\n")
    commit(Path(), "another number")
    assert [str(path) for path in measure(3, tracks=["voice"])] == records
    for path in records:
        own = read_json(path)
        assert own["commit"] not in (now, measured[0]["commit"]) and own["confirmed"] is None


def test_a_gate_that_came_with_the_code_leaves_the_others_confirmed(tmp_path):
    code, values = {"voice-train": "one"}, {"gain": 0.25, "lost": None}
    before = Record(0, "a", (), code, values)
    other = before._replace(seed=1, values=values | {"gain": 0.5})
    write_record(tmp_path, other)
    after = Record(0, "b", (), {"voice-train": "two"}, values | {"new": 0.75})
    assert confirm_records(tmp_path, before, after) == [tmp_path / "1.json"]
    assert read_records(tmp_path) == [other._replace(code=after.code, confirmed="b")]
    assert confirm_records(tmp_path, before, after._replace(values={"new": 0.75, "lost": None})) == []


def test_a_gate_that_went_with_the_code_or_that_no_other_seed_has_leaves_the_others_confirmed(tmp_path):
    code = {"voice-train": "one"}
    before = Record(0, "a", (), code, {"gain": 0.25, "gone": 1.0, "of this seed alone": 2.0})
    other = before._replace(seed=1, values={"gain": 0.5, "gone": 3.0})
    write_record(tmp_path, other)
    after = Record(0, "b", (), {"voice-train": "two"}, {"gain": 0.25, "of this seed alone": 4.0})
    assert confirm_records(tmp_path, before, after._replace(values=after.values | {"gain": 0.125})) == []
    assert confirm_records(tmp_path, before, after) == [tmp_path / "1.json"]
    assert read_records(tmp_path) == [other._replace(code=after.code, values={"gain": 0.5}, confirmed="b")]


def test_a_training_that_fails_is_named_and_the_others_are_kept(toy, monkeypatch):
    monkeypatch.setenv("TOY_FAIL", "train-voice 0")
    with pytest.raises(TrainingError, match="voice, seed 0: expected every run to finish"):
        measure(2, tracks=["voice"])
    assert not Path("seeds/tiny/voice/0.json").exists() and Path("seeds/tiny/voice/1.json").exists()
    monkeypatch.delenv("TOY_FAIL")
    assert [str(path) for path in measure(2, tracks=["voice"])] == ["seeds/tiny/voice/0.json"]


@pytest.mark.parametrize("whole_group", [True, False])
def test_killed_in_the_middle_the_next_call_runs_what_is_missing(toy, monkeypatch, whole_group):
    """A survivor of the kill keeps its place until it ends; the next call waits for it."""
    with monkeypatch.context() as patch:
        use_dvc_here(patch)
        measure(1, tracks=["editor"])
    (toy / "block").touch()
    before = len(log(toy))
    command = [sys.executable, str(ROOT / "tests/pipeline/toy_tracks.py"), "1", "1"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    process = subprocess.Popen(command, env=environment, process_group=0)
    wait_until(lambda: process.poll() is not None or "train-voice 0" in log(toy)[before:], "the training")
    assert process.poll() is None
    if whole_group:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()
    (toy / "block").unlink()
    assert not Path("seeds/tiny/voice/0.json").exists()
    assert [str(path) for path in measure(1)] == ["seeds/tiny/voice/0.json"]
    assert read_record(Path("seeds/tiny/voice/0.json")).values["gain"] == 0
    assert "train-editor 0" not in log(toy)[before:]


@pytest.mark.parametrize("name", ["C#", "a,b", "%(x)s", "two\nlines"])
def test_a_clone_has_the_cache_of_its_repository_whatever_its_name(tmp_path, monkeypatch, name):
    monkeypatch.delenv("SOUNDGATE_SCRATCH", raising=False)
    root = tmp_path / name
    root.mkdir()
    make_repository(root, {})
    for command in (["add", "-A"], ["commit", "-qm", "first"]):
        subprocess.run(["git", *command], cwd=root, check=True)
    monkeypatch.chdir(root)
    with Workplace(root, "seeds/1") as place, Repo(str(place.folder)) as repo:
        assert Path(repo.cache.local_cache_dir) == root / ".dvc/cache"
    monkeypatch.setenv("PATH", "")
    with pytest.raises(TrainingError, match="git: expected Git"):
        Workplace(root, "seeds/1")


def test_what_cannot_be_measured_is_refused(toy):
    with pytest.raises(ConfigError, match="a track in which something is trained: editor, voice; found rooms"):
        measure(2, tracks=["rooms"])
    Path("stage.py").write_text("# changed\n")
    Path("dvc.yaml").write_text("stages: {}\n")
    with pytest.raises(TrainingError, match=r"changes to dvc\.yaml"):
        measure(2)
    assert log(toy) == []
