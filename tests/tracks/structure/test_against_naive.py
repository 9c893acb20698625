"""The streamed, accumulated metrics against a direct computation with loops, in float64, to 1e-10."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from soundgate.tracks.structure.cells import CellStatistics, shrunk_means
from soundgate.tracks.structure.contexts import projections, window_means, window_pca
from soundgate.tracks.structure.fitting import fit_conditioning
from soundgate.tracks.structure.gain import held_out_errors, slice_masks
from soundgate.tracks.structure.linear import edge_share, fit_autoregression
from soundgate.tracks.structure.moments import lagged_moments
from soundgate.tracks.structure.normaliser import Normaliser, fit_normalisers
from soundgate.tracks.structure.nulls import gain_problem
from soundgate.tracks.structure.scoring import build_scorer
from soundgate.tracks.structure.seed_metrics import seed_metrics
from soundgate.tracks.structure.sequences import EVAL, HOLDOUT, TRAIN, Sequences

TOLERANCE = 1e-10


def ragged_sequences(seed: int = 0, dim: int = 3, chunk_frames: int = 50) -> Sequences:
    """Return utterances of 1 to 40 frames of an AR process, one third eval, rows with gaps between utterances."""
    generator = np.random.default_rng(seed)
    lengths = np.concatenate([[1, 5, 12], generator.integers(8, 40, 33)])
    gaps = generator.integers(0, 3, len(lengths))
    rows = np.cumsum(gaps) + np.concatenate([[0], np.cumsum(lengths)[:-1]])
    latents = generator.standard_normal((rows[-1] + lengths[-1] + 2, dim))
    for t in range(1, len(latents)):
        latents[t] += 0.8 * latents[t - 1] * np.array([1, -0.5, 0.3])[:dim]
    latents += 5.0
    split = np.repeat([TRAIN, HOLDOUT, EVAL], [20, 4, 12])
    n = lengths.sum()
    energy = generator.random(n)
    position = np.concatenate([np.arange(k) / k for k in lengths])
    speaker = np.concatenate([np.arange(24) % 5, 5 + np.arange(12) % 3])
    return Sequences(latents, rows, lengths, speaker, split, energy, energy > 0.5, position, chunk_frames)


def windows_of(sequences: Sequences, normaliser: Normaliser, depth: int, splits: tuple[int, ...]):
    """Return z[t], z[t-1], ..., of every valid frame as ``[n, depth, D]``, by loops, and the frame numbers."""
    stacked, numbers = [], []
    for u, (row, length) in enumerate(zip(sequences.rows, sequences.lengths, strict=True)):
        if sequences.split[u] not in splits:
            continue
        z = (sequences.latents[row : row + length] - normaliser.mean) / normaliser.std
        for t in range(depth - 1, length):
            stacked.append([z[t - a] for a in range(depth)])
            numbers.append(sequences.starts[u] + t)
    return np.array(stacked), np.array(numbers)


HISTORY = 5


@pytest.fixture(scope="module")
def sequences() -> Sequences:
    return ragged_sequences()


@pytest.fixture(scope="module")
def normaliser(sequences) -> Normaliser:
    return fit_normalisers(sequences, HISTORY)[0]


def test_normalisers_are_the_train_means_and_deviations_of_valid_frames(sequences):
    identity = Normaliser(np.zeros(3), np.ones(3))
    stacked, _ = windows_of(sequences, identity, HISTORY + 1, (TRAIN,))
    frames, differences = fit_normalisers(sequences, HISTORY)
    np.testing.assert_allclose(frames.mean, stacked[:, 0].mean(0), rtol=TOLERANCE)
    np.testing.assert_allclose(frames.std, stacked[:, 0].std(0), rtol=TOLERANCE)
    change = stacked[:, 0] - stacked[:, 1]
    np.testing.assert_allclose(differences.mean, change.mean(0), rtol=TOLERANCE, atol=TOLERANCE)
    np.testing.assert_allclose(differences.std, change.std(0), rtol=TOLERANCE)


@pytest.mark.parametrize("splits", [(TRAIN,), (HOLDOUT,), (TRAIN, EVAL)])
def test_lagged_moments_equal_stacked_windows(sequences, normaliser, splits):
    stacked, _ = windows_of(sequences, normaliser, HISTORY + 1, splits)
    moments = lagged_moments(sequences, normaliser, HISTORY, splits)
    assert moments.n == len(stacked)
    np.testing.assert_allclose(moments.total, stacked.sum(0), atol=1e-9)
    direct = np.einsum("nad,nbe->abde", stacked, stacked)
    np.testing.assert_allclose(moments.product, direct, atol=1e-9)
    flat = stacked[:, 2:5].reshape(len(stacked), -1)
    np.testing.assert_allclose(moments.covariance(range(2, 5)), np.cov(flat.T, bias=True), atol=TOLERANCE)


def test_moments_do_not_depend_on_the_chunks(sequences, normaliser):
    whole = ragged_sequences(chunk_frames=10_000)
    a = lagged_moments(sequences, normaliser, HISTORY, (TRAIN,))
    b = lagged_moments(whole, normaliser, HISTORY, (TRAIN,))
    np.testing.assert_allclose(a.product, b.product, atol=1e-9)


def test_ridge_is_the_closed_form_on_the_design_matrix(sequences, normaliser):
    stacked, _ = windows_of(sequences, normaliser, HISTORY + 1, (TRAIN,))
    moments = lagged_moments(sequences, normaliser, HISTORY, (TRAIN,))
    model = fit_autoregression(moments, lagged_moments(sequences, normaliser, HISTORY, ()), (0.1,))
    x, y = stacked[:, 1:].reshape(len(stacked), -1), stacked[:, 0]
    xc, yc = x - x.mean(0), y - y.mean(0)
    penalty = 0.1 * np.trace(xc.T @ xc) / xc.shape[1]
    weight = np.linalg.solve(xc.T @ xc + penalty * np.eye(xc.shape[1]), xc.T @ yc)
    np.testing.assert_allclose(model.weight.reshape(weight.shape), weight, atol=TOLERANCE)
    np.testing.assert_allclose(model.intercept, y.mean(0) - x.mean(0) @ weight, atol=TOLERANCE)


def test_every_output_has_the_penalty_with_the_least_held_out_error(sequences, normaliser):
    moments, held, none = (lagged_moments(sequences, normaliser, HISTORY, s) for s in ((TRAIN,), (HOLDOUT,), ()))
    stacked, _ = windows_of(sequences, normaliser, HISTORY + 1, (HOLDOUT,))

    def errors(model) -> np.ndarray:
        predicted = model.intercept + np.einsum("njd,jde->ne", stacked[:, 1:], model.weight)
        return np.square(stacked[:, 0] - predicted).sum(0)

    ridges = (1e-3, 1.0, 100.0)
    alone = np.stack([errors(fit_autoregression(moments, none, (ridge,))) for ridge in ridges])
    chosen = fit_autoregression(moments, held, ridges)
    assert (errors(chosen) <= alone.min(0) * (1 + 1e-9)).all()
    for d, ridge in enumerate(chosen.ridge):
        if ridge in ridges:
            assert ridges.index(ridge) == alone[:, d].argmin()


def test_penalties_are_of_each_output_and_an_end_of_the_list_is_left():
    generator = np.random.default_rng(0)
    x = np.zeros((60, 80, 2))
    x[..., 1] = generator.standard_normal((60, 80))
    for t in range(1, 80):
        x[:, t, 0] = 0.9 * x[:, t - 1, 0] + generator.standard_normal(60)
    split = np.repeat([TRAIN, HOLDOUT], 30)
    shape = {"speaker": np.arange(60), "split": split, "energy": np.ones(4800), "position": np.zeros(4800)}
    made = Sequences(x.reshape(-1, 2), np.arange(60) * 80, np.full(60, 80), high_energy=np.ones(4800, bool), **shape)
    same = Normaliser(np.zeros(2), np.ones(2))
    fit, held = (lagged_moments(made, same, 2, (s,)) for s in (TRAIN, HOLDOUT))
    model = fit_autoregression(fit, held, (10.0, 100.0))
    assert model.ridge[0] < 1.0 and (model.ridge[1] is None or model.ridge[1] > 10 * model.ridge[0])
    assert edge_share(model, (10.0, 100.0)) == 0.5  # 0.01, as far down as the list may go.
    assert edge_share(replace(model, ridge=[0.01, None]), (10.0, 100.0)) == 0.5


def test_window_features_equal_flattened_windows(sequences, normaliser):
    moments = lagged_moments(sequences, normaliser, HISTORY, (TRAIN,))
    pca = window_pca(moments, 1, 3, 2)
    z = normaliser(sequences.latents[int(sequences.rows[5]) : int(sequences.rows[5] + sequences.lengths[5])])
    for t in range(2, len(z)):
        window = np.stack([z[t], z[t - 1], z[t - 2]])
        np.testing.assert_allclose(window_means(z, 3)[t], window.mean(0), atol=TOLERANCE)
        direct = np.einsum("wd,wdc->c", window - pca.mean, pca.components)
        np.testing.assert_allclose(projections(z, pca)[t], direct, atol=TOLERANCE)


def test_window_pca_are_the_eigenvectors_of_the_flattened_windows(sequences, normaliser):
    moments = lagged_moments(sequences, normaliser, HISTORY, (TRAIN,))
    pca = window_pca(moments, 2, 3, 2)
    stacked, _ = windows_of(sequences, normaliser, HISTORY + 1, (TRAIN,))
    flat = stacked[:, 2:5].reshape(len(stacked), -1)
    values, vectors = np.linalg.eigh(np.cov(flat.T, bias=True))
    for c in range(2):
        assert abs(vectors[:, -1 - c] @ pca.components[..., c].ravel()) == pytest.approx(1, abs=1e-9)
    np.testing.assert_allclose(pca.explained, values[::-1][:2] / values.sum(), atol=TOLERANCE)


@pytest.fixture(scope="module")
def scored(sequences, small_conditioning, small_metrics):
    fitted = fit_conditioning(sequences, small_conditioning, seed=3)
    scorer = build_scorer(sequences, fitted, small_conditioning.history, small_metrics, 3, None)
    return fitted, scorer, small_conditioning.history


def test_a_work_folder_changes_no_number(sequences, scored, small_metrics, tmp_path):
    fitted, scorer, history = scored
    other = build_scorer(sequences, fitted, history, small_metrics, 3, tmp_path)
    errors = [held_out_errors(one.targets, fitted.ids[0], one.held) for one in (scorer, other)]
    assert other.numbers(errors[1], "any") == scorer.numbers(errors[0], "any")


def naive_targets(sequences, fitted, history):
    stacked, numbers = windows_of(sequences, fitted.frames, history + 1, (TRAIN, HOLDOUT, EVAL))
    innovation = stacked[:, 0] - fitted.linear.intercept
    innovation -= np.einsum("njd,jde->ne", stacked[:, 1:], fitted.linear.weight)
    raw = stacked * fitted.frames.std + fitted.frames.mean
    difference = (raw[:, 0] - raw[:, 1] - fitted.differences.mean) / fitted.differences.std
    return numbers, {"difference": difference, "next": stacked[:, 0], "innovation": innovation}


def test_held_out_errors_equal_loops_over_cells(sequences, scored):
    fitted, scorer, history = scored
    numbers, targets = naive_targets(sequences, fitted, history)
    split = sequences.split[sequences.utterance[numbers]]
    for column in range(len(fitted.ids)):
        ids = fitted.ids[column][numbers]
        errors = held_out_errors(scorer.targets, fitted.ids[column], scorer.held)
        for name, y in targets.items():
            means = naive_shrunk_means(ids[split == TRAIN], y[split == TRAIN])
            overall = y[split == TRAIN].mean(0)
            expected = np.array(
                [
                    np.square(v - means.get(c, overall)).sum()
                    for v, c, s in zip(y, ids, split, strict=True)
                    if s != TRAIN
                ]
            )
            np.testing.assert_allclose(errors.squared[name], expected, rtol=TOLERANCE, atol=TOLERANCE)


def naive_shrunk_means(ids: np.ndarray, y: np.ndarray) -> dict[int, np.ndarray]:
    """Return cell means shrunk by n / (n + within / between), written out from the one-way random model."""
    cells = sorted(set(ids.tolist()))
    n, k = len(y), len(cells)
    overall = y.mean(0)
    within = sum(np.square(y[ids == c] - y[ids == c].mean(0)).sum() for c in cells) / (n - k)
    between = sum((ids == c).sum() * np.square(y[ids == c].mean(0) - overall).sum() for c in cells)
    n0 = n - sum((ids == c).sum() ** 2 for c in cells) / n
    variance = (between - (k - 1) * within) / n0
    means = {}
    for c in cells:
        size = (ids == c).sum()
        weight = size / (size + within / variance) if variance > 0 else 0.0
        means[c] = overall + weight * (y[ids == c].mean(0) - overall)
    return means


def test_the_seed_numbers_equal_loops_over_cells(sequences, scored):
    fitted, scorer, history = scored
    slices = slice_masks(sequences, (0.17, 0.83))
    numbers, targets = naive_targets(sequences, fitted, history)
    y, split = targets["difference"], sequences.split[sequences.utterance[numbers]]
    for column in range(len(fitted.ids)):
        ids = fitted.ids[column][numbers]
        found, _ = seed_metrics(scorer.targets, fitted.ids[column], slices, min_frames=10)
        effective = [c for c in set(ids[split == TRAIN]) if (ids[split == TRAIN] == c).sum() >= 10]
        assert found["n_effective"] == len(effective)
        assert found["excluded_train"] == pytest.approx(1 - np.isin(ids[split == TRAIN], effective).mean())
        for part, key in ((TRAIN, "variance_ratio_train"), (EVAL, "variance_ratio_eval")):
            for name, mask in slices.items():
                chosen = (split == part) & mask[numbers] & np.isin(ids, effective)
                assert found[key][name] == pytest.approx(naive_ratio(y[chosen], ids[chosen]), rel=TOLERANCE)
        inside = y[(split == TRAIN) & np.isin(ids, effective)]
        cells = ids[(split == TRAIN) & np.isin(ids, effective)]
        marginal = 0.5 * np.log(inside.var(0)).sum()
        conditional = sum((cells == c).mean() * 0.5 * np.log(inside[cells == c].var(0)).sum() for c in effective)
        assert found["entropy"] == pytest.approx(marginal, rel=TOLERANCE, abs=TOLERANCE)
        assert found["conditional_entropy"] == pytest.approx(conditional, rel=TOLERANCE, abs=TOLERANCE)
        assert found["entropy_reduction_nats_per_dim"] == pytest.approx((marginal - conditional) / 3, abs=TOLERANCE)
        if abs(marginal) > 1e-3:
            assert found["entropy_reduction"] == pytest.approx((marginal - conditional) / marginal, rel=1e-9)


def naive_ratio(y: np.ndarray, ids: np.ndarray) -> float:
    within = sum(np.square(v - y[ids == c].mean(0)).sum() for v, c in zip(y, ids, strict=True))
    return within / np.square(y - y.mean(0)).sum()


def test_gains_of_the_null_statistic_equal_the_scored_ones(sequences, scored):
    fitted, scorer, history = scored
    valid = sequences.valid(history)
    problem = gain_problem(sequences, np.asarray(scorer.targets.innovations)[valid], valid, (0.17, 0.83))
    for column in range(len(fitted.ids)):
        errors = held_out_errors(scorer.targets, fitted.ids[column], scorer.held)
        for s, part in enumerate(("all", "high_energy", "medial")):
            expected = scorer.gain(errors, "innovation", EVAL, part, "any").value
            assert problem.gains(fitted.ids[column][valid])[s] == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_confounds_are_the_least_squares_fit_on_one_hot_bins(sequences, scored):
    _, scorer, history = scored
    bins = scorer.targets.confounds.bins
    train = np.flatnonzero(sequences.valid(history) & (sequences.split[sequences.utterance] == TRAIN))
    design = np.concatenate([np.eye(bins.max() + 1)[b[train]] for b in bins], axis=1)
    y = np.asarray(scorer.targets.innovations)[train]
    fitted = design @ np.linalg.lstsq(design, y, rcond=None)[0]
    np.testing.assert_allclose(scorer.targets.confounds.remove(y, train), y - fitted, atol=1e-9)


def test_shrinkage_is_total_without_differences_and_vanishes_without_noise():
    count, means = np.array([50.0, 50.0]), np.array([[1.0, 0.0], [-1.0, 0.0]])
    np.testing.assert_allclose(shrunk_means(count, count[:, None] * means, 1e-12), means, atol=1e-9)
    np.testing.assert_allclose(shrunk_means(count, count[:, None] * 1e-9 * means, 100.0), 0, atol=1e-12)


def test_cell_statistics_add_up_over_batches():
    generator = np.random.default_rng(0)
    ids, y = generator.integers(0, 7, 200), generator.standard_normal((200, 4))
    whole, parts = CellStatistics.empty(7, 4, True), CellStatistics.empty(7, 4, False)
    whole.add(ids, y)
    for i in range(0, 200, 33):
        parts.add(ids[i : i + 33], y[i : i + 33])
    np.testing.assert_allclose(parts.total, whole.total, atol=1e-12)
    assert parts.sse_within() == pytest.approx(whole.sse_within(), rel=1e-12)
    np.testing.assert_allclose(whole.square.sum(), parts.energy, rtol=1e-12)
    assert whole.sse_total() == pytest.approx(np.square(y - y.mean(0)).sum(), rel=1e-12)
