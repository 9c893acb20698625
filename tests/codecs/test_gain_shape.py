"""``gain_shape`` on signals whose gains and shapes are known, and what its quantisation keeps."""

from pathlib import Path

import numpy as np
import pytest
import torch

from soundgate.codecs import codebooks
from soundgate.codecs.gain_shape.layout import band_edges, coefficients_per_sub_frame, make_layout
from soundgate.codecs.gain_shape.metric import Metric
from soundgate.codecs.gain_shape.transform import FLOOR, GAIN_CENTRE, GAIN_SCALE
from soundgate.codecs.registry import load_codec
from soundgate.codecs.synthetic import speech_like
from soundgate.codecs.weights import save_weights
from soundgate.runtime.errors import WeightsError

SPEECH = Path(__file__).resolve().parents[3] / "shared" / "audio" / "speech"
RATES = [75, 12.5]


@pytest.fixture(scope="module", params=RATES)
def codec(request, load_case):
    return load_case(f"gain_shape_{request.param}")


@pytest.fixture(scope="module")
def long_wav():
    return torch.from_numpy(speech_like(8.0, 24_000, seed=2)).float()[None, None]


def test_bands_are_equally_wide_in_bark():
    edges = band_edges()
    assert len(edges) == 23 and edges[0] == 0 and edges[-1] == 320
    frequency = edges * 37.5
    width = np.diff(26.81 * frequency / (1960 + frequency))
    # Rounding to whole bins moves the narrow low bands' edges by up to a fifth of a band.
    assert (np.diff(edges) >= 2).all() and np.abs(width - width.mean()).max() < 0.3


def test_dimensions_are_filled_exactly():
    assert coefficients_per_sub_frame(75, None) == [106]
    assert coefficients_per_sub_frame(12.5, None) == [64, 63, 63, 64, 63, 63]
    assert coefficients_per_sub_frame(12.5, 10) == [10] * 6


@pytest.mark.parametrize("rate", RATES)
def test_layout_restores_what_it_keeps(rate):
    layout = make_layout(rate, None)
    values = np.arange(layout.n_sub_frames * 342)
    restored = values[layout.keep][layout.take]
    assert (restored == values)[~layout.is_folded].all()
    assert layout.is_folded.sum() == len(values) - layout.dim
    # A folded coefficient is a copy of a shape of the same sub-frame.
    assert (restored // 342 == values // 342).all() and (restored[layout.is_folded] % 342 >= 22).all()


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("window", ["sine", "vorbis"])
def test_all_coefficients_reconstruct_perfectly(rate, window, long_wav, si_sdr_db):
    codec = load_codec("gain_shape", {"frame_rate": rate, "n_coefficients": 320, "window": window})
    assert codec.dim == {75: 342, 12.5: 6 * 342}[rate]
    assert si_sdr_db(codec.decode(codec.encode(long_wav)), long_wav) > 100
    silence = torch.zeros(1, 1, 2 * codec.hop_length)
    assert codec.decode(codec.encode(silence)).abs().max() == 0


def test_reconstruction_before_quantising(codec, long_wav, si_sdr_db):
    assert si_sdr_db(codec.decode(codec.encode(long_wav)), long_wav) > {75.0: 6, 12.5: 2}[codec.frame_rate]


@pytest.mark.skipif(not SPEECH.is_dir(), reason="no real speech here")
def test_reconstruction_of_real_speech(codec, si_sdr_db):
    soundfile, soxr = pytest.importorskip("soundfile"), pytest.importorskip("soxr")
    measured = []
    for path in sorted(SPEECH.rglob("*.flac"))[::20]:
        samples, sample_rate = soundfile.read(path, dtype="float32")
        speech = torch.from_numpy(soxr.resample(samples, sample_rate, 24_000))[None, None]
        measured.append(si_sdr_db(codec.decode(codec.encode(speech)), speech))
    assert np.mean(measured) > {75.0: 10, 12.5: 7}[codec.frame_rate]


def test_gains_of_noise_and_silence(codec):
    noise = 0.1 * torch.randn(1, 1, 48_000, generator=torch.Generator().manual_seed(0))
    gains = codec.encode(noise)[0, 1:-1][:, codec.metric.is_gain]
    # White noise of RMS 0.1 has coefficients of RMS 0.1; the log of a few of them is biased low.
    assert gains.mean() == pytest.approx((np.log(0.1) - GAIN_CENTRE) / GAIN_SCALE, abs=0.1)
    silent = codec.encode(torch.zeros(1, 1, 9_600))[0]
    floor = (np.log(FLOOR) - GAIN_CENTRE) / GAIN_SCALE
    gains = silent[:, codec.metric.is_gain]
    torch.testing.assert_close(gains, torch.full_like(gains, floor))
    assert silent[:, ~codec.metric.is_gain].abs().max() == 0


def test_level_moves_gains_alone(codec):
    noise = 0.1 * torch.randn(1, 1, 19_200, generator=torch.Generator().manual_seed(0))
    change = codec.encode(2 * noise) - codec.encode(noise)
    expected = torch.where(codec.metric.is_gain, np.log(2) / GAIN_SCALE, 0.0).float()
    torch.testing.assert_close(change, expected.expand_as(change), rtol=0, atol=2e-5)


def test_decoding_is_linear_in_shapes_and_exponential_in_gains(codec, long_wav):
    latents = codec.encode(long_wav[..., :19_200])
    shapes = torch.where(codec.metric.is_gain, latents, 2.5 * latents)
    torch.testing.assert_close(codec.decode(shapes), 2.5 * codec.decode(latents), rtol=1e-4, atol=1e-5)
    gains = torch.where(codec.metric.is_gain, latents + np.log(2.5) / GAIN_SCALE, latents)
    torch.testing.assert_close(codec.decode(gains), 2.5 * codec.decode(latents), rtol=1e-4, atol=1e-5)


def test_folding_keeps_the_high_band_energy(codec, long_wav):
    latents = codec.encode(long_wav)
    again = codec.encode(codec.decode(latents))
    original, folded = (values.reshape(-1, codec.dim)[:, 20:22] for values in (latents, again))
    loud = original > -1.0
    assert (folded - original)[loud].mean().abs() * GAIN_SCALE < 0.5
    unfolded = load_codec("gain_shape", {"frame_rate": codec.frame_rate, "fold_gain": 0})
    assert unfolded.encode(unfolded.decode(latents))[0, :, 21].mean() < original[:, 1].mean() - 1


def test_more_codebooks_sound_better(codec, long_wav, si_sdr_db):
    codes = codec.quantise(codec.encode(long_wav))
    measured = [si_sdr_db(codec.decode_codes(codes[:, :n]), long_wav) for n in (3, 4, 6, 8)]
    assert np.diff(measured).min() > 0.2


def test_fitting_on_the_corpus_beats_the_built_in_codebooks(long_wav, si_sdr_db):
    codec = load_codec("gain_shape", {"codebook_size": 64})
    latents = codec.encode(long_wav)
    before = si_sdr_db(codec.decode_codes(codec.quantise(latents)), long_wav)
    codec.fit(latents[0])
    assert si_sdr_db(codec.decode_codes(codec.quantise(latents)), long_wav) > before + 1
    with pytest.raises(ValueError, match="at least 64 frames"):
        codec.fit(latents[0, :63])


def test_built_in_codebooks_are_the_same_every_time(load_case):
    n_threads = torch.get_num_threads()
    built_in = load_case("gain_shape_75").codebooks
    with torch.inference_mode():
        assert torch.equal(load_codec("gain_shape", {}).codebooks, built_in)
    assert torch.get_num_threads() == n_threads


def test_codebooks_of_another_shape_refused(tmp_path, load_case):
    save_weights(load_case("gain_shape_75").weights(), tmp_path / "codebooks.safetensors")
    with pytest.raises(WeightsError, match=r"\[8, 256, 512\]; found torch.float32 \[8, 256, 128\]"):
        load_codec("gain_shape", {"frame_rate": 12.5, "weights": str(tmp_path / "codebooks.safetensors")})
    with pytest.raises(WeightsError, match="hub"):
        load_codec("gain_shape", {"weights": "hub"})


def test_planted_codes_are_found():
    """Codebooks a hundred times finer stage by stage: greedy search finds the planted codes."""
    metric = Metric(torch.tensor([True, False, False]), torch.tensor([0, 0, 0]))
    generator = torch.Generator().manual_seed(0)
    entries = torch.randn(4, 5, 3, generator=generator) * 100.0 ** -torch.tensor([0, 1, 1, 2])[:, None, None]
    entries[0, :, 1:] = 0
    entries[1:, :, 0] = 0
    entries[2:] *= 0.01
    planted = torch.randint(0, 5, (50, 4), generator=generator)
    latents = codebooks.dequantise(planted, entries)
    assert torch.equal(codebooks.quantise(latents, entries, metric), planted)


def test_metric_weighs_shapes_by_signal_energy():
    metric = Metric(torch.tensor([True, True, False, False]), torch.tensor([0, 1, 0, 1]))
    weights = metric.weights(torch.tensor([[float(np.log(3)) / (2 * GAIN_SCALE), 0.0, 7.0, 7.0]]))
    torch.testing.assert_close(weights, torch.tensor([[1.0, 1.0, 1.5, 0.5]]))
    latents = torch.tensor([[1.0, 0.0, 2.0, 2.0]])
    expected = torch.tensor([[1.0, 0.0, 2 * float(np.exp(GAIN_SCALE)), 2.0]])
    torch.testing.assert_close(metric.target(latents, torch.zeros(1, 4)), expected)
