"""The pipeline in a temporary clone: what runs again, what does not, and what a kill leaves behind."""

import io
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import chdir
from pathlib import Path

import pytest
from dvc.repo import Repo
from ruamel.yaml import YAML

from tests.pipeline_file import ROOT, leaves

pytestmark = pytest.mark.slow

SMALL = [
    "profile=tiny",
    "corpus.speech.n_speakers=3",
    "corpus.speech.n_utterances=3",
    "structure.codecs=[gain_shape,mimi]",
    "codec.mimi.weights=random",
]
SPEECH, SPLIT = "corpus-speech@tiny", "structure-split@tiny"


def of(codec, *verbs):
    return {f"structure-{verb}@tiny-{codec}" for verb in verbs}


# What lies below is slow and follows the same rules; `.ci/run` runs the whole of it twice.
RUN = {"code", SPEECH, SPLIT} | of("gain_shape", "latents", "frames") | of("mimi", "latents", "frames")
LAST = sorted(of("gain_shape", "frames") | of("mimi", "frames"))


def run(folder, *command, check=True):
    """Run one of the environment's commands inside a clone and return what it printed."""
    here = Path(sys.executable).parent
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SOUNDGATE_")}
    environment |= {"PATH": f"{here}{os.pathsep}{environment['PATH']}", "PYTHONPATH": str(folder / "src")}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def ran(output):
    return {line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage ")}


def changed(folder):
    """Return which of the stages that ran `dvc status` calls changed."""
    with chdir(folder), Repo() as repo:
        return set(repo.status(targets=sorted(RUN)))


def edit(path, old, new):
    text = path.read_text()
    assert old in text, f"{old!r} is not in {path}"
    path.write_text(text.replace(old, new, 1))


def commit(folder, message):
    run(folder, "git", "add", "-A")
    run(folder, "git", "commit", "-qm", message)


def clone_to(folder):
    """Copy what Git knows, or would, of the working tree into a repository of its own."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file() and name != "dvc.lock":
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    keep_stages(folder / "dvc.yaml", {address.partition("@")[0] for address in RUN})
    run(folder, "git", "init", "-q")
    for key, value in (("user.name", "test"), ("user.email", "test@example.org")):
        run(folder, "git", "config", key, value)
    commit(folder, "clone")


def keep_stages(path, names):
    """Leave only these stages in a pipeline: DVC reads the whole of it at every call, and that takes seconds."""
    yaml = YAML()
    pipeline = yaml.load(path)
    kept = {name: entry for name, entry in pipeline["stages"].items() if name in names}
    yaml.dump({"stages": kept}, path)


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory):
    """A clone whose pipeline ran once, with two codecs."""
    folder = tmp_path_factory.mktemp("clone")
    clone_to(folder)
    run(folder, sys.executable, "-m", "soundgate.pipeline.compose", *SMALL)
    # The hashes of the code are committed with it.
    assert ran(run(folder, "dvc", "repro", *LAST)) == RUN
    assert run(folder, "git", "status", "--porcelain", "code.yaml") == ""
    commit(folder, "reproduced")
    return folder


@pytest.fixture
def clone(reproduced):
    """The reproduced clone, put back as it was afterwards."""
    yield reproduced
    run(reproduced, "git", "reset", "-q", "--hard")  # DVC stages what it writes.
    run(reproduced, "dvc", "checkout", "-q", *sorted(RUN))


def test_a_second_run_runs_nothing(clone):
    output = run(clone, "dvc", "repro", *LAST)
    assert ran(output) == set()
    assert "up to date" in output
    assert run(clone, "git", "status", "--porcelain") == ""


def test_changing_one_leaf_runs_its_readers_and_what_lies_below(clone):
    edit(clone / "params.yaml", "high_energy_quantile: 0.5", "high_energy_quantile: 0.25")
    assert changed(clone) == set(LAST)
    assert ran(run(clone, "dvc", "repro", *LAST)) == set(LAST)
    # Another split gives other frames, from the same latents.
    edit(clone / "params.yaml", "train_fraction: 0.79", "train_fraction: 0.39")
    assert ran(run(clone, "dvc", "repro", *LAST)) == {SPLIT, *LAST}
    # A leaf put back finds its results again, without running anything.
    run(clone, "git", "checkout", "-q", "params.yaml")
    output = run(clone, "dvc", "repro", *LAST)
    assert ran(output) == set() and output.count("is cached - skipping run, checking out outputs") == 3


def test_every_leaf_makes_exactly_the_stages_that_name_it_stale(clone):
    stages = YAML(typ="safe").load((clone / "dvc.yaml").read_text())["stages"]
    original = (clone / "params.yaml").read_text()
    # These change which stages there are, or their paths.
    structural = {"structure.codecs"}
    changes = [
        leaf
        for leaf in sorted(leaves(YAML(typ="safe").load(original)))
        if leaf.split(".")[0] not in ("profile", "gates", "pipeline") and leaf not in structural
    ]
    (clone / "params.yaml").write_text(with_other_values(original, changes))
    with chdir(clone), Repo() as repo:
        status = repo.status(targets=sorted(RUN))
    assert "code" not in status
    for name, entry in ((name, entry) for name, entry in stages.items() if name != "code"):
        for codec in ("gain_shape", "mimi") if "codec" in entry["matrix"] else ("",):
            named = [param.replace("${item.codec}", codec) for param in entry["params"] if isinstance(param, str)]
            read = {leaf for leaf in changes if any(f"{leaf}.".startswith(f"{param}.") for param in named)}
            address = f"{name}@tiny" + (f"-{codec}" if codec else "")
            assert read and modified(status[address]) == {param for param in named if covers(param, read)}, address


def covers(param, read):
    return any(f"{leaf}.".startswith(f"{param}.") for leaf in read)


def modified(reasons):
    """Return the parameters that DVC names as the reason why a stage is stale."""
    found = [reason["changed deps"]["params.yaml"] for reason in reasons if "changed deps" in reason]
    assert all(set(own.values()) == {"modified"} for own in found)
    return {param for own in found for param in own}


def with_other_values(original, changes):
    """Return params.yaml with the leaves named changed."""
    values = YAML(typ="safe").load(original)
    for leaf in changes:
        owner = values
        *path, key = leaf.split(".")
        for part in path:
            owner = owner[part]
        owner[key] = "another value"
    text = io.StringIO()
    YAML().dump(values, text)
    return text.getvalue()


def test_a_docstring_makes_no_stage_run_and_a_line_of_code_those_that_reach_it(clone):
    module = clone / "src/soundgate/runtime/console.py"
    edit(module, '"""', '"""Touched. ')
    assert changed(clone) == {"code"}
    assert ran(run(clone, "dvc", "repro", *LAST)) == {"code"}
    codec = clone / "src/soundgate/codecs/mimi/codec.py"
    codec.write_text(codec.read_text() + "\nADDED = 1\n")
    assert changed(clone) == {"code"}
    # The same latents come out, so nothing below runs.
    assert ran(run(clone, "dvc", "repro", *LAST)) == {"code"} | of("mimi", "latents")
    assert changed(clone) == set()


def test_another_version_of_a_library_is_noticed(clone):
    edit(clone / "libraries.txt", "librosa==", "librosa==1")
    assert changed(clone) == {"code"}
    # Installed is what was: no stage has anything to do.
    assert ran(run(clone, "dvc", "repro", *LAST)) == {"code"}


def test_an_experiment_composes_and_keeps_its_overrides(clone):
    overrides = [
        part for override in [*SMALL, "structure.frames.high_energy_quantile=0.75"] for part in ("-S", override)
    ]
    output = run(clone, "dvc", "exp", "run", "--name", "louder", *overrides, *LAST)
    assert ran(output) == set(LAST)
    assert "high_energy_quantile: 0.75" in (clone / "params.yaml").read_text()
    assert "louder" in run(clone, "dvc", "exp", "list", "--name-only")
    refused = run(clone, "dvc", "exp", "run", "-S", "profile=large", check=False)
    assert "profile/large" in refused or "Could not find" in refused


def outs(folder):
    stages = YAML(typ="safe").load((folder / "dvc.lock").read_text())["stages"]
    return {out["path"]: out["md5"] for stage in stages.values() for out in stage["outs"]}


# Four shards of latents.
LONG = [
    "profile=tiny",
    "corpus.speech.n_speakers=6",
    "corpus.speech.n_utterances=40",
    "codec.gain_shape.frame_rate=75",
]
LATENTS = "structure-latents@tiny-gain_shape"


def clone_composed(folder):
    folder.mkdir()
    clone_to(folder)
    run(folder, sys.executable, "-m", "soundgate.pipeline.compose", *LONG)
    return folder


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The outputs of a run that nobody killed."""
    folder = clone_composed(tmp_path_factory.mktemp("uninterrupted") / "clone")
    run(folder, "dvc", "repro", LATENTS)
    return outs(folder)


@pytest.mark.parametrize("when", ["first shard", "published"])
def test_killed_in_the_middle_of_latents_the_next_run_gives_the_same(tmp_path, uninterrupted, when):
    folder = clone_composed(tmp_path / "clone")
    here = Path(sys.executable).parent
    environment = os.environ | {"PATH": f"{here}{os.pathsep}{os.environ['PATH']}", "SOUNDGATE_WORKERS": "1"}
    process = subprocess.Popen(
        ["dvc", "repro", LATENTS], cwd=folder, env=environment, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    pattern = {
        "first shard": "scratch/structure-latents/*/result/latents.zarr/manifest/00000.json",
        "published": "data/tiny/structure/gain_shape/latents",
    }[when]
    deadline = time.monotonic() + 300
    while not list(folder.glob(pattern)):
        assert process.poll() is None and time.monotonic() < deadline, "the run ended before it could be killed"
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    store = next(folder.glob("scratch/structure-latents/*/result/latents.zarr"))
    shard = os.stat(store / "c/0/0").st_mtime_ns
    assert (store / "manifest/store.json").exists() == (when == "published")
    assert LATENTS + ":" not in (folder / "dvc.lock").read_text()
    assert ran(run(folder, "dvc", "repro", LATENTS)) == {LATENTS}
    assert outs(folder) == uninterrupted
    assert len(list(store.glob("manifest/0*.json"))) == 4
    assert os.stat(store / "c/0/0").st_mtime_ns == shard, "the work was done again"
