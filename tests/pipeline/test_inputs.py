import pytest
from ruamel.yaml import YAML

from soundgate.pipeline.compose import compose_text
from soundgate.pipeline.inputs import NEEDS, missing, pipeline_inputs
from tests.pipeline_file import ROOT

VOICES = "corpus.voices.sources=[{name: mine, source: folder, origin: /a/voices, seed: 0}]"
POOLS = "corpus.rooms.pools=[{name: bad, source: folder, origin: irs, seed: 0}]"


def composed(*overrides):
    return YAML(typ="safe").load(compose_text(overrides, ROOT / "conf"))


def running(inputs):
    return {name for name, profiles in inputs["runs"].items() if profiles}


def test_with_generated_audio_everything_runs_and_nothing_is_listed():
    inputs = composed()["pipeline"]
    assert running(inputs) == {"speech", "music", *NEEDS}
    assert inputs["listed"] == [] and inputs["runs"]["voice"] == ["embedded"]
    assert inputs["watched"]["speech"] == "sources/generated_speech.yaml"
    assert [entry["name"] for entry in inputs["watched"]["rooms"]] == ["bad", "target"]


@pytest.mark.parametrize(
    ("overrides", "tracks", "listed"),
    [
        ([], set(), []),
        (["corpus.speech.origin=/a/b c"], {"speech", "structure", "voice"}, ["speech"]),
        (["corpus.music.origin=m"], {"music"}, ["music"]),
        (
            ["corpus.music.origin=m", "corpus.speech.origin=s"],
            {"speech", "music", "structure", "voice", "transfer"},
            ["speech", "music"],
        ),
        ([POOLS], set(), ["rooms-bad"]),
        ([POOLS, VOICES], {"rooms"}, ["rooms-bad", "voices-mine"]),
        (["editor.songs.origin=songs"], {"editor"}, ["songs"]),
    ],
)
def test_each_corpus_given_runs_the_tracks_that_it_suffices_for(overrides, tracks, listed):
    inputs = composed("profile=real", *overrides)["pipeline"]
    assert running(inputs) == tracks and inputs["listed"] == listed


def test_a_folder_is_watched_by_its_listing_and_what_is_missing_is_named():
    params = composed("profile=tiny", "corpus.speech.source=folder", "corpus.speech.origin=/a", VOICES)
    assert params["pipeline"]["watched"]["speech"] == "data/tiny/origins/speech.json"
    assert params["pipeline"]["watched"]["voices"] == [{"name": "mine", "file": "data/tiny/origins/voices-mine.json"}]
    assert not missing("rooms", params)
    lacking = missing("rooms", composed("profile=real"))
    assert [corpus.setting for corpus in lacking] == ["corpus.rooms.pools", "corpus.voices.sources"]
    assert [corpus.setting for corpus in missing("transfer", composed("profile=real"))] == [
        "corpus.music.origin",
        "corpus.speech.origin",
    ]


def test_the_composition_holds_what_it_gives():
    params = composed("profile=tiny")
    own = params.pop("pipeline")
    assert pipeline_inputs(params) == own
