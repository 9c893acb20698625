"""The rules that cut: what they find in a session, and what they leave alone."""

import numpy as np
import pytest

from soundgate.corpora.espeak import Voice, synthesise
from soundgate.tracks.editor.deciding.choosing import choose, confident, cut_spans, label_beats, with_edges
from soundgate.tracks.editor.deciding.levels import active_level_db, frames_at_level
from soundgate.tracks.editor.deciding.rules import COUNT_IN, DEAD_AIR, RETAKE, TALK, Cut, find_cuts
from soundgate.tracks.editor.features import Features, FeatureSettings
from soundgate.tracks.editor.vocabulary import Label

RATE = 22_050
BEAT = RATE // 2
THRESHOLD = 0.5


def song(n_beats, seed=0):
    """Chords that change each beat, over a drum: no two bars alike."""
    rng = np.random.default_rng(seed)
    t = np.arange(BEAT) / RATE
    beats = []
    for pitches in rng.integers(45, 76, (n_beats, 3)):
        chord = sum(np.sin(2 * np.pi * 440 * 2 ** ((pitch - 69) / 12) * t) for pitch in pitches)
        beats.append(0.1 * chord + 0.3 * rng.normal(size=BEAT) * np.exp(-60 * t))
    return np.concatenate(beats)


def quiet(seconds):
    return np.zeros(round(seconds * RATE))


def ended(wave, seconds=0.1):
    """What is broken off: it falls away within a tenth of a second."""
    length = round(seconds * RATE)
    return np.concatenate([wave[:-length], wave[-length:] * np.linspace(1, 0, length)])


def room(*parts, noise_db=-60, seed=9):
    wave = np.concatenate(parts)
    noise = np.random.default_rng(seed).normal(size=len(wave)) * 10 ** (noise_db / 20) * 0.15
    return (wave + noise).astype(np.float32)


def speech(seed=0):
    voice = Voice(voice="en-us+m3", pitch=40, pitch_range=50, rate_wpm=160)
    spoken = synthesise("Wait, I came in too late there. Can we do that again?", voice, seed) / 2**15
    return spoken[: np.flatnonzero(np.abs(spoken) > 0.01)[-1] + 1]


def cuts_of(wave, threshold=THRESHOLD):
    return choose(find_cuts(wave, np.arange(0, len(wave), BEAT)), threshold)


def covered(wave, **threshold):
    return cut_spans(cuts_of(wave, **threshold))


def test_a_finished_song_is_left_alone():
    wave = song(48)
    wave[-8 * BEAT :] *= np.geomspace(1, 1e-4, 8 * BEAT)
    wave[20 * BEAT : 22 * BEAT] = 0
    assert covered(room(quiet(1), wave, quiet(2), noise_db=-75)) == []


def test_passages_that_the_music_repeats_are_left_alone():
    verse, chorus = song(16, 1), song(16, 2)
    assert covered(room(verse, chorus, verse, chorus)) == []
    # A later take that begins elsewhere repeats a part of an earlier one: that is how songs are made.
    assert [cut.rule for cut in cuts_of(room(ended(np.r_[verse, chorus]), quiet(3), song(16, 3), chorus))] == [DEAD_AIR]


@pytest.mark.parametrize("gain_db", [0, -12, -40])
def test_dead_air_is_cut_whatever_the_gain(gain_db):
    wave = room(ended(song(16, 1)), quiet(3), song(16, 2))
    ((start, stop),) = covered(wave * np.float32(10 ** (gain_db / 20)))
    assert 8 <= start < 8.3 and 10.7 < stop <= 11


def test_a_loud_pause_is_no_dead_air():
    assert covered(room(ended(song(16, 1)), quiet(3), song(16, 2), noise_db=-25)) == []


def test_a_take_that_was_broken_off_is_cut_with_what_follows_it():
    whole, start = song(32, 3), 10
    wave = room(song(8, 1), ended(whole[: start * BEAT]), quiet(2.5), whole)
    cuts = cuts_of(wave)
    assert {cut.rule for cut in cuts} == {RETAKE, DEAD_AIR}
    ((first, last),) = cut_spans(cuts)
    # From the beat that is played again to its repetition.
    assert first == pytest.approx(4, abs=0.3) and last == pytest.approx(8 * 0.5 + start * 0.5 + 2.5, abs=0.3)


def test_of_complete_takes_the_last_is_kept_at_another_tempo_and_level():
    first, second = song(24, 3), song(24, 3)
    slower = np.interp(np.arange(0, len(second), 0.985), np.arange(len(second)), second)
    ((start, stop),) = covered(room(ended(first) * 0.6, quiet(2), slower, noise_db=-55))
    assert start == 0 and stop == pytest.approx(14, abs=0.3)


def test_a_later_take_that_breaks_off_is_cut_itself():
    whole = song(32, 3)
    wave = room(ended(whole), quiet(2), ended(whole[: 10 * BEAT]), quiet(2), song(16, 4))
    ((start, stop),) = covered(wave)
    assert start == pytest.approx(16.1, abs=0.3) and stop == pytest.approx(25, abs=0.3)


def test_talk_between_takes_is_cut_and_a_lecture_is_not():
    said = speech()
    cuts = cuts_of(room(ended(song(24, 1)), quiet(2), said * 0.5, quiet(2), song(24, 2)))
    assert {cut.rule for cut in cuts} == {DEAD_AIR, TALK}
    ((start, stop),) = cut_spans(cuts)
    assert start == pytest.approx(12.1, abs=0.3) and stop == pytest.approx(16 + len(said) / RATE, abs=0.3)
    lecture = [part for seed in range(4) for part in (speech(seed), quiet(2))]
    assert TALK not in {cut.rule for cut in cuts_of(room(*lecture))}


def test_a_count_in_is_cut_between_takes_only():
    t = np.arange(BEAT) / RATE
    clicks = np.tile(0.5 * np.sin(2 * np.pi * 2_000 * t) * np.exp(-t / 0.008), 4)
    cuts = cuts_of(room(ended(song(24, 1)), quiet(2), clicks, song(24, 2)))
    assert COUNT_IN in {cut.rule for cut in cuts}
    assert cut_spans(cuts)[0][1] == pytest.approx(12 + 2 + 2, abs=0.1)
    assert covered(room(clicks, song(24, 2))) == []


@pytest.mark.parametrize("length", [0, 1, 300, 2_048, 30_000])
def test_recordings_of_any_length_are_heard(length):
    noise = np.random.default_rng(0).normal(size=length).astype(np.float32)
    assert find_cuts(noise, np.empty(0)) == []
    assert choose(find_cuts(np.zeros(length, np.float32), np.empty(0)), THRESHOLD) == []


def test_only_what_is_sure_enough_is_chosen_and_no_sliver_stays():
    cuts = [Cut(1.0, 2.0, DEAD_AIR, 0.9), Cut(2.1, 3.0, TALK, 0.6), Cut(3.1, 4.0, DEAD_AIR, 0.4)]
    assert cut_spans(choose(cuts, 0.5)) == [(1.0, 3.0)]
    assert cut_spans(choose(cuts, 0.3)) == [(1.0, 4.0)] and choose(cuts, 0.95) == []


def test_beats_between_the_edges_of_cuts_are_labelled_with_the_surest_rule():
    cuts = [Cut(1.0, 3.0, RETAKE, 0.7), Cut(2.0, 3.0, DEAD_AIR, 0.9)]
    beats = with_edges(np.array([0, 50, 105, 150, 400]), cuts, 100)
    assert beats.tolist() == [0, 50, 100, 150, 300, 400]
    spans = np.stack([beats[:-1], beats[1:]], axis=1)
    labels, chances, rules = label_beats(spans, cuts, 100)
    assert labels.tolist() == [Label.KEEP, Label.KEEP, Label.CUT, Label.CUT, Label.KEEP]
    assert rules == ("", "", RETAKE, DEAD_AIR, "")
    np.testing.assert_allclose(chances[:, Label.CUT], [0, 0, 0.7, 0.9, 0])
    assert with_edges(beats, [], 100) is beats


def test_what_a_policy_is_unsure_of_is_kept():
    chances = np.full((3, 8), 0.05, np.float32)
    chances[np.arange(3), [Label.CUT, Label.CUT, Label.LOOP]] = 0.65, 0.4, 0.5
    wanted = np.array([Label.CUT, Label.CUT, Label.LOOP])
    assert confident(wanted, chances, 0.5).tolist() == [Label.CUT, Label.KEEP, Label.LOOP]
    assert confident(wanted, chances, 0).tolist() == wanted.tolist()


def test_frames_at_a_level_do_not_depend_on_the_gain():
    features, wave = Features(FeatureSettings()), song(16).astype(np.float32)
    frames = [frames_at_level(features, wave * np.float32(gain), 24.8) for gain in (1, 0.25, 2.0)]
    np.testing.assert_allclose(frames[1], frames[0], atol=1e-5)
    np.testing.assert_allclose(frames[2], frames[0], atol=1e-5)
    assert active_level_db(features.to_db(frames[0])) == pytest.approx(24.8, abs=0.1)
    assert np.abs(features(wave) - features(wave * np.float32(0.25))).max() > 0.1
