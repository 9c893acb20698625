import numpy as np
import pytest

from soundgate.audio.noisy import with_white_noise


@pytest.mark.parametrize("snr_db", [0.0, 20.0])
def test_the_noise_is_as_loud_as_was_asked_and_keyed_by_its_seed(snr_db):
    wav = np.sin(np.arange(16_000) / 5).astype(np.float32)
    noisy = with_white_noise(wav, 16_000, snr_db, 1)
    assert 10 * np.log10(np.mean(wav**2) / np.mean((noisy - wav) ** 2)) == pytest.approx(snr_db, abs=0.2)
    np.testing.assert_array_equal(with_white_noise(wav, 16_000, snr_db, 1), noisy)
    assert not np.array_equal(with_white_noise(wav, 16_000, snr_db, 2), noisy)
