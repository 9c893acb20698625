"""What people do with DVC and Git around `soundgate repro`: remotes, worktrees, subfolders, linked caches, experiments.

The pipeline is a small one of three stages; the middle one publishes from a work folder, as the real ones do.
"""

import shutil
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import psutil
import pytest
import yaml
from click.testing import CliRunner

from soundgate import cli
from soundgate.pipeline import reproduce
from soundgate.pipeline.workplace import Workplace
from soundgate.runtime.files import read_json, sha256_of, write_text
from tests.pipeline.repository import dvc_here, make_repository, stage
from tests.waiting import wait_until

TRAIN = """
import yaml
from pathlib import Path
from soundgate.runtime.files import write_json, write_text
from soundgate.runtime.scratch import open_scratch

gain = yaml.safe_load(Path("params.yaml").read_text())["voice"]["gain"]
scratch = open_scratch("voice-train", "data/model", modules=[], params={"gain": gain}, inputs=["data/corpus.txt"])
write_text(scratch.result / "weights.txt", Path("data/corpus.txt").read_text() * gain)
gate = {"value": gain, "verdict": "pass", "margin": 1.0, "side": "above", "threshold": 1.0}
write_json(scratch.result / "gates.json", {"loud": gate})
scratch.publish()
"""
GATES = Path("metrics/toy/voice/gates.json")
STAGES = {
    "corpus-speech": stage("mkdir -p data && cp source.txt data/corpus.txt", "source.txt", outs=["data/corpus.txt"]),
    "voice-train": stage(f"{sys.executable} train.py", "data/corpus.txt", "train.py", outs=["data/model"])
    | {"params": ["voice.gain"]},
    "gates-all-voice": stage(
        f"mkdir -p {GATES.parent} && cp data/model/gates.json {GATES}",
        "data/model",
        outs=[{str(GATES): {"cache": False}}],
    ),
}
PARAMS = {"profile": ["toy"], "corpus": {"speech": {"origin": "source.txt"}}, "voice": {"gain": 2}}


def git(folder, *arguments):
    return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout


def dvc(folder, *arguments):
    """Run DVC in this process; see `dvc_alone` for what is its own to do, and for one test of each kind of use."""
    return dvc_here(folder, *arguments, environment=reproduce.stage_environment())


def dvc_alone(folder, *arguments):
    """Run DVC in a process of its own, as a person does."""
    command = [sys.executable, "-m", "dvc", *arguments]
    environment = reproduce.stage_environment()  # The workers of a queue run plain `dvc`.
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def soundgate(folder, *arguments):
    """Run a command in a folder; return its exit code and what it printed."""
    with chdir(folder):
        done = CliRunner().invoke(cli.main, arguments)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def repro(folder):
    """Run the pipeline; return the line that counts its stages."""
    code, output = soundgate(folder, "repro", "--track", "voice", "--jobs", "2")
    assert code == 0, output
    return next(line for line in output.splitlines() if line.startswith("soundgate stages: "))


def set_gain(folder, gain):
    write_text(folder / "params.yaml", yaml.safe_dump(PARAMS | {"voice": {"gain": gain}}))


def commit(folder, message):
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", message)


def clone(source, target):
    git(source, "clone", "-q", str(source), str(target))
    for key, value in (("user.name", "test"), ("user.email", "test@example.org")):
        git(target, "config", key, value)
    return target


@pytest.fixture(scope="module", autouse=True)
def own_scratch():
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SOUNDGATE_SCRATCH", raising=False)
        yield


@pytest.fixture(scope="module")
def committed(tmp_path_factory):
    """The pipeline, committed and not run yet."""
    folder = tmp_path_factory.mktemp("committed")
    make_repository(folder, STAGES)
    with (folder / ".dvc/config").open("a") as config:
        config.write("    autostage = true\n")
    (folder / ".gitignore").write_text("/data/\n/scratch/\n")
    (folder / ".dvcignore").write_text("scratch/\n")
    (folder / "source.txt").write_text("audio ")
    (folder / "train.py").write_text(TRAIN)
    set_gain(folder, 2)
    commit(folder, "pipeline")
    return folder


@pytest.fixture(scope="module")
def finished(committed, tmp_path_factory):
    """The pipeline, run and committed with its results."""
    folder = shutil.copytree(committed, tmp_path_factory.mktemp("finished") / "repository")
    assert repro(folder) == "soundgate stages: 3 ran"
    commit(folder, "results")
    return folder


@pytest.fixture
def fresh(committed, tmp_path):
    """A copy of what is not run yet, to work in."""
    return shutil.copytree(committed, tmp_path / "repository")


@pytest.fixture
def repository(finished, tmp_path):
    """A copy of what is finished, to work in."""
    return shutil.copytree(finished, tmp_path / "repository")


@pytest.fixture
def worktree(repository):
    folder = repository.with_name("worktree")
    git(repository, "worktree", "add", "-q", str(folder))
    assert (folder / ".git").is_file()
    return folder


def test_what_was_pushed_is_pulled_into_a_fresh_clone_and_nothing_runs(repository, tmp_path):
    dvc(repository, "remote", "add", "-q", "-d", "store", str(tmp_path / "remote"))
    commit(repository, "remote")
    dvc_alone(repository, "push", "-q")
    cloned = clone(repository, tmp_path / "clone")
    assert not (cloned / "data").exists()
    dvc_alone(cloned, "pull", "-q")
    assert (cloned / "data/model/weights.txt").read_text() == "audio audio "
    assert "up to date" in dvc(cloned, "status") and "in sync" in dvc_alone(cloned, "status", "--cloud")
    assert repro(cloned) == "soundgate stages: 3 up to date"
    assert git(cloned, "status", "--porcelain") == ""


def test_an_earlier_run_that_was_pushed_is_restored_in_a_clone(repository, tmp_path):
    dvc(repository, "remote", "add", "-q", "-d", "store", str(tmp_path / "remote"))
    commit(repository, "remote")
    dvc(repository, "push", "-q", "--run-cache")
    set_gain(repository, 3)
    assert repro(repository) == "soundgate stages: 2 ran, 1 up to date"
    commit(repository, "three")
    dvc(repository, "push", "-q", "--run-cache")
    cloned = clone(repository, tmp_path / "clone")
    for revision in ("HEAD~1", "@{-1}"):  # There, and back to the last commit.
        git(cloned, "checkout", "-q", "--detach", revision)
        dvc(cloned, "pull", "-q", "--run-cache")
    set_gain(cloned, 2)
    assert repro(cloned) == "soundgate stages: 2 restored from the cache, 1 up to date"
    assert read_json(cloned / GATES)["loud"]["value"] == 2 and not (cloned / "scratch").exists()


def test_a_worktree_is_run_on_its_own(repository, worktree):
    set_gain(worktree, 3)
    with reproduce._alone(repository):  # A run there keeps none here waiting.
        assert repro(worktree) == "soundgate stages: 3 ran"
    assert repro(worktree) == "soundgate stages: 3 up to date" and "up to date" in dvc(worktree, "status")
    assert (worktree / "data/model/weights.txt").read_text() == "audio audio audio "
    assert (worktree / ".dvc/tmp/soundgate/run.lock").is_file() and (worktree / ".dvc/tmp/rwlock").is_file()
    # What a run stages for the next commit, it stages there.
    assert git(worktree, "diff", "--cached", "--name-only").split() == ["dvc.lock"]
    assert git(repository, "status", "--porcelain") == "" and repro(repository) == "soundgate stages: 3 up to date"
    commit(worktree, "three")
    code, output = soundgate(worktree, "gates", "--diff", "HEAD~1")
    assert code == 0 and "1 of 1 gates differ" in output
    code, output = soundgate(worktree, "verify")
    assert code == 0 and output.splitlines()[-1].startswith("verify: 1 gates: 1 equal")


def test_in_a_worktree_a_lock_file_that_was_cut_is_mended_from_its_own_commit(worktree):
    lock = worktree / "dvc.lock"
    whole = lock.read_text()
    lock.write_text(whole[: len(whole) // 2])
    assert repro(worktree) == "soundgate stages: 2 ran, 1 up to date"  # Its cache is empty; the gates are in Git.
    assert lock.read_text() == whole


def test_experiments_of_a_worktree_run_in_a_clone_with_its_cache(repository, worktree):
    repro(worktree)
    with Workplace(worktree, "toy") as place:
        assert place.folder == worktree / "scratch/toy/repository"
        place.dvc("repro")
        assert repro(place.folder) == "soundgate stages: 3 up to date"
        assert place.commit == git(worktree, "rev-parse", "HEAD").strip()
        assert not (place.folder / ".dvc/cache/files").exists()
    assert git(worktree, "status", "--porcelain") == "" and not (repository / "scratch/toy").exists()


@pytest.mark.parametrize("command", ["repro", "gates", "verify", "repro profile=toy", "compose"])
def test_in_a_subfolder_a_command_writes_nothing_and_ends_in_one_line(repository, command):
    folder = repository / "notes"
    folder.mkdir()
    code, output = soundgate(folder, *command.split())
    assert code == 1 and len(output.splitlines()) == 1 and not list(folder.iterdir())
    assert f"expected {repository}; found a folder below it. Run this in the root of the repository." in output
    assert soundgate(folder, command.split()[0], "--help")[0] == 0
    assert git(repository, "status", "--porcelain") == ""


def test_in_a_subfolder_dvc_reads_the_pipeline_of_the_repository(repository):
    (repository / "notes").mkdir()
    assert "up to date" in dvc(repository / "notes", "status")
    set_gain(repository, 3)
    assert "voice-train" in dvc(repository / "notes", "status")


def files_of(cache):
    """Return the hash, and the time of the last write, of every file in a cache."""
    files = [path for path in (cache / "files").rglob("*") if path.is_file()]
    return {path: (sha256_of(path), path.stat().st_mtime_ns) for path in files}


def is_linked(path, kind):
    return path.is_symlink() if kind == "symlink" else path.stat().st_nlink > 1


@pytest.mark.parametrize("kind", ["symlink", "hardlink"])
def test_with_a_cache_of_links_a_change_reruns_what_it_must_and_writes_through_none(fresh, tmp_path, kind):
    cache = tmp_path / "shared"
    for key, value in (("dir", str(cache)), ("type", kind), ("shared", "group")):
        dvc(fresh, "config", "--local", f"cache.{key}", value)
    assert repro(fresh) == "soundgate stages: 3 ran"
    weights = fresh / "data/model/weights.txt"
    assert is_linked(weights, kind) and is_linked(fresh / "data/corpus.txt", kind)
    before = files_of(cache)
    assert repro(fresh) == "soundgate stages: 3 up to date" and "up to date" in dvc(fresh, "status")
    set_gain(fresh, 3)
    assert repro(fresh) == "soundgate stages: 2 ran, 1 up to date"
    assert weights.read_text() == "audio audio audio " and is_linked(weights, kind)
    after = files_of(cache)
    assert before.items() <= after.items() and len(after) > len(before)
    # A clone with the same cache runs nothing.
    commit(fresh, "three")
    cloned = clone(fresh, tmp_path / "clone")
    (cloned / ".dvc/config.local").write_text((fresh / ".dvc/config.local").read_text())
    assert repro(cloned) == "soundgate stages: 2 restored from the cache, 1 up to date"
    # Work that goes on writes anew what was published by links.
    dvc(fresh, "repro", "-q", "--force")
    assert files_of(cache) == after and is_linked(weights, kind)
    assert all(sha256_of(path) == sha256_of(cloned / path.relative_to(fresh)) for path in weights.parent.iterdir())


def experiments(folder):
    """Return the commits of experiments by name."""
    lines = git(folder, "for-each-ref", "--format=%(objectname) %(refname)", "refs/exps/").splitlines()
    return {ref.split("/")[4]: commit for commit, ref in map(str.split, lines) if ref.count("/") == 4}


@pytest.mark.parametrize("place", ["repository", "worktree"])
def test_an_experiment_in_a_folder_of_its_own_leaves_the_repository_as_it_is(place, request):
    folder = request.getfixturevalue(place)
    set_gain(folder, 5)
    repro(folder)
    git(folder, "reset", "-q", "--hard")
    repro(folder)
    lock = (folder / "dvc.lock").read_bytes()
    run_dvc = dvc_alone if place == "repository" else dvc
    output = run_dvc(folder, "exp", "run", "--temp", "--name", "louder", "-S", "voice.gain=5")
    # What soundgate ran before is not run again.
    assert "Stage 'voice-train' is cached - skipping run" in output and "Running stage" not in output
    assert "louder" in experiments(folder)
    assert git(folder, "status", "--porcelain") == "" and (folder / "dvc.lock").read_bytes() == lock
    code, output = soundgate(folder, "gates", "--diff", "louder")
    assert code == 0 and "1 of 1 gates differ from louder" in output
    dvc(folder, "exp", "apply", "-q", "louder")
    assert read_json(folder / GATES)["loud"]["value"] == 5
    assert repro(folder) == "soundgate stages: 3 up to date"


@pytest.fixture
def queue(repository):
    """The repository of a queue, whose workers end with the test."""
    yield repository
    for process in psutil.process_iter(["cmdline", "cwd"]):
        if "queue-worker" in (process.info["cmdline"] or ()) and process.info["cwd"] == str(repository):
            process.kill()


@pytest.mark.slow
def test_experiments_that_are_queued_run_beside_a_run_of_the_repository(queue):
    for gain, run_dvc in ((5, dvc_alone), (6, dvc)):
        run_dvc(queue, "exp", "run", "-q", "--queue", "--name", f"gain{gain}", "-S", f"voice.gain={gain}")
    assert git(queue, "status", "--porcelain") == "" and not experiments(queue)
    dvc_alone(queue, "queue", "start", "-q")
    assert repro(queue) == "soundgate stages: 3 up to date"
    commits = wait_until(lambda: len(found := experiments(queue)) == 2 and found, "the experiments")
    assert git(queue, "status", "--porcelain") == ""
    for gain in (5, 6):
        assert f'"value": {gain},' in git(queue, "show", f"{commits[f'gain{gain}']}:{GATES}")
    # What they trained is in the cache of the repository; the gates, which Git keeps, are made again.
    set_gain(queue, 6)
    assert repro(queue) == "soundgate stages: 1 ran, 1 restored from the cache, 1 up to date"
    assert read_json(queue / GATES)["loud"]["value"] == 6
