import numpy as np
import pytest
import torch
from pydantic import ValidationError

from soundgate.tracks.voice.features import FLOOR, FeatureSettings, LogMel, log_mel, track_f0
from tests.tracks.voice.spoken import FEATURES, HOP, RATE, vowels


def voiced_and_cents(found, truth):
    both = (found > 0) & (truth > 0)
    return ((found > 0) == (truth > 0)).mean(), 1200 * np.abs(np.log2(found[both] / truth[both]))


@pytest.mark.parametrize("f0", [75, 120, 210, 330])
@pytest.mark.parametrize("noise_db", [-40, -15])
def test_a_gliding_fundamental_is_found_to_a_few_cents_and_silence_is_unvoiced(f0, noise_db):
    wav, pitch = vowels(f0, 1.0, [0, 1, 2, 3] * 4)
    on = (np.arange(len(wav)) / RATE) % 0.8 < 0.55
    wav = np.where(on, wav, 0)
    noise = np.random.default_rng(0).normal(size=len(wav)) * wav[on].std() * 10 ** (noise_db / 20)
    found = track_f0((wav + noise).astype(np.float32), FEATURES)
    at = np.minimum(np.arange(len(found)) * HOP, len(wav) - 1)
    agreement, cents = voiced_and_cents(found, np.where(on[at], pitch[at], 0))
    assert len(found) == 1 + len(wav) // HOP and found.dtype == np.float32
    assert agreement > 0.93 and np.median(cents) < 6 and (cents > 200).mean() < 0.01


def test_noise_has_hardly_a_fundamental_and_silence_none():
    noise = np.random.default_rng(0).normal(size=RATE).astype(np.float32) * 0.1
    assert (track_f0(noise, FEATURES) > 0).mean() < 0.15
    assert not track_f0(np.zeros(RATE, np.float32), FEATURES).any()
    assert len(track_f0(np.zeros(10, np.float32), FEATURES)) == 1 == len(track_f0(noise[:10], FEATURES))


def test_the_level_of_a_voice_does_not_change_its_fundamental():
    wav, _ = vowels(140, 1.0, [0, 3, 2])
    np.testing.assert_allclose(track_f0(wav, FEATURES), track_f0(wav * np.float32(0.1), FEATURES), rtol=1e-3)


def test_a_tone_lies_in_its_band_and_frames_are_centred():
    t = torch.arange(RATE) / RATE
    mel = log_mel(0.5 * torch.sin(2 * torch.pi * 1_000 * t)[None], FEATURES)[0]
    assert mel.shape == (FEATURES.n_mels, FEATURES.n_frames(RATE))
    filters = LogMel(FEATURES).magnitude.mel_scale.fb
    assert mel.mean(dim=1).argmax() == filters[round(1_000 * FEATURES.n_fft / RATE)].argmax()
    click = torch.zeros(1, RATE)
    click[0, 20 * HOP] = 1
    assert log_mel(click, FEATURES)[0].sum(dim=0).argmax() == 20


def test_the_log_mel_is_of_magnitudes_and_stops_at_its_floor():
    wav = torch.randn(1, RATE, generator=torch.Generator().manual_seed(0)) * 0.1
    torch.testing.assert_close(log_mel(2 * wav, FEATURES) - log_mel(wav, FEATURES), torch.full((1, 32, 63), np.log(2)))
    np.testing.assert_allclose(log_mel(torch.zeros(1, 300), FEATURES), np.log(FLOOR), rtol=1e-6)


def test_a_range_of_fundamentals_that_falls_is_refused():
    with pytest.raises(ValidationError, match="f0_min_hz must lie below"):
        FeatureSettings.model_validate(FEATURES.model_dump() | {"f0_max_hz": 50})
