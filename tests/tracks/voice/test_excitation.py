import numpy as np
import pytest
import torch

from soundgate.tracks.voice.model.excitation import frame_phases, harmonics, noise

RATE, HOP = 16_000, 256


def direct(f0_of_sample):
    """Sum the harmonics below half the sample rate one by one, in double precision, each of the same strength."""
    phase = np.concatenate([[0], np.cumsum(f0_of_sample)[:-1]]) / RATE
    count = 0.5 * RATE / f0_of_sample - 0.5
    total = np.zeros(len(phase))
    for k in range(1, int(count.max()) + 2):
        total += np.clip(count - k + 1, 0, 1) * np.cos(2 * np.pi * k * phase)
    return total * np.sqrt(2 / count)


@pytest.mark.parametrize("hz", [100.0, 200.0, 333.3])
def test_harmonics_are_the_sum_of_cosines(hz):
    f0 = torch.full((1, 9), hz)
    made = harmonics(f0, frame_phases(f0, HOP, RATE), HOP, RATE)[0]
    np.testing.assert_allclose(made, direct(np.full(8 * HOP, hz)), atol=0.05)
    assert made.square().mean() == pytest.approx(1, abs=0.05)


def test_a_gliding_fundamental_has_a_continuous_phase():
    f0 = torch.linspace(150, 250, 20)[None]
    made = harmonics(f0, frame_phases(f0, HOP, RATE), HOP, RATE)[0].numpy()
    fine = np.interp((np.arange(19 * HOP) + 0.5) / HOP, np.arange(20), f0[0])
    # A jump of the phase anywhere would move all cosines after it.
    np.testing.assert_allclose(made, direct(fine), atol=0.25)
    assert np.corrcoef(made, direct(fine))[0, 1] > 0.999


def test_there_are_no_harmonics_where_there_is_no_voice_and_they_fade_at_its_ends():
    f0 = torch.tensor([[0.0, 0, 120, 120, 120, 0, 0]])
    made = harmonics(f0, frame_phases(f0, HOP, RATE), HOP, RATE)[0].unflatten(0, (-1, HOP))
    assert made[0].abs().max() == 0 and made[-1].abs().max() == 0
    assert made[1, :64].square().mean() < 0.2 * made[2].square().mean()


def test_frames_from_the_middle_are_those_of_the_whole():
    f0 = torch.linspace(90, 300, 40)[None]
    phases = frame_phases(f0, HOP, RATE)
    whole = harmonics(f0, phases, HOP, RATE)
    part = harmonics(f0[:, 10:20], phases[:, 10:20], HOP, RATE)
    torch.testing.assert_close(part, whole[:, 10 * HOP : 19 * HOP])


def test_phases_stay_right_for_an_hour():
    f0 = torch.full((1, 225_000), 100.0)
    # 1.6 cycles a frame.
    assert float(frame_phases(f0, HOP, RATE)[0, -1]) == pytest.approx((1.6 * 224_999) % 1, abs=1e-4)


def test_noise_depends_on_the_position_alone():
    whole = noise(0, 40_000)
    assert torch.equal(noise(1_024, 500), whole[1_024:1_524])
    assert whole.square().mean() == pytest.approx(1, abs=0.03)
    spectrum = np.abs(np.fft.rfft(whole.numpy())) ** 2
    bands = spectrum[1:].reshape(8, -1).mean(axis=1)
    assert bands.max() / bands.min() < 1.2
