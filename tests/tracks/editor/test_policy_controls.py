"""Editors that know little: what they label, and what they take from the train pairs."""

import numpy as np
import pytest

from soundgate.tracks.editor.policy.controls import Habits, at_expected_length, collapsed, constant_ratio, controls
from soundgate.tracks.editor.policy.predict import predict_labels
from soundgate.tracks.editor.vocabulary import Label
from tests.tracks.editor.planted import planted_cache
from tests.tracks.editor.policies import predictor


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return planted_cache(tmp_path_factory.mktemp("cache"))


def numbers(names):
    return np.array([Label[name] for name in names.split()], np.int64)


def test_collapsed_labels_cut_and_keep_and_begin_with_one_fade():
    labels = numbers("LOOP CUT EFFECT TRANSITION FADE_OUT CUT FADE_IN")
    assert np.array_equal(collapsed(labels, 3), numbers("FADE_IN CUT FADE_IN KEEP KEEP CUT KEEP"))
    assert np.array_equal(collapsed(labels, 0), numbers("KEEP CUT KEEP KEEP KEEP CUT KEEP"))
    assert labels[0] == Label.LOOP, "the policy's own labels stay"


@pytest.mark.parametrize(("ratio", "kept"), [(0.0, 0), (0.24, 1), (0.26, 2), (0.5, 3), (1.0, 4)])
def test_a_constant_ratio_keeps_the_beginning(ratio, kept):
    labels = constant_ratio(np.array([1.0, 0.1, 1.0, 2.0]), ratio)
    # The nearest edge of 0, 1, 1.1, 2.1 and 4.1 s.
    assert np.array_equal(labels, [Label.KEEP] * kept + [Label.CUT] * (4 - kept))


def test_the_likeliest_loops_are_added_until_the_expected_length_is_met():
    probabilities = np.zeros((4, 8))
    probabilities[:, Label.KEEP] = [0.6, 0.9, 0.55, 0]
    probabilities[:, Label.LOOP] = [0.4, 0.1, 0.45, 0]
    probabilities[3, Label.CUT] = 1
    labels, seconds = probabilities.argmax(1), np.ones(4)
    # 3 s by the labels; expected 3 + 2 · (0.4 + 0.1 + 0.45) = 4.9 s: one loop makes 5.
    assert np.array_equal(at_expected_length(labels, probabilities, seconds), numbers("KEEP KEEP LOOP CUT"))
    sure = np.eye(8)[labels]
    assert np.array_equal(at_expected_length(labels, sure, seconds), labels)


def test_habits_are_those_of_the_train_pairs(cache):
    rows = cache.rows("train")
    pairs = [cache.pair(int(row)) for row in rows]
    ratios = np.array([pair.seconds @ pair.plays / pair.seconds.sum() for pair in pairs])
    habits = Habits.of(cache, rows)

    def error(ratio):
        return np.abs(ratio / ratios - 1).mean()

    assert error(habits.ratio) <= min(error(ratio) for ratio in np.linspace(0, 2 * ratios.max(), 2_001)) + 1e-9
    assert habits.n_faded == 0
    assert Habits.of(cache, rows[:0]) == (1.0, 0)


def test_the_controls_of_models_are_made_of_their_own_labels(cache):
    model, pair = predictor(), cache.pair(4)
    methods = controls(cache, model, model)
    labels, probabilities = predict_labels(model, pair.raw, pair.edges)
    habits = Habits.of(cache, cache.rows("train"))
    expected = {
        "collapse": collapsed(labels, habits.n_faded),
        "imitation_collapse": collapsed(labels, habits.n_faded),
        "constant_ratio": constant_ratio(pair.seconds, habits.ratio),
        "expected_length": at_expected_length(labels, probabilities, pair.seconds),
    }
    assert methods.keys() == expected.keys()
    for name, own in expected.items():
        assert np.array_equal(methods[name](pair), own), name
