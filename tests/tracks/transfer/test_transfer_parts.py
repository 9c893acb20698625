import tracemalloc

import numpy as np
import pytest
import soundfile

from soundgate.audio.programme import programme_loudness_lufs
from soundgate.tracks.transfer.transferring.bands import CENTRES, band_distance_db, spectrum, wanted_levels
from soundgate.tracks.transfer.transferring.equaliser import (
    MOST_DB,
    equaliser_gains,
    filtered,
    minimum_phase_filter,
    response,
)
from soundgate.tracks.transfer.transferring.file import Options, prepare, transfer_file, transfer_with
from soundgate.tracks.transfer.transferring.levels import MOST_LIMITED_DB, PEAK, match_loudness
from soundgate.tracks.transfer.transferring.limiter import limit
from soundgate.tracks.transfer.transferring.mosaic import choose, exemplar_of, features, hear, hop_samples, mosaic
from soundgate.tracks.transfer.transferring.recordings import open_recording
from soundgate.tracks.transfer.transferring.styles import open_style

from .recordings import RATE, noise, notes, write


def levels(wav, rate=RATE):
    return spectrum([np.atleast_2d(wav).T], rate).levels_db()


def test_levels_are_those_of_the_bands():
    white, pink = levels(noise(10)), levels(noise(10, -3.01))
    known = np.isfinite(white)
    assert known[:-4].all() and not known[CENTRES * 2 ** (1 / 6) > RATE / 2].any()
    middle = (CENTRES > 100) & (CENTRES < 8_000)
    assert np.polyfit(np.log2(CENTRES[middle]), white[middle], 1)[0] == pytest.approx(3.01, abs=0.1)
    assert np.polyfit(np.log2(CENTRES[middle]), pink[middle], 1)[0] == pytest.approx(0, abs=0.1)
    tone = levels(np.sin(2 * np.pi * 1000 * np.arange(5 * RATE) / RATE))
    assert np.nanargmax(tone) == np.argmin(np.abs(CENTRES - 1000)) and np.nanmax(tone) == pytest.approx(-3.01, abs=0.05)


def test_levels_do_not_depend_on_blocks():
    wav = noise(3, -2, channels=2).T
    parts = spectrum(np.split(wav, [100, 5_000, 5_001, 40_000]), RATE).power
    np.testing.assert_allclose(parts, spectrum([wav], RATE).power, rtol=1e-9)
    assert np.isfinite(spectrum([wav[:50]], RATE).power).all()


def test_a_filter_has_its_gains_and_nothing_before_its_cause():
    gains = 12 * np.sin(np.arange(len(CENTRES)) / 3)
    taps = minimum_phase_filter(gains, RATE)
    found = np.abs(np.fft.rfft(taps, 2**16))
    hz = np.linspace(0, RATE / 2, len(found))
    heard = (hz > 60) & (hz < 10_000)
    assert np.abs(20 * np.log10(found / response(gains, hz)))[heard].max() < 0.3
    energy = np.cumsum(taps.astype(np.float64) ** 2)
    assert np.argmax(np.abs(taps)) < 5 and energy[round(0.01 * RATE)] > 0.95 * energy[-1]
    np.testing.assert_allclose(minimum_phase_filter(np.zeros(29), RATE), np.eye(len(taps))[0], atol=1e-7)


def test_a_filter_does_not_depend_on_blocks():
    wav, taps = noise(2, channels=2).T, minimum_phase_filter(10 * np.cos(np.arange(29)), RATE)
    whole = np.concatenate([*filtered([wav], taps)])
    parts = np.concatenate([*filtered(np.split(wav, [1, 700, 30_000]), taps)])
    assert len(whole) == len(wav)
    np.testing.assert_allclose(parts, whole, atol=1e-6)
    np.testing.assert_allclose(whole[:, 1], np.convolve(wav[:, 1], taps)[: len(wav)], atol=1e-5)


def test_gains_are_bounded_and_nothing_is_raised_that_is_not_there():
    low = noise(5).T
    low = np.fft.irfft(np.fft.rfft(low, axis=0) * (np.fft.rfftfreq(len(low), 1 / RATE) < 2_000)[:, None], axis=0)
    gains = equaliser_gains(spectrum([low], RATE), wanted_levels([spectrum([noise(5, 6).T], RATE)]))
    assert gains[(CENTRES > 200) & (CENTRES < 1_500)].max() > 3 and gains[CENTRES > 2_500].max() <= 1e-9
    steep = equaliser_gains(spectrum([noise(5).T], RATE), wanted_levels([spectrum([noise(5, -12).T], RATE)]))
    assert steep.max() == MOST_DB and steep.min() == -MOST_DB
    # A style known up to 2 kHz says nothing of what is above.
    low = equaliser_gains(spectrum([noise(5).T], RATE), wanted_levels([spectrum([noise(5, -3, rate=4_000).T], 4_000)]))
    assert np.ptp(low[CENTRES > 2_000]) == 0


@pytest.mark.parametrize("slope_db", [-5, 3])
def test_the_equaliser_gives_the_levels_of_the_exemplar_and_keeps_the_loudness(tmp_path, slope_db):
    write(tmp_path / "a.wav", 0.3 * noise(6, -2, channels=2))
    write(tmp_path / "b.wav", noise(4, slope_db, seed=1, rate=44_100), 44_100)
    transfer_file(tmp_path / "a.wav", tmp_path / "out.wav", tmp_path / "b.wav")
    source, made = (soundfile.read(tmp_path / name)[0].T for name in ("a.wav", "out.wav"))
    wanted, found = levels(soundfile.read(tmp_path / "b.wav")[0], 44_100), levels(made)
    difference = (found - wanted)[(CENTRES > 50) & np.isfinite(found)]
    assert np.abs(difference - np.median(difference)).max() < 1
    assert band_distance_db(found, wanted) < 0.5 < 2 < band_distance_db(levels(source), wanted)
    assert programme_loudness_lufs(made, RATE) == pytest.approx(programme_loudness_lufs(source, RATE), abs=0.05)


def test_the_stereo_image_is_kept(tmp_path):
    left, right = noise(4, -2), noise(4, -2, seed=1)
    write(tmp_path / "a.wav", np.concatenate([left, -0.5 * left, 0.3 * right, 0 * left]))
    write(tmp_path / "b.wav", noise(4, -6, seed=2, channels=2))
    transfer_file(tmp_path / "a.wav", tmp_path / "out.wav", tmp_path / "b.wav")
    source, made = (soundfile.read(tmp_path / name)[0].T for name in ("a.wav", "out.wav"))
    assert not made[3].any() and np.abs(made[0] - source[0]).max() > 0.05
    np.testing.assert_allclose(made[1], -0.5 * made[0], atol=1e-6)
    before, after = (levels(one[0]) - levels(one[2]) for one in (source, made))
    known = (CENTRES > 100) & np.isfinite(before)
    np.testing.assert_allclose(before[known], after[known], atol=0.5)


def test_strength_zero_is_the_source_and_half_lies_between(tmp_path):
    write(tmp_path / "a.wav", noise(3, -1), subtype="PCM_24")
    write(tmp_path / "b.wav", noise(3, -5, seed=2))
    for strength in (0.0, 0.5, 1.0):
        transfer_file(tmp_path / "a.wav", tmp_path / f"{strength}.wav", tmp_path / "b.wav", strength=strength)
    source = soundfile.read(tmp_path / "a.wav", dtype="int32")[0]
    assert np.array_equal(source, soundfile.read(tmp_path / "0.0.wav", dtype="int32")[0])
    wanted = levels(noise(3, -5, seed=2))
    none, half, whole = (
        band_distance_db(levels(soundfile.read(tmp_path / f"{strength}.wav")[0]), wanted)
        for strength in (0.0, 0.5, 1.0)
    )
    assert whole < 0.3 < half < 0.6 * none


def test_blocks_change_nothing(tmp_path):
    write(tmp_path / "a.wav", notes([60, 64, 67, 72]))
    write(tmp_path / "b.wav", noise(2, -4))
    transfer = prepare(tmp_path / "b.wav", "embedded", Options())
    made = []
    for block in (7_001, 2**18):
        transfer_with(transfer, tmp_path / "a.wav", tmp_path / f"{block}.wav", block)
        made.append(soundfile.read(tmp_path / f"{block}.wav")[0])
    assert np.abs(made[0]).max() > 0.1
    np.testing.assert_allclose(made[0], made[1], atol=1e-5)


def test_nothing_clips_and_what_is_short_of_the_loudness_is_told():
    generator = np.random.default_rng(0)
    source = np.sign(generator.normal(size=(1, 3 * RATE))).astype(np.float32) * 0.9
    made = (generator.laplace(size=(1, 3 * RATE)) * 0.01).astype(np.float32)
    found = match_loudness(made, source, RATE)
    assert np.abs(made).max() <= PEAK + 1e-6 and found.short_db > 3
    assert found.limited_db == pytest.approx(MOST_LIMITED_DB, abs=0.1)
    quiet = (generator.normal(size=(1, 3 * RATE)) * 0.01).astype(np.float32)
    found = match_loudness(quiet, 0.1 * source, RATE)
    assert found.short_db < 0.05 and found.limited_db == 0
    assert found.result_lufs == pytest.approx(found.source_lufs, abs=0.05)
    # As loud as its source already, and clipping.
    peaked = (generator.laplace(size=(1, 3 * RATE)) * 0.15).astype(np.float32)
    match_loudness(peaked, np.clip(peaked, -1, 1), RATE)
    assert np.abs(peaked).max() <= PEAK + 1e-6
    # Too short for a loudness: by mean squares.
    short = quiet[:, :2000].copy()
    assert match_loudness(short, 0.1 * source[:, :2000], RATE).result_lufs is None
    assert np.square(short).mean() == pytest.approx(0.0081, rel=1e-3)


def test_peaks_are_limited_to_keep_the_loudness():
    source = 0.5 * noise(6, -2, channels=2)
    made = source.copy()
    made[:, 30_000::40_000] = 0.7
    made[1] *= 0.5
    found = match_loudness(made, 2.2 * source, RATE)
    assert np.abs(made).max() <= PEAK + 1e-6 and 0 < found.limited_db < MOST_LIMITED_DB
    assert found.result_lufs == pytest.approx(found.source_lufs, abs=0.1)


def test_a_limiter_touches_what_is_near_a_peak_and_keeps_sides():
    wav = 0.3 * noise(4, -1, channels=2)
    wav[0, [50_000, 70_001]] = 0.8, -0.5
    made = wav.copy()
    assert limit(made, RATE, 0.4) == pytest.approx(20 * np.log10(0.5), abs=0.01)
    assert np.abs(made).max() <= 0.4 + 1e-6
    far = np.ones(wav.shape[1], bool)
    for place in (50_000, 70_001):
        far[place - 1_200 : place + 1_200] = False
    assert np.array_equal(made[:, far], wav[:, far])
    gains = made / np.where(np.abs(wav) > 1e-4, wav, np.nan)
    assert np.nanmax(np.abs(gains[0] - gains[1])) < 1e-3
    assert np.nanmax(np.abs(np.diff(gains[1]))) < 0.01


def test_a_mosaic_plays_the_notes_of_the_source_by_those_of_the_exemplar(tmp_path):
    played, known = [60, 64, 67, 71, 62, 65, 69, 60], [65, 71, 62, 69, 60, 67, 64]
    source = np.repeat(notes(played), 2, axis=0) * [[1.0], [0.5]]
    write(tmp_path / "a.wav", source)
    write(tmp_path / "b.wav", notes(known, rate=44_100, partials=2, seconds=0.6), 44_100)
    style = open_style(tmp_path / "b.wav", "embedded")
    heard, exemplar = hear([source.T.astype(np.float32)], RATE), exemplar_of(style, RATE, 2)
    way = choose(features(heard), features(exemplar.frames))
    hop = hop_samples(RATE)
    right, whole = 0, 0
    for step, place in enumerate(way):
        time_s, place_s = step * hop / RATE, place * hop / RATE
        if 0.1 < time_s % 0.5 < 0.4 and time_s < 4:
            right += known[min(int(place_s / 0.6), 6)] == played[int(time_s / 0.5)]
            whole += 1
    assert whole > 40 and right > 0.95 * whole
    transfer_file(tmp_path / "a.wav", tmp_path / "out.wav", tmp_path / "b.wav", "knn")
    made = soundfile.read(tmp_path / "out.wav")[0].T
    assert made.shape == source.shape
    np.testing.assert_allclose(made[1], 0.5 * made[0], atol=1e-5)
    # The partials are the exemplar's: of middle C there is no third one.
    power = np.abs(np.fft.rfft(made[0][round(0.15 * RATE) : round(0.45 * RATE)])) ** 2
    hz = np.linspace(0, RATE / 2, len(power))
    first, third = (power[np.abs(hz - 261.6 * n) < 8].sum() for n in (1, 3))
    assert third < 1e-3 * first
    assert programme_loudness_lufs(made, RATE) == pytest.approx(programme_loudness_lufs(source, RATE), abs=0.05)


def test_a_mosaic_of_a_recording_by_itself_is_the_recording(tmp_path):
    wav = notes([60, 64, 67, 72, 61, 69]) + 0.02 * noise(3.0)
    write(tmp_path / "a.wav", wav)
    style = open_style(tmp_path / "a.wav", "embedded")
    made = np.concatenate([*mosaic(open_recording(tmp_path / "a.wav", tmp_path), style, 10_000)])
    np.testing.assert_allclose(made.T, wav, atol=1e-4)


def test_the_way_goes_on_unless_a_jump_pays():
    exemplar = np.eye(6, dtype=np.float32) * 3
    source = exemplar[[2, 3, 4, 0, 1, 2]]
    assert choose(source, exemplar).tolist() == [2, 3, 4, 0, 1, 2]
    strayed = exemplar[[2, 3, 1, 5]]
    assert choose(strayed, exemplar).tolist() == [2, 3, 1, 5]
    assert choose(0.1 * strayed, exemplar).tolist() == [2, 3, 4, 5]
    long = np.tile(source, (700, 1))
    assert np.array_equal(choose(long, exemplar), np.tile([2, 3, 4, 0, 1, 2], 700))


@pytest.mark.parametrize("path", ["knn"])
def test_blocks_change_nothing_that_is_heard(tmp_path, path):
    write(tmp_path / "a.wav", np.repeat(notes([60, 64, 67, 72]), 2, axis=0))
    write(tmp_path / "b.wav", notes([62, 60, 67, 71, 64], partials=3) + 0.02 * noise(2.5))
    made = []
    for block in (7_001, 2**18):
        transfer = prepare(tmp_path / "b.wav", "embedded", Options(path, 0.7))
        transfer_with(transfer, tmp_path / "a.wav", tmp_path / f"{block}.wav", block)
        made.append(soundfile.read(tmp_path / f"{block}.wav")[0])
    np.testing.assert_allclose(made[0], made[1], atol=1e-3)


@pytest.mark.parametrize("path", ["eq", "knn"])
def test_memory_does_not_grow_with_length(tmp_path, path):
    write(tmp_path / "b.wav", noise(3, -4))
    transfer, peaks = prepare(tmp_path / "b.wav", "embedded", Options(path)), []
    wav = noise(30, -2, channels=2)
    for n_parts in (2, 6):
        write(tmp_path / "a.wav", np.tile(wav, n_parts), subtype="PCM_16")
        tracemalloc.start()
        transfer_with(transfer, tmp_path / "a.wav", tmp_path / "out.wav")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert soundfile.info(tmp_path / "out.wav").frames == 180 * RATE
    assert peaks[1] < 1.1 * peaks[0] and peaks[1] < 80e6


@pytest.mark.parametrize("path", ["eq", "knn"])
@pytest.mark.parametrize("n_samples", [1, 900])
def test_the_shortest_recordings_are_transferred(tmp_path, path, n_samples):
    write(tmp_path / "a.wav", np.full((2, n_samples), 0.25))
    write(tmp_path / "b.wav", noise(1.5, -4))
    transfer_file(tmp_path / "a.wav", tmp_path / "out.wav", tmp_path / "b.wav", path)
    made = soundfile.read(tmp_path / "out.wav")[0]
    assert made.shape == (n_samples, 2) and 0.1 < np.abs(made).max() < 1
