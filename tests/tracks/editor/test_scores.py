"""Scores of labels and gains of beats, against what is written out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from soundgate.tracks.editor.audit.gating import sound_gates
from soundgate.tracks.editor.policy.advantage import normalised
from soundgate.tracks.editor.recovery.features import HOP, Frames, mel_centres_hz
from soundgate.tracks.editor.recovery.gains import BeatGain, _usual, beat_gain, relative, spread
from soundgate.tracks.editor.recovery.scores import (
    accuracy,
    balanced_accuracy,
    class_f1,
    confusion,
    confusion_rows,
    controls,
    estimate,
    macro_f1,
)
from soundgate.tracks.editor.recovery.sound import Shifted
from soundgate.tracks.editor.vocabulary import BEAT_LABELS, Label
from tests.tracks.editor.test_audit_gates import THRESHOLDS

RATE = 22_050


def table_of(*pairs):
    truth, labels = np.array(pairs).T
    return confusion(truth, labels)


# Label 0: 2 of 3 right; label 1: 1 of 2; label 3 is never the truth; label 6: missed.
MIXED = table_of((0, 0), (0, 0), (0, 1), (1, 1), (1, 3), (6, 0))


def test_a_confusion_counts_truth_by_rows():
    expected = np.zeros((7, 7), int)
    expected[0, 0], expected[0, 1], expected[1, 1], expected[1, 3], expected[6, 0] = 2, 1, 1, 1, 1
    np.testing.assert_array_equal(MIXED, expected)
    names = [label.name for label in BEAT_LABELS]
    rows = confusion_rows(MIXED)
    assert rows["actual"].tolist() == [names[i] for i in (0, 0, 0, 1, 1, 6)]
    assert rows["predicted"].tolist() == [names[i] for i in (0, 0, 1, 1, 3, 0)]


def test_scores_of_a_table_are_those_of_its_beats():
    assert accuracy(MIXED) == pytest.approx(3 / 6)
    assert balanced_accuracy(MIXED) == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    f1 = class_f1(MIXED)
    assert f1[[0, 1, 3, 6]] == pytest.approx([4 / 6, 2 / 4, 0, 0]) and np.isnan(f1[[2, 4, 5]]).all()
    assert macro_f1(MIXED) == pytest.approx((4 / 6 + 2 / 4 + 0) / 3)
    empty = np.zeros((7, 7), int)
    assert accuracy(empty) == 0 and np.isnan(macro_f1(empty)) and np.isnan(balanced_accuracy(empty))


def test_controls_name_the_commonest_label_or_keep_for_all():
    table = table_of(*[(2, 1)] * 3, (int(Label.KEEP), 2))
    found = controls(table)
    assert found["majority"]["accuracy"] == pytest.approx(3 / 4)
    assert found["all_keep"]["accuracy"] == pytest.approx(1 / 4)
    # F1 of the label named: twice the right ones over truth and named; of the other label: none.
    assert found["majority"]["macro_f1"] == pytest.approx((2 * 3 / (3 + 4) + 0) / 2)


def test_few_tables_have_the_jackknifes_interval_two_at_least_and_many_the_bootstraps():
    generator = np.random.default_rng(0)
    tables = generator.integers(0, 9, (21, 7, 7))
    for n in (2, 3, 19):
        own = tables[:n]
        left_out = np.array([accuracy(np.delete(own, i, axis=0).sum(0)) for i in range(n)])
        half = stats.t.ppf(0.975, n - 1) * np.sqrt((n - 1) / n * np.square(left_out - left_out.mean()).sum())
        found = estimate(own, accuracy, generator, 50)
        value = np.trace(own.sum(0)) / own.sum()
        assert (found.value, found.ci_low, found.ci_high) == pytest.approx((value, value - half, value + half))
    one = estimate(tables[:1], accuracy, generator, 50)
    assert one.n == 1 and np.isnan(one.ci_low)
    for n in (20, 21):
        found = estimate(tables[:n], accuracy, np.random.default_rng(4), 200)
        draws = np.random.default_rng(4).multinomial(n, np.full(n, 1 / n), size=200)
        scores = [accuracy(np.repeat(tables[:n], counts, axis=0).sum(0)) for counts in draws]
        assert (found.ci_low, found.ci_high) == pytest.approx(tuple(np.quantile(scores, [0.025, 0.975])))


def silent_frames(n):
    return Frames(np.zeros((n, 40), np.float32), np.zeros((n, 40), np.float32))


def beat_of(level, bands_db, correlation=1.0):
    return BeatGain(np.array(level), np.full(4, correlation), np.array(bands_db), np.zeros((2, 4, 40)))


def test_a_level_is_the_least_squares_gain_of_a_quarter():
    generator = np.random.default_rng(0)
    raw = generator.standard_normal(4_000).astype(np.float32)
    edit = np.zeros(3_000, np.float32)
    edit[1_000:1_400] = np.repeat([0.5, 2.0, -1.0, 0.0], 100) * raw[1_300:1_700]
    edit[1_000:1_100] += 0.1
    found = beat_gain(edit, Shifted(raw), (silent_frames(9), silent_frames(9)), 1_000, 1_400, 300, RATE)
    first = raw[1_300:1_400]
    expected = [(edit[1_000:1_100] @ first) / (first @ first), 2, 0, 0]
    assert found.level == pytest.approx(expected, rel=1e-4) and np.isnan(found.bands_db).all()
    raw[1_400:1_500] = 0
    assert np.isnan(beat_gain(edit, Shifted(raw), (silent_frames(9),) * 2, 1_000, 1_400, 300, RATE).level[1])


def test_a_source_that_begins_before_or_ends_after_the_recording_is_compared_as_far_as_it_goes():
    raw = np.ones(500, np.float32)
    edit = np.full(1_000, 3.0, np.float32)
    frames = silent_frames(3), silent_frames(3)
    assert beat_gain(edit, Shifted(raw), frames, 0, 400, -1_000, RATE).level.tolist() != [3, 3, 3, 3]
    found = beat_gain(edit, Shifted(raw), frames, 600, 1_000, -450, RATE).level
    assert found == pytest.approx([3, 3, 3, 3])
    ending = beat_gain(edit, Shifted(raw), frames, 600, 1_000, -150, RATE).level
    assert ending[0] == 3 and np.isnan(ending[1:]).all()


def test_bands_are_compared_in_frames_that_hear_no_neighbour():
    bands = np.searchsorted([200, 800, 2_500, 5_500], mel_centres_hz(RATE))
    source = np.ones((30, 40), np.float32)
    source[:, bands == 2] = 1e-6  # Below -30 dB of the whole: silent.
    gains = np.array([2.0, 0.5, 1.0, 4.0, 8.0])[bands]
    edit = np.full((30, 40), 99, np.float32)
    # A beat of frames 10 to 20 is heard alone by 12 to 18; its source lies 5 frames later.
    edit[12:19] = source[17:24] * gains
    wave = np.ones(30 * HOP, np.float32)
    found = beat_gain(
        wave, Shifted(wave), (Frames(edit, edit), Frames(source, source)), 10 * HOP, 20 * HOP, 5 * HOP, RATE
    ).bands_db
    assert found[[0, 1, 3, 4]] == pytest.approx(10 * np.log10([2, 0.5, 4, 8]), rel=1e-5) and np.isnan(found[2])


def test_the_usual_value_is_the_mean_of_the_densest_window():
    assert _usual(np.array([5.0, 1.0, 1.04, 1.05, 9.0, np.nan]), 0.05, 1.0) == pytest.approx((1 + 1.04 + 1.05) / 3)
    assert _usual(np.array([1.0, 1.051, 7.0]), 0.05, 0.0) == 1.0
    assert _usual(np.array([np.nan]), 0.05, 0.5) == 0.5 and _usual(np.array([]), 0.05, 0.0) == 0.0


def test_where_every_beat_is_silent_somewhere_no_level_is_usual():
    levels, bands = relative([beat_of([np.nan, 2.0, 2.0, 2.0], np.full(5, np.nan))] * 2)
    assert levels.tolist() == [[1, 2, 2, 2]] * 2 and not bands.any()


def test_gains_are_relative_to_the_usual_ones_and_unknown_ones_are_none():
    nan = np.nan
    gains = [
        beat_of(np.full(4, 2.0), np.array([3.0, 1.0, nan, 0.0, nan])),
        beat_of(np.full(4, 2.0), np.array([3.2, 1.0, nan, 0.0, nan])),
        beat_of(np.array([8.0, 8.0, 4.0, 4.0]), np.array([9.0, 1.0, nan, 0.0, 5.0])),
        beat_of(np.array([nan, 2.0, 2.0, 2.0]), np.array([nan, 1.0, nan, 0.0, nan])),
    ]
    levels, bands = relative(gains)
    np.testing.assert_allclose(levels, [[1] * 4, [1] * 4, [4, 4, 2, 2], [1] * 4])
    np.testing.assert_allclose(bands[:, 0], [-0.1, 0.1, 5.9, 0])
    np.testing.assert_allclose(bands[:, 1:], 0)
    nothing = [beat_of(np.full(4, nan), np.full(5, nan))]
    levels, bands = relative(nothing)
    assert levels.tolist() == [[1] * 4] and bands.tolist() == [[0] * 5]


def test_where_waves_differ_an_equaliser_and_a_compressor_of_the_whole_edit_are_no_gains():
    rng = np.random.default_rng(0)
    source = rng.uniform(-10, 0, (64, 4, 40)) + np.repeat(rng.uniform(-30, 0, 64), 4).reshape(64, 4, 1)
    loudness = source.mean(axis=2, keepdims=True)
    own = 0.6 * (source - loudness) + source * 0 + loudness * 0.5 + np.linspace(-6, 6, 40) + 0.4 * (source - loudness)
    own[7, 2:] -= 12
    gains = [
        BeatGain(np.ones(4), np.full(4, 0.9), np.zeros(5), np.stack(pair)) for pair in zip(own, source, strict=True)
    ]
    levels, _ = relative(gains)
    usual = np.delete(20 * np.log10(levels), 7, axis=0)
    assert np.median(np.abs(usual)) < 0.7 and np.abs(usual).max() < 4
    assert (20 * np.log10(levels[7])).round() == pytest.approx([0, 0, -12, -12], abs=2.5)


def test_a_spread_is_that_of_what_is_usual():
    values = np.random.default_rng(0).normal(3, 2, 4_000)
    assert spread(values) == pytest.approx(2, rel=0.15)
    values[:2_000] = np.linspace(100, 1e6, 2_000)
    assert spread(values) < 6
    assert spread(np.array([1.0, 5, 5, 5, 9, 20])) == 0
    assert spread(np.array([np.nan])) == spread(np.array([])) == 0


def test_normalised_advantages_have_no_mean_and_a_spread_of_one_whatever_theirs():
    mask = torch.tensor([[True, True, False]])
    for low, high in ((2.0, 6.0), (10.0, 10.02), (-3.0, 5.0)):
        found = normalised(torch.tensor([[low, high, 7.0]]), mask)
        torch.testing.assert_close(found, torch.tensor([[-1.0, 1.0, 0.0]]), rtol=1e-3, atol=0)
    assert not normalised(torch.full((1, 3), 5.0), mask).any()


def test_kept_samples_are_all_identical_or_the_gate_fails():
    whole = {"value": 1.0, "control": 0.5}
    vocoder = {"over": {}}
    truth = {"equally_wrong": whole, "identical": whole}
    assert sound_gates(truth, vocoder, THRESHOLDS)["kept_samples_identical"] == {
        "value": 1.0,
        "side": "above",
        "threshold": 1.0,
        "margin": 0.0,
        "verdict": "pass",
        "control": 0.5,
    }
