"""Gates of a run beside those of a revision: what changed, and what of it counts."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from soundgate.evaluation.gates import verdict
from soundgate.pipeline import gates as gating
from soundgate.pipeline import verify as verifying
from soundgate.pipeline.comparison import Compared
from soundgate.pipeline.gate_files import Revision
from soundgate.runtime.errors import GateError
from soundgate.runtime.files import write_json, write_text

TRANSFER = {
    "codec_sf": verdict(0.88, "above", 0.85, (0.857, 0.904), 10),
    "mel_sf": verdict(0.9, "above", 0.85, (0.87, 0.93), 10),
    "copied": verdict(0.0, "below", 0.05),
    "closer": verdict(1.0, "below", 0.0),
}
VOICE = {"mel_db": verdict(5.4, "below", 6.0, (4.9, 5.9), 6)}


def git(*arguments):
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    done = subprocess.run(["git", *identity, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def write(track, gates):
    write_json(f"metrics/tiny/{track}/gates.json", gates)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_text("params.yaml", "profile: [tiny]\n")
    write("transfer", TRANSFER)
    write("voice", VOICE)
    for path in ("metrics/tiny/transfer/audit.json", "plots/tiny/transfer/a.csv", "plots/tiny/gates/transfer.csv"):
        write_text(path, "1\n")
    git("init", "-q")
    git("add", "-A")
    git("commit", "-qm", "results")
    return tmp_path


def run(*arguments):
    done = CliRunner().invoke(verifying.main, arguments, catch_exceptions=False)
    return done.exit_code, done.output.splitlines()


def changes(*arguments):
    done = CliRunner().invoke(gating.main, ["--diff", *arguments], catch_exceptions=False)
    return done.exit_code, done.output.splitlines()


def test_a_run_that_gives_the_same_is_equal(repository):
    code, lines = run()
    assert code == 0
    assert lines == [
        "transfer: 4 of 4 files equal in bytes; 4 gates: 4 equal, 0 within their intervals, 0 verdicts differ",
        "voice: 1 of 1 files equal in bytes; 1 gates: 1 equal, 0 within their intervals, 0 verdicts differ",
        "not run: structure, rooms, editor",
        "verify: 5 gates: 5 equal, 0 within their intervals, 0 verdicts differ",
    ]
    assert verifying.verify_line(repository, "tiny") == lines[-1]
    assert changes("HEAD")[1][0] == "Profile tiny: 0 of 5 gates differ from HEAD"


def test_what_became_undecided_is_named_and_flips_nothing(repository):
    write("transfer", TRANSFER | {"codec_sf": verdict(0.842, "above", 0.85, (0.82, 0.864), 10)})
    write_text("metrics/tiny/transfer/audit.json", "2\n")
    write_text("metrics/tiny/transfer/added.json", "2\n")
    (repository / "plots/tiny/gates/transfer.csv").unlink()
    code, lines = run()
    assert code == 0
    assert lines[0].startswith("transfer: 1 of 4 files equal in bytes; ")
    assert lines[-1] == (
        "verify: 5 gates: 4 equal, 0 within their intervals, 1 verdict differs (transfer: codec_sf pass -> undecided)"
    )


def test_a_flipped_decision_is_told_and_fails(repository):
    write("transfer", TRANSFER | {"codec_sf": verdict(0.8, "above", 0.85, (0.79, 0.81), 10)})
    write("voice", {"mel_db": verdict(6.1, "below", 6.0, (5.5, 6.7), 6)})
    code, lines = run()
    assert code == 1
    assert lines[-1] == (
        "verify: 5 gates: 3 equal, 0 within their intervals, 2 verdicts differ (transfer: codec_sf pass -> fail; "
        "voice: mel_db pass -> undecided), 1 of them from pass to fail or back"
    )
    assert run("--track", "voice")[0] == 0
    code, lines = changes("HEAD")
    assert code == 0 and "pass → fail" in lines[2] and "pass → undecided" in lines[3]
    assert max(map(len, lines)) <= 100


def test_values_within_and_beyond_the_intervals_new_gates_and_gone_ones(repository):
    moved = {
        "mel_sf": verdict(0.91, "above", 0.85, (0.88, 0.94), 10),
        "copied": verdict(0.01, "below", 0.05),
        "closer": TRANSFER["closer"],
        "added": verdict(1.0, "above", 0.5),
    }
    write("transfer", moved)
    code, lines = run()
    assert code == 0
    assert lines[-1] == (
        "verify: 6 gates: 2 equal, 1 within their intervals, 1 beyond them, 1 new, 1 gone, 0 verdicts differ"
    )
    rows = changes("HEAD")[1]
    assert rows[0] == "Profile tiny: 4 of 6 gates differ from HEAD"
    assert [row.split()[1] for row in rows[2:6]] == ["codec_sf", "added", "copied", "mel_sf"]
    assert rows[6:] == ["not run: structure, rooms, editor"]


def test_a_value_that_is_none_in_both_is_equal_and_one_that_became_none_fails(repository):
    none = verdict(None, "above", 0.85)
    write("transfer", TRANSFER | {"copied": none})
    assert run()[0] == 1
    git("commit", "-qam", "diverged")
    assert run()[1][-1].startswith("verify: 5 gates: 5 equal")


def test_other_revisions_detached_heads_and_experiments(repository):
    first = git("rev-parse", "HEAD")
    write("voice", {"mel_db": verdict(5.41, "below", 6.0, (4.9, 5.9), 6)})
    git("commit", "-qam", "again")
    git("tag", "second")
    git("update-ref", "refs/exps/ab/cdef/happy-otter", first)
    git("checkout", "-q", "--detach")
    assert run()[1][-1].startswith("verify: 5 gates: 5 equal")
    for name in (first, "HEAD~1", "happy-otter"):
        assert run(name)[1][-1].startswith("verify: 5 gates: 4 equal, 1 within")
    assert run("second")[0] == 0


@pytest.mark.parametrize("name", ["nothing", "--output=x", "HEAD~9", "a b", "refs/exps"])
def test_a_revision_that_there_is_not_is_named(repository, name):
    code, lines = run("--", name)
    assert code == 1 and f"GateError: {name}: expected a commit, branch, tag or DVC experiment" in "".join(lines)


def test_in_a_shallow_clone_what_was_cut_off_is_told_how_to_get(repository, tmp_path, monkeypatch):
    git("commit", "-qm", "second", "--allow-empty")
    git("clone", "-q", "--depth", "1", f"file://{repository}", str(tmp_path / "shallow"))
    monkeypatch.chdir(tmp_path / "shallow")
    assert run()[1][-1].startswith("verify: 5 gates: 5 equal")
    with pytest.raises(GateError, match="git fetch --unshallow"):
        Revision(tmp_path / "shallow", "HEAD~1")


def test_a_repository_inside_another_folder_of_git(repository, monkeypatch):
    inner = repository / "inner"
    for name in ("metrics", "plots", "params.yaml"):
        inner.mkdir(exist_ok=True)
        (repository / name).rename(inner / name)
    git("add", "-A")
    git("commit", "-qm", "moved")
    monkeypatch.chdir(inner)
    assert run()[1][0].startswith("transfer: 4 of 4 files equal in bytes; 4 gates: 4 equal")


def test_what_git_converts_is_equal(repository):
    write_text(".gitattributes", "* text=auto\n")
    git("config", "core.autocrlf", "true")
    path = repository / "metrics/tiny/transfer/audit.json"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert run()[1][0].startswith("transfer: 4 of 4 files equal in bytes")


def test_without_git_or_a_commit_or_a_run_it_says_so(tmp_path, monkeypatch, repository):
    monkeypatch.chdir(repository)
    write("rooms", {"hashes": verdict(0, "below", 0)})
    lines = run()[1]
    assert "not in HEAD: rooms" in lines and lines[-1].startswith("verify: 5 gates")
    assert "not in HEAD: rooms" in changes("HEAD")[1]
    code, lines = run("--profile", "full")
    assert code == 1 and "soundgate repro profile=full" in "".join(lines)
    assert verifying.verify_line(repository, "full").startswith("verify: nothing compared. ")
    with monkeypatch.context() as others:
        others.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
        assert "git config --global --add safe.directory" in "".join(run()[1])
    (repository / ".git").rename(repository / "no-git")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    code, lines = run()
    assert code == 1 and "expected a Git repository to compare with" in "".join(lines)
    monkeypatch.setenv("PATH", "")
    code, lines = run()
    assert code == 1 and "no such program" in "".join(lines)


def test_verdicts_of_an_older_form_are_told_not_guessed(repository):
    old = {"gain": {"value": 0.4, "side": "above", "threshold": 0.3, "margin": 0.1, "pass": 1}}
    write("voice", old)
    git("commit", "-qam", "old form")
    write("voice", VOICE)
    code, lines = run()
    assert code == 1 and "HEAD:metrics/tiny/voice/gates.json: expected a track's gates" in "".join(lines)


def test_dvc_compares_a_tracks_gates_by_file(repository):
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q"], check=True)
    write("voice", {"mel_db": verdict(6.1, "below", 6.0, (5.5, 6.7), 6)})
    command = [sys.executable, "-m", "dvc", "metrics", "diff", "--json", "--targets", "metrics/tiny/voice/gates.json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)["metrics/tiny/voice/gates.json"]["mel_db.value"]
    assert found == {"old": 5.4, "new": 6.1, "diff": pytest.approx(0.7)}


@pytest.mark.parametrize(("value", "kind"), [(0.8, "within"), (0.9, "within"), (0.79, "beyond"), (0.91, "beyond")])
@pytest.mark.parametrize("turned", [False, True])
def test_an_interval_holds_its_ends(value, kind, turned):
    wide, bare = verdict(0.85, "above", 0.5, (0.8, 0.9)), verdict(value, "above", 0.5)
    before, now = (bare, wide) if turned else (wide, bare)
    assert Compared("voice", "any", before, now).kind == kind
