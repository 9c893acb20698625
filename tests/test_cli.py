import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from soundgate import cli
from soundgate.pipeline import compose as composing
from soundgate.pipeline import gates, reproduce
from tests.pipeline_file import ROOT


@pytest.fixture
def pipeline(tmp_path, monkeypatch):
    """A folder with the configuration, in which running DVC is only noted."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf").symlink_to(ROOT / "conf")
    composing.compose_file()
    calls = []

    def note(root, jobs, environment):
        calls.append((root, jobs, environment["PATH"].split(":")[0]))
        return note.code

    note.code = 0
    monkeypatch.setattr(reproduce, "reproduce", note)
    monkeypatch.setattr(gates, "show", lambda profile: calls.append(profile) or True)
    return tmp_path, calls, note


def test_the_help_lists_every_command():
    output = CliRunner().invoke(cli.main, ["--help"]).output
    for command in ("repro", "compose", "gates", "deps", "rooms", "triage", "runs"):
        assert f"\n  {command} " in output


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_is_found_under_its_name(command):
    shown = CliRunner().invoke(cli.main, [command, "--help"])
    assert shown.exit_code == 0 and shown.output.startswith(f"Usage: main {command} ")


def test_a_command_that_there_is_not_is_refused():
    assert CliRunner().invoke(cli.main, ["reproduce"]).exit_code == 2


def test_repro_runs_the_parameters_as_they_stand_then_shows_their_gates(pipeline):
    folder, calls, _ = pipeline
    before = (folder / "params.yaml").read_text()
    assert CliRunner().invoke(cli.main, ["repro", "--jobs", "3"]).exit_code == 0
    (root, jobs, path), shown = calls
    assert root.resolve() == folder and jobs == 3 and path == str(Path(sys.executable).parent)
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
