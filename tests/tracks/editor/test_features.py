import librosa
import numpy as np
import pytest
import torch

from soundgate.tracks.editor import features as module
from soundgate.tracks.editor.edit_list import EditList, Segment, Tone
from soundgate.tracks.editor.features import Features, FeatureSettings, seed_normalised
from soundgate.tracks.editor.rendering import render
from soundgate.tracks.editor.timeline import target_on_raw_timeline

RATE = 22_050
FEATURES = Features(FeatureSettings())


def noise(seconds=3.0, level=0.2, seed=0):
    return (level * np.random.default_rng(seed).standard_normal(round(seconds * RATE))).astype(np.float32)


def test_the_frames_are_librosas():
    wav = noise()
    power = librosa.feature.melspectrogram(y=wav, sr=RATE, n_fft=2048, hop_length=512, n_mels=128, pad_mode="constant")
    unit = FEATURES(wav)
    assert unit.shape == (1 + len(wav) // 512, 128) and unit.dtype == np.float32
    np.testing.assert_allclose(FEATURES.to_db(unit), 10 * np.log10(power.T), atol=0.01)


def test_a_recording_in_blocks_is_the_recording_at_once(monkeypatch):
    wav = noise()
    whole = FEATURES.decibels(wav)
    monkeypatch.setattr(module, "_BLOCK_FRAMES", 7)
    np.testing.assert_allclose(FEATURES.decibels(wav), whole, atol=1e-3)
    np.testing.assert_allclose(FEATURES.of_batch(torch.from_numpy(wav)[None])[0], FEATURES(wav), atol=1e-5)


def test_a_full_scale_tone_reaches_the_ceiling_and_silence_is_the_floor():
    tone = np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE).astype(np.float32)
    assert FEATURES.decibels(tone)[5:-5].max() == pytest.approx(40.8, abs=0.1)
    assert FEATURES(0.9 * tone)[5:-5].max() < 1.0
    assert not FEATURES(np.zeros(RATE, np.float32)).any()


@pytest.mark.parametrize("n_samples", [0, 1, 511, 512, 1_000, 2_047])
def test_a_recording_shorter_than_a_transform_has_frames(n_samples):
    unit = FEATURES(np.full(n_samples, 0.5, np.float32))
    assert unit.shape == (1 + n_samples // 512, 128) and np.isfinite(unit).all()


def test_decibels_and_unit_are_inverse_where_nothing_is_cut_off():
    db = np.linspace(FEATURES.settings.floor_db, FEATURES.settings.ceiling_db, 9)
    np.testing.assert_allclose(FEATURES.to_db(FEATURES.from_db(db)), db)
    np.testing.assert_array_equal(FEATURES.from_db(np.array([-1_000.0, 1_000.0])), [0, 1])
    assert FEATURES.from_db(torch.tensor([48.0])) == 1


def test_the_seeds_scale_is_each_files_own():
    wav = noise()
    quiet, loud = (seed_normalised(FEATURES.decibels(gain * wav)) for gain in (0.01, 1))
    np.testing.assert_allclose(quiet, loud, atol=1e-4)
    assert loud.min() == 0 and loud.max() == pytest.approx(1)
    tall = np.array([[0.0, -200.0]])
    np.testing.assert_allclose(seed_normalised(tall), [[1, 0]])
    np.testing.assert_allclose(seed_normalised(np.array([[0.0, -40.0, -200.0]])), [[1, 0.5, 0]])
    assert not seed_normalised(np.full((3, 4), -130.0)).any()


def test_the_target_sounds_like_the_rendered_effect():
    wav = noise()
    tone = Tone(low_db=9.0, mid_db=-6.0, high_db=6.0)
    effect = Segment(label="EFFECT", start=0, stop=len(wav), gain=((0, 0.5), (1, 0.5)), tone=tone)
    edit = EditList(sample_rate=RATE, n_samples=len(wav), segments=(effect,))
    target = target_on_raw_timeline(
        FEATURES.decibels(wav).T, edit, 512, FEATURES.settings.floor_db, FEATURES.centres_hz
    ).T
    heard = FEATURES.decibels(render(wav[None], edit)[0])
    error = (target - heard)[4:-4]
    assert np.abs(error.mean(axis=0)).max() < 0.35 and np.abs(error).mean() < 0.3
