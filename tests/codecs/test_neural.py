"""``mimi`` and ``encodec`` against the libraries they stand on."""

import pytest
import torch
from encodec.modules import SLSTM, SConv1d

from soundgate.codecs.mimi import MimiCodec, Settings


@pytest.fixture(scope="module")
def mimi(load_full):
    return load_full("mimi_encoder")


@pytest.fixture(scope="module")
def encodec(load_full):
    return load_full("encodec")


def test_mimi_equals_moshi(mimi, wav):
    whole = wav[..., : 12 * 1920]
    expected = mimi.model.encode_to_latent(whole, quantize=False).transpose(1, 2)
    latents = mimi.encode(whole)
    torch.testing.assert_close(latents, expected)
    codes = mimi.model.encode(whole)
    assert (mimi.quantise(latents) == codes).float().mean() > 0.99
    torch.testing.assert_close(mimi.decode_codes(codes), mimi.model.decode(codes))


def test_mimi_projected_space(mimi, wav, relative_error):
    projected = MimiCodec(mimi.model, Settings(weights="random", latent_space="projected"))
    latents = mimi.encode(wav)
    first, rest = mimi.model.quantizer.rvq_first, mimi.model.quantizer.rvq_rest
    columns = latents.transpose(1, 2)
    expected = first.output_proj(first.input_proj(columns)) + rest.output_proj(rest.input_proj(columns))
    found = projected.encode(wav)
    assert relative_error(found, expected.transpose(1, 2)) < 1e-5
    # Both spaces decode to the same sound and hold the same codes.
    assert relative_error(projected.decode(found), mimi.decode(latents)) < 1e-4
    assert (projected.quantise(found) == mimi.quantise(latents)).float().mean() > 0.95


def test_mimi_decodes_all_its_codebooks(mimi, wav):
    whole = MimiCodec(mimi.model, Settings(weights="random", n_codebooks=32))
    codes = whole.quantise(whole.encode(wav))
    assert codes.shape[1] == 32
    assert torch.equal(codes[:, :8], mimi.quantise(mimi.encode(wav)))
    semantic = MimiCodec(mimi.model, Settings(weights="random", n_codebooks=1))
    assert torch.equal(semantic.quantise(semantic.encode(wav)), codes[:, :1])


def test_encodec_equals_the_library(encodec, wav):
    whole = wav[..., : 40 * 320]
    latents = encodec.encode(whole)
    torch.testing.assert_close(latents, encodec.model.encoder(whole).transpose(1, 2))
    encodec.model.set_target_bandwidth(6.0)
    [(codes, scale)] = encodec.model.encode(whole)
    assert scale is None
    assert (encodec.quantise(latents) == codes).float().mean() > 0.99
    torch.testing.assert_close(encodec.decode_codes(codes), encodec.model.decode([(codes, None)]))


def _encode_padded_with(encodec, mode, wav, monkeypatch):
    with monkeypatch.context() as patch:
        for module in encodec.model.encoder.modules():
            if isinstance(module, SConv1d):
                patch.setattr(module, "pad_mode", mode)
        return encodec.encode(wav)


def test_encodec_warmup_frames_are_those_that_padding_touches(encodec, wav, monkeypatch, relative_error):
    carried = [_encode_padded_with(encodec, mode, wav, monkeypatch)[0] for mode in ("reflect", "constant")]
    monkeypatch.setattr(SLSTM, "forward", lambda self, features: features)
    reflected, zeros = (_encode_padded_with(encodec, mode, wav, monkeypatch)[0] for mode in ("reflect", "constant"))
    difference = (reflected - zeros).norm(dim=1) / reflected.norm(dim=1)
    assert (difference[: encodec.warmup_frames] > 0.1).all()
    # One frame more feels the paddings of the layers below.
    assert difference[encodec.warmup_frames] < 0.05
    assert (difference[encodec.warmup_frames + 1 :] == 0).all()
    # With the recurrent layers, what remains of it fades.
    assert relative_error(carried[0][encodec.warmup_frames :], carried[1][encodec.warmup_frames :]) < 0.01
    assert relative_error(carried[0][30:], carried[1][30:]) < 1e-3
