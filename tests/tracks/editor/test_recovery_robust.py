"""Recovery from edits by an editor that shares no code with the one that makes the pairs."""

import librosa
import numpy as np
import pytest
from scipy.signal import resample_poly

from soundgate.tracks.editor.recovery.alignment import Run
from soundgate.tracks.editor.recovery.clock import Clock, coarse_rate, fit_clock, on_raw_clock
from soundgate.tracks.editor.recovery.features import HOP, frames_of
from soundgate.tracks.editor.recovery.recover import recover
from soundgate.tracks.editor.recovery.settings import RecoverySettings
from soundgate.tracks.editor.recovery.sound import Shifted, emphasised, exact_lags
from soundgate.tracks.editor.recovery.wander import without_wander
from soundgate.tracks.editor.vocabulary import Label
from tests.tracks.editor.other_editor import RATE, brighter, delayed, drifted, edited, mastered, song, wandering

SETTINGS = RecoverySettings(jump_on_beats=4, jump_anywhere=10, fade_slope=0.15, effect_db=2)
SONGS = (1, 2)
CHANGES = {
    "clean": (lambda wav: wav, 0.92),
    "half a sample later": (lambda wav: delayed(wav, 0.5), 0.88),
    "10 ppm": (lambda wav: drifted(wav, 1 + 10e-6), 0.88),
    "50 ppm": (lambda wav: drifted(wav, 1 + 50e-6), 0.88),
    "wandering by 20 ppm": (lambda wav: wandering(wav, 20, 30.0), 0.88),
    "wandering by 50 ppm": (lambda wav: wandering(wav, 50, 30.0), 0.88),
    "2 % longer": (lambda wav: drifted(wav, 1.02), 0.85),
    "upside down": (lambda wav: -delayed(wav, 0.25), 0.88),
    "brighter and quieter": (lambda wav: 0.7 * brighter(wav, 3.0), 0.85),
    "mastered": (mastered, 0.85),
    "2 % longer at its pitch": (lambda wav: librosa.effects.time_stretch(wav, rate=1 / 1.02), 0.85),
    "2 % shorter at its pitch": (lambda wav: librosa.effects.time_stretch(wav, rate=1 / 0.98), 0.85),
}


@pytest.fixture(scope="module")
def pairs():
    songs = [song(84, seed) for seed in SONGS]
    return [(raw, beats, *edited(raw, beats)) for raw, beats in songs]


@pytest.mark.parametrize("name", CHANGES)
def test_labels_are_told_whatever_happened_to_the_whole_edit(pairs, name):
    change, least = CHANGES[name]
    right = []
    for raw, beats, wav, labels in pairs:
        found = recover(raw, change(wav).astype(np.float32), RATE, beats, SETTINGS)
        right.append(found.labels == labels)
    assert np.concatenate(right).mean() >= least


def test_clock_and_polarity_are_reported(pairs):
    raw, beats, wav, _ = pairs[0]
    clock = recover(raw, -drifted(wav, 1 + 50e-6), RATE, beats, SETTINGS).clock
    assert clock.rate == pytest.approx(1 / (1 + 50e-6), abs=2e-6)
    assert clock.polarity == -1 and clock.coherence > 0.8
    assert recover(raw, wav, RATE, beats, SETTINGS).clock.rate == 1
    stretched = recover(raw, drifted(wav, 0.97), RATE, beats, SETTINGS).clock
    assert stretched.rate == pytest.approx(1 / 0.97, abs=5e-6)


def test_a_stretch_that_keeps_the_pitch_is_told_from_one_that_does_not(pairs):
    raw, beats, wav, labels = pairs[0]
    found = recover(raw, librosa.effects.time_stretch(wav, rate=1 / 1.03), RATE, beats, SETTINGS)
    assert found.clock.pitch_kept and found.clock.rate == pytest.approx(1 / 1.03, abs=1e-3)
    assert not recover(raw, drifted(wav, 1.03), RATE, beats, SETTINGS).clock.pitch_kept
    # Crossfades are told by the power of frames.
    crossed = labels == Label.TRANSITION
    assert (found.labels[crossed] == Label.TRANSITION).mean() > 0.7
    assert (found.labels[~crossed] == Label.TRANSITION).mean() < 0.05


def test_a_wandering_clock_is_a_curve_and_a_steady_one_has_none(pairs):
    raw, beats, wav, _ = pairs[0]
    found = recover(raw, wandering(wav, 50, 30.0), RATE, beats, SETTINGS)
    seconds, late = np.array(found.clock.wander).T
    # The edit reads ahead by what its clock is fast, whatever of that is a rate.
    t, turn = np.arange(3, len(wav) / RATE - 3, 1.0), 2 * np.pi / 30
    planted = 50e-6 / turn * (np.cos(1.0) - np.cos(turn * t + 1.0))
    told = np.interp(t, seconds, late) + (found.clock.rate - 1) * t
    assert np.std(told - planted) < 0.2 * np.std(planted)
    for steady in (wav, drifted(wav, 1 + 50e-6), song(40, 77)[0]):
        assert recover(raw, steady, RATE, beats, SETTINGS).clock.wander == ()


def test_a_wander_is_taken_out_as_it_was_put_in():
    wav = song(24, 5)[0]
    curve = ((0.0, 0.0), (5.0, 2e-4), (9.0, -1e-4), (len(wav) / RATE, 0.0))
    seconds, late = np.array(curve).T
    at = np.arange(len(wav)) / RATE
    # A source that is read where the curve says.
    shifted = np.interp(
        (at + np.interp(at, seconds, late)) * RATE * 8, np.arange(8 * len(wav)), resample_poly(wav, 8, 1)
    )
    straight = without_wander(shifted.astype(np.float32), curve, RATE)
    inside = slice(2_000, -2_000)
    left = [np.square(got[inside] - wav[inside]).sum() for got in (straight, shifted)]
    assert left[0] < 0.05 * left[1] and without_wander(wav, (), RATE) is wav


def test_another_song_has_no_clock_of_this_one(pairs):
    raw, beats, _, _ = pairs[0]
    clock = recover(raw, song(40, 77)[0], RATE, beats, SETTINGS).clock
    assert clock.coherence < 0.1 and clock.polarity == 1


def test_a_rate_is_found_from_frames_and_one_of_the_same_speed_is_one(pairs):
    raw, _, wav, _ = pairs[0]
    frames = frames_of(raw, RATE).shape
    assert coarse_rate(frames_of(wav, RATE).shape, frames) == 1
    found = coarse_rate(frames_of(drifted(wav, 1.03), RATE).shape, frames)
    assert found == pytest.approx(1 / 1.03, abs=1e-3)
    assert coarse_rate(frames[:3], frames) == coarse_rate(frames, frames[:3]) == 1


def test_drift_is_one_slope_for_runs_of_different_lags():
    raw = song(24, 3)[0]
    wav = on_raw_clock(raw, 1 + 40e-6)
    runs = [Run(0, 200, 0), Run(200, len(wav) // HOP, 0)]
    clock = fit_clock(runs, emphasised(wav), emphasised(raw), 16_384)
    assert clock.rate == pytest.approx(1 / (1 + 40e-6), abs=1e-6) and clock.polarity == 1
    assert fit_clock(runs, emphasised(raw), emphasised(raw), 16_384).rate == 1
    assert fit_clock([], emphasised(raw), emphasised(raw), 16_384) == Clock(coherence=0.0)


@pytest.mark.parametrize("part", [0.125, 0.5, 0.875])
def test_a_recording_is_read_between_its_samples(part):
    t = np.arange(4_000)
    wav = np.sin(0.3 * t).astype(np.float32)
    between = Shifted(wav).at(1_000 + part, 500)
    np.testing.assert_allclose(between, np.sin(0.3 * (t[1_000:1_500] + part)), atol=2e-3)
    assert not Shifted(wav).at(-600 + part, 500).any()


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("part", [0.25, 0.5])
def test_lags_are_found_between_samples_and_upside_down(sign, part):
    wav = emphasised(song(8, 5)[0])
    later = sign * emphasised(delayed(song(8, 5)[0], part))
    [place], [correlation] = exact_lags(later[30_000:34_000], wav, [30_100], 512, either_sign=True)
    assert place == pytest.approx(30_000 - part, abs=0.13) and sign * correlation > 0.9
