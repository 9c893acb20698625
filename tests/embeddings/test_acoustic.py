"""Embedder ``acoustic`` against rooms and sounds whose truth is planted."""

import numpy as np
import pytest
from scipy.signal import butter, sosfilt
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

from soundgate.embeddings.acoustic import AcousticEmbedder
from soundgate.embeddings.acoustic.decay import decays
from soundgate.embeddings.acoustic.embedder import STANDARD, describe, orthonormal_map
from soundgate.embeddings.acoustic.onset import EDGES_S, onset_levels_db
from soundgate.embeddings.acoustic.spectrum import EDGES_HZ, Spectrum, band_levels_db

RATE = 48_000
N_ROOMS, N_TRAIN = 130, 100


def in_place(wav):
    return Spectrum.of(wav.astype(np.float32), RATE)


@pytest.fixture(scope="module")
def rooms(planted_room):
    return [planted_room(number) for number in range(N_ROOMS)]


@pytest.fixture(scope="module")
def embedded(rooms, noise, play):
    """All rooms under one probe, and those held out under another."""
    embedder, (first, second) = AcousticEmbedder(), (noise("one"), noise("two"))
    return (
        embedder.embed([play(first, ir) for ir, _ in rooms]),
        embedder.embed([play(second, ir) for ir, _ in rooms[N_TRAIN:]]),
    )


def test_a_room_is_nearest_to_itself_under_another_probe(embedded):
    first, second = embedded
    distances = np.linalg.norm(second[:, None] - first[None, N_TRAIN:], axis=-1)
    own = np.diag(distances)
    others = distances[~np.eye(len(own), dtype=bool)].reshape(len(own), -1)
    # Chance is 1 in 30.
    assert np.mean(own < others.min(axis=1)) >= 0.8
    assert own.mean() < 0.6 * others.mean()


def test_rt60_is_read_linearly_in_rooms_not_seen_under_a_probe_not_heard(embedded, rooms):
    log2_rt60 = np.log2([rt60_s for _, rt60_s in rooms])
    model = Ridge(alpha=0.01).fit(embedded[0][:N_TRAIN], log2_rt60[:N_TRAIN])
    read = model.predict(embedded[1])
    assert r2_score(log2_rt60[N_TRAIN:], read) > 0.85
    assert np.median(np.abs(read - log2_rt60[N_TRAIN:])) < np.log2(1.15)
    shuffled = np.random.default_rng(0).permutation(log2_rt60[:N_TRAIN])
    control = Ridge(alpha=0.01).fit(embedded[0][:N_TRAIN], shuffled).predict(embedded[1])
    assert r2_score(log2_rt60[N_TRAIN:], control) < 0.1


@pytest.mark.parametrize("rt60_s", [0.3, 0.6, 1.2])
def test_decay_finds_the_planted_rt60(rt60_s, planted_room, noise, play):
    log2_rt60 = []
    for name in range(4):
        ir, _ = planted_room(f"decay {name}", rt60_s)
        log2_rt60.append(decays(in_place(play(noise(f"decay {name}"), ir))).log2_rt60)
    # Bands under 1 kHz hold too few values in 3 s for a test this tight.
    assert 2 ** np.mean(np.array(log2_rt60)[:, 3:]) == pytest.approx(rt60_s, rel=0.12)


def test_a_dry_room_has_no_echoes(noise, planted_room, play):
    dry = decays(in_place(noise("dry"))).level_db
    wet = decays(in_place(play(noise("dry"), planted_room("wet", 0.8)[0]))).level_db
    assert (wet - dry)[2:].min() > 6


def test_band_levels_of_known_spectra(noise):
    level_db, *bands_db = band_levels_db(in_place(noise("white")))
    assert level_db == pytest.approx(-20, abs=0.1)
    # Bands at the low end hold few independent values.
    np.testing.assert_allclose(bands_db[15:], 0, atol=0.6)
    low_passed = sosfilt(butter(8, 1_000, fs=RATE, output="sos"), noise("white"))
    _, *bands_db = band_levels_db(in_place(low_passed))
    assert np.mean(np.array(bands_db)[EDGES_HZ[1:] < 900]) > 10
    assert -60 <= np.array(bands_db)[EDGES_HZ[:-1] > 12_000].min() < -58


def test_onset_rises_as_the_energy_of_the_response(noise, play):
    echo = np.zeros(round(0.3 * RATE), np.float32)
    echo[[0, round(0.16 * RATE)]] = 1.0
    rise = onset_levels_db(in_place(play(noise("onset"), echo)))
    before = np.searchsorted(EDGES_S[1:], 0.16, side="right")
    # Three standard deviations of 40 ms of noise in the narrow band; the wide one is three times as sure.
    for band, tolerance in ((0, 1.5), (1, 0.5)):
        np.testing.assert_allclose(rise[band, 3:before], -3.01, atol=tolerance)
        np.testing.assert_allclose(rise[band, before:], 0, atol=tolerance)
    assert np.abs(onset_levels_db(in_place(noise("onset")))[1]).max() < 1


def test_a_gain_moves_one_descriptor_by_its_decibels(noise):
    wav = noise("gain")
    quiet, loud = describe(wav), describe(2 * wav)
    expected = np.zeros(len(quiet))
    expected[0] = 20 * np.log10(2) / STANDARD["level_db"][1]
    np.testing.assert_allclose(loud - quiet, expected, atol=1e-6)


def test_the_map_keeps_every_angle():
    basis = np.stack([orthonormal_map(row) for row in np.eye(71)])
    np.testing.assert_allclose(basis @ basis.T, np.eye(71) / 71, atol=1e-12)
    assert (np.abs(basis) > 1e-6).mean() > 0.95
