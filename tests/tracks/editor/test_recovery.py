import numpy as np
import pytest

from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.editor.beats import track_beats
from soundgate.tracks.editor.edit_list import EditList, Segment
from soundgate.tracks.editor.recovery.alignment import JumpCosts, align
from soundgate.tracks.editor.recovery.dtw import labels_by_dtw
from soundgate.tracks.editor.recovery.labelling import label_gates, summarise
from soundgate.tracks.editor.recovery.recover import recover
from soundgate.tracks.editor.recovery.scores import accuracy, class_f1, confusion, controls, estimate, macro_f1
from soundgate.tracks.editor.recovery.settings import LabelThresholds, RecoverySettings
from soundgate.tracks.editor.recovery.sound import exact_lags, two_gains
from soundgate.tracks.editor.remaster import RemasterSettings, remaster
from soundgate.tracks.editor.rendering import render
from soundgate.tracks.editor.timeline import FADES, beat_spans, labels_of
from soundgate.tracks.editor.vocabulary import Label

RATE = 22_050
BEAT = 11_025
SETTINGS = RecoverySettings(jump_on_beats=4, jump_anywhere=10, fade_slope=0.15, effect_db=2)


def music(n_beats, seed=0):
    """Each beat a chord and a drum of its own, both struck, over a little noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(BEAT) / RATE
    beats = []
    for _ in range(n_beats):
        chord = sum(np.sin(2 * np.pi * f * t) for f in rng.uniform(150, 4_000, 4))
        drum = 0.5 * rng.normal(size=BEAT)
        beats.append(0.08 * (chord + drum) * (0.3 + np.exp(-t * 6)))
    return (np.concatenate(beats) + 0.003 * rng.normal(size=n_beats * BEAT)).astype(np.float32)


def segment(label, first, last, **more):
    gain = FADES.get(Label[label], more.pop("gain", ()))
    return Segment(label=label, start=first * BEAT, stop=last * BEAT, gain=gain, **more)


def edited(raw, *segments):
    edit = EditList(sample_rate=RATE, n_samples=len(raw), segments=segments)
    return edit, render(raw[None], edit)[0]


def every_label():
    raw = music(48)
    edit, wav = edited(
        raw,
        segment("FADE_IN", 0, 4),
        segment("KEEP", 4, 8),
        segment("LOOP", 12, 16, repeats=2),
        segment("EFFECT", 16, 20, gain=((0.0, 0.4), (1.0, 0.4))),
        segment("KEEP", 20, 24),
        segment("TRANSITION", 24, 28, partner=36 * BEAT),
        segment("KEEP", 40, 44),
        segment("FADE_OUT", 44, 48),
    )
    return raw, edit, wav


def found(raw, wav, beats=None):
    beats = np.arange(0, len(raw), BEAT) if beats is None else beats
    return recover(raw, wav, RATE, beats, SETTINGS)


def test_every_label_is_told_from_a_clean_edit():
    raw, edit, wav = every_label()
    result = found(raw, wav)
    np.testing.assert_array_equal(result.labels, labels_of(edit, result.spans))
    assert set(result.labels) == set(range(7))


def test_runs_are_exact_to_the_sample():
    raw, edit, wav = every_label()
    lags = {run.lag for run in found(raw, wav).runs}
    wanted = {0, 4 * BEAT, 0 * BEAT, 12 * BEAT - 8 * BEAT, 12 * BEAT - 12 * BEAT}
    assert wanted <= lags
    [transition] = found(raw, wav).transitions
    assert (transition.start, transition.stop) == (24 * BEAT, 28 * BEAT)


def test_what_is_heard_how_often_survives_mastering():
    raw, edit, wav = every_label()
    mastered = remaster(wav, RATE, RemasterSettings(tone_db=4, drive=0.7, noise_db=-45), keyed_generator(0, "test"))
    result = found(raw, mastered)
    truth = labels_of(edit, result.spans)
    # Saturation bends levels, so that fades and effects are told less well than these.
    for label in (Label.CUT, Label.LOOP, Label.TRANSITION):
        np.testing.assert_array_equal(result.labels == label, truth == label)
    assert np.mean(result.labels == truth) > 0.7
    assert not np.array_equal(mastered, wav) and np.abs(mastered).max() == pytest.approx(0.95, abs=1e-6)


def test_an_edit_that_keeps_everything_is_kept():
    raw = music(16)
    assert set(found(raw, raw).labels) == {Label.KEEP}


def test_exchanged_passages_are_kept():
    raw = music(24)
    _, wav = edited(raw, segment("KEEP", 0, 8), segment("KEEP", 16, 24), segment("KEEP", 8, 16))
    assert set(found(raw, wav).labels) == {Label.KEEP}


def test_the_take_that_is_heard_is_told_from_its_copy():
    part, noise = music(8), 0.002 * np.random.default_rng(5).normal(size=8 * BEAT).astype(np.float32)
    raw = np.concatenate([part, part + noise, music(8, 1)])
    for first in (0, 8):
        _, wav = edited(raw, segment("KEEP", first, first + 8), segment("KEEP", 16, 24))
        wanted = np.full(24, Label.KEEP)
        wanted[8 - first : 16 - first] = Label.CUT
        np.testing.assert_array_equal(found(raw, wav).labels, wanted)


def test_beats_of_a_tracker_do_nearly_as_well():
    raw, edit, wav = every_label()
    shifted = np.arange(0, len(raw), BEAT) + np.random.default_rng(0).integers(-500, 500, 48)
    result = found(raw, wav, shifted)
    assert np.mean(result.labels == labels_of(edit, result.spans)) > 0.85


@pytest.mark.parametrize(
    ("raw", "wav"),
    [
        (np.zeros(0, np.float32), music(4)),
        (music(4), np.zeros(0, np.float32)),
        (music(4), np.ones(1, np.float32)),
        (np.ones(1, np.float32), np.ones(1, np.float32)),
        (np.zeros(50_000, np.float32), np.zeros(30_000, np.float32)),
        (np.zeros(50_000, np.float32), music(4)),
        (music(4), np.zeros(30_000, np.float32)),
    ],
)
@pytest.mark.parametrize("beats", [[], [0, 11_025, 22_050]])
def test_what_holds_no_music_is_labelled_all_the_same(raw, wav, beats):
    result = found(raw, wav, np.array(beats, int))
    assert len(result.labels) == len(result.spans)
    assert np.isin(result.labels, range(7)).all()


def test_an_edit_of_other_music_is_not_said_to_be_kept():
    assert np.mean(found(music(24), music(24, 9)).labels == Label.KEEP) < 0.3


def test_the_path_jumps_where_the_frames_do():
    frames = np.random.default_rng(0).normal(size=(300, 16)).astype(np.float32)
    frames /= np.linalg.norm(frames, axis=1, keepdims=True)
    runs = align(
        frames[[*range(0, 50), *range(200, 260), *range(100, 120)]], frames, np.arange(0, 300, 10), JumpCosts(3, 6)
    )
    assert [(run.start, run.stop, run.lag) for run in runs] == [(0, 50, 0), (50, 110, 150), (110, 130, -10)]
    assert align(frames, frames, np.arange(0, 300, 10), JumpCosts(3, 6)) == [(0, 300, 0)]


def test_a_jump_that_costs_more_than_it_saves_is_not_made():
    frames = np.eye(40, dtype=np.float32)
    order = [*range(0, 10), 30, *range(11, 20)]
    assert len(align(frames[order], frames, np.arange(40), JumpCosts(3, 6))) == 1
    assert len(align(frames[order], frames, np.arange(40), JumpCosts(0.1, 0.1))) == 3


def test_lags_are_found_to_the_sample():
    wav = music(8)
    places, correlations = exact_lags(wav[30_000:34_096], wav, [30_000 + 400, 10_000, -2_000], 512)
    assert places[0] == 30_000 and correlations[0] == pytest.approx(1, abs=1e-5)
    assert correlations[1] < 0.9


def test_two_gains_are_the_mixture_and_never_negative():
    a, b = np.random.default_rng(0).normal(size=(2, 1_000))
    assert two_gains(0.3 * a + 0.6 * b, a, b) == pytest.approx((0.3, 0.6))
    assert two_gains(a - 0.5 * b, a, b)[1] == 0 and two_gains(0 * a, a, b) == (0, 0)
    assert two_gains(a, 0 * a, 0 * b) == (0, 0)


def test_warping_keeps_what_is_kept_and_cuts_what_is_long_gone():
    raw = music(32)
    spans = beat_spans(np.arange(0, len(raw), BEAT), len(raw))
    assert set(labels_by_dtw(raw, raw, RATE, spans, 4)) == {Label.KEEP}
    _, wav = edited(raw, segment("KEEP", 0, 8), segment("KEEP", 24, 32))
    labels = labels_by_dtw(raw, wav, RATE, spans, 4)
    assert np.mean(labels[10:22] == Label.CUT) > 0.8 and np.mean(labels[:8] == Label.KEEP) > 0.8


def test_beats_of_clicks_are_tracked_and_silence_has_none():
    wav = np.zeros(20 * RATE, np.float32)
    wav[BEAT::BEAT] = 0.9
    beats = track_beats(wav, RATE, 120)
    assert abs(np.median(np.diff(beats)) - BEAT) < 300
    for nothing in (np.zeros(RATE, np.float32), np.zeros(3, np.float32)):
        assert len(track_beats(nothing, RATE, 120)) == 0


def test_scores_of_known_tables():
    truth, labels = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 0, 1, 0, 1, 2])
    table = confusion(truth, labels)
    assert table.sum() == 6 and table[1, 0] == 1 and accuracy(table) == pytest.approx(4 / 6)
    np.testing.assert_allclose(class_f1(table)[:3], [4 / 5, 2 / 4, 2 / 3])
    assert np.isnan(class_f1(table)[3:]).all()
    assert macro_f1(table) == pytest.approx((4 / 5 + 2 / 4 + 2 / 3) / 3)
    assert controls(table)["all_keep"]["accuracy"] == pytest.approx(1 / 3)
    assert macro_f1(np.zeros((7, 7), int)) != macro_f1(np.zeros((7, 7), int))


def test_intervals_are_over_tables():
    tables = np.stack([confusion(np.zeros(10, int), np.array([0] * right + [1] * (10 - right))) for right in (9, 7, 8)])
    known = estimate(tables, accuracy, keyed_generator(0, "test"), 100)
    assert known.value == pytest.approx(0.8) and known.n == 3 and known.ci_low < 0.7 < 0.9 < known.ci_high
    many = estimate(np.concatenate([tables] * 10), accuracy, keyed_generator(0, "test"), 500)
    assert 0.75 < many.ci_low < 0.8 < many.ci_high < 0.85
    assert np.isnan(estimate(tables[:1], accuracy, keyed_generator(0, "test"), 100).ci_low)


@pytest.mark.parametrize(("labels", "verdict"), [("truth", "pass"), ("majority", "fail"), ("keep", "fail")])
def test_gates_are_passed_by_the_truth_and_failed_by_who_knows_nothing(labels, verdict):
    truth = np.repeat(np.arange(7), [60, 20, 8, 5, 5, 8, 8])
    told = {"truth": truth, "majority": 0 * truth, "keep": 0 * truth + 1}[labels]
    table = confusion(truth, told)
    names = [f"{b}_{v}" for b in ("oracle", "tracked") for v in ("clean", "remastered")]
    names += ["oracle_drift_10ppm", "oracle_drift_50ppm"]
    conditions = {name: {"recovered": table, "dtw": confusion(truth, 0 * truth)} for name in names}
    parts = [{"group": str(n), "conditions": conditions, "octave": 1.0} for n in range(4)]
    settings = type("Settings", (), {"n_bootstrap": 100})
    measured = summarise(parts, settings, 0)
    gates = label_gates(measured, LabelThresholds(accuracy=0.94, macro_f1=0.84, drift=0.88))
    for ppm in (10, 50):
        gate = gates[f"recovery_drift_{ppm}ppm"]
        assert gate["verdict"] == verdict and gate["control"] == pytest.approx(np.mean(truth == 0))
    assert gates["labels_accuracy"]["verdict"] == gates["labels_macro_f1"]["verdict"] == verdict
    assert measured["octave"] == {"0.5": 0, "1.0": 4, "2.0": 0}
    margins = [gate["margin"] for name, gate in gates.items() if name.endswith("over_control")]
    assert len(margins) == 4 and (min(margins) > 0.8) == (verdict == "pass") and max(margins) <= 1
