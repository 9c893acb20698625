"""The arms as runs: what they are named, when they are run again, what a kill leaves, what is collected."""

import os
import shutil
import subprocess
import sys
from contextlib import suppress

import psutil
import pytest

from soundgate.runtime.errors import ConfigError, FormatError, TrainingError
from soundgate.runtime.files import read_json
from soundgate.tracks.voice.ablations.collected import read_collected, write_run
from soundgate.tracks.voice.ablations.command import AblationOptions, collect_experiments, run_ablations
from soundgate.tracks.voice.ablations.launching import gpus_of, launched
from soundgate.tracks.voice.ablations.planning import plan
from soundgate.tracks.voice.ablations.queue import keep_order
from soundgate.tracks.voice.ablations.running import costs
from tests.pipeline_file import ROOT
from tests.tracks.voice.toy_repository import PIPELINE, write_toy
from tests.waiting import wait_until

TOY = ROOT / "tests/tracks/voice/toy_repository.py"


@pytest.fixture
def toy(tmp_path, monkeypatch):
    folder = tmp_path / "toy"
    write_toy(folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TOY_LOG", str(tmp_path / "log"))
    monkeypatch.setenv("TOY_BLOCK", str(tmp_path / "block"))
    monkeypatch.delenv("SOUNDGATE_SCRATCH", raising=False)
    return folder


def names(folder, n_seeds=1, further=()):
    runs = plan("tiny", ["baseline", "better"], "baseline", n_seeds, further, PIPELINE, folder)
    return {(run.arm, run.seed): run.name for run in runs}


def test_a_run_is_named_after_its_parameters_and_code(toy):
    before = names(toy, n_seeds=2)
    assert len(set(before.values())) == 4 and before["better", 1].startswith("tiny-better-1-")
    assert names(toy, n_seeds=2) == before
    (toy / "stages/audit.py").write_text((toy / "stages/audit.py").read_text() + "\nTOUCHED = True\n")
    assert not set(names(toy, 2).values()) & set(before.values())
    (toy / "conf/ablation/better.yaml").write_text("# @package _global_\nvoice: {train: {effect: 6.0}}\n")
    changed = names(toy, 2)
    assert changed["baseline", 0] == names(toy)["baseline", 0] and changed["better", 0] != before["better", 0]
    # What the sections do not hold changes no score.
    settings = (toy / "conf/voice.yaml").read_text()
    (toy / "conf/voice.yaml").write_text(settings.replace("n_bootstrap: 100", "n_bootstrap: 200"))
    assert names(toy, 2) == changed
    assert names(toy, 2, ["voice.train.effect=1.0"]) != changed


def test_seeds_are_added_to_the_arms_own_and_runs_come_seed_by_seed(toy):
    runs = plan("tiny", ["baseline", "baseline_again"], "baseline", 2, ["voice.train.fail=true"], PIPELINE, toy)
    assert [(run.arm, run.seed) for run in runs] == [
        ("baseline", 0), ("baseline_again", 0), ("baseline", 1), ("baseline_again", 1),
    ]  # fmt: skip
    assert runs[3].overrides == (
        "profile=tiny", "ablation=baseline_again", "voice.train.fail=true", "voice.train.seed=1001",
    )  # fmt: skip
    assert runs[3].changed == {"voice.train.seed": [1, 1001]} and runs[2].changed == {}


def test_arms_and_profiles_that_do_not_exist_are_refused(toy):
    with pytest.raises(ConfigError, match=r"--arms: expected baseline, baseline_again, better, broken; found wurst"):
        run_ablations(AblationOptions(("wurst", "better"), 1, "tiny", 1, (), ()), PIPELINE, toy)
    with pytest.raises(ConfigError, match="profile/large"):
        run_ablations(AblationOptions((), 1, "large", 1, (), ()), PIPELINE, toy)


def test_gpus_are_dealt_out_to_jobs_as_many_as_each_has_processes():
    four = ("0", "1", "2", "3")
    assert [gpus_of(job, four, 1) for job in range(5)] == ["0", "1", "2", "3", "0"]
    assert [gpus_of(job, four, 2) for job in range(3)] == ["0,1", "2,3", "0,1"]
    assert gpus_of(1, four, 3) == "0,1,2" and gpus_of(0, (), 2) is None
    with pytest.raises(ConfigError, match="--gpus: expected 2 for --ddp; found 5"):
        gpus_of(0, ("5",), 2)


def test_only_the_training_is_started_in_several_processes(tmp_path):
    """By torchrun itself, from a folder whose name a shell would take apart."""
    text = "import os, sys; print(os.environ.get('RANK'), os.environ.get('WORLD_SIZE'), *sys.argv[1:])"
    (tmp_path / "train.py").write_text(text)
    (tmp_path / "audit.py").write_text(text)
    assert launched(os.environ, tmp_path / "bin", "train", 1) == dict(os.environ)
    environment = launched(os.environ, tmp_path / "a 'b' bin", "train", 2)
    said = {
        module: subprocess.run(
            ["sh", "-c", f"python -m {module} --out 'a b'"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        for module in ("train", "audit")
    }
    assert said["audit"].stdout == "None None --out a b\n", said["audit"].stderr
    assert sorted(said["train"].stdout.splitlines()) == ["0 2 --out a b", "1 2 --out a b"], said["train"].stderr


def test_uncommitted_code_is_not_run(toy):
    (toy / "stages/audit.py").write_text("# Changed.\n")
    with pytest.raises(TrainingError, match=r"changes to stages/audit.py.*Commit"):
        run_ablations(AblationOptions(("better",), 1, "tiny", 1, (), ()), PIPELINE, toy)


def test_experiments_stay_in_the_order_in_which_they_were_queued(tmp_path):
    """Whatever time since the machine's start is in the names of their files; other messages keep their names."""
    queued = ["98_c.celery.msg", "999995_b.celery.msg", "1000002_a.celery.msg"]
    for name in (*queued, "7_d.reply.celery.pidbox.msg"):
        (tmp_path / name).write_text(name)
        keep_order(tmp_path)
    found = {path.name: path.read_text() for path in sorted(tmp_path.iterdir())}
    assert found.pop("7_d.reply.celery.pidbox.msg") and list(found.values()) == queued


def test_the_log_tells_what_a_training_cost():
    log = "INFO Device: cuda (H)\nvoice-train: at most 512.5 MB\nvoice-train: done in 12.5 s\nvoice-audit: done in 3 s"
    assert costs(log, "voice-train") == {"train_seconds": 12.5, "gpu_seconds": 12.5, "peak_memory_mb": 512.5}
    assert costs(log.replace("cuda", "cpu"), "voice-train")["gpu_seconds"] == 0
    resumed = "Going on in /x/scratch/voice-train/abc\n" + log
    assert costs(resumed, "voice-train") == {"train_seconds": None, "gpu_seconds": None, "peak_memory_mb": 512.5}
    assert set(costs("", "voice-train").values()) == {None}


@pytest.mark.slow
def test_experiments_of_dvcs_own_commands_are_collected_by_parameters_and_code(toy, tmp_path, monkeypatch):
    # `dvc queue start` starts the `dvc` that PATH has, as in an activated environment.
    monkeypatch.setenv("PATH", f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}")
    sweep = ["-S", "profile=tiny", "-S", "ablation=baseline,better", "-S", "voice.train.seed=0,1"]
    for command in (["exp", "run", "--queue", *sweep, "voice-audit@tiny"], ["queue", "start"]):
        subprocess.run([sys.executable, "-m", "dvc", *command], cwd=toy, check=True, capture_output=True)
    listed = ["git", "for-each-ref", "--format=%(objectname)", "refs/exps/??/*/*"]

    def experiments():
        return subprocess.run(listed, cwd=toy, capture_output=True, text=True, check=True).stdout.split()

    wait_until(lambda: len(experiments()) == 4, "four experiments")
    assert collect_experiments((), 1, "tiny", (), PIPELINE, toy).startswith("2 experiments collected")
    assert collect_experiments((), 2, "tiny", (), PIPELINE, toy).startswith("2 experiments collected")
    assert collect_experiments((), 2, "tiny", (), PIPELINE, toy).startswith("0 experiments collected")
    card = read_json(toy / "ablations/tiny/better/1/run.json")
    assert card["changed"] == {"voice.train.effect": [0.0, 5.0]} and card["experiment"] in experiments()
    assert card["name"] == names(toy, 2)["better", 1] and card["judges"]["similarity"]["hears"] is True
    assert (toy / "ablations/tiny/better/1/scores.csv").read_text().endswith("a,b,u,similarity,5.03\n")
    # Neither those of other code nor of other overrides.
    shutil.rmtree(toy / "ablations/tiny/better")
    assert collect_experiments((), 2, "tiny", ["voice.train.effect=1.0"], PIPELINE, toy).startswith("0 ")
    (toy / "stages/audit.py").write_text((toy / "stages/audit.py").read_text() + "\nTOUCHED = True\n")
    assert collect_experiments((), 2, "tiny", (), PIPELINE, toy).startswith("0 ")


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        ("source,target,value\na,b,1\n", "expected the columns source, target, utterance, measure, value"),
        ("source,target,utterance,measure,value\na,b,u,m,high\n", "expected numbers"),
        ("source,target,utterance,measure,value\na,b,u,m,1\na,b,u,m,2\n", "a b u m twice"),
    ],
)
def test_scores_that_are_no_scores_are_refused(tmp_path, scores, said):
    write_run(tmp_path / "baseline/0", scores, {})
    with pytest.raises(FormatError, match=said):
        read_collected(tmp_path)


def test_a_run_counts_once_its_card_is_there(tmp_path):
    header = "source,target,utterance,measure,value\n"
    write_run(tmp_path / "baseline/10", header + "01,b,u,m,\n01,b,v,m,2.5\n", {"code": "x"})
    (tmp_path / "arm/2").mkdir(parents=True)
    (tmp_path / "arm/2/scores.csv").write_text(header)
    found = read_collected(tmp_path)
    assert found.runs.to_dict("records") == [{"code": "x", "arm": "baseline", "seed": 10}]
    assert found.scores["source"].tolist() == ["01", "01"] and found.scores["value"].isna().tolist() == [True, False]


def trained(log):
    return sorted(line for line in log.read_text().splitlines() if line.startswith("train"))


@pytest.mark.slow
def test_killed_in_the_middle_the_next_call_runs_what_is_missing_and_no_more(toy, tmp_path, capfd):
    log, block = tmp_path / "log", tmp_path / "block"
    block.touch()
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])}
    runner = psutil.Popen([sys.executable, str(TOY), "better,broken", "1", "1"], env=environment, cwd=toy)
    wait_until(lambda: runner.poll() is not None or (log.exists() and trained(log)), "the first training")
    assert runner.poll() is None, "the runner ended before it could be killed"
    family = runner.children(recursive=True)
    assert len(family) >= 3, "worker, experiment and stage are to be killed too"
    for process in (runner, *family):
        with suppress(psutil.NoSuchProcess):  # One of the runner's questions to Git, answered meanwhile.
            process.kill()
    runner.wait()
    assert not list((toy / "ablations/tiny").glob("*/*")) and trained(log) == ["train 0 5"]

    block.unlink()
    with pytest.raises(TrainingError, match=r"tiny-broken-0-\w+: expected every run to finish; found 1 that failed"):
        run_ablations(AblationOptions(("better", "broken"), 1, "tiny", 1, (), ()), PIPELINE, toy)
    assert trained(log) == ["train 0 0", "train 0 5", "train 0 5"]
    assert log.read_text().count("speaker") == 1, "what the arms share was computed again"
    card = read_json(toy / "ablations/tiny/better/0/run.json")
    assert card["changed"] == {"voice.train.effect": [0.0, 5.0]} and card["train_seconds"] == 3.5
    assert (toy / "ablations/tiny/better/0/scores.csv").read_text().endswith("a,b,u,similarity,5.0\n")
    assert not (toy / "ablations/tiny/broken").exists()

    # What is collected is not run again; the repository was never touched, and knows the experiment.
    run_ablations(AblationOptions(("better",), 1, "tiny", 1, (), ()), PIPELINE, toy)
    assert len(trained(log)) == 3
    assert "not run" in (toy / "metrics/tiny/voice/ablations.csv").read_text()
    said = subprocess.run(["git", "status", "--porcelain", "-uno"], cwd=toy, capture_output=True, text=True, check=True)
    assert said.stdout == "" and (toy / "params.yaml").read_text() == "profile: [other]\n"
    refs = subprocess.run(["git", "for-each-ref", "refs/exps"], cwd=toy, capture_output=True, text=True, check=True)
    assert card["name"] in refs.stdout and card["experiment"] in refs.stdout


@pytest.mark.slow
def test_an_arm_trains_in_two_processes_and_its_name_is_that_of_one(toy, tmp_path):
    run_ablations(AblationOptions(("better",), 1, "tiny", 1, (), (), 2), PIPELINE, toy)
    assert trained(tmp_path / "log") == ["train 0 5", "train 0 5"]
    card = read_json(toy / "ablations/tiny/better/0/run.json")
    assert card["processes"] == 2 and card["name"] == names(toy)["better", 0]
    assert card["judges"]["similarity"]["hears"] is True and card["judges"]["similarity"]["ci_low"] == 0.7
