import librosa
import numpy as np
import pytest
import torch

from soundgate.audio.mel import MelSettings, MelTransform, from_model, griffin_lim, invert_power, to_model

SETTINGS = MelSettings()


def tone(hz, duration_s=1.0, amplitude=0.5):
    t = np.arange(round(duration_s * SETTINGS.sample_rate)) / SETTINGS.sample_rate
    return torch.from_numpy((amplitude * np.sin(2 * np.pi * hz * t)).astype(np.float32))[None]


def test_it_is_librosas_mel_spectrogram_relative_to_its_maximum():
    wav = torch.from_numpy(np.random.default_rng(0).standard_normal((1, 22050)).astype(np.float32) * 0.1)
    power = librosa.feature.melspectrogram(
        y=wav[0].numpy(), sr=22050, n_fft=1024, hop_length=256, n_mels=96, fmin=20, pad_mode="reflect"
    )
    expected = librosa.power_to_db(power, ref=np.max, top_db=80)
    np.testing.assert_allclose(MelTransform(SETTINGS)(wav)[0].numpy(), expected, atol=2e-3)


def test_five_seconds_are_431_frames():
    assert MelTransform(SETTINGS)(tone(440, 5.0)).shape == (1, 96, 431)


def test_gain_changes_nothing_and_each_clip_has_its_own_reference():
    loud, quiet = tone(440), tone(440, amplitude=0.005)
    both = MelTransform(SETTINGS)(torch.cat([loud, quiet]))
    np.testing.assert_allclose(both[0].numpy(), both[1].numpy(), atol=1e-2)
    assert both.amax() == 0 and both.amin() >= -80


def test_a_tone_is_loudest_in_its_own_band():
    centres = librosa.mel_frequencies(98, fmin=20, fmax=11025)[1:-1]
    for hz in (220.0, 1000.0, 5000.0):
        loudest = int(MelTransform(SETTINGS)(tone(hz))[0].mean(-1).argmax())
        assert abs(loudest - int(np.abs(centres - hz).argmin())) <= 1


def test_silence_is_the_floor():
    assert (MelTransform(SETTINGS)(torch.zeros(1, 22050)) == -80).all()


def test_gradients_reach_the_waveform():
    wav = tone(440).requires_grad_()
    MelTransform(SETTINGS)(wav).mean().backward()
    assert torch.isfinite(wav.grad).all() and wav.grad.abs().max() > 0


def test_the_models_scale_and_back():
    assert to_model(np.array([-80.0, -40.0, 0.0])).tolist() == [-1, 0, 1]
    values = torch.linspace(-1, 1, 9)
    torch.testing.assert_close(to_model(from_model(values)), values)


@pytest.mark.parametrize("hz", [300.0, 1200.0])
def test_griffin_lim_gives_back_the_spectrogram_it_was_given(hz):
    decibels = MelTransform(SETTINGS)(tone(hz) + 0.3 * tone(2 * hz))[0]
    wav = griffin_lim(decibels.numpy(), SETTINGS)
    assert len(wav) == (decibels.shape[1] - 1) * 256 and np.abs(wav).max() == pytest.approx(0.9)
    again = MelTransform(SETTINGS)(torch.from_numpy(wav)[None])[0]
    loud = decibels[:, 8:-8] > -30
    assert (again - decibels)[:, 8:-8][loud].abs().mean() < 2
    assert np.array_equal(wav, griffin_lim(decibels.numpy(), SETTINGS))


def test_gradients_of_silence_are_finite():
    wav = torch.zeros(1, 4_096, requires_grad=True)
    MelTransform(SETTINGS)(wav).mean().backward()
    assert torch.isfinite(wav.grad).all()


def test_a_spectrogram_of_nothing_is_silence():
    assert not griffin_lim(np.full((96, 9), -1_000.0), SETTINGS).any()


def test_powers_are_turned_into_a_wave_at_their_level_by_32_rounds():
    wav = 0.25 * tone(600.0)[:, :8_192]
    power = MelTransform(SETTINGS).power(wav)[0]
    found = invert_power(power, SETTINGS)
    assert float(found.std()) == pytest.approx(float(wav.std()), rel=0.1)
    torch.testing.assert_close(found, invert_power(power, SETTINGS, 32), rtol=0, atol=0)
    assert not torch.equal(found, invert_power(power, SETTINGS, 31))


def test_the_smallest_settings_are_allowed_and_anything_below_is_not():
    least = {"sample_rate": 4_000, "n_fft": 64, "hop_length": 1, "n_mels": 8, "f_min": 0.0}
    MelSettings(**least)
    for name, value in least.items():
        with pytest.raises(ValueError, match=name):
            MelSettings(**least | {name: value - 1})
