"""The page that `soundgate report` writes: what it says, draws and plays, from disk and in a browser."""

import json
import re
import subprocess

import networkx as nx
import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib.figure import Figure

from soundgate import cli
from soundgate.audio.io import read_audio, write_audio
from soundgate.evaluation.listening.page import Card, write_page
from soundgate.pipeline.durations import note_duration, read_durations
from soundgate.pipeline.report.gate_rows import EDGE, WIDTH, gate_rows
from soundgate.pipeline.report.graph import BOX, GAP_X, lanes
from soundgate.pipeline.report.page import report_line, write_report
from soundgate.pipeline.report.parameters import changed_parameters
from soundgate.pipeline.report.sounds import choose, copy_samples
from soundgate.pipeline.report.stories import STORIES
from soundgate.pipeline.report.table import findings_table
from soundgate.runtime.errors import FormatError, GateError
from soundgate.runtime.figures import save_figure
from tests.browser import browser_page, needs_chromium, wait_on
from tests.pipeline_file import ROOT

GATE = {
    "value": 0.8, "side": "above", "threshold": 0.5, "margin": 0.3, "verdict": "pass", "ci_low": 0.6, "ci_high": 0.9,
    "control": 0.2,
}  # fmt: skip

NONE_SHARED = {"value": 0.0, "side": "below", "threshold": 0.0, "margin": 0.0, "verdict": "pass"}


def tone(path, hz, rate=22_050):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_audio(path, (0.5 * np.sin(2 * np.pi * hz / rate * np.arange(rate))).astype(np.float32), rate)


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A repository with results of two tracks of a profile, one with a picture and samples."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("profile: [other]\n")
    worse = {"verdict": "fail", "value": -0.3, "ci_low": -0.5, "ci_high": -0.1}
    gates = {
        "voice": {
            "outside: over_best_baseline_words": GATE | worse,
            "held_out_faults_found": GATE | {"passed_by": ["random_weights"]},
            "f0_error": GATE | {"value": None, "margin": None, "verdict": "fail", "ci_low": None, "ci_high": None},
        },
        "rooms": {"shared_speakers": NONE_SHARED},
    }
    for track, own in gates.items():
        folder = tmp_path / "metrics" / "small" / track
        folder.mkdir(parents=True)
        (folder / "gates.json").write_text(json.dumps(own))
    (tmp_path / "metrics/small/voice/report.md").write_text("# Voice\n")
    (tmp_path / "plots/small/voice").mkdir(parents=True)
    save_figure(Figure((2, 2)), tmp_path / "plots/small/voice/health.png")
    pack = tmp_path / "data/small/voice/samples"
    cards = []
    for number in range(3):
        players = {caption: f"{caption}/{number}.wav" for caption in ("Source", "Converted", "Target")}
        for place, file in enumerate(players.values()):
            tone(pack / file, 220 * (1 + place))
        cards.append(Card(f"<b>{number}", {"Speaker": f"s{number}"}, {"similarity": 0.5, "lost": np.nan}, players))
    write_page(pack, cards, "Pack", {}, "samples.html")
    return tmp_path


def test_the_page_says_what_was_asked_and_found_with_value_interval_threshold_and_control(results):
    page = write_report(results, "small").read_text()
    for track in ("voice", "rooms"):
        assert STORIES[track].question in page
    assert "-0.3 [-0.5, -0.1]" in page and "needs ≥ 0.5" in page and "passed as well by: random weights" in page
    assert "2 pass" in page and "2 fail" in page and "0 undecided" in page
    assert "All 3 gates" in page and 'href="../../metrics/small/voice/report.md"' in page
    assert 'href="../../data/small/voice/samples/samples.html"' in page
    assert "composed for another profile" in page and "&lt;b&gt;0" in page and "<b>0" not in page


def test_every_file_the_page_names_lies_beside_it_and_sounds_play_what_they_did(results):
    page = write_report(results, "small")
    named = re.findall(r'src="([^"]+)"', page.read_text())
    assert len(named) == 1 + 3 * 3
    assert all((page.parent / file).is_file() for file in named)
    sounds = sorted(file for file in named if file.endswith(".mp3"))
    for place, file in enumerate(sounds[:3]):
        audio = read_audio(page.parent / file)
        spectrum = np.abs(np.fft.rfft(audio.wav[0]))
        assert audio.sample_rate == 22_050
        assert spectrum.argmax() * 22_050 / audio.wav.shape[1] == pytest.approx(220 * (1 + place), rel=0.02)


def test_the_same_results_give_the_same_page(results):
    page = write_report(results, "small")
    before = {path: path.read_bytes() for path in page.parent.rglob("*") if path.is_file()}
    write_report(results, "small")
    assert before == {path: path.read_bytes() for path in page.parent.rglob("*") if path.is_file()}


def test_what_changed_since_a_revision_is_said(results):
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    for command in (["init", "-q"], ["add", "metrics"], ["commit", "-qm", "one"]):
        subprocess.run(["git", *identity, *command], cwd=results, check=True)
    path = results / "metrics/small/voice/gates.json"
    gates = json.loads(path.read_text())
    gates["held_out_faults_found"] |= {"value": 0.4, "verdict": "undecided"}
    path.write_text(json.dumps(gates | {"added": GATE}))
    page = write_report(results, "small", "HEAD").read_text()
    assert "since HEAD" in page and "was pass, 0.8" in page and page.count("<td>new</td>") == 1
    assert report_line(results, "small") == f"report: {results / 'reports/small/index.html'}"
    with pytest.raises(GateError, match="nothing of that name"):
        write_report(results, "small", "no-such")


def test_a_profile_that_was_not_run_is_refused_in_words(results):
    with pytest.raises(GateError, match="soundgate repro profile=none"):
        write_report(results, "none")
    assert "not written" in report_line(results, "none")


def test_the_command_names_the_page(results):
    (results / "conf").symlink_to(ROOT / "conf")
    (results / "dvc.yaml").write_text("stages: {}\n")
    for name in ("src", "stages"):
        (results / name).symlink_to(ROOT / name)
    done = CliRunner().invoke(cli.main, ["report", "--profile", "small"])
    assert done.exit_code == 0 and done.output == "reports/small/index.html\n"


def test_the_table_has_a_row_a_finding(results):
    lines = findings_table(results, "small").splitlines()
    assert len(lines) == 2 + 2 + 3 and all(line.count("|") == 5 for line in lines)
    assert lines[-2].endswith("| -0.3 [-0.5, -0.1] | ≥ 0.5 | fail |") and lines[3].endswith("| 0 | ≤ 0 | pass |")
    assert STORIES["voice"].question in lines[-3] and STORIES["rooms"].question in lines[2]


def test_marks_lie_on_one_scale_in_the_order_of_their_numbers():
    (row,) = gate_rows({"part: gain": GATE}, {})
    assert (row.part, row.name) == ("part", "gain")
    assert sorted(row.marks, key=row.marks.get) == ["control", "threshold", "low", "value", "high"]
    assert row.marks["control"] == EDGE and row.marks["high"] == WIDTH - EDGE
    expected = EDGE + (WIDTH - 2 * EDGE) * (0.5 - 0.2) / (0.9 - 0.2)
    assert row.marks["threshold"] == pytest.approx(expected, abs=0.05)
    (equal,) = gate_rows({"n": NONE_SHARED}, {})
    assert set(equal.marks.values()) == {WIDTH / 2}


def test_a_lane_holds_a_tracks_stages_in_the_order_they_run_with_the_corpora_they_read():
    edges = [
        ("voice-train@p-b", "voice-cache@p"), ("voice-train@p-a", "voice-cache@p"),
        ("voice-cache@p", "corpus-speech@p"), ("voice-audit@p", "voice-train@p-a"),
        ("voice-audit@p", "voice-cache@p"), ("voice-cache@p", "code"),
        ("rooms-plan@p", "corpus-voices@p"), ("gates-summary@p-voice", "voice-audit@p"),
    ]  # fmt: skip
    seconds = {"voice-train@p-a": 3.0, "voice-train@p-b": 4.0}
    voice, rooms = lanes(nx.DiGraph(edges), seconds, {"voice-train@p-b"}, ("voice", "structure", "rooms"))
    assert (voice.track, rooms.track) == ("voice", "rooms")
    by_name = {box.name: box for box in voice.boxes}
    order = ["corpus-speech", "voice-cache", "voice-train", "voice-audit"]
    assert sorted(by_name, key=lambda name: by_name[name].x) == order
    assert by_name["voice-train"].seconds == 7 and by_name["voice-cache"].seconds is None
    assert [by_name[name].stale for name in order] == [False, False, True, False]
    assert len(voice.arrows) == 3 and all(x2 - x1 == GAP_X for x1, _, x2, _ in voice.arrows)
    assert voice.width >= 4 * BOX[0] and {box.name for box in rooms.boxes} == {"corpus-voices", "rooms-plan"}
    (unknown,) = lanes(nx.DiGraph(edges), {}, None, ("rooms",))
    assert {box.stale for box in unknown.boxes} == {None}


def test_parameters_that_differ_are_named_with_both_values():
    default = {"a": {"b": 1, "c": [1, 2]}, "gone": True, "same": "x", "empty": {}}
    now = {"a": {"b": 2, "c": [1, 2]}, "same": "x", "empty": {}, "new": None}
    assert changed_parameters(default, now) == [("a.b", "1", "2"), ("gone", "True", ""), ("new", "", "None")]
    assert changed_parameters(default, default) == []


def test_samples_chosen_differ_in_what_they_are():
    cards = [
        Card(str(number), {"path": path, "to": to}, {}, {"Source": "x.wav"} if path != "mute" else {"Source": ""})
        for number, (path, to) in enumerate([("mel", "a"), ("mel", "a"), ("mel", "b"), ("codec", "b"), ("mute", "c")])
    ]
    assert [card.name for card in choose(cards, 2)] == ["0", "3"]
    assert [card.name for card in choose(cards, 9)] == ["0", "1", "2", "3"]


def test_a_damaged_list_of_cards_is_named_and_a_pack_without_one_gives_nothing(tmp_path):
    assert copy_samples(tmp_path, tmp_path / "out", "voice", 3) == []
    (tmp_path / "cards.json").write_text('{"cards": [{"name": 1}]}')
    with pytest.raises(FormatError, match=r"cards\.json"):
        copy_samples(tmp_path, tmp_path / "out", "voice", 3)


def test_durations_are_kept_by_stage_and_a_damaged_record_is_begun_anew(tmp_path):
    assert read_durations(tmp_path) == {}
    note_duration(tmp_path, "voice-train@tiny", 12.34)
    note_duration(tmp_path, "voice-audit@tiny", 1.0)
    note_duration(tmp_path, "voice-train@tiny", 11.0)
    assert read_durations(tmp_path) == {"voice-train@tiny": 11.0, "voice-audit@tiny": 1.0}
    next(tmp_path.rglob("seconds.json")).write_text("[1")
    assert read_durations(tmp_path) == {}


@pytest.mark.parametrize("profile", ["embedded", "real"])
def test_every_finding_and_picture_of_the_committed_results_is_there(profile):
    """A gate that was renamed must be renamed in the stories too."""
    for track, story in STORIES.items():
        path = ROOT / "metrics" / profile / track / "gates.json"
        gates = json.loads(path.read_text())
        variants = {f"*{name[name.find(mark) :]}" for name in gates for mark in (":", "/") if mark in name}
        known = gates.keys() | variants
        assert profile == "real" or set(story.findings) <= known, track
        assert any(gate in known for gate in story.findings), track
        for pattern in story.pictures:
            assert list((ROOT / "plots" / profile).glob(pattern)), pattern


@needs_chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_a_browser_names_are_hidden_and_shown_again_and_nothing_is_wider_than_a_telephone(results, scheme):
    page_path = write_report(results, "small").resolve()
    with browser_page() as page:
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": 360, "height": 740})
        page.goto(page_path.as_uri())
        captions = page.locator(".sample figcaption")
        before = captions.all_text_contents()
        assert before == ["Source", "Converted", "Target"] * 3
        page.locator(".blind").focus()
        page.keyboard.press("Enter")
        assert captions.all_text_contents() == ["A", "B", "C"] * 3
        sounds = page.locator(".sample audio").evaluate_all("all => all.map((audio) => audio.getAttribute('src'))")
        assert len(set(sounds)) == 9 and not any(
            "Source" in text for text in page.locator(".players").all_inner_texts()
        )
        page.keyboard.press("Enter")
        assert captions.all_text_contents() == before
        page.locator("summary").first.click()
        width = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert width[0] <= width[1]
        loaded = "all => all.every((image) => image.complete && image.naturalWidth > 0)"
        page.locator("img").first.scroll_into_view_if_needed()
        wait_on(page, lambda: page.locator("img").evaluate_all(loaded), "pictures")
        audio = page.locator("audio").first
        audio.evaluate("(audio) => audio.play()")
        wait_on(page, lambda: audio.evaluate("(audio) => audio.currentTime > 0.1"), "sound")
        colours = page.evaluate("[document.body, document.querySelector('h1')].map((one) => getComputedStyle(one))"
                                ".map((style, place) => place ? style.color : style.backgroundColor)")  # fmt: skip
        assert page.thrown == []
    light, text = (sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in colours)
    assert (light > 600 and text < 200) if scheme == "light" else (light < 150 and text > 600)
