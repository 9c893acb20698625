"""The numbers of an assignment from errors that are given, and what the ridge is chosen by."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from soundgate.tracks.structure.gain import Errors, HeldOutFrames
from soundgate.tracks.structure.linear import VectorAutoregression, _moments_about, fit_autoregression
from soundgate.tracks.structure.moments import lagged_moments
from soundgate.tracks.structure.normaliser import Normaliser
from soundgate.tracks.structure.scoring import Scorer, linear_floor
from soundgate.tracks.structure.sequences import EVAL, HOLDOUT, TRAIN
from soundgate.tracks.structure.targets import TARGETS
from tests.tracks.structure.test_against_naive import ragged_sequences, windows_of

N = 60
SPLIT = np.repeat([HOLDOUT, EVAL], [24, 36])
SPEAKER = np.concatenate([np.arange(24) % 2, 5 + np.arange(36) % 3])
T_975 = {2: 12.706204736, 3: 4.302652730}  # Student's quantile for as many units.


def errors_of(seed: int, scale: float) -> Errors:
    generator = np.random.default_rng(seed)
    squared = {name: scale * (1 + generator.random(N)) for name in TARGETS}
    return Errors(squared, generator.random(N) + scale, 0.25, 7, 0.125)


@pytest.fixture
def scorer() -> Scorer:
    masks = np.random.default_rng(3).random((3, N)) > [[-1], [0.5], [0.3]]
    held = HeldOutFrames(np.arange(N), SPEAKER, SPLIT, dict(zip(("all", "high_energy", "medial"), masks, strict=True)))
    return Scorer(None, held, errors_of(0, 2.0), SimpleNamespace(n_bootstrap=50), 1)


def jackknife(numerator, denominator, mask):
    """Return a ratio of sums and the half-width of its interval over speakers."""
    ratio = numerator[mask].sum() / denominator[mask].sum()
    units = np.unique(SPEAKER[mask])
    rest = [mask & (SPEAKER != unit) for unit in units]
    left_out = np.array([numerator[some].sum() / denominator[some].sum() for some in rest])
    error = np.sqrt((len(units) - 1) / len(units) * np.square(left_out - left_out.mean()).sum())
    return ratio, T_975[len(units)] * error, len(units)


def check(found, numerator, denominator, mask):
    value, half, units = jackknife(numerator, denominator, mask)
    assert (found["value"], found["n"]) == (pytest.approx(value), units)
    assert (found["ci_low"], found["ci_high"]) == pytest.approx((value - half, value + half))


def test_every_number_is_of_its_own_frames(scorer):
    errors, baseline = errors_of(1, 1.0), scorer.baseline
    found = scorer.numbers(errors, "any")
    for key, split in (("gain_new", EVAL), ("gain_seen", HOLDOUT)):
        for name in TARGETS:
            saved = baseline.squared[name] - errors.squared[name]
            check(found[key][name], saved, baseline.squared[name], split == SPLIT)
    base = baseline.squared["innovation"]
    for part in ("high_energy", "medial"):
        mask = scorer.held.slices[part] & (SPLIT == EVAL)
        check(found["gain_slices"][part], base - errors.squared["innovation"], base, mask)
    check(found["nats_per_frame"], baseline.nats - errors.nats, np.ones(N), SPLIT == EVAL)
    assert (found["epsilon_squared"], found["occupied"], found["unseen"]) == (0.25, 7, 0.125)


def test_degradation_is_the_share_of_the_gain_that_new_speakers_lose(scorer):
    base = scorer.baseline.squared["innovation"]
    kept = np.where(SPLIT == HOLDOUT, 0.6, 0.8) * base  # A gain of 0.4 on known speakers, 0.2 on new ones.
    errors = errors_of(1, 1.0)
    errors.squared["innovation"] = kept
    found = scorer.numbers(errors, "any")["degradation"]
    assert found["value"] == pytest.approx(0.5) and found["ci_low"] <= 0.5 + 1e-9 and found["ci_high"] >= 0.5 - 1e-9
    for share in (1.0, 1.1):
        errors.squared["innovation"] = np.where(SPLIT == HOLDOUT, share, 0.8) * base
        assert scorer.numbers(errors, "any")["degradation"]["value"] is None


def test_the_floor_is_the_share_of_the_frames_energy_that_the_linear_model_explains(scorer):
    squared = dict(scorer.baseline.squared, innovation=0.3 * scorer.baseline.squared["next"])
    squared["innovation"][SPLIT == HOLDOUT] = 9
    found = linear_floor(replace(scorer, baseline=replace(scorer.baseline, squared=squared)))
    assert found.value == pytest.approx(0.7) and found.n == 3


HISTORY = 3


def test_the_hold_outs_moments_are_about_the_train_means():
    """Train and hold-out means differ, and neither is zero."""
    sequences, identity = ragged_sequences(), Normaliser(np.zeros(3), np.ones(3))
    stacked, _ = windows_of(sequences, identity, HISTORY + 1, (HOLDOUT,))
    mean = np.arange(1.0, 13.0).reshape(4, 3)
    held = lagged_moments(sequences, identity, HISTORY, (HOLDOUT,))
    past, cross = _moments_about(held, mean)
    x, y = (stacked[:, 1:] - mean[1:]).reshape(len(stacked), -1), stacked[:, 0] - mean[0]
    np.testing.assert_allclose(past, x.T @ x / len(x), rtol=1e-9)
    np.testing.assert_allclose(cross, x.T @ y / len(x), rtol=1e-9)


def test_without_a_hold_out_the_largest_penalty_is_used():
    sequences, identity = ragged_sequences(), Normaliser(np.zeros(3), np.ones(3))
    train = lagged_moments(sequences, identity, HISTORY, (TRAIN,))
    empty = lagged_moments(sequences, identity, 99, (HOLDOUT,))
    assert empty.n == 0
    assert fit_autoregression(train, empty, (0.1, 10.0, 1.0)).ridge == [10.0] * 3


def test_the_innovation_is_what_past_frames_do_not_predict():
    model = VectorAutoregression(np.array([[[2.0]], [[-1.0]]]), np.array([0.5]), [0.0])
    z = np.array([[1.0], [3.0], [2.0], [7.0]])
    found = model.innovation(z)
    assert np.isnan(found[:2]).all()
    assert found[2:].tolist() == [[2 - (0.5 + 2 * 3 - 1)], [7 - (0.5 + 2 * 2 - 3)]]
    assert np.isnan(model.innovation(z[:2])).all() and len(model.innovation(z[:1])) == 1
