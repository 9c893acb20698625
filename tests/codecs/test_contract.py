"""What every codec keeps, tested on every codec."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch.nn import functional

from soundgate.codecs.registry import load_codec
from soundgate.codecs.weights import save_weights
from soundgate.runtime.errors import ConfigError, WeightsError
from tests.codecs.double import in_double

SHAPES = {  # frame rate (Hz), dimension, hop (samples), look-ahead (samples), warm-up (frames)
    "lyra": (50.0, 64, 320, 0, 24),
    "lyra_published": (50.0, 64, 320, 0, 24),
    "bands_75": (75.0, 22, 320, 160, 0),
    "bands_12.5": (12.5, 22, 1920, 160, 0),
    "gain_shape_75": (75.0, 128, 320, 160, 0),
    "gain_shape_12.5": (12.5, 512, 1920, 160, 0),
    "mimi_encoder": (12.5, 512, 1920, 0, 0),
    "mimi_projected": (12.5, 512, 1920, 0, 0),
    "encodec": (75.0, 128, 320, 0, 7),
}
# In double precision nothing is left of rounding: what padding changes would show.
EXACT = 1e-12


@pytest.mark.parametrize("case", SHAPES)
def test_rates_and_dimensions(case, cases, load_full):
    codec = load_full(case)
    found = (codec.frame_rate, codec.dim, codec.hop_length, codec.lookahead, codec.warmup_frames)
    assert found == SHAPES[case]
    sample_rate, n_codebooks = {"lyra": (16_000, 16), "lyra_published": (16_000, 46)}.get(case, (24_000, 8))
    assert (codec.sample_rate, codec.n_codebooks, codec.name) == (sample_rate, n_codebooks, cases[case][0])
    assert codec.causal == (codec.lookahead == 0)


def test_ragged_ends(codec, wav):
    hop = codec.hop_length
    for n_samples, n_frames in ((1, 1), (hop - 1, 1), (hop, 1), (hop + 1, 2), (2 * hop + 7, 3)):
        latents = codec.encode(wav[..., :n_samples])
        assert latents.shape == (1, n_frames, codec.dim)
        assert latents.dtype == torch.float32 and latents.isfinite().all()
        assert codec.decode(latents).shape == (1, 1, n_frames * hop)


def ragged(wav):
    """Return utterances of different lengths, and all of them zero-padded to one batch."""
    wav = wav.clone()
    # The shortest utterance is one loud sample: of near silence nothing is left to be relative to.
    wav[..., 0] = 0.5
    single = [wav[..., :n] for n in (wav.shape[-1], 20_001, 6_000, 1)]
    return single, torch.cat([functional.pad(own, (0, wav.shape[-1] - own.shape[-1])) for own in single])


def test_batch_equals_single_in_double_precision(codec, wav, relative_error):
    single, batch = ragged(wav)
    for row, own in zip(in_double(codec, batch), single, strict=True):
        alone = in_double(codec, own)[0]
        assert relative_error(row[: len(alone)], alone) <= EXACT


def test_batch_equals_single_but_for_what_float32_rounds(codec, wav, relative_error):
    single, batch = ragged(wav)
    for row, own in zip(codec.encode(batch), single, strict=True):
        alone, exact = codec.encode(own)[0], in_double(codec, own)[0]
        rounding = max(relative_error(alone, exact), relative_error(codec.encode(wav), in_double(codec, wav)))
        assert relative_error(row[: len(alone)], exact) <= 2 * rounding


def test_batch_equals_single_within_rounding_however_wide_the_layers(full_codec, wav, relative_error):
    single = [wav[..., :n] for n in (8_000, 5_001)]
    batch = torch.cat([functional.pad(own, (0, 8_000 - own.shape[-1])) for own in single])
    alone, rows = [full_codec.encode(own)[0] for own in single], full_codec.encode(batch)
    found = torch.cat([row[: len(own)] for row, own in zip(rows, alone, strict=True)])
    exact = torch.cat([in_double(full_codec, own)[0] for own in single])
    assert relative_error(found, exact) <= 2 * relative_error(torch.cat(alone), exact)


def test_zeros_appended_change_no_frame(codec, wav, relative_error):
    wav = wav[..., :10_000]
    alone = in_double(codec, wav)
    padded = in_double(codec, functional.pad(wav, (0, 3 * codec.hop_length)))
    assert relative_error(padded[:, : alone.shape[1]], alone) <= EXACT


def test_future_beyond_lookahead_changes_no_frame(codec, wav, relative_error):
    frame = max(codec.warmup_frames, 2)
    wav = wav[..., : (frame + 10) * codec.hop_length].clone()
    before = in_double(codec, wav)[:, codec.warmup_frames : frame + 1]
    end = (frame + 1) * codec.hop_length
    wav[..., end + codec.lookahead :] = 0.3
    after = in_double(codec, wav)[:, codec.warmup_frames : frame + 1]
    assert relative_error(after, before) <= EXACT
    wav[..., end : end + codec.lookahead] = -0.3
    inside = in_double(codec, wav)[:, codec.warmup_frames : frame + 1]
    assert (relative_error(inside[:, -1], before[:, -1]) > 0.01) == (not codec.causal)


def test_silence_is_finite(codec):
    latents = codec.encode(torch.zeros(2, 1, 9 * codec.hop_length + 1))
    assert latents.isfinite().all()
    assert codec.decode(latents).isfinite().all()
    assert codec.decode_codes(codec.quantise(latents)).isfinite().all()
    torch.testing.assert_close(latents[0], latents[1], rtol=1e-6, atol=1e-6)


def test_encode_is_deterministic(codec, wav):
    assert torch.equal(codec.encode(wav), codec.encode(wav))


def test_encode_from_threads(codec, wav):
    wavs = [wav[..., :n] for n in (9_000, 12_000, 15_000, 18_000)]
    alone = [codec.encode(each) for each in wavs]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(codec.encode, wavs))
    for found, expected in zip(together, alone, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_latents_are_of_sane_scale_and_depend_on_the_input(full_codec, wav):
    latents = full_codec.encode(wav)
    assert 0.1 < latents.std() < 10
    assert latents.std(dim=1).mean() > 0.05
    assert 1e-3 < full_codec.decode(latents).square().mean().sqrt() < 1


def test_encode_under_autocast(full_codec, wav, relative_error):
    with torch.autocast("cpu", torch.bfloat16):
        reduced = full_codec.encode(wav)
    assert reduced.dtype == torch.float32
    error = relative_error(reduced, full_codec.encode(wav))
    # Those in closed form have no use for bf16 and stay in float32; lyra is what its files say.
    assert error == 0 if full_codec.name in ("bands", "gain_shape", "lyra") else 0 < error < 0.05


def test_gradients_reach_every_latent_frame(codec, wav):
    latents = codec.encode(wav[..., : 4 * codec.hop_length]).requires_grad_(True)
    if not codec.differentiable:
        pytest.skip("what requires a gradient is refused")
    codec.decode(latents).square().sum().backward()
    assert latents.grad.isfinite().all()
    assert (latents.grad.norm(dim=-1) > 0).all()


def test_gradients_are_refused_by_a_codec_that_has_none(codec, wav):
    if codec.differentiable:
        pytest.skip("this one has them")
    latents = codec.encode(wav[..., : 4 * codec.hop_length]).requires_grad_(True)
    with pytest.raises(ValueError, match=f"latents: expected a differentiable codec.*{codec.name} passes no gradients"):
        codec.decode(latents)
    with pytest.raises(ValueError, match="wav: expected a differentiable codec"):
        codec.encode(wav[..., :999].clone().requires_grad_(True))
    with torch.no_grad():
        assert torch.equal(codec.decode(latents), codec.decode(latents.detach()))


def test_gradients_after_inference_mode(codec, wav):
    if not codec.differentiable:
        pytest.skip("it has none")
    with torch.inference_mode():
        codec.decode_codes(codec.quantise(codec.encode(wav[..., :4_000])))
    latents = torch.zeros(1, 2, codec.dim, requires_grad=True)
    codec.decode(latents).sum().backward()
    assert latents.grad.isfinite().all()


def test_codes(codec, wav):
    latents = codec.encode(wav)
    codes = codec.quantise(latents)
    assert codes.shape == (1, codec.n_codebooks, latents.shape[1]) and codes.dtype == torch.int64
    assert codes.min() >= 0 and codes.max() < codec.codebook_size
    assert len(codes.unique()) > 1
    for n_codebooks in (1, 2, codec.n_codebooks):
        decoded = codec.decode_codes(codes[:, :n_codebooks])
        assert decoded.shape == (1, 1, latents.shape[1] * codec.hop_length) and decoded.isfinite().all()


def test_latents_of_codes_decode_as_the_codes_do(full_codec, wav):
    codes = full_codec.quantise(full_codec.encode(wav))
    latents = full_codec.dequantise(codes)
    assert latents.shape == (1, codes.shape[2], full_codec.dim) and latents.dtype == torch.float32
    wanted = full_codec.decode_codes(codes)
    assert (full_codec.decode(latents) - wanted).abs().max() <= 1e-3 * wanted.abs().max()
    with pytest.raises(ValueError, match="codes"):
        full_codec.dequantise(codes[0])


def test_codec_stays_frozen(codec):
    modes = [module.training for module in codec.modules()]
    codec.train()
    assert [module.training for module in codec.modules()] == modes
    assert not codec.training
    assert not any(parameter.requires_grad for parameter in codec.parameters())


def test_waveforms_refused(codec):
    for wrong in (torch.zeros(1, 2, 99), torch.zeros(1, 99), torch.zeros(1, 1, 0), torch.zeros(0, 1, 9)):
        with pytest.raises(ValueError, match=r"expected \[B, 1, T\]"):
            codec.encode(wrong)
    with pytest.raises(TypeError, match="expected float32, found torch.float64"):
        codec.encode(torch.zeros(1, 1, 99, dtype=torch.float64))
    for bad in (torch.nan, torch.inf):
        with pytest.raises(ValueError, match="1 NaN or infinite"):
            codec.encode(torch.tensor([[[0.0, bad, 0.0]]]))


def test_latents_and_codes_refused(codec):
    for call in (codec.decode, codec.quantise):
        with pytest.raises(ValueError, match=f"expected \\[B, L, {codec.dim}\\]"):
            call(torch.zeros(1, codec.dim, 7))
        with pytest.raises(TypeError, match="expected float32"):
            call(torch.zeros(1, 7, codec.dim, dtype=torch.float16))
        with pytest.raises(ValueError, match="NaN"):
            call(torch.full((1, 7, codec.dim), torch.nan))
    with pytest.raises(TypeError, match="expected int64"):
        codec.decode_codes(torch.zeros(1, 8, 3))
    with pytest.raises(ValueError, match=f"1 to {codec.n_codebooks}"):
        codec.decode_codes(torch.zeros(1, codec.n_codebooks + 1, 3, dtype=torch.int64))
    for outside in (-1, codec.codebook_size):
        with pytest.raises(ValueError, match=r"expected values in \[0"):
            codec.decode_codes(torch.full((1, 8, 3), outside))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("case", ["bands_75", "gain_shape_75", "gain_shape_12.5", "mimi_projected", "encodec"])
def test_saved_weights_load_to_the_same_codec(case, cases, load_case, wav, tmp_path):
    codec = load_case(case)
    name, settings = cases[case]
    path = tmp_path / "weights.safetensors"
    save_weights(codec.weights(), path)
    again = load_codec(name, {**settings, "weights": str(path)})
    path.unlink()
    latents = codec.encode(wav[..., :8_000])
    assert torch.equal(again.encode(wav[..., :8_000]), latents)
    assert torch.equal(again.quantise(latents), codec.quantise(latents))
    assert torch.equal(again.decode(latents), codec.decode(latents))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("name", ["mimi", "encodec"])
def test_random_weights_are_the_same_every_time(name, load_case, wav):
    before = torch.random.get_rng_state()
    again = load_codec(name, {"weights": "random"})
    assert torch.equal(torch.random.get_rng_state(), before)
    first = load_case({"mimi": "mimi_encoder"}.get(name, name))
    assert torch.equal(again.encode(wav[..., :4_000]), first.encode(wav[..., :4_000]))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("name", ["bands", "gain_shape", "mimi", "encodec"])
def test_weights_of_another_architecture_refused(name, tmp_path):
    path = tmp_path / "other.safetensors"
    save_weights({"another.weight": torch.zeros(3)}, path)
    with pytest.raises(WeightsError, match="another.weight"):
        load_codec(name, {"weights": str(path)})


@pytest.mark.parametrize("name", ["bands", "gain_shape", "mimi", "encodec"])
def test_missing_weights_named(name, tmp_path):
    with pytest.raises(WeightsError, match="nowhere.safetensors.*no such file"):
        load_codec(name, {"weights": str(tmp_path / "nowhere.safetensors")})


def test_settings_refused():
    with pytest.raises(ConfigError, match="one of bands, gain_shape, mimi, encodec, lyra; found 'opus'"):
        load_codec("opus", {})
    with pytest.raises(ConfigError, match="codec.mimi.latent_space"):
        load_codec("mimi", {"latent_space": "quantised"})
    with pytest.raises(ConfigError, match="codec.lyra.n_codebooks"):
        load_codec("lyra", {"n_codebooks": 8})
    with pytest.raises(ConfigError, match="codec.encodec.bandwidth"):
        load_codec("encodec", {"bandwidth": 6})
