import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from soundgate import cli
from soundgate.pipeline import command, gates, reproduce, verify
from soundgate.pipeline import compose as composing
from soundgate.pipeline.tracks import TRACKS
from tests.pipeline_file import ROOT


@pytest.fixture
def pipeline(tmp_path, monkeypatch):
    """A folder with the configuration, in which running DVC is only noted."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf").symlink_to(ROOT / "conf")
    for name in ("src", "stages"):
        (tmp_path / name).symlink_to(ROOT / name)
    composing.compose_file()
    run = {"cwd": tmp_path, "check": True, "capture_output": True}
    subprocess.run(["git", "init", "-q"], **run)
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q"], **run)
    calls = []

    def note(root, jobs, environment, tracks):
        calls.append((root, jobs, environment["PATH"].split(":")[0], tracks))
        return note.code

    note.code = 0
    monkeypatch.setattr(reproduce, "reproduce", note)
    monkeypatch.setattr(gates, "show", lambda profile: calls.append(profile) or "pass")
    monkeypatch.setattr(command, "report_line", lambda root, profile: f"report: {profile}")
    monkeypatch.setattr(verify, "verify_line", lambda root, profile: f"verify: {profile} as committed")
    return tmp_path, calls, note


def test_the_help_lists_every_command():
    output = CliRunner().invoke(cli.main, ["--help"]).output
    for name in ("repro", "compose", "gates", "corpora", "rooms", "triage", "report", "runs", "seeds", "verify"):
        assert f"\n  {name} " in output


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_the_help_says_of_every_command_what_it_says_itself(command):
    _, said = cli.COMMANDS[command]
    assert cli.main.get_command(None, command).get_short_help_str(1000) == said
    words = " ".join(CliRunner().invoke(cli.main, ["--help"]).output.split())
    assert f" {command} {said}" in words


@pytest.mark.parametrize("out", ["folder", "params.yaml/x", "x" * 300, ""])
def test_a_place_that_cannot_be_written_is_named(pipeline, out):
    Path("folder").mkdir()
    done = CliRunner().invoke(cli.main, ["compose", "--out", out])
    assert done.exit_code == 1 and out.partition("/")[0] in done.output
    assert done.output.count("\n") == 1 and "Name another place" in done.output


def test_a_limit_of_the_size_of_files_is_told(pipeline):
    code = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024)); "
    code += "from soundgate.cli import main; main(['compose', 'seed=1'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "File too large" in done.stderr and "Traceback" not in done.stderr


def test_a_word_that_is_no_level_of_the_log_is_told(pipeline):
    code = "from soundgate.cli import main; main(['compose'])"
    environment = os.environ | {"SOUNDGATE_LOG": "verbose"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "SOUNDGATE_LOG: expected one of" in done.stderr and "'VERBOSE'" in done.stderr


def test_the_help_imports_no_command():
    code = "import sys; from soundgate.cli import main; main(['--help'], standalone_mode=False); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    shown, _, modules = done.stdout.rstrip().rpartition("\n")
    assert "\n  verify " in shown
    heavy = {"torch", "pandas", "scipy", "numpy", "dvc", "hydra", "flask", "pydantic"}
    assert not heavy & {module.partition(".")[0] for module in modules.split()}
    assert not {where.partition(":")[0] for where, _ in cli.COMMANDS.values()} & set(modules.split())


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_is_found_under_its_name(command):
    shown = CliRunner().invoke(cli.main, [command, "--help"])
    assert shown.exit_code == 0 and shown.output.startswith(f"Usage: main {command} ")


def test_a_command_that_there_is_not_is_refused():
    assert CliRunner().invoke(cli.main, ["reproduce"]).exit_code == 2


def test_repro_runs_the_parameters_as_they_stand_then_shows_their_gates(pipeline):
    folder, calls, _ = pipeline
    before = (folder / "params.yaml").read_text()
    done = CliRunner().invoke(cli.main, ["repro", "--jobs", "3"])
    assert done.exit_code == 0 and done.output.splitlines()[-2:] == [
        "report: embedded",
        "verify: embedded as committed",
    ]
    (root, jobs, path, tracks), shown = calls
    assert tracks == TRACKS and root.resolve() == folder and jobs == 3 and path == str(Path(sys.executable).parent)
    assert shown == "embedded" and (folder / "params.yaml").read_text() == before


def test_repro_with_overrides_composes_first(pipeline):
    folder, calls, _ = pipeline
    assert CliRunner().invoke(cli.main, ["repro", "profile=tiny", "seed=3"]).exit_code == 0
    assert calls[-1] == "tiny"
    assert (folder / "params.yaml").read_text() == composing.compose_text(["profile=tiny", "seed=3"])


def test_a_wrong_override_runs_nothing_and_a_failed_run_shows_no_gates(pipeline):
    _, calls, note = pipeline
    wrong = CliRunner().invoke(cli.main, ["repro", "profile=large"])
    assert wrong.exit_code == 1 and not calls
    note.code = 255
    assert CliRunner().invoke(cli.main, ["repro"]).exit_code == 255
    assert len(calls) == 1


def test_repro_leaves_out_tracks_without_audio_and_says_how_to_give_it(pipeline, caplog, monkeypatch):
    _, calls, _ = pipeline
    real = ["repro", "profile=real", "corpus.speech.origin=/my speech"]
    monkeypatch.setattr(logging.getLogger("soundgate"), "propagate", True)
    monkeypatch.setattr(cli, "set_up_logging", lambda: None)
    assert CliRunner().invoke(cli.main, real).exit_code == 0
    assert [call[3] for call in calls if isinstance(call, tuple)] == [("structure", "voice")]
    calls.clear()
    assert "not run: transfer: no music (corpus.music.origin=FOLDER)" in caplog.messages
    assert CliRunner().invoke(cli.main, [*real, "--track", "structure,rooms"]).exit_code == 0
    assert [call[3] for call in calls if isinstance(call, tuple)] == [("structure",)]
    calls.clear()
    for wrong in (["--track", "editor"], ["--track", "strucure"]):
        assert CliRunner().invoke(cli.main, [*real, *wrong]).exit_code == 1
    assert not calls


def test_repro_of_names_that_a_shell_would_run_runs_nothing(pipeline):
    folder, calls, _ = pipeline
    params = (folder / "params.yaml").read_text()
    changed = params.replace("- acoustic\n", "- acoustic;touch x\n", 1)
    assert changed != params
    (folder / "params.yaml").write_text(changed)
    done = CliRunner().invoke(cli.main, ["repro"])
    assert done.exit_code == 1 and "rooms.embedder[0]" in done.output and not calls


def test_a_site_cache_that_cannot_be_written_to_is_one_line(pipeline, monkeypatch):
    _, calls, _ = pipeline
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", "/proc/nobody")
    done = CliRunner().invoke(cli.main, ["repro"])
    assert done.exit_code == 1 and not calls and "Traceback" not in done.output
    (line,) = done.output.splitlines()
    assert "/proc/nobody" in line and "core.site_cache_dir" in line and "SOUNDGATE_SCRATCH" not in line
