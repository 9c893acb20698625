"""Which tracks run on which corpora."""

import pytest
from dvc.repo import Repo

from soundgate.pipeline.reproduce import needed_by
from soundgate.pipeline.tracks import TRACKS, chosen_tracks, corpora_of, runnable, tracks_to_run
from soundgate.runtime.config import read_params
from soundgate.runtime.errors import ConfigError
from tests.pipeline.compositions import MUSIC, ONE_POOL, POOLS, SONGS, SPEECH, VOICES, text_of
from tests.pipeline_file import ROOT


@pytest.fixture
def composed(tmp_path):
    def run(*overrides):
        (tmp_path / "params.yaml").write_text(text_of(*overrides))
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
    own_pairs = ("editor.pairs.source=folder", "editor.pairs.origin=own")
    with pytest.raises(ConfigError, match=r"not run: editor: no songs \(editor.songs.origin=FOLDER\)"):
        tracks_to_run(composed("profile=real", *own_pairs), ("editor",))


def test_tracks_are_chosen_by_name():
    assert chosen_tracks(()) == TRACKS
    assert chosen_tracks(("voice, rooms", "structure")) == ("structure", "rooms", "voice")
    with pytest.raises(ConfigError, match="--track: expected one or several of structure.*found vioce"):
        chosen_tracks(("vioce",))


def test_a_track_needs_the_corpora_that_its_stages_reach_and_no_other():
    params = read_params(ROOT / "params.yaml")
    with Repo(ROOT) as repo:
        graph = repo.index.graph
        for track in TRACKS:
            reached = {stage.addressing.partition("@")[0] for stage in needed_by(graph, [track])}
            own = {"songs", "pairs", "voice_speech"}  # Stages of the tracks build them.
            needed = {f"corpus-{corpus}" for corpus in corpora_of(params, track) if corpus not in own}
            assert {stage for stage in reached if stage.startswith("corpus-")} == needed, track
            others = set(TRACKS) - {track}
            assert not {stage for stage in reached if stage.partition("-")[0] in others}, track
