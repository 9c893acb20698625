import pytest

from soundgate.pipeline.inputs import pipeline_inputs
from soundgate.pipeline.tracks import TRACKS
from tests.pipeline.compositions import MUSIC, POOLS, SONGS, SPEECH, VOICES, composed


def running(inputs):
    running = {name for name, profiles in inputs["runs"].items() if name != "tracks" and profiles}
    assert set(inputs["runs"]["tracks"]) == running - {"speech", "voice_speech", "music"}
    return running


def test_with_generated_audio_everything_runs_and_nothing_is_listed():
    inputs = composed()["pipeline"]
    assert running(inputs) == {"speech", "voice_speech", "music", *TRACKS}
    assert inputs["listed"] == [] and inputs["runs"]["voice"] == ["embedded"]
    assert inputs["watched"]["speech"] == "sources/generated_speech.yaml"
    assert [entry["name"] for entry in inputs["watched"]["rooms"]] == ["bad", "target"]


@pytest.mark.parametrize(
    ("overrides", "tracks", "listed"),
    [
        ([], set(), []),
        (["corpus.speech.origin=/a/b c"], {"speech", "structure", "voice"}, ["speech", "voices-speech"]),
        ([MUSIC], {"music", "editor"}, ["music", "songs"]),
        (
            [MUSIC, SPEECH],
            {"speech", "music", "structure", "voice", "transfer", "editor"},
            ["music", "songs", "speech", "voices-speech"],
        ),
        ([POOLS], set(), ["rooms-bad", "rooms-target"]),
        ([POOLS, VOICES], {"rooms"}, ["rooms-bad", "rooms-target", "voices-dry"]),
        ([SONGS], {"editor"}, ["songs"]),
    ],
)
def test_each_corpus_given_runs_the_tracks_that_it_suffices_for(overrides, tracks, listed):
    inputs = composed("profile=real", *overrides)["pipeline"]
    assert running(inputs) == tracks and sorted(inputs["listed"]) == listed


def test_a_folder_is_watched_by_its_listing():
    params = composed("profile=tiny", "corpus.speech.source=folder", "corpus.speech.origin=/a", VOICES)
    assert params["pipeline"]["watched"]["speech"] == "data/tiny/origins/speech.json"
    assert params["pipeline"]["watched"]["voices"] == [{"name": "dry", "file": "data/tiny/origins/voices-dry.json"}]


def test_a_track_reads_the_shared_speech_or_its_own():
    shared, own = composed("profile=tiny")["pipeline"], composed()["pipeline"]
    assert shared["speech_of"] == {"voice": "speech"} and shared["runs"]["voice_speech"] == []
    assert own["speech_of"] == {"voice": "voice/speech"} and own["watched"]["voice_speech"] == own["watched"]["speech"]


def test_own_speech_suffices_for_its_track_and_no_other():
    inputs = composed("profile=real", "voice.speech.origin=own")["pipeline"]
    assert running(inputs) == {"voice_speech", "voice"} and inputs["listed"] == ["voice_speech"]
    assert inputs["watched"]["voice_speech"] == "data/real/origins/voice_speech.json"


def test_the_composition_holds_what_it_gives():
    params = composed("profile=tiny")
    own = params.pop("pipeline")
    assert pipeline_inputs(params) == own
