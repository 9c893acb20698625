import numpy as np
import pytest
import torch

from soundgate.networks.film import Film
from soundgate.runtime.errors import WeightsError
from soundgate.tracks.voice.cache import Utterances
from soundgate.tracks.voice.features import track_f0
from soundgate.tracks.voice.model.converter import Draws, VoiceConverter, Voices
from soundgate.tracks.voice.model.converting import convert
from soundgate.tracks.voice.model.folder import load_converter, save_converter
from soundgate.tracks.voice.model.networks import moments
from soundgate.tracks.voice.model.settings import NetworkSettings
from tests.tracks.voice.planted_gan import FEATURES, HOP, RATE, SETTINGS, speaker_encoder, spoken


def converter(steered=False, **content):
    torch.manual_seed(0)
    values = SETTINGS["network"] | {"content": SETTINGS["network"]["content"] | content}
    model = VoiceConverter(NetworkSettings.model_validate(values), FEATURES, speaker_encoder()).eval()
    if steered:
        for film in (module for module in model.modules() if isinstance(module, Film)):
            torch.nn.init.normal_(film.linear.weight, std=0.5)
    return model


@pytest.fixture(scope="module")
def utterances():
    made = [spoken(hz, resonance, 0.8, seed) for seed, (hz, resonance) in enumerate([(120, 900), (200, 1_800)])]
    logs = [np.log(f0[f0 > 0]) for _, f0 in made]
    return Utterances(
        torch.tensor(np.stack([wav for wav, _ in made]), dtype=torch.float32),
        torch.tensor(np.stack([f0 for _, f0 in made])),
        torch.tensor([own.mean() for own in logs]),
        torch.tensor([own.std() for own in logs]),
        torch.arange(2),
    )


def swapped(voices):
    return voices._replace(embedding=voices.embedding.flip(0))


@torch.no_grad()
def test_untrained_no_block_is_steered_and_trained_all_are(utterances):
    model = converter()
    voices = model.voices(utterances)
    assert torch.equal(model(utterances, voices), model(utterances, swapped(voices)))
    model = converter(steered=True)
    assert not torch.allclose(model(utterances, voices), model(utterances, swapped(voices)), rtol=0.1)
    films = [module for module in model.decoder.modules() if isinstance(module, Film)]
    assert len(films) == SETTINGS["network"]["decoder"]["n_blocks"]


@torch.no_grad()
@pytest.mark.parametrize("octaves", [-0.5, 0.0, 0.7])
def test_the_pitch_is_the_targets(utterances, octaves):
    model, asked = converter(), np.log(120.0) + octaves * np.log(2)
    source = Utterances(*(value[:1] for value in utterances))
    voices = model.voices(source)._replace(log_f0_mean=torch.tensor([asked], dtype=torch.float32))
    made = model(source, voices)[0].numpy()
    wanted = source.f0[0].numpy() * 2**octaves * 120 / float(source.log_f0_mean[0].exp())
    found = track_f0(made, FEATURES)
    both = (found > 0) & (wanted > 0)
    assert both.mean() > 0.5
    assert np.median(np.abs(np.log2(found[both] / wanted[both]))) < 0.02


@torch.no_grad()
def test_pitch_is_in_units_of_each_speaker(utterances):
    model = converter()
    own = model.voices(utterances)
    pitch, f0 = model.prosody(utterances, own)
    torch.testing.assert_close(f0, utterances.f0, rtol=1e-4, atol=1e-2)
    voiced = utterances.f0[0] > 0
    assert float(pitch[0, voiced, 0].mean()) == pytest.approx(0, abs=1e-4)
    assert float(pitch[0, voiced, 0].std(correction=0)) == pytest.approx(1, abs=1e-3)
    assert torch.equal(pitch[..., 1] > 0, utterances.f0 > 0)


@torch.no_grad()
def test_a_louder_source_gives_a_louder_output_and_silence_gives_silence(utterances):
    model = converter()
    voices = model.voices(utterances)
    made = model(utterances, voices)
    louder = model(utterances._replace(wav=4 * utterances.wav), voices)
    torch.testing.assert_close(louder, 4 * made, rtol=1e-3, atol=1e-5)
    silence = model(utterances._replace(wav=0 * utterances.wav, f0=0 * utterances.f0), voices)
    assert silence.abs().max() < 1e-3


@torch.no_grad()
def test_content_knows_no_mean_spectrum_and_no_harmonics():
    model = converter().content
    generator = torch.Generator().manual_seed(0)
    mels = torch.randn(1, FEATURES.n_mels, 60, generator=generator)
    colour = torch.randn(1, FEATURES.n_mels, 1, generator=generator)

    def content(values):
        cepstra = model.cepstra(values)
        return model(cepstra, moments(cepstra))

    torch.testing.assert_close(content(mels + colour), content(mels), rtol=1e-4, atol=1e-4)
    ripple = (-1.0) ** torch.arange(FEATURES.n_mels)[None, :, None] * torch.randn(1, 1, 60, generator=generator)
    torch.testing.assert_close(content(mels + 0.01 * ripple), content(mels), rtol=0, atol=0.02)
    assert content(mels).shape == (1, 60, 4)


def test_warping_moves_a_peak_by_its_share():
    model = converter().content
    bands = torch.arange(FEATURES.n_mels, dtype=torch.float32)
    mels = torch.exp(-((bands - 10) ** 2) / 4)[None, :, None].expand(3, -1, 5)
    full = torch.linalg.pinv(model.transform)
    moved = (full @ model.cepstra(mels, torch.tensor([0.0, 0.25, -0.2])))[..., 0]
    peaks = (moved.clamp(min=0) ** 4 * bands).sum(1) / (moved.clamp(min=0) ** 4).sum(1)
    np.testing.assert_allclose(peaks, [10, 8, 12.5], atol=0.4)
    torch.testing.assert_close(model.cepstra(mels, torch.zeros(3)), model.cepstra(mels))


@torch.no_grad()
@pytest.mark.parametrize("block_frames", [7, 30, 1_000])
def test_blocks_make_what_the_whole_makes(utterances, block_frames):
    model = converter(steered=True)
    source = Utterances(*(value[:1] for value in utterances))
    voices = model.voices(source)
    own = float(source.log_f0_mean), float(source.log_f0_std)
    made = convert(model, source.wav[0].numpy(), source.f0[0].numpy(), own, voices, block_frames)
    np.testing.assert_allclose(made, model(source, voices)[0], atol=1e-5)


def test_a_recording_shorter_than_a_hop_becomes_nothing():
    voice = Voices(torch.zeros(1, 12), torch.tensor([5.0]), torch.tensor([0.1]))
    assert convert(converter(), np.zeros(10, np.float32), np.zeros(1, np.float32), (5.0, 0.1), voice).shape == (0,)


@torch.no_grad()
def test_what_is_random_in_training_is_given_and_otherwise_nothing_is(utterances):
    model = converter(warp=0.2)
    voices = model.voices(utterances)
    state = torch.get_rng_state()
    made = model(utterances, voices)
    assert torch.equal(torch.get_rng_state(), state) and torch.equal(made, model(utterances, voices))
    draws = Draws(torch.randn(made.shape), torch.full((2,), 0.2))
    other = model(utterances, voices, draws)
    assert not torch.equal(other, made)
    assert not torch.equal(model(utterances, voices, draws._replace(warp=torch.zeros(2))), other)


@torch.no_grad()
def test_in_bfloat16_the_content_is_read_in_float32(utterances, monkeypatch):
    model, read = converter(), []
    cepstra = model.content.cepstra
    monkeypatch.setattr(model.content, "cepstra", lambda *given: read.append(cepstra(*given)) or read[-1])
    voices = model.voices(utterances)
    made = model(utterances, voices)
    with torch.autocast("cpu", torch.bfloat16):
        rough = model(utterances, voices)
    assert torch.equal(*read) and not torch.equal(made, rough)


@torch.no_grad()
def test_a_saved_converter_sounds_the_same(utterances, tmp_path):
    model = converter(steered=True)
    save_converter(tmp_path, model)
    loaded = load_converter(tmp_path)
    voices = model.voices(utterances)
    assert torch.equal(loaded.voices(utterances).embedding, voices.embedding)
    assert torch.equal(loaded(utterances, voices), model(utterances, voices))
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


def test_weights_of_something_else_are_refused(tmp_path):
    save_converter(tmp_path, converter())
    config = (tmp_path / "config.json").read_text()
    (tmp_path / "config.json").write_text(config.replace('"n_voice": 8', '"n_voice": 9'))
    with pytest.raises(WeightsError, match="a voice converter"):
        load_converter(tmp_path)


def test_a_hop_of_sound_for_every_frame_but_the_first(utterances):
    made = converter()(utterances, converter().voices(utterances))
    assert made.shape == (2, (utterances.f0.shape[1] - 1) * HOP) and RATE == FEATURES.sample_rate
