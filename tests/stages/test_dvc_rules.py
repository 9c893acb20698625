"""The pipeline in a temporary clone: what runs again, what does not, and what a kill leaves behind."""

import io
import os
import shutil
import signal
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import pytest
from dvc.repo import Repo
from ruamel.yaml import YAML

from tests.pipeline.repository import dvc_here
from tests.pipeline_file import ROOT, leaves
from tests.waiting import LIMIT_S, wait_until

pytestmark = pytest.mark.slow

SMALL = [
    "profile=tiny",
    "corpus.speech.n_speakers=3",
    "corpus.speech.n_utterances=3",
    "structure.codecs=[gain_shape,mimi]",
]
SPEECH, SPLIT = "corpus-speech@tiny", "structure-split@tiny"
LATENTS, FRAMES = "structure-latents@tiny-gain_shape", "structure-frames@tiny-gain_shape"
# Of another codec, to see that it is left alone: never run.
OTHER = "structure-latents@tiny-mimi"
# What lies below is slow and follows the same rules; `.ci/run` runs the whole of it twice.
RUN = {"code", SPEECH, SPLIT, LATENTS, FRAMES}
# Hashing the code of every stage takes seconds: the clone has only these stages, and what they can reach.
CLONED = ("src", "stages/corpus", "stages/structure", "stages/__init__.py", "stages/code.py", "conf", "sources", ".dvc")
CLONED_FILES = ("dvc.yaml", "params.yaml", "code.yaml", "libraries.txt", ".gitignore", ".dvcignore")
STAGE = Path("stages/structure/latents.py")
# Put into stage `structure-latents`: it stops for ever at the moment that the environment names. Small shards make
# four of the little there is.
STOP = """

import os
import time

from soundgate.codecs.latent_store import LatentStoreWriter


def _stop(moment):
    if os.environ.get("STOP_AT") == moment:
        Path("stopped").touch()
        time.sleep(3600)


def _commit_and_stop(writer, commit=LatentStoreWriter._commit):
    commit(writer)
    _stop("first shard")


LatentStoreWriter._commit = _commit_and_stop

"""
SHARDS = "chunk_rows=128, shard_rows=1280"


def run(folder, *command, check=True):
    """Run one of the environment's commands inside a clone and return what it printed."""
    done = subprocess.run(command, cwd=folder, env=own(folder), capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def own(folder):
    """Return the environment of what runs in a clone."""
    here = Path(sys.executable).parent
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SOUNDGATE_")}
    environment |= {"PATH": f"{here}{os.pathsep}{environment['PATH']}", "PYTHONPATH": str(folder / "src")}
    return environment | {"SOUNDGATE_WORKERS": "1"}  # Of so little work most would be the start of the others.


def ran(output):
    return {line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage ")}


def repro(folder, *targets):
    """Run `dvc repro` in this process; return what ran, and all that was printed."""
    output = dvc_here(folder, "repro", *targets, environment=own(folder))
    return ran(output), output


def changed(folder):
    """Return which of the stages that ran `dvc status` calls changed."""
    with chdir(folder), Repo() as repo:
        return set(repo.status(targets=sorted({*RUN, OTHER})))


def edit(path, old, new):
    text = path.read_text()
    assert old in text, f"{old!r} is not in {path}"
    path.write_text(text.replace(old, new, 1))


def commit(folder, message):
    run(folder, "git", "add", "-A")
    run(folder, "git", "commit", "-qm", message)


def clone_to(folder):
    """Copy what Git knows, or would, of the code and the configuration into a repository of its own."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z", "--", *CLONED, *CLONED_FILES],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    keep_stages(folder / "dvc.yaml", {address.partition("@")[0] for address in RUN})
    edit(folder / STAGE, "**settings.model_dump(),\n    )", f"**settings.model_dump(), {SHARDS},\n    )")
    edit(folder / STAGE, "scratch.publish()", 'scratch.publish()\n    _stop("published")')
    edit(folder / STAGE, "\n\n@stage_command", STOP + "\n@stage_command")
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
def prepared(tmp_path_factory):
    """A clone whose pipeline ran as far as there is no codec."""
    folder = tmp_path_factory.mktemp("clone") / "clone"
    clone_to(folder)
    run(folder, sys.executable, "-m", "soundgate.pipeline.compose", *SMALL)
    assert ran(run(folder, "dvc", "repro", SPLIT, "code")) == {"code", SPEECH, SPLIT}
    # The hashes of the code are committed with it.
    assert code_changed(folder) == {"structure-latents"}
    commit(folder, "prepared")
    return folder


def code_changed(folder):
    """Return the stages whose code is another than where the clone comes from, of those that the clone has."""
    cloned, original = (YAML(typ="safe").load(root / "code.yaml") for root in (folder, ROOT))
    assert cloned["plugins"] == original["plugins"]
    return {name for name, code in cloned["stages"].items() if code != original["stages"][name]}


@pytest.fixture(scope="module")
def reproduced(prepared):
    """A clone whose pipeline ran once, with one codec, and is said to have run with another."""
    folder = shutil.copytree(prepared, prepared.with_name("reproduced"))
    assert repro(folder, FRAMES)[0] == {LATENTS, FRAMES}
    latents = folder / "data/tiny/structure/mimi/latents"
    latents.mkdir(parents=True)
    (latents / "latents_index.parquet").write_text("latents of another codec")
    with chdir(folder), Repo() as repo:
        repo.commit(OTHER, force=True)
    assert changed(folder) == set()
    commit(folder, "reproduced")
    return folder


@pytest.fixture
def clone(reproduced):
    """The reproduced clone, put back as it was afterwards."""
    yield reproduced
    run(reproduced, "git", "reset", "-q", "--hard")  # DVC stages what it writes.
    with chdir(reproduced), Repo() as repo:
        repo.checkout(targets=sorted({*RUN, OTHER}), force=True)


def test_a_second_run_runs_nothing(clone):
    output = run(clone, "dvc", "repro", FRAMES, OTHER)
    assert ran(output) == set()
    assert "up to date" in output
    assert run(clone, "git", "status", "--porcelain") == ""


def test_changing_one_leaf_runs_its_readers_and_what_lies_below(clone):
    edit(clone / "params.yaml", "high_energy_quantile: 0.5", "high_energy_quantile: 0.25")
    assert changed(clone) == {FRAMES}
    assert repro(clone, FRAMES, OTHER)[0] == {FRAMES}
    # Another split gives other frames, from the same latents.
    edit(clone / "params.yaml", "train_fraction: 0.79", "train_fraction: 0.39")
    assert repro(clone, FRAMES, OTHER)[0] == {SPLIT, FRAMES}
    # A leaf put back finds its results again, without running anything.
    run(clone, "git", "checkout", "-q", "params.yaml")
    stages, output = repro(clone, FRAMES, OTHER)
    assert stages == set() and output.count("is cached - skipping run, checking out outputs") == 2


# Of the other stages there is only the first.
CODECS_OF = {"structure-latents": ("gain_shape", "mimi")}


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
        status = repo.status(targets=sorted({*RUN, OTHER}))
    assert "code" not in status
    for name, entry in ((name, entry) for name, entry in stages.items() if name != "code"):
        for codec in CODECS_OF.get(name, ("gain_shape",)) if "codec" in entry["matrix"] else ("",):
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
    assert repro(clone, FRAMES, OTHER)[0] == {"code"}
    codec = clone / "src/soundgate/codecs/gain_shape/codec.py"
    codec.write_text(codec.read_text() + "\nADDED = 1\n")
    assert changed(clone) == {"code"}
    # The same latents come out, so nothing below runs.
    assert repro(clone, FRAMES, OTHER)[0] == {"code", LATENTS}
    assert changed(clone) == set()


def test_another_version_of_a_library_is_noticed(clone):
    edit(clone / "libraries.txt", "librosa==", "librosa==1")
    assert changed(clone) == {"code"}
    # Installed is what was: no stage has anything to do.
    assert repro(clone, FRAMES, OTHER)[0] == {"code"}


def test_an_experiment_composes_and_keeps_its_overrides(clone):
    overrides = [
        part for override in [*SMALL, "structure.frames.high_energy_quantile=0.75"] for part in ("-S", override)
    ]
    output = run(clone, "dvc", "exp", "run", "--name", "louder", *overrides, FRAMES, OTHER)
    assert ran(output) == {FRAMES}
    assert "high_energy_quantile: 0.75" in (clone / "params.yaml").read_text()
    assert "louder" in run(clone, "dvc", "exp", "list", "--name-only")
    refused = run(clone, "dvc", "exp", "run", "-S", "profile=large", check=False)
    assert "profile/large" in refused or "Could not find" in refused


def outs(folder):
    stages = YAML(typ="safe").load((folder / "dvc.lock").read_text())["stages"]
    return {out["path"]: out["md5"] for stage in stages.values() for out in stage["outs"]}


@pytest.fixture(scope="module")
def uninterrupted(reproduced):
    """The outputs of a run that nobody killed."""
    return outs(reproduced)


def kill_at(moment, folder):
    """Run the latents until the moment, kill them with what runs them, and return the work folder's store."""
    environment = own(folder) | {"STOP_AT": moment}
    process = subprocess.Popen(
        ["dvc", "repro", LATENTS], cwd=folder, env=environment, process_group=0,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    stopped = folder / "stopped"
    wait_until(lambda: process.poll() is not None or stopped.exists(), moment)
    assert process.poll() is None, "the run ended before it could be killed"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(LIMIT_S)
    stopped.unlink()
    assert LATENTS + ":" not in (folder / "dvc.lock").read_text()
    return next(folder.glob("scratch/structure-latents/*/result/latents.zarr"))


def test_killed_in_the_middle_of_latents_the_next_run_gives_the_same(prepared, uninterrupted):
    folder = shutil.copytree(prepared, prepared.with_name("killed"))
    published = folder / "data/tiny/structure/gain_shape/latents"
    store = kill_at("first shard", folder)
    shard = os.stat(store / "latents/c/0/0").st_mtime_ns
    assert [path.name for path in store.glob("manifest/*.json")] == ["00000.json"] and not published.exists()
    assert kill_at("published", folder) == store
    assert (store / "manifest/store.json").exists() and published.exists()
    assert ran(run(folder, "dvc", "repro", LATENTS)) == {LATENTS}
    found = outs(folder)
    assert len(found) == 4 and found.items() <= uninterrupted.items()
    assert len(list(store.glob("manifest/0*.json"))) == 4
    assert os.stat(store / "latents/c/0/0").st_mtime_ns == shard, "the work was done again"
