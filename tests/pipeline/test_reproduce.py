import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import yaml
from dvc.repo import Repo

from soundgate.pipeline import reproduce
from soundgate.runtime.errors import PipelineError
from tests.pipeline.repository import make_repository, stage, write_pipeline
from tests.waiting import LIMIT_S, wait_until

# A stage that waits for another to be under way, so that it ends only where both run at once.
MEET = """
import pathlib, sys, time
own, other, out = map(pathlib.Path, sys.argv[1:])
own.touch()
until = time.monotonic() + 300
while not other.exists():
    if time.monotonic() > until:
        sys.exit(f"{other} did not come")
    time.sleep(0.05)
out.write_text(pathlib.Path("corpus.txt").read_text() + own.name)
"""
# A stage that says where it is and waits to be killed; the second time it ends.
SLEEP = """
import os, pathlib, subprocess, sys, time
here = pathlib.Path("here.txt")
if not here.exists():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    part = here.with_suffix(".part")
    part.write_text(f"{os.getpid()} {child.pid}")
    part.rename(here)
    time.sleep(600)
pathlib.Path("slept.txt").write_text("done")
"""
RUN = "import sys; from pathlib import Path; from soundgate.pipeline import reproduce as r; "
RUN += "sys.exit(r.reproduce(Path(), 2, r.stage_environment()))"


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A pipeline of two tracks on one corpus, each of which ends only if the other runs beside it."""
    monkeypatch.chdir(tmp_path)
    Path("meet.py").write_text(MEET)
    Path("source.txt").write_text("audio ")
    meet = f"{sys.executable} meet.py"
    stages = {
        "corpus-speech": stage("cp source.txt corpus.txt", "source.txt", outs=["corpus.txt"]),
        "rooms-plan": stage(f"{meet} here.rooms here.voice rooms.txt", "corpus.txt", "meet.py", outs=["rooms.txt"]),
        "voice-cache": stage(f"{meet} here.voice here.rooms voice.txt", "corpus.txt", "meet.py", outs=["voice.txt"]),
        "voice-audit": stage("cp voice.txt audit.txt", "voice.txt", outs=[{"audit.txt": {"cache": False}}]),
        "gates-all-voice": stage("cat audit.txt rooms.txt > gates.txt", "audit.txt", "rooms.txt", outs=["gates.txt"]),
    }
    return make_repository(tmp_path, stages)


def run(capfd, tracks=()):
    """Run the pipeline; return the exit code and what was printed."""
    capfd.readouterr()
    code = reproduce.reproduce(Path(), 2, os.environ, tracks)
    return code, "".join(capfd.readouterr())


def test_two_stages_run_at_once_and_a_second_run_runs_nothing(repository, capfd):
    code, output = run(capfd)
    assert code == 0 and "rooms-plan Running stage" in output and "voice-audit Running stage" in output
    assert Path("gates.txt").read_text() == "audio here.voiceaudio here.rooms"
    recorded = Path("dvc.lock").read_text()
    assert set(yaml.safe_load(recorded)["stages"]) == set(yaml.safe_load(Path("dvc.yaml").read_text())["stages"])
    code, output = run(capfd)
    assert code == 0 and "5 up to date" in output and "Running stage" not in output
    assert Path("dvc.lock").read_text() == recorded


def test_what_it_records_is_what_dvc_records(repository, capfd):
    run(capfd)
    recorded = Path("dvc.lock").read_bytes()
    status = subprocess.run([sys.executable, "-m", "dvc", "status"], capture_output=True, text=True, check=True)
    assert "up to date" in status.stdout
    subprocess.run([sys.executable, "-m", "dvc", "repro", "-q", "-f"], check=True)
    assert Path("dvc.lock").read_bytes() == recorded


def test_what_was_run_before_comes_from_the_cache_also_where_outputs_are_kept_in_git(repository, capfd):
    run(capfd)
    first = Path("dvc.lock").read_bytes()
    Path("source.txt").write_text("other ")
    assert "5 ran" in run(capfd)[1]
    Path("source.txt").write_text("audio ")
    code, output = run(capfd)
    assert code == 0 and "5 restored from the cache" in output and "Running" not in output
    assert Path("dvc.lock").read_bytes() == first


def test_only_what_changed_runs_again(repository, capfd):
    run(capfd)
    Path("audit.txt").unlink()
    Path("voice.txt").write_text("edited by hand")
    code, output = run(capfd)
    assert code == 0 and "rooms-plan" not in output
    assert Path("audit.txt").read_text() == "audio here.voice"


def test_a_track_runs_with_what_it_needs_and_no_other(repository, capfd):
    Path("here.rooms").touch()
    pipeline = yaml.safe_load(Path("dvc.yaml").read_text())["stages"]
    pipeline["gates-all-voice"] = stage("cp audit.txt gates.txt", "audit.txt", outs=["gates.txt"])
    write_pipeline(repository, pipeline)
    assert run(capfd, ["voice"])[0] == 0
    assert Path("gates.txt").exists() and not Path("rooms.txt").exists()
    with pytest.raises(PipelineError, match="tracks rooms, voice"):
        reproduce.reproduce(Path(), 2, os.environ, ["editor"])


def test_a_stage_that_fails_stops_only_those_that_need_it(repository, capfd):
    pipeline = yaml.safe_load(Path("dvc.yaml").read_text())["stages"]
    pipeline["rooms-plan"]["cmd"] = f"touch here.rooms; {sys.executable} -c 'raise SystemExit(3)'"
    write_pipeline(repository, pipeline)
    code, output = run(capfd)
    assert code == 1
    assert "rooms-plan ended with exit code 3" in output
    assert "failed: rooms-plan; not run because of that: gates-all-voice" in output
    assert Path("audit.txt").exists() and not Path("gates.txt").exists()


def test_an_output_that_a_stage_did_not_make_is_its_failure(repository, capfd):
    pipeline = yaml.safe_load(Path("dvc.yaml").read_text())["stages"]
    pipeline["voice-audit"]["cmd"] = "true"
    write_pipeline(repository, pipeline)
    code, output = run(capfd)
    assert code == 1 and "failed: voice-audit" in output and "audit.txt" in output


def test_where_dvc_reads_no_pipeline_the_error_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PipelineError, match="expected a DVC repository"):
        reproduce.reproduce(tmp_path, 2, os.environ)
    make_repository(tmp_path, {})
    (tmp_path / "dvc.yaml").write_text("stages: [")
    with pytest.raises(PipelineError, match=r"dvc\.yaml"):
        reproduce.reproduce(tmp_path, 2, os.environ)


def test_a_cache_whose_path_dvc_takes_for_a_template_is_refused_before_anything_runs(tmp_path, monkeypatch, capfd):
    folder = tmp_path / "{}"
    folder.mkdir()
    monkeypatch.chdir(folder)
    make_repository(folder, {"voice-a": stage("echo 1 > a.txt", outs=["a.txt"])})
    with pytest.raises(PipelineError, match="without { and }.*dvc cache dir --local FOLDER"):
        run(capfd)
    assert not Path("a.txt").exists()
    command = [sys.executable, "-m", "dvc", "cache", "dir", "--local", str(tmp_path / "cache")]
    subprocess.run(command, check=True, capture_output=True)
    assert run(capfd)[0] == 0 and Path("a.txt").exists()


def is_gone(pid):
    """Say whether a process has ended; a zombie that nobody collects has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.fixture
def sleeping(tmp_path, monkeypatch):
    """A run whose one stage sleeps, with a child of its own."""
    monkeypatch.chdir(tmp_path)
    Path("sleep.py").write_text(SLEEP)
    make_repository(tmp_path, {"voice-sleep": stage(f"{sys.executable} sleep.py", "sleep.py", outs=["slept.txt"])})
    # As a shell starts it for a person: what runs in the background, as tests may, ignores Ctrl-C.
    heed = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    process = subprocess.Popen(
        [sys.executable, "-c", RUN], start_new_session=True, stderr=subprocess.PIPE, text=True, **heed
    )
    wait_until(lambda: process.poll() is not None or Path("here.txt").exists(), "the stage")
    yield process
    process.kill()
    process.wait()


@pytest.mark.parametrize("whole_group", [False, True], ids=["alone", "with its group"])
def test_stages_die_with_a_run_that_is_killed_and_the_same_call_goes_on(sleeping, capfd, whole_group):
    if whole_group:
        os.killpg(sleeping.pid, signal.SIGKILL)
    else:
        sleeping.kill()
    sleeping.wait()
    # The next run waits until nothing of the last is alive.
    code, output = run(capfd)
    assert all(map(is_gone, Path("here.txt").read_text().split()))
    assert code == 0 and "1 ran" in output and Path("slept.txt").read_text() == "done"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_it_ends_its_stages_and_says_how_to_go_on(sleeping, capfd, number):
    sleeping.send_signal(number)
    _, errors = sleeping.communicate(timeout=LIMIT_S)
    assert sleeping.returncode == 130 and "the same command goes on" in errors and "Traceback" not in errors
    # Killed, they may take a moment to be gone.
    wait_until(lambda: all(map(is_gone, Path("here.txt").read_text().split())), "the end of the stage")
    assert run(capfd)[0] == 0


def test_a_killed_stage_is_a_failure_with_its_signal(sleeping):
    stage_pid = int(Path("here.txt").read_text().split()[0])
    os.kill(stage_pid, signal.SIGKILL)
    _, errors = sleeping.communicate(timeout=LIMIT_S)
    assert sleeping.returncode == 1 and "voice-sleep" in errors and "failed: voice-sleep" in errors


def test_a_killed_guard_is_replaced(sleeping, capfd):
    guards = [child for child in psutil.Process(sleeping.pid).children() if "guard.py" in " ".join(child.cmdline())]
    for guard in guards:
        guard.kill()
    Path("here.txt").rename("was.txt")
    os.kill(int(Path("was.txt").read_text().split()[0]), signal.SIGKILL)
    _, errors = sleeping.communicate(timeout=LIMIT_S)
    assert guards and sleeping.returncode == 1 and "Traceback" not in errors
    assert "failed: voice-sleep" in errors
    wait_until(lambda: all(map(is_gone, Path("was.txt").read_text().split())), "the end of the stage")


def test_a_second_run_waits_for_the_first(sleeping, tmp_path):
    second = subprocess.Popen([sys.executable, "-c", RUN], stderr=subprocess.PIPE, text=True)
    line = second.stderr.readline()
    assert "Waiting for another run" in line and str(sleeping.pid) in line
    sleeping.kill()
    sleeping.wait()
    second.communicate(timeout=LIMIT_S)
    assert second.returncode == 0 and Path("slept.txt").exists()


def test_what_dead_processes_left_of_dvcs_locks_is_cleared(repository, capfd):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    path = Path(".dvc/tmp/rwlock")
    entry = {"pid": dead.pid, "cmd": "dvc repro"}
    path.write_text(json.dumps({"write": {str(Path("corpus.txt").resolve()): entry}, "read": {}}))
    assert run(capfd)[0] == 0
    path.write_text('{"write": {"/x": {"pid"')
    Path("source.txt").write_text("other ")
    assert run(capfd)[0] == 0


def test_a_number_in_dvcs_locks_that_has_come_again_is_cleared(repository, capfd):
    path, place = Path(".dvc/tmp/rwlock"), str(Path("corpus.txt").resolve())
    path.write_text(json.dumps({"write": {place: {"pid": os.getpid(), "cmd": "dvc repro"}}, "read": {}}))
    assert run(capfd)[0] == 0
    later = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    entry = {"pid": later.pid, "cmd": "dvc repro"}
    path.write_text(json.dumps({"write": {place: entry}, "read": {place: [entry]}}))
    os.utime(path, (0, psutil.Process(later.pid).create_time() - 10))
    Path("source.txt").write_text("other ")
    assert run(capfd)[0] == 0
    later.communicate(timeout=LIMIT_S)


def test_it_waits_for_what_another_dvc_process_is_at_work_on(repository, capfd):
    other = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    entry = {"pid": other.pid, "cmd": "dvc repro"}
    Path(".dvc/tmp/rwlock").write_text(json.dumps({"write": {str(Path("corpus.txt").resolve()): entry}, "read": {}}))
    process = subprocess.Popen([sys.executable, "-c", RUN], stderr=subprocess.PIPE, text=True)
    line = process.stderr.readline()
    assert "waiting" in line and not Path("corpus.txt").exists()
    other.communicate(timeout=LIMIT_S)
    process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0 and Path("gates.txt").exists()


def test_the_pipeline_of_this_repository_falls_into_its_five_tracks(pytestconfig):
    with Repo(pytestconfig.rootpath) as repo:
        tracks = {reproduce.track_of(stage.addressing) for stage in repo.index.graph}
    assert tracks == {"code", "corpus", "editor", "rooms", "structure", "transfer", "voice"}


def test_worker_processes_are_shared_out_unless_the_user_said_how_many(monkeypatch):
    monkeypatch.setattr(reproduce, "worker_count", lambda: 8)
    assert reproduce.job_environment({}, 2)["SOUNDGATE_WORKERS"] == "4"
    assert reproduce.job_environment({}, 16)["SOUNDGATE_WORKERS"] == "1"
    assert reproduce.job_environment({"SOUNDGATE_WORKERS": "7"}, 2)["SOUNDGATE_WORKERS"] == "7"


def test_there_is_a_job_a_core_and_one_where_there_is_a_gpu(monkeypatch):
    monkeypatch.setattr(reproduce, "worker_count", lambda: 16)
    monkeypatch.setattr("ctypes.util.find_library", lambda name: None)
    assert reproduce.default_jobs() == 16
    monkeypatch.setattr("ctypes.util.find_library", lambda name: "libcuda.so.1")
    there_is = {"gpu": False}
    cuda = SimpleNamespace(is_available=lambda: there_is["gpu"])
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))  # The real one takes seconds to import.
    assert reproduce.default_jobs() == 16
    there_is["gpu"] = True
    assert reproduce.default_jobs() == 1
