"""Scores: keyed, distinct, in key and on the grid."""

import numpy as np
import pandas as pd
import pytest

from soundgate.corpora.scores import BEAT_TYPES, NOTE_TYPES, PARTS, draw_score

SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 3, 5, 7, 9, 10), (0, 2, 4, 5, 7, 9, 10))
MODES = {frozenset((tonic + step) % 12 for step in scale) for tonic in range(12) for scale in SCALES}


@pytest.fixture(scope="module")
def scores():
    return [draw_score(f"s{number:04d}", 3, 10.0) for number in range(40)]


def test_a_score_is_its_seed_and_name_alone(scores):
    again = draw_score("s0007", 3, 10.0)
    pd.testing.assert_frame_equal(again.notes, scores[7].notes)
    pd.testing.assert_frame_equal(again.beats, scores[7].beats)
    other = draw_score("s0007", 4, 10.0)
    assert not other.notes["onset_s"].equals(again.notes["onset_s"])


def test_a_longer_score_begins_with_a_shorter_one():
    for number in range(12):
        short, long = draw_score(f"s{number}", 0, 5.0), draw_score(f"s{number}", 0, 12.0)
        begun = long.notes[long.notes["onset_s"] < 4.95].reset_index(drop=True)
        pd.testing.assert_frame_equal(begun.assign(offset_s=begun["offset_s"].clip(upper=5.0)), short.notes)
        assert (long.notes["offset_s"] > 5).any()


def test_tables_have_their_columns_and_every_part(scores):
    for score in scores:
        assert (
            score.notes.dtypes.astype(str).tolist()
            == pd.DataFrame(columns=NOTE_TYPES).astype(NOTE_TYPES).dtypes.astype(str).tolist()
        )
        assert list(score.notes) == list(NOTE_TYPES) and list(score.beats) == list(BEAT_TYPES)
        assert set(score.notes["part"]) == set(PARTS)
        assert (score.notes["score_id"] == score.score_id).all()
        assert (score.notes["offset_s"] > score.notes["onset_s"]).all()
        assert score.notes["onset_s"].ge(0).all() and score.notes["offset_s"].le(10).all()
        assert score.notes["velocity"].between(1, 127).all()


def test_notes_lie_on_the_sixteenths_of_the_tempo(scores):
    for score in scores:
        step_s = 60 / score.tempo_bpm / 4
        steps = (score.notes["onset_s"] - score.beats["time_s"][0]) / step_s
        np.testing.assert_allclose(steps, steps.round(), atol=1e-6)
        np.testing.assert_allclose(np.diff(score.beats["time_s"]), 4 * step_s)
        assert score.beats["downbeat"].tolist() == [k % 4 == 0 for k in range(len(score.beats))]
        assert 80 <= score.tempo_bpm <= 130


def test_pitched_parts_keep_to_one_key_and_to_their_registers(scores):
    ranges = {"melody": (60, 84), "chords": (48, 72), "bass": (31, 42)}
    for score in scores:
        pitched = score.notes[score.notes["part"] != "drums"]
        used = frozenset(pitched["midi"] % 12)
        assert any(used <= mode for mode in MODES), used
        for part, (low, high) in ranges.items():
            assert pitched.loc[pitched["part"] == part, "midi"].between(low, high).all()


def test_the_melody_sings_one_note_at_a_time_with_rests_and_repetition(scores):
    rests, repeated = 0, 0
    for score in scores:
        melody = score.notes[score.notes["part"] == "melody"]
        assert len(melody) >= 10 and melody["midi"].nunique() >= 4
        gaps_s = melody["onset_s"].to_numpy()[1:] - melody["offset_s"].to_numpy()[:-1]
        assert (gaps_s > 0).all()
        rests += (gaps_s > 0.9 * 30 / score.tempo_bpm).any()
        bar_s = 240 / score.tempo_bpm
        bar = ((melody["onset_s"] - score.beats["time_s"][0]) / bar_s + 1e-6).astype(int)
        onsets = (melody["onset_s"] - score.beats["time_s"][0] - bar * bar_s).round(3)
        rhythms = [tuple(own) for _, own in onsets.groupby(bar) if bar.max() >= 3]
        repeated += len(set(rhythms[:4])) < 4
    assert rests > 20 and repeated > 20


def test_no_two_scores_have_the_same_melody(scores):
    def chroma(score):
        times, out = np.arange(0, 10, 0.05), np.zeros((12, 200))
        for note in score.notes[score.notes["part"] == "melody"].itertuples():
            out[note.midi % 12, (times >= note.onset_s) & (times < note.offset_s)] = 1
        return (out - out.mean()).ravel() / np.linalg.norm(out - out.mean())

    rows = np.stack([chroma(score) for score in scores])
    agreement = (rows @ rows.T)[np.triu_indices(len(rows), 1)]
    assert agreement.max() < 0.6 and abs(agreement.mean()) < 0.1
