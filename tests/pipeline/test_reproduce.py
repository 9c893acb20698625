import os
import subprocess
import sys
from pathlib import Path

import networkx as nx
import pytest
import yaml
from dvc.repo import Repo

from soundgate.pipeline import reproduce
from tests.pipeline_file import ROOT

# A stage that waits for another to be under way, so that it ends only where both run at once.
MEET = """
import pathlib, sys, time
own, other, out = map(pathlib.Path, sys.argv[1:])
own.touch()
until = time.monotonic() + 60
while not other.exists():
    if time.monotonic() > until:
        sys.exit(f"{other} did not come")
    time.sleep(0.05)
out.write_text(pathlib.Path("corpus.txt").read_text() + own.name)
"""


def stage(command, *deps, outs):
    return {"cmd": command, "deps": list(deps), "outs": list(outs)}


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A pipeline of two tracks on one corpus, each of which ends only if the other runs beside it."""
    monkeypatch.chdir(tmp_path)
    Path("meet.py").write_text(MEET)
    Path("source.txt").write_text("audio ")
    stages = {
        "corpus-speech": stage("cp source.txt corpus.txt", "source.txt", outs=["corpus.txt"]),
        "rooms-plan": stage(
            f"{sys.executable} meet.py here.rooms here.voice rooms.txt", "corpus.txt", "meet.py", outs=["rooms.txt"]
        ),
        "voice-cache": stage(
            f"{sys.executable} meet.py here.voice here.rooms voice.txt", "corpus.txt", "meet.py", outs=["voice.txt"]
        ),
        "voice-audit": stage("cp voice.txt audit.txt", "voice.txt", outs=["audit.txt"]),
        "gates-summary": stage("cp audit.txt gates.txt", "audit.txt", "rooms.txt", outs=["gates.txt"]),
    }
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": stages}, sort_keys=False))
    subprocess.run(["git", "init", "-q"], check=True)
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q"], check=True)
    return tmp_path


def test_what_tracks_share_comes_first_and_the_longest_track_before_the_others():
    needs = {
        "corpus-speech@p": [],
        "voice-cache@p": ["corpus-speech@p"],
        "structure-latents@p-c": ["corpus-speech@p"],
        "dynamics-train@p-c": ["structure-latents@p-c"],
        "gates-summary@p": ["dynamics-train@p-c", "voice-cache@p"],
    }
    graph = nx.DiGraph((stage, needed) for stage, all_needed in needs.items() for needed in all_needed)
    graph.add_node("voice-ablations@p")
    shared, tracks = reproduce.parts_of(graph)
    assert shared.stages == ("corpus-speech@p",)
    assert [part.name for part in tracks] == ["structure", "voice"]
    assert tracks[0].stages == ("structure-latents@p-c", "dynamics-train@p-c")
    assert set(tracks[1].stages) == {"voice-cache@p", "voice-ablations@p"}


def test_the_pipeline_of_this_repository_falls_into_its_five_tracks(pytestconfig):
    with Repo(pytestconfig.rootpath) as repo:
        graph = reproduce.stage_graph(repo)
    shared, tracks = reproduce.parts_of(graph)
    assert sorted(part.name for part in tracks) == ["editor", "rooms", "structure", "transfer", "voice"]
    assert all(stage.startswith("corpus-") for stage in shared.stages)
    listed = [*shared.stages, *(stage for part in tracks for stage in part.stages)]
    assert sorted(listed) == sorted(stage for stage in graph if not stage.startswith("gates-"))


def test_the_pipeline_lists_a_stage_after_those_that_it_needs(pytestconfig):
    """In this order DVC takes the stages of a pattern."""
    with Repo(pytestconfig.rootpath) as repo:
        graph = reproduce.stage_graph(repo)
    place = {name: number for number, name in enumerate(yaml.safe_load(Path(ROOT, "dvc.yaml").read_text())["stages"])}
    assert all(place[needed.partition("@")[0]] < place[stage.partition("@")[0]] for stage, needed in graph.edges)


def test_two_tracks_run_at_once_and_a_second_run_runs_nothing(repository, capfd):
    assert reproduce.reproduce(repository, 2, os.environ) == 0
    output = "".join(capfd.readouterr())
    assert "rooms Running stage 'rooms-plan'" in output and "voice Running stage 'voice-audit'" in output
    assert Path("gates.txt").read_text() == "audio here.voice"
    recorded = Path("dvc.lock").read_text()
    assert set(yaml.safe_load(recorded)["stages"]) == set(yaml.safe_load(Path("dvc.yaml").read_text())["stages"])
    assert reproduce.reproduce(repository, 2, os.environ) == 0
    output = "".join(capfd.readouterr())
    assert "up to date" in output and "Running stage" not in output
    assert Path("dvc.lock").read_text() == recorded


def test_only_the_tracks_that_changed_run_again(repository, capfd):
    assert reproduce.reproduce(repository, 2, os.environ) == 0
    capfd.readouterr()
    Path("audit.txt").unlink()
    Path("voice.txt").write_text("edited by hand")
    assert reproduce.reproduce(repository, 2, os.environ) == 0
    assert "rooms Running" not in "".join(capfd.readouterr())
    assert Path("audit.txt").read_text() == "audio here.voice"


def test_one_track_runs_alone_with_what_it_reads(repository):
    Path("here.rooms").touch()
    assert reproduce.reproduce(repository, 2, os.environ, ("voice",)) == 0
    assert Path("audit.txt").read_text() == "audio here.voice"
    assert not Path("rooms.txt").exists() and not Path("gates.txt").exists()


def test_a_track_of_a_pipeline_that_dvc_cannot_read_is_dvcs_to_refuse(tmp_path, capfd):
    assert reproduce.reproduce(tmp_path, 1, os.environ, ("voice",)) != 0
    captured = "".join(capfd.readouterr())
    assert "you are not inside of a DVC repository" in captured and "Traceback" not in captured


def test_a_track_that_fails_stops_no_other_and_its_exit_code_is_returned(repository, capfd):
    pipeline = yaml.safe_load(Path("dvc.yaml").read_text())
    pipeline["stages"]["rooms-plan"]["cmd"] = f"touch here.rooms; {sys.executable} -c 'raise SystemExit(3)'"
    Path("dvc.yaml").write_text(yaml.safe_dump(pipeline, sort_keys=False))
    assert reproduce.reproduce(repository, 2, os.environ) != 0
    assert "rooms dvc repro ended with exit code" in "".join(capfd.readouterr())
    assert Path("audit.txt").exists() and not Path("gates.txt").exists()


def test_what_dvc_cannot_read_it_says_itself(tmp_path, capfd):
    assert reproduce.reproduce(tmp_path, 2, os.environ) != 0
    captured = "".join(capfd.readouterr())
    assert "you are not inside of a DVC repository" in captured and "Traceback" not in captured


def test_worker_processes_are_shared_out_unless_the_user_said_how_many(monkeypatch):
    monkeypatch.setattr(reproduce, "worker_count", lambda: 8)
    assert reproduce.job_environment({}, 2)["SOUNDGATE_WORKERS"] == "4"
    assert reproduce.job_environment({}, 16)["SOUNDGATE_WORKERS"] == "1"
    assert reproduce.job_environment({"SOUNDGATE_WORKERS": "7"}, 2)["SOUNDGATE_WORKERS"] == "7"


def test_there_is_a_job_a_core_and_one_where_there_is_a_gpu(monkeypatch):
    monkeypatch.setattr(reproduce, "worker_count", lambda: 16)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert reproduce.default_jobs() == 16
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert reproduce.default_jobs() == 1
