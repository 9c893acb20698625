"""Held-out code lengths and what is counted beside them, against densities from SciPy and loops over cells."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import norm

from soundgate.tracks.structure.cells import CellStatistics, shrunk_means
from soundgate.tracks.structure.gain import (
    SMOOTHING,
    VARIANCE_FLOOR,
    HeldOutFrames,
    gain_estimate,
    held_out_errors,
    slice_masks,
)
from soundgate.tracks.structure.sequences import EVAL, HOLDOUT, TRAIN, Sequences
from tests.tracks.structure.test_against_naive import naive_shrunk_means

MEDIAL = (0.25, 0.75)
HISTORY = 2
LENGTHS = np.array([30, 45, 25, 20, 35])
SPLIT = np.array([TRAIN, TRAIN, TRAIN, HOLDOUT, EVAL])


def sequences_of(splits=SPLIT) -> Sequences:
    n = int(LENGTHS.sum())
    position = np.concatenate([np.arange(k) / k for k in LENGTHS])
    rows = np.cumsum(LENGTHS) - LENGTHS
    energy = np.random.default_rng(5).random(n)
    speaker = np.array([0, 1, 2, 0, 3])
    return Sequences(np.zeros((n, 2)), rows, LENGTHS, speaker, splits, energy, energy > 0.5, position)


class Innovations:
    """Targets whose innovation is given: a Gaussian whose mean and spread depend on the cell."""

    def __init__(self, sequences: Sequences, ids: np.ndarray, seed: int = 0, constant: bool = False):
        generator = np.random.default_rng(seed)
        spread = np.array([[0.3, 2.0], [1.0, 0.5], [3.0, 1.0], [0.7, 0.7], [0.5, 0.5]])[ids]
        noise = spread * generator.standard_normal((sequences.n_frames, 2))
        self.values = np.full(noise.shape, 0.5) if constant else noise + ids[:, None]
        self.sequences, self.history = sequences, HISTORY
        self.split = sequences.split[sequences.utterance]

    def chunks(self, splits, names):
        for split in splits:
            frames = np.flatnonzero(self.sequences.valid(HISTORY) & (self.split == split))
            if len(frames):
                yield frames, {name: self.values[frames] for name in names}


def cells_of(sequences: Sequences, unseen: bool = True) -> np.ndarray:
    """Return cells 0 to 2, and 3 on some frames outside train only."""
    ids = np.random.default_rng(1).integers(0, 3, sequences.n_frames)
    outside = sequences.split[sequences.utterance] != TRAIN
    ids[np.flatnonzero(outside)[::4]] = 3 if unseen else 0
    return ids


def naive_nats(targets: Innovations, ids: np.ndarray, frames: np.ndarray, weight: float) -> np.ndarray:
    """Return the code lengths of frames, by the density of each under its cell's smoothed Gaussian."""
    train = np.flatnonzero(targets.sequences.valid(HISTORY) & (targets.split == TRAIN))
    y, cells = targets.values[train], ids[train]
    means, overall = naive_shrunk_means(cells, y), y.mean(0)
    inside = {c: np.square(y[cells == c] - y[cells == c].mean(0)).sum(0) for c in set(cells.tolist())}
    pooled = sum(inside.values()) / (len(y) - len(inside))
    lengths = []
    for frame in frames:
        c, n = ids[frame], (cells == ids[frame]).sum()
        variance = (inside.get(c, 0) + weight * pooled) / (n + weight)
        lengths.append(-norm.logpdf(targets.values[frame], means.get(c, overall), np.sqrt(variance)).sum())
    return np.array(lengths)


def test_nats_are_the_negative_log_density_with_the_smoothing_that_serves_the_hold_out():
    sequences = sequences_of()
    ids = cells_of(sequences)
    ids[10] = 4  # A cell of one train frame.
    targets, held = Innovations(sequences, ids), HeldOutFrames.of(sequences, HISTORY, MEDIAL)
    errors = held_out_errors(targets, ids, held, ("innovation",))
    lengths = np.array([naive_nats(targets, ids, held.frames, weight) for weight in SMOOTHING])
    totals = {split: lengths[:, held.split == split].sum(1) for split in (HOLDOUT, EVAL)}
    assert len(set(np.round(totals[HOLDOUT], 6))) == len(SMOOTHING)
    np.testing.assert_allclose(errors.nats, lengths[totals[HOLDOUT].argmin()], rtol=1e-9)


def test_without_a_hold_out_the_strongest_smoothing_is_taken():
    sequences = sequences_of(np.where(SPLIT == HOLDOUT, EVAL, SPLIT))
    ids = cells_of(sequences)
    targets, held = Innovations(sequences, ids), HeldOutFrames.of(sequences, HISTORY, MEDIAL)
    errors = held_out_errors(targets, ids, held, ("innovation",))
    np.testing.assert_allclose(errors.nats, naive_nats(targets, ids, held.frames, max(SMOOTHING)), rtol=1e-9)


def test_an_innovation_that_never_varies_has_the_density_of_the_least_variance():
    sequences = sequences_of()
    ids = cells_of(sequences)
    targets, held = Innovations(sequences, ids, constant=True), HeldOutFrames.of(sequences, HISTORY, MEDIAL)
    errors = held_out_errors(targets, ids, held, ("innovation",))
    assert pytest.approx(1e-10) == VARIANCE_FLOOR
    np.testing.assert_allclose(errors.nats, -2 * norm.logpdf(0, 0, 1e-5), rtol=1e-9)
    assert np.isnan(errors.epsilon_squared)


def test_cells_without_train_frames_are_counted_as_unseen():
    sequences = sequences_of()
    held = HeldOutFrames.of(sequences, HISTORY, MEDIAL)
    for unseen in (False, True):
        ids = cells_of(sequences, unseen)
        errors = held_out_errors(Innovations(sequences, ids), ids, held, ("innovation",))
        assert errors.occupied == 3
        assert errors.unseen == pytest.approx((ids[held.frames] == 3).mean())
    assert errors.unseen > 0


def test_cells_are_those_of_valid_train_frames_alone():
    """A cell met only in the frames that lack a history has nothing fitted."""
    sequences = sequences_of()
    ids = np.zeros(sequences.n_frames, int)
    ids[~sequences.valid(HISTORY)] = 3
    ids[1::2] = np.where(ids[1::2] == 3, 3, 1)
    held = HeldOutFrames.of(sequences, HISTORY, MEDIAL)
    assert held_out_errors(Innovations(sequences, ids), ids, held, ("innovation",)).occupied == 2


def test_epsilon_squared_is_kelleys_of_the_train_frames():
    sequences = sequences_of()
    ids = cells_of(sequences)
    targets = Innovations(sequences, ids)
    train = sequences.valid(HISTORY) & (targets.split == TRAIN)
    y, cells = targets.values[train], ids[train]
    within = sum(np.square(y[cells == c] - y[cells == c].mean(0)).sum() for c in range(3)) / (len(y) - 3)
    total = np.square(y - y.mean(0)).sum() / (len(y) - 1)
    found = held_out_errors(targets, ids, HeldOutFrames.of(sequences, HISTORY, MEDIAL), ("innovation",))
    assert found.epsilon_squared == pytest.approx(1 - within / total, rel=1e-9)


def test_epsilon_squared_needs_more_frames_than_cells():
    sequences = sequences_of()
    ids = np.arange(sequences.n_frames)
    generator = np.random.default_rng(0)
    targets = SimpleNamespace(sequences=sequences, history=HISTORY)
    y = generator.standard_normal((sequences.n_frames, 2))
    split = sequences.split[sequences.utterance]

    def chunks(splits, names):
        frames = np.flatnonzero(sequences.valid(HISTORY) & np.isin(split, splits))
        yield frames, {name: y[frames] for name in names}

    targets.chunks = chunks
    held = HeldOutFrames.of(sequences, HISTORY, MEDIAL)
    assert np.isnan(held_out_errors(targets, ids, held, ("innovation",)).epsilon_squared)


def test_held_out_frames_are_the_valid_ones_outside_train():
    sequences = sequences_of()
    held = HeldOutFrames.of(sequences, HISTORY, MEDIAL)
    first = int(LENGTHS[:3].sum())
    expected = [*range(first + HISTORY, first + 20), *range(first + 20 + HISTORY, first + 55)]
    assert held.frames.tolist() == expected
    assert held.split.tolist() == [HOLDOUT] * 18 + [EVAL] * 33
    assert held.speaker.tolist() == [0] * 18 + [3] * 33
    for name, mask in slice_masks(sequences, MEDIAL).items():
        np.testing.assert_array_equal(held.slices[name], mask[expected])


def test_slices_are_all_frames_the_loud_ones_and_the_middle_with_its_ends():
    sequences = sequences_of()
    slices = slice_masks(sequences, MEDIAL)
    assert slices["all"].all()
    np.testing.assert_array_equal(slices["high_energy"], sequences.energy > 0.5)
    middle = np.concatenate([[MEDIAL[0] <= t / k <= MEDIAL[1] for t in range(k)] for k in LENGTHS.tolist()])
    assert {MEDIAL[0], MEDIAL[1]} <= set(sequences.position.tolist())
    np.testing.assert_array_equal(slices["medial"], middle)


def test_a_gain_is_the_share_of_the_baselines_error_saved_resampled_over_speakers():
    generator = np.random.default_rng(2)
    speaker = np.array([4, 4, 7, 7, 7, 9, 9, 1])
    error, baseline = generator.random(8), 1 + generator.random(8)
    mask = np.array([True, True, True, False, True, True, True, False])
    held = HeldOutFrames(np.arange(8), speaker, np.full(8, EVAL), {})
    found = gain_estimate(error, baseline, held, mask, generator, 100)
    gain = 1 - error[mask].sum() / baseline[mask].sum()
    assert found.value == pytest.approx(gain, rel=1e-12)
    assert found.n == 3
    left_out = []
    for name in (4, 7, 9):
        rest = mask & (speaker != name)
        left_out.append(1 - error[rest].sum() / baseline[rest].sum())
    deviation = np.array(left_out) - np.mean(left_out)
    half = 4.302652729911275 * np.sqrt(2 / 3 * np.square(deviation).sum())
    assert (found.ci_low, found.ci_high) == pytest.approx((gain - half, gain + half), rel=1e-9)


@pytest.mark.parametrize("spread", [0.0, 0.2, 1.0, 5.0])
def test_means_are_shrunk_to_an_overall_mean_far_from_zero(spread):
    generator = np.random.default_rng(6)
    ids = generator.integers(0, 5, 80)
    y = 10 + spread * ids[:, None] * [1.0, -1.0, 0.5] + generator.standard_normal((80, 3))
    statistics = CellStatistics.empty(6, 3, False)
    statistics.add(ids, y)
    found = shrunk_means(statistics.count, statistics.total, statistics.sse_within())
    means = naive_shrunk_means(ids, y)
    np.testing.assert_allclose(found, [means.get(c, y.mean(0)) for c in range(6)], rtol=1e-9)


def test_one_cell_or_a_frame_a_cell_gives_the_overall_mean():
    y = 3 + np.random.default_rng(0).standard_normal((4, 2))
    for ids in (np.zeros(4, int), np.arange(4)):
        statistics = CellStatistics.empty(4, 2, False)
        statistics.add(ids, y)
        found = shrunk_means(statistics.count, statistics.total, statistics.sse_within())
        np.testing.assert_allclose(found, np.tile(y.mean(0), (4, 1)))


def test_two_cells_are_enough_to_tell_them_apart():
    y = np.array([[0.0], [0.2], [10.0], [10.2]])
    statistics = CellStatistics.empty(2, 1, True)
    statistics.add(np.array([0, 0, 1, 1]), y)
    means = naive_shrunk_means(np.array([0, 0, 1, 1]), y)
    found = shrunk_means(statistics.count, statistics.total, statistics.sse_within())
    np.testing.assert_allclose(found, [means[0], means[1]])
    np.testing.assert_allclose(statistics.square, [[0.04], [100 + 10.2**2]])
    empty = CellStatistics.empty(2, 1, False)
    assert (empty.sse_within(), empty.sse_total()) == (0, 0)


def test_one_frame_more_than_cells_is_enough_to_pool():
    """Valid train frames 2 to 4, the first two in one cell: their spread is all that is known."""
    lengths, split = np.array([5, 4]), np.array([TRAIN, EVAL])
    position, energy = np.zeros(9), np.ones(9)
    rows, speaker = np.array([0, 5]), np.array([0, 1])
    sequences = Sequences(np.zeros((9, 2)), rows, lengths, speaker, split, energy, energy > 0, position)
    ids = np.array([0, 0, 1, 1, 2, 0, 0, 1, 2])
    targets, held = Innovations(sequences, ids), HeldOutFrames.of(sequences, HISTORY, MEDIAL)
    errors = held_out_errors(targets, ids, held, ("innovation",))
    np.testing.assert_allclose(errors.nats, naive_nats(targets, ids, held.frames, max(SMOOTHING)), rtol=1e-9)
