"""Bins of confounds and rows in a file, by loops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from soundgate.tracks.structure.linear import VectorAutoregression
from soundgate.tracks.structure.normaliser import Normaliser
from soundgate.tracks.structure.sequences import TRAIN
from soundgate.tracks.structure.targets import Confounds, Targets, compute_innovations, confound_bins
from tests.tracks.structure.test_against_naive import ragged_sequences

HISTORY = 5
IDENTITY = Normaliser(np.zeros(3), np.ones(3))


@pytest.mark.parametrize("n_bins", [2, 4, 7])
def test_bins_are_train_quantiles_of_the_energy_now_and_a_frame_ago_and_even_parts_of_the_utterance(n_bins):
    sequences = ragged_sequences()
    # Train frames are quieter, and frames without a history louder still: neither quantiles of all would do.
    split = sequences.split[sequences.utterance]
    energy = np.where(split == TRAIN, sequences.energy, 3 + sequences.energy)
    energy[~sequences.valid(HISTORY)] += 10
    sequences = replace(sequences, energy=energy)
    train = sorted(energy[t] for t in range(len(energy)) if split[t] == TRAIN and sequences.valid(HISTORY)[t])
    edges = []
    for i in range(1, n_bins):
        place = i / n_bins * (len(train) - 1)
        low = int(place)
        edges.append(train[low] + (place - low) * (train[min(low + 1, len(train) - 1)] - train[low]))
    now = [sum(edge <= e for edge in edges) for e in energy]
    found = confound_bins(sequences, HISTORY, n_bins)
    assert found.dtype == np.int16 and found.shape == (3, len(energy))
    assert found[0].tolist() == now
    assert found[1, 1:].tolist() == now[:-1]
    assert found[2].tolist() == [int(p * n_bins) for p in sequences.position]
    ends = replace(sequences, position=np.ones(len(energy)))
    assert set(confound_bins(ends, HISTORY, n_bins)[2]) == {n_bins - 1}


def test_what_confounds_predict_is_taken_off_frame_by_frame():
    bins = np.array([[0, 1, 1], [1, 0, 1]])
    effect = np.array([[[1.0, 2.0], [3.0, 4.0]], [[10.0, 20.0], [30.0, 40.0]]])
    left = Confounds(bins, effect).remove(np.full((2, 2), 100.0), np.array([2, 0]))
    assert left.tolist() == [[100 - 3 - 30, 100 - 4 - 40], [100 - 1 - 30, 100 - 2 - 40]]


def test_innovations_in_a_file_are_those_in_memory(tmp_path):
    sequences = ragged_sequences(chunk_frames=60)
    generator = np.random.default_rng(0)
    model = VectorAutoregression(generator.standard_normal((2, 3, 3)), generator.standard_normal(3), [0.0] * 3)
    memory = compute_innovations(sequences, IDENTITY, model)
    file = compute_innovations(sequences, IDENTITY, model, tmp_path / "rows.bin")
    for first, last in (
        (0, sequences.n_frames),
        (0, 1),
        (7, 7),
        (31, 64),
        (sequences.n_frames - 3, sequences.n_frames),
    ):
        np.testing.assert_array_equal(file[first:last], memory[first:last])


def test_targets_are_asked_for_by_name_and_are_of_valid_frames():
    sequences = ragged_sequences()
    generator = np.random.default_rng(0)
    rows = generator.standard_normal((sequences.n_frames, 3))
    scale = Normaliser(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 5.0]))
    targets = Targets(sequences, scale, scale, rows, HISTORY)
    numbers = []
    for frames, values in targets.chunks((TRAIN,), ("difference", "innovation")):
        assert list(values) == ["difference", "innovation"]
        np.testing.assert_array_equal(values["innovation"], rows[frames])
        for frame, value in zip(frames, values["difference"], strict=True):
            row = sequences.rows[sequences.utterance[frame]] + frame - sequences.starts[sequences.utterance[frame]]
            step = sequences.latents[row] - sequences.latents[row - 1]
            np.testing.assert_allclose(value, (step - scale.mean) / scale.std)
        numbers += frames.tolist()
    train = sequences.split[sequences.utterance] == TRAIN
    assert numbers == np.flatnonzero(sequences.valid(HISTORY) & train).tolist()
