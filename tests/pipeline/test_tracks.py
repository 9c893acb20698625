"""Which tracks run on which corpora."""

import pytest

from soundgate.pipeline.compose import compose_text
from soundgate.pipeline.tracks import TRACKS, chosen_tracks, runnable, stages_of, tracks_to_run
from soundgate.runtime.config import read_params
from soundgate.runtime.errors import ConfigError
from tests.pipeline_file import ROOT, stage_entries

ENTRY = "{name: %s, source: folder, origin: own, seed: 0}"
POOLS = f"corpus.rooms.pools=[{ENTRY % 'bad'}, {ENTRY % 'target'}]"
ONE_POOL = f"corpus.rooms.pools=[{ENTRY % 'bad'}]"
VOICES = f"corpus.voices.sources=[{ENTRY % 'dry'}]"
SPEECH, MUSIC, SONGS = (f"{key}.origin=own" for key in ("corpus.speech", "corpus.music", "editor.songs"))


@pytest.fixture
def composed(tmp_path):
    def run(*overrides):
        (tmp_path / "params.yaml").write_text(compose_text(overrides, ROOT / "conf"))
        return read_params(tmp_path / "params.yaml")

    return run


@pytest.mark.parametrize("choice", ["profile=embedded", "profile=tiny", "profile=full", "ablation=chained_rooms"])
def test_whatever_brings_its_audio_runs_whole(composed, choice):
    assert runnable(composed(choice)) == dict.fromkeys(TRACKS)


@pytest.mark.parametrize(
    ("given", "tracks"),
    [
        ([SPEECH], {"structure", "voice"}),
        ([MUSIC], {"editor"}),
        ([SONGS], {"editor"}),
        ([MUSIC, SPEECH], {"structure", "voice", "editor", "transfer"}),
        ([POOLS, SPEECH], {"structure", "voice", "rooms"}),
        ([POOLS, VOICES], {"rooms"}),
        ([ONE_POOL, SPEECH], {"structure", "voice"}),
    ],
)
def test_each_corpus_runs_the_tracks_it_suffices_for(composed, given, tracks):
    found, lines = tracks_to_run(composed("profile=real", *given), ())
    assert set(found) == tracks
    assert {line.split(": ")[1] for line in lines} == set(TRACKS) - tracks
    assert all(line.startswith("not run: ") and "\n" not in line for line in lines)


def test_what_is_missing_is_said_as_it_is_to_be_given(composed):
    lacks = runnable(composed("profile=real"))
    assert lacks["transfer"] == "no music (corpus.music.origin=FOLDER); no speech (corpus.speech.origin=FOLDER)"
    said = [part.split(")")[0].strip("'") for part in lacks["rooms"].split("(")[1:]]
    own = [override.replace("FOLDER", "/my/audio") for override in said]
    assert len(own) == 2 and runnable(composed("profile=real", *own))["rooms"] is None


def test_with_nothing_to_run_it_says_what_there_is_not(composed):
    with pytest.raises(ConfigError, match="nothing to run: .*not run: voice: no speech"):
        tracks_to_run(composed("profile=real"), ())
    with pytest.raises(ConfigError, match="nothing to run: .*not run: editor: no songs"):
        tracks_to_run(composed("profile=real", SPEECH), ("editor",))


def test_tracks_are_chosen_by_name():
    assert chosen_tracks(()) == TRACKS
    assert chosen_tracks(("voice, rooms", "structure")) == ("structure", "rooms", "voice")
    with pytest.raises(ConfigError, match="--track: expected one or several of structure.*found vioce"):
        chosen_tracks(("vioce",))


def test_stages_of_a_track_are_its_own_and_its_corpora():
    structure = stages_of(["structure"], stage_entries())
    assert {"corpus-speech", "structure-report", "dynamics-train"} <= set(structure)
    assert {stage.split("-")[0] for stage in structure} == {"corpus", "structure", "dynamics"}
    addresses = ["rooms/dvc.yaml:rooms-plan@real", "dvc.yaml:corpus-voices@real-voices0", "corpus-music@real"]
    assert stages_of(["rooms"], addresses) == addresses[:2]


def test_a_track_has_the_corpora_that_its_stages_read_and_no_other():
    entries = stage_entries()
    made = {}
    for stage, entry in entries.items():
        for out in entry.get("outs", []) + entry.get("metrics", []):
            path = out if isinstance(out, str) else next(iter(out))
            made[path.partition("${item.pool")[0].rstrip("/") + "/"] = stage
    for track in TRACKS:
        of_track = stages_of([track], entries)
        read = {f"{dep}/" for stage in of_track for dep in entries[stage]["deps"]}
        needed = {
            stage for out, stage in made.items() if any(out.startswith(dep) or dep.startswith(out) for dep in read)
        }
        assert needed <= set(of_track), track
        assert {stage for stage in of_track if stage.startswith("corpus-")} <= needed, track
