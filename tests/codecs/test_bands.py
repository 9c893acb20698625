"""``bands`` on signals whose energies are known, and what it keeps of a sound."""

import numpy as np
import pytest
import torch

from soundgate.codecs.gain_shape.transform import FLOOR, GAIN_CENTRE, GAIN_SCALE
from soundgate.codecs.synthetic import speech_like


@pytest.fixture(scope="module", params=[75, 12.5])
def codec(request, load_case):
    return load_case(f"bands_{request.param}")


@pytest.fixture(scope="module")
def long_wav():
    return torch.from_numpy(speech_like(4.0, 24_000, seed=2)).float()[None, None]


def test_at_75_hz_they_are_the_gains_of_gain_shape(load_case, long_wav):
    gain_shape = load_case("gain_shape_75")
    gains = gain_shape.encode(long_wav)[..., gain_shape.metric.is_gain]
    assert torch.equal(load_case("bands_75").encode(long_wav), gains)


def test_at_12_5_hz_energies_are_averaged(load_case, long_wav):
    fine, coarse = (load_case(f"bands_{rate}").encode(long_wav) for rate in (75, 12.5))
    energy = torch.exp(2 * (GAIN_SCALE * fine.double() + GAIN_CENTRE)).unflatten(1, (-1, 6)).mean(2)
    expected = (0.5 * torch.log(energy) - GAIN_CENTRE) / GAIN_SCALE
    torch.testing.assert_close(coarse.double(), expected, rtol=0, atol=1e-5)


def test_level_moves_every_band_alike(codec):
    noise = 0.1 * torch.randn(1, 1, 19_200, generator=torch.Generator().manual_seed(0))
    change = codec.encode(2 * noise) - codec.encode(noise)
    torch.testing.assert_close(change, torch.full_like(change, np.log(2) / GAIN_SCALE), rtol=0, atol=2e-5)


def test_silence_is_the_floor(codec):
    silent = codec.encode(torch.zeros(1, 1, 9_600))
    torch.testing.assert_close(silent, torch.full_like(silent, (np.log(FLOOR) - GAIN_CENTRE) / GAIN_SCALE))


def test_what_is_decoded_has_the_energies_it_was_decoded_from(codec, long_wav):
    latents = codec.encode(long_wav)
    again = codec.encode(codec.decode(latents))
    loud = latents > -2.0  # Above the floor, which is added twice.
    torch.testing.assert_close(again[loud], latents[loud], rtol=0, atol=1e-2)


def test_more_codebooks_are_nearer(codec, long_wav):
    latents = codec.encode(long_wav)
    codes = codec.quantise(latents)
    errors = [(codec.dequantise(codes[:, :n]) - latents).square().mean() for n in (1, 2, 4, 8)]
    assert errors == sorted(errors, reverse=True) and errors[-1] < 0.1 * errors[0]
