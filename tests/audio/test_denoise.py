"""Hum and hiss go, speech stays: measured against the truth on generated voices."""

from pathlib import Path

import numpy as np
import pytest
from noisereduce import reduce_noise
from scipy.signal import butter, sosfilt

from soundgate.audio.denoise import (
    LIMIT_DB,
    default_gating,
    denoise,
    estimate_snr_db,
    gate_noise,
    measure_levels,
    remove_hum,
    si_sdr_db,
)
from soundgate.audio.io import resample
from soundgate.corpora.espeak import SAMPLE_RATE as RATE
from soundgate.corpora.generated_speech import read_source, utterance

SOURCE = read_source(Path(__file__).resolve().parents[2] / "sources" / "generated_speech.yaml")
CLEAN_SNR_DB = 30.0


@pytest.fixture(scope="module")
def voices():
    return [utterance(SOURCE, SOURCE.voices[i], 3, f"u{i}")[1].astype(np.float32) / 32768 for i in range(4)]


def hiss(n_samples, seed):
    return np.random.default_rng(seed).standard_normal(n_samples)


def hum(n_samples, mains_hz, seed, rate=RATE):
    generator = np.random.default_rng(seed)
    lines = [0.6**k * np.sin(2 * np.pi * k * mains_hz * np.arange(n_samples) / rate + generator.uniform(0, 6)) for k in
             range(1, 8)]  # fmt: skip
    return np.sum(lines, axis=0)


def at_snr(truth, noise, snr_db):
    gain = np.sqrt(np.mean(truth**2) / np.mean(noise**2)) * 10 ** (-snr_db / 20)
    return (truth + gain * noise).astype(np.float32)


@pytest.mark.parametrize("snr_db", [15, 20, 25, 30, 40])
def test_the_sdr_never_falls_and_rises_where_there_is_noise(voices, snr_db):
    gains = []
    for seed, truth in enumerate(voices):
        noise = hiss(len(truth), seed) + hum(len(truth), (50.07, 59.95)[seed % 2], seed)
        noisy = at_snr(truth, noise, snr_db)
        result = denoise(noisy, RATE, CLEAN_SNR_DB)
        gains.append(si_sdr_db(result.wav, truth) - si_sdr_db(noisy, truth))
        assert result.snr_after_db >= result.snr_before_db
    assert min(gains) >= -1e-6
    if snr_db <= 25:
        assert min(gains) > 1


def test_other_rates_work_as_well(voices):
    for rate in (16_000, 44_100):
        truth = resample(voices[0][None], RATE, rate)[0]
        noisy = at_snr(truth, hiss(len(truth), 5) + hum(len(truth), 50.0, 5, rate), 20)
        assert si_sdr_db(denoise(noisy, rate, CLEAN_SNR_DB).wav, truth) > si_sdr_db(noisy, truth) + 2


def test_a_clean_recording_is_not_touched(voices):
    for truth in (voices[0], at_snr(voices[1], hiss(len(voices[1]), 1), 45)):
        result = denoise(truth, RATE, CLEAN_SNR_DB)
        assert result.wav is truth and result.steps == () and result.reason == "already clean"


def test_without_pauses_nothing_is_gated():
    busy = np.random.default_rng(0).standard_normal(4 * RATE) * np.linspace(0.01, 1, 4 * RATE)
    busy = busy.astype(np.float32)
    gated, taken = gate_noise(busy, measure_levels(busy, RATE), RATE)
    assert gated is busy and not taken.any()


def test_short_and_silent_recordings_come_back_as_they_are():
    for wav in (np.zeros(RATE, np.float32), np.ones(1, np.float32), np.full(300, 0.1, np.float32)):
        assert denoise(wav, RATE, CLEAN_SNR_DB).wav is wav
    with pytest.raises(ValueError, match="samples"):
        denoise(np.zeros(0, np.float32), RATE, CLEAN_SNR_DB)


@pytest.mark.parametrize("mains_hz", [49.9, 60.1])
def test_hum_in_speech_is_subtracted_almost_whole(voices, mains_hz):
    truth = at_snr(voices[1], hiss(len(voices[1]), 2), 40)
    noisy = at_snr(truth, hum(len(truth), mains_hz, 3), 20)
    without, _ = remove_hum(noisy, measure_levels(noisy, RATE), RATE)
    assert si_sdr_db(without, truth) > si_sdr_db(noisy, truth) + 12


def test_hum_that_is_not_there_is_not_removed(voices):
    noisy = at_snr(voices[1], hiss(len(voices[1]), 2), 20)
    without, taken = remove_hum(noisy, measure_levels(noisy, RATE), RATE)
    assert not taken.any()
    np.testing.assert_array_equal(without, noisy)


def test_the_gate_takes_no_more_than_the_floor_holds(voices):
    noisy = at_snr(voices[2], hiss(len(voices[2]), 4), 18)
    levels = measure_levels(noisy, RATE)
    gated, _ = gate_noise(noisy, levels, RATE)
    removed = measure_levels(noisy - gated, RATE).frames
    assert removed.mean() < 1.1 * levels.noise_power
    quiet = measure_levels(gated, RATE).frames[levels.quiet].mean()
    assert 10 * np.log10(quiet / levels.noise_power) < -6


def test_the_result_does_not_depend_on_what_follows_far_away(voices):
    # noisereduce's own blocks of 600,000 samples would show here as a seam.
    sos = butter(2, [300, 3000], "bandpass", fs=RATE, output="sos")
    long = np.tile(voices[3], 8)[: 30 * RATE]
    noisy = at_snr(long, sosfilt(sos, hiss(len(long), 6)), 18)
    result = denoise(noisy, RATE, CLEAN_SNR_DB)
    assert len(noisy) > 600_000 and "gate" in result.steps
    block = slice(590_000, 610_000)
    assert si_sdr_db(result.wav[block], long[block]) > si_sdr_db(noisy[block], long[block])
    np.testing.assert_array_equal(result.wav, denoise(noisy, RATE, CLEAN_SNR_DB).wav)


@pytest.mark.parametrize("snr_db", [15, 20, 25])
def test_the_estimated_snr_follows_the_true_one(voices, snr_db):
    truth = voices[0]
    estimates = [estimate_snr_db(at_snr(truth, hiss(len(truth), seed), snr_db), RATE) for seed in range(3)]
    assert np.mean(estimates) == pytest.approx(snr_db, abs=3)


@pytest.mark.parametrize("snr_db", [15, 25])
def test_the_default_gating_loses_what_ours_keeps(voices, snr_db):
    for seed, truth in enumerate(voices):
        noisy = at_snr(truth, hiss(len(truth), seed), snr_db)
        gated = default_gating(noisy, RATE)
        np.testing.assert_array_equal(gated, reduce_noise(noisy, RATE))
        assert gated.dtype == np.float32 and gated.shape == noisy.shape
        assert si_sdr_db(gated, truth) < si_sdr_db(noisy, truth) - 5
        assert si_sdr_db(denoise(noisy, RATE, CLEAN_SNR_DB).wav, truth) >= si_sdr_db(noisy, truth)


def test_the_default_gating_lowers_steady_noise_between_bursts():
    steady = 0.01 * hiss(4 * RATE, 0)
    steady[RATE : RATE + 2_000] += hiss(2_000, 1)
    gated = default_gating(steady.astype(np.float32), RATE)
    quiet, burst = slice(2 * RATE, 3 * RATE), slice(RATE, RATE + 2_000)
    assert np.std(gated[quiet]) < 0.5 * np.std(steady[quiet])
    assert np.std(gated[burst]) > 0.8 * np.std(steady[burst])


def test_sdr_has_its_known_values():
    generator = np.random.default_rng(0)
    truth = generator.standard_normal(1000)
    error = generator.standard_normal(1000)
    error -= np.vdot(error, truth) / np.vdot(truth, truth) * truth
    error *= 0.1 * np.linalg.norm(truth) / np.linalg.norm(error)
    assert si_sdr_db(truth + error, truth) == pytest.approx(20)
    assert si_sdr_db(-3 * (truth + error), truth) == pytest.approx(20)
    assert si_sdr_db(truth, truth) == LIMIT_DB and si_sdr_db(np.zeros(1000), truth) <= 0
    with pytest.raises(ValueError, match="shape"):
        si_sdr_db(truth[1:], truth)
