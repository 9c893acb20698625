"""The gates of doing no harm, and what each kind of bad editor does to them."""

import numpy as np
import pandas as pd
import pytest

from soundgate.audio.io import write_audio
from soundgate.runtime.errors import CorpusError
from soundgate.tracks.editor.editing.models import Models
from soundgate.tracks.editor.editing.settings import RenderSettings
from soundgate.tracks.editor.features import FeatureSettings
from soundgate.tracks.editor.harmless import methods
from soundgate.tracks.editor.harmless.measuring import (
    finished_figures,
    harmless_gates,
    measure,
    session_figures,
    songs_to_measure,
    summarise,
)
from soundgate.tracks.editor.harmless.report import report_markdown
from soundgate.tracks.editor.harmless.sessions import COUNT_IN, DEAD_AIR, KEPT, RETAKE, TAIL, TALK, record_session
from soundgate.tracks.editor.harmless.settings import HarmlessSettings
from soundgate.tracks.editor.pairs.building import Song
from tests.tracks.editor.test_deciding import song
from tests.tracks.editor.tiny_models import save_tiny_models

RATE, BEAT = 22_050, 11_025
THRESHOLDS = {"finished_song_cut": 0.02, "dead_air_f1": 0.8, "repeated_takes_f1": 0.8}
SETTINGS = HarmlessSettings(n_songs=4, longest_s=60, quiet_db=30, thresholds=THRESHOLDS, n_bootstrap=200)
N_BEATS = 48


def session(seed=0):
    return record_session(song(N_BEATS, seed), np.arange(N_BEATS) * BEAT, np.random.default_rng(seed))


@pytest.mark.parametrize("seed", range(3))
def test_a_session_has_the_song_once_and_pieces_without_gaps(seed):
    made = session(seed)
    edges = [(piece.start, piece.stop) for piece in made.pieces]
    assert edges[0][0] == 0 and edges[-1][1] == len(made.mono)
    assert all(a[1] == b[0] for a, b in zip(edges, edges[1:], strict=False))
    kept = np.concatenate([made.mono[piece.start : piece.stop] for piece in made.pieces if piece.kind == KEPT])
    whole = song(N_BEATS, seed)[: len(kept)]
    assert len(kept) == pytest.approx((N_BEATS - 1) * BEAT, abs=RATE)
    assert np.corrcoef(kept, whole)[0, 1] > 0.99
    kinds = {piece.kind for piece in made.pieces}
    assert {RETAKE, DEAD_AIR} <= kinds <= {RETAKE, DEAD_AIR, TALK, COUNT_IN, KEPT, TAIL}
    again = session(seed)
    assert again.pieces == made.pieces and again.mono.tobytes() == made.mono.tobytes()


def test_seconds_are_counted_by_what_they_are():
    pieces = session().pieces
    nothing, everything = np.empty((0, 2), np.int64), np.array([[0, pieces[-1].stop]])
    none, full = session_figures(nothing, pieces), session_figures(everything, pieces)
    for kind in ("dead_air", "repeated_takes"):
        assert none[f"{kind}_found"] == 0 and full[f"{kind}_missed"] == 0
        assert none[f"{kind}_missed"] == pytest.approx(full[f"{kind}_found"]) and full[f"{kind}_found"] > 1
    assert none["kept_cut"] == 0 and full["kept_cut"] == pytest.approx(full["kept"])
    right = np.array([[piece.start, piece.stop] for piece in pieces if piece.kind in (DEAD_AIR, RETAKE)])
    exact = session_figures(right, pieces)
    assert exact["kept_cut"] == exact["dead_air_missed"] == exact["repeated_takes_missed"] == 0


def test_cuts_that_touch_are_one_and_those_at_the_ends_are_not_inner():
    cuts = np.array([[0, 5], [20, 30], [30, 40], [90, 100]]) * RATE
    figures = finished_figures(cuts, 120 * RATE)
    assert figures["cut"] == pytest.approx(35 / 120) and figures["inner_cuts_per_minute"] == 1
    assert finished_figures(cuts, 100 * RATE)["inner_cuts_per_minute"] == pytest.approx(0.6)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("songs")
    songs = []
    for number in range(3):
        write_audio(folder / f"{number}.wav", (song(N_BEATS, number) * 0.5)[None], RATE)
        beats = tuple(np.arange(N_BEATS) * 0.5)
        songs.append(Song(f"s{number}", f"g{number}", str(folder / f"{number}.wav"), "", beats))
    models = Models.below(save_tiny_models(tmp_path_factory.mktemp("models")), FeatureSettings(), 2)
    editing = RenderSettings(n_pairs=1, griffin_lim_iterations=2, tempo_bpm=110, max_beat_s=4, policy_level_db=24.8)
    return measure(songs, methods.cutters(models, editing, SETTINGS.quiet_db), SETTINGS, 110, 0)


def verdicts(table, rules):
    """The verdicts where another method stands in for the rules."""
    renamed = table[table["method"] != methods.RULES].copy() if rules != methods.RULES else table
    if rules != methods.RULES:
        renamed = pd.concat([renamed, table[table["method"] == rules].assign(method=methods.RULES)])
    gates = harmless_gates(summarise(renamed, 0, 200), SETTINGS)
    return {name: gate["verdict"] for name, gate in gates.items()}


@pytest.mark.slow
def test_the_rules_pass_and_each_bad_editor_fails(table):
    assert set(verdicts(table, methods.RULES).values()) == {"pass"}
    keeping, cutting = verdicts(table, methods.KEEP_ALL), verdicts(table, methods.CUT_ALL)
    assert keeping == {"finished_song_cut": "pass", "dead_air_f1": "fail", "repeated_takes_f1": "fail"}
    assert cutting["finished_song_cut"] == "fail" and "pass" not in cutting.values()
    # Levels alone know nothing of takes.
    assert verdicts(table, methods.LOUDNESS)["repeated_takes_f1"] == "fail"


@pytest.mark.slow
def test_the_report_has_every_method(table):
    found = summarise(table, 0, 200)
    text = report_markdown(found, harmless_gates(found, SETTINGS), 3)
    assert all(name in text for name in (methods.RULES, methods.POLICY, methods.LOUDNESS, "finished_song_cut"))


def test_songs_are_of_the_test_split_and_of_as_many_groups_as_there_are():
    songs = [Song(f"s{number}", f"g{number // 3}", "", "", ()) for number in range(9)]
    pairs = pd.DataFrame({"group": ["g0", "g1", "g2"], "split": ["test", "train", "test"]})
    assert [own.pair_id for own in songs_to_measure(songs, pairs, 3)] == ["s0", "s1", "s6"]
    with pytest.raises(CorpusError, match="songs of the test split"):
        songs_to_measure(songs, pairs.assign(split="train"), 3)
