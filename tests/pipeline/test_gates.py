import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from soundgate.evaluation.gates import judge_gated, verdict
from soundgate.pipeline import gates as gating
from soundgate.pipeline import gathering
from soundgate.pipeline.gate_files import TRACKS
from soundgate.pipeline.seeds.records import Record, write_record
from soundgate.runtime.config import parse_section, read_params
from soundgate.runtime.errors import GateError
from soundgate.runtime.files import read_json, write_json
from stages.gates.summary import main as summary_stage
from tests.pipeline_file import ROOT, stage_entries

GOOD, BAD = verdict(0.4, "above", 0.3, (0.35, 0.45), 7), verdict(None, "below", 1)
PARAMS = """profile: [tiny]
gates:
  structure: {variants: [mimi], parts: [dynamics/train], trained: [dynamics-train]}
  voice: {trained: [voice-train]}
  rooms: {}
"""


@pytest.fixture
def profile(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(PARAMS)
    (tmp_path / "seeds/tiny").mkdir(parents=True)
    run = tmp_path / "metrics/tiny/structure/run"
    write_json(run / "mimi/gates.json", {"gain": GOOD, "drift": BAD})
    write_json(run / "mimi/dynamics/train/gates.json", {"gain": GOOD})
    write_json(run / "left_over/gates.json", {"gain": GOOD})
    write_json(tmp_path / "metrics/tiny/voice/run/gates.json", {"closer": GOOD})
    write_json(tmp_path / "metrics/tiny/rooms/run/gates.json", {"hashes": verdict(0, "below", 0)})
    return tmp_path


def gather(track):
    done = gathered(track)
    assert done.exit_code == 0, done.output
    return read_json(f"metrics/tiny/{track}/gates.json")


def gathered(track):
    command = stage_entries()["gates-summary"]["cmd"]
    command = command.replace("${item.p}", "tiny").replace("${item.track}", track).split()
    return CliRunner().invoke(summary_stage, command[3:], catch_exceptions=False)


def keep_seeds(track, values, code="abc"):
    for seed, value in enumerate(values, 1):
        record = Record(seed, "c0ffee", (), {f"{track}-train": code}, {"closer": value})
        write_record(gating.Path("seeds/tiny", track), record)


def show(*options):
    return CliRunner().invoke(gating.main, options, catch_exceptions=False)


def test_a_track_is_gathered_alone_from_its_named_variants_and_parts(profile):
    gates = gather("structure")
    assert list(gates) == ["mimi: gain", "mimi: drift", "mimi/dynamics/train: gain"]
    assert gates["mimi: gain"] == GOOD
    summary = read_json("metrics/tiny/structure/summary.json")
    assert summary == {"gates": 3, "passed": 2, "failed": 1, "undecided": 0, "worst_margin": None}
    lines = (profile / "plots/tiny/gates/structure.csv").read_text().splitlines()
    assert lines[0] == ",".join(gathering.COLUMNS)
    assert lines[1].startswith("mimi: gain,0.4,above,0.3,0.1") and lines[2].startswith("mimi: drift,,below,1.0,,fail")
    assert not (profile / "metrics/tiny/voice/gates.json").exists()


def test_a_missing_part_is_named(profile):
    (profile / "metrics/tiny/structure/run/mimi/dynamics/train/gates.json").unlink()
    with pytest.raises(GateError, match=r"run/mimi/dynamics/train/gates\.json"):
        gathering.gather(
            gathering.GateSources(variants=("mimi",), parts=("dynamics/train",)), profile / "metrics/tiny/structure/run"
        )


def test_the_spread_over_seeds_stands_beside_a_gate_and_in_its_interval(profile):
    keep_seeds("voice", [0.4, 0.5, 0.3, 0.45])
    closer = gather("voice")["closer"]
    assert (closer["value"], closer["verdict"], closer["seeds"]) == (0.4, "undecided", 4)
    assert closer["ci_low"] < 0.3 < closer["ci_high"] and closer["n"] == 7
    spread = read_json("metrics/tiny/voice/seeds.json")
    assert spread["seeds"] == [1, 2, 3, 4] and spread["code"] == {"voice-train": "abc"}
    assert spread["gates"]["closer"]["values"] == [0.4, 0.5, 0.3, 0.45]
    assert read_json("metrics/tiny/voice/summary.json")["undecided"] == 1


def test_the_table_fits_and_says_what_was_not_run(profile):
    gather("structure"), gather("rooms")
    shown = show()
    assert shown.exit_code == 0
    for text in (
        "gain",
        "drift",
        "0.4",
        "0.35…0.45",
        "≥ 0.3",
        "none",
        "one seed",
        "3 of 4 pass, 1 fail, 0 undecided",
    ):
        assert text in shown.output, text
    assert max(map(len, shown.output.splitlines())) <= 100
    assert shown.output.splitlines()[-1] == "not run: transfer, editor, voice"
    assert "one seed" not in next(line for line in shown.output.splitlines() if "hashes" in line)
    one = show("--track", "rooms").output
    assert "hashes" in one and "gain" not in one and "not run" not in one
    assert show("--strict").exit_code == 1 and show("--strict", "--track", "rooms").exit_code == 0


def test_a_gate_that_cannot_be_judged_is_shown_as_such(profile):
    deaf = judge_gated({"value": 0.9, "side": "above", "threshold": 0.5, "deaf": "one voice from another"})
    write_json(profile / "metrics/tiny/voice/gates.json", {"outside: resemblyzer_closer_to_target": deaf})
    output = show().output
    assert "0 of 1 pass, 0 fail, 1 undecided" in output and "cannot be judged" in output
    assert max(map(len, output.splitlines())) <= 100 and show("--strict").exit_code == 1


@pytest.mark.parametrize(
    ("track", "longest"), [("voice", "embedding_different_speaker_similarity"), ("editor", "x" * 45)]
)
def test_long_names_fit_too(profile, track, longest):
    gate = verdict(-0.123456, "above", 0.501, (-1.2345e-5, 1.23456), 144) | {"seeds": 5, "seed_sd": 0.1}
    write_json(profile / f"metrics/tiny/{track}/gates.json", {longest: gate | {"verdict": "undecided"}})
    output = show().output
    assert max(map(len, output.splitlines())) <= 100 and "undecided" in output and "≥ 0.501" in output


def test_a_profile_that_was_not_run_is_told_how(profile):
    missing = show("--profile", "full")
    assert missing.exit_code == 1 and "soundgate repro profile=full" in missing.output


def test_a_damaged_file_is_named(profile):
    for content in ("", "[]", '{"gain": {"value": 1, "pass": 1}}', '{"gain": 3}'):
        (profile / "metrics/tiny/rooms/gates.json").write_text(content)
        shown = show()
        assert shown.exit_code == 1 and "rooms/gates.json: expected a track's gates" in shown.output


ODD = {
    "value": ["x", [], float("nan"), float("inf"), 10**400],
    "threshold": [None, "x"],
    "side": [None, "between"],
    "verdict": ["maybe", [], None],
    "ci_high": ["x"],
    "n": [[1]],
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in ODD.items() for value in values])
def test_a_gate_that_no_table_can_show_is_damage(profile, key, value):
    (profile / "metrics/tiny/rooms/gates.json").write_text(json.dumps({"gain": GOOD | {key: value}}))
    shown = show()
    assert shown.exit_code == 1 and "rooms/gates.json: expected a track's gates" in shown.output


def test_an_interval_of_one_end_is_shown_as_none_and_names_are_shown_as_they_are(profile):
    half = verdict(0.4, "above", 0.3, (0.35, None))
    (profile / "metrics/tiny/rooms/gates.json").write_text(json.dumps({"[/bold] [red]x: half": half}))
    output = show().output
    assert "rooms [/bold] [red]x" in output and "0.35…" not in output


@pytest.mark.parametrize("text", ["", "{}", "null", '{"trained": ["a"], "seeds": 3, "code": {}}', "[" * 10**5])
def test_a_damaged_spread_is_named(profile, text):
    gather("voice")
    (profile / "metrics/tiny/voice/seeds.json").write_text(text)
    shown = show()
    assert shown.exit_code == 1 and "voice/seeds.json: expected a spread over seeds" in shown.output


@pytest.mark.parametrize("name", ["1", "null", "{a: 1}", "2024-01-01"])
def test_a_profile_that_is_no_name_is_refused(profile, name):
    Path("params.yaml").write_text(f"profile: [{name}]\n")
    shown = show()
    assert shown.exit_code == 1 and "profile: expected a list of one name" in shown.output


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("stages: {voice-train: abc}\n", "4"),
        ("stages: {voice-train: def}\n", "4 old"),
        (None, "4 ?"),
        ("stages: {}\n", "4 ?"),
    ],
)
def test_a_spread_of_other_code_is_old_until_it_is_measured_again(profile, code, said):
    keep_seeds("voice", [0.4, 0.5, 0.3, 0.45])
    gather("voice")
    if code:
        (profile / "code.yaml").write_text(code)
    line = next(line for line in show().output.splitlines() if "closer" in line)
    assert line.split("≥ 0.3")[1].split("undecided")[0].strip() == said


def test_seeds_of_different_code_make_no_current_spread(profile):
    keep_seeds("voice", [0.4, 0.5], code="abc")
    write_record(profile / "seeds/tiny/voice", Record(2, "c0ffee", (), {"voice-train": "def"}, {"closer": 0.3}))
    gather("voice")
    assert read_json("metrics/tiny/voice/seeds.json")["code"] == {"voice-train": None}


def test_a_damaged_seed_is_named(profile):
    (profile / "seeds/tiny/voice").mkdir()
    (profile / "seeds/tiny/voice/3.json").write_text('{"seed": 3}')
    done = gathered("voice")
    assert done.exit_code == 1 and "seeds/tiny/voice/3.json: expected a finished seed" in done.output


def test_the_tracks_of_the_configuration_are_those_of_the_command():
    assert tuple(read_params(ROOT / "params.yaml")["gates"]) == TRACKS


def test_the_trained_stages_are_those_that_read_the_seed_of_trainings():
    sections = read_params(ROOT / "params.yaml")["gates"]
    named = {
        stage
        for track, section in sections.items()
        for stage in parse_section(f"gates.{track}", section, gathering.GateSources).trained
    }
    reading = {name for name, entry in stage_entries().items() if "training_seed" in entry.get("params", [])}
    assert named == reading


def test_the_commands_start_without_the_heavy_libraries():
    code = """
import sys
import soundgate.pipeline.gates, soundgate.pipeline.verify, soundgate.pipeline.seeds.commands
print(json.dumps(sorted({"torch", "pandas", "scipy", "numpy", "dvc", "hydra"} & set(sys.modules))))
"""
    done = subprocess.run([sys.executable, "-c", "import json" + code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
