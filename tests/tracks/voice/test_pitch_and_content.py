"""Figures of pitch, content and steadiness, on input whose figures are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from soundgate.tracks.voice.audit.content import Units, agreement, audible
from soundgate.tracks.voice.audit.pitch import f0_correlation, f0_error_semitones, mean_f0_hz
from soundgate.tracks.voice.samples.coherence import Coherence, coherence

MELODY = 100 * 2 ** (np.array([0, 2, 4, 5, 7, 9, 11, 12, 7, 4]) / 12)  # Ten frames: the fewest.


def test_the_same_melody_at_another_height_and_range_is_the_same():
    assert f0_correlation(3 * MELODY**1.5, MELODY) == pytest.approx(1)
    assert f0_correlation(1 / MELODY, MELODY) == pytest.approx(-1)


def test_the_correlation_is_of_logarithms_where_both_are_voiced_and_the_longer_one_is_cut():
    generator = np.random.default_rng(0)
    made, said = 100 * np.exp(generator.standard_normal((2, 40)))
    made[::3], said[::4] = 0, 0
    both = [i for i in range(35) if made[i] and said[i]]
    x, y = (np.log(values[both]) - np.log(values[both]).mean() for values in (made, said))
    expected = (x * y).sum() / np.sqrt((x * x).sum() * (y * y).sum())
    assert f0_correlation(made, said[:35]) == pytest.approx(expected)
    assert f0_correlation(made[:35], said) == pytest.approx(expected)


def test_ten_voiced_frames_are_enough_and_nine_are_not():
    assert np.isnan(f0_correlation(MELODY, np.append(MELODY[:9], 0)))
    assert f0_correlation(np.append(MELODY[:9], 0), MELODY) == 0
    assert f0_correlation(MELODY, MELODY) == pytest.approx(1)
    assert f0_correlation(np.full(10, 100.0), MELODY) == f0_correlation(MELODY, np.full(10, 100.0)) == 0
    assert mean_f0_hz(MELODY) == pytest.approx(np.prod(MELODY) ** 0.1)
    assert mean_f0_hz(np.append(MELODY, [0, 0])) == pytest.approx(np.prod(MELODY) ** 0.1)
    assert np.isnan(mean_f0_hz(np.append(MELODY[:9], 0)))


def test_the_error_of_a_height_is_in_semitones_either_way_and_an_octave_where_nothing_is_voiced():
    for semitones in (-3.0, 0.0, 5.0):
        made = np.full(12, 200 * 2 ** (semitones / 12))
        assert f0_error_semitones(made, np.log(200)) == pytest.approx(abs(semitones), abs=1e-9)
    assert f0_error_semitones(np.zeros(12), np.log(200)) == 12


def test_parts_within_40_db_of_the_loudest_are_audible():
    wav = np.repeat([1.0, 0.0101, 0.0099, 0.0], 25).astype(np.float32)
    assert audible(wav, 4).tolist() == [True, True, False, False]
    assert not audible(np.zeros(8, np.float32), 4).any()


def test_agreement_counts_what_was_said_alone():
    said = np.array([3, -1, 4, 5, -1])
    assert agreement(np.array([3, 7, 4, 1, -1, 9]), said) == pytest.approx(2 / 3)
    assert agreement(np.array([-1, -1]), said) == 0
    assert np.isnan(agreement(said, np.full(5, -1)))


class Louder(nn.Module):
    """Unit 1 where a part of ten samples is positive, 0 elsewhere."""

    def __init__(self):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, batch):
        means = batch.reshape(len(batch), -1, 10).mean(2)
        return torch.stack([-means, means], dim=-1)


def test_a_unit_is_the_likeliest_one_or_none_where_nothing_is_audible():
    wav = np.repeat([0.5, -0.5, 0.001, 0.4], 10)
    assert Units(Louder())(wav).tolist() == [1, 0, -1, 1]


def test_coherence_is_mean_spread_lowest_and_drift_along_a_line():
    found = Coherence(np.array([1.0, 2.0, 4.0]), np.array([0.9, 0.7, 0.8])).as_dict()
    slope = (-4 / 3 * 0.1 + -1 / 3 * -0.1 + 5 / 3 * 0.0) / (16 / 9 + 1 / 9 + 25 / 9)
    expected = {"mean": 0.8, "spread": 0.1, "lowest": 0.7, "drift": 3 * slope, "n_windows": 3}
    assert found == pytest.approx(expected)
    two = Coherence(np.array([1.0, 2.0]), np.array([0.9, 0.7])).as_dict()
    assert two == {"mean": None, "spread": None, "lowest": None, "drift": None, "n_windows": 2}


class Level(nn.Module):
    """An embedding of a window: its mean and what is left of unit length."""

    def __init__(self):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, batch):
        mean = batch.mean(1)
        return torch.stack([mean, (1 - mean.square()).sqrt()], dim=1)


def test_windows_overlap_by_half_and_inaudible_ones_are_left_out():
    wav = np.repeat([0.8, 0.6, 0.001, 0.001, 0.4], 10).astype(np.float32)
    found = coherence(Level(), wav, np.array([1.0, 0.0], np.float32), 10, 2.0)
    assert found.start_s.tolist() == [0, 1, 3]
    assert found.similarity == pytest.approx([0.7, 0.3005, 0.2005], abs=1e-6)
