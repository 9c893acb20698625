"""Judges beside the code that their weights were published with, where that can be imported."""

import importlib
import sys
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch

from soundgate.audio.io import resample, write_audio
from soundgate.corpora.espeak import SAMPLE_RATE
from soundgate.judges.ctranslate2 import read_tensors
from soundgate.judges.trial.generated import CHORD_RATE, chord, tone
from soundgate.judges.whisper import NO_TIMESTAMPS, START, log_mels
from soundgate.judges.words import _WEIGHTS

RATE = 16_000
# Imported by that code, kept out here, and not needed for what is compared.
LEFT_OUT = ("webrtcvad", "resampy", "pretty_midi", "svmutil")


@pytest.fixture
def published(monkeypatch):
    """Import a module of a package, with nothing in place of what is left out; skip where it is not installed."""

    def imported(name):
        for missing in LEFT_OUT:
            if missing not in sys.modules and importlib.util.find_spec(missing.partition(".")[0]) is None:
                monkeypatch.setitem(sys.modules, missing, MagicMock())
        return pytest.importorskip(name)

    return imported


@pytest.fixture
def steady():
    """Six seconds without pauses at 16 kHz: harmonics, some of which glide, in weak noise."""
    return np.concatenate([tone(number)[0] for number in range(6)])


@pytest.fixture
def noisy(steady):
    return (steady + 0.1 * np.random.default_rng(0).standard_normal(len(steady))).astype(np.float32)


def test_speaker_vectors_are_those_of_resemblyzer(named, published, steady, noisy):
    audio, encoding = published("resemblyzer.audio"), published("resemblyzer.voice_encoder")
    encoder = encoding.VoiceEncoder("cpu", verbose=False)
    for wav in (steady, noisy, np.float32(0.01) * noisy):
        expected = encoder.embed_utterance(audio.normalize_volume(wav, -30, increase_only=True))
        np.testing.assert_allclose(named("speaker").embed(wav[None], RATE)[0], expected, atol=1e-5)


def test_ratings_are_those_of_speechmos(named, published, steady, noisy):
    dnsmos = published("speechmos.dnsmos")
    for wav in (np.resize(steady, 144_160), np.resize(noisy, 144_160)):
        found = {name: own[0] for name, own in named("quality").score(wav[None], RATE).values.items()}
        for model, prefix in (("dnsmos", "dnsmos"), ("dnsmos_personalized", "personal_dnsmos")):
            expected = dnsmos.run(wav, RATE, model)
            for part, key in (("overall", "ovrl_mos"), ("signal", "sig_mos"), ("background", "bak_mos")):
                assert found[f"{prefix}_{part}"] == pytest.approx(expected[key], abs=1e-4)
            assert found["dnsmos_p808"] == pytest.approx(expected["p808_mos"], abs=1e-4)


def test_ratings_of_lost_packets_are_those_of_speechmos_by_the_same_raters(named, published, noisy, monkeypatch):
    plcmos, raters = published("speechmos.plcmos"), iter(named("quality").plcmos.raters)
    monkeypatch.setattr(np.random, "normal", lambda size: next(raters))
    expected = plcmos.PLCMOS()(noisy)["plcmos"]
    assert named("quality").score(noisy[None], RATE).values["plcmos"][0] == pytest.approx(expected, abs=1e-4)


def test_similarities_are_those_of_visqol(named, published, speech):
    noise = 0.02 * np.random.default_rng(1).standard_normal(len(speech))
    pair = [resample(wav[None], SAMPLE_RATE, 48_000)[0] for wav in (speech, (speech + noise).astype(np.float32))]
    (alike,) = named("similarity").hear(pair[:1], pair[1:], 48_000)
    api = published("visqol.api").VisqolApi()
    api.create(mode="speech", use_lattice_model=False)
    narrow = [resample(wav[None], 48_000, RATE)[0] for wav in pair]
    assert alike.speech == pytest.approx(api.measure_from_arrays(*narrow, RATE).moslqo, abs=1e-9)
    # The regression alone, LIBSVM's, is left out.
    svm = sys.modules["svmutil"]
    svm.svm_load_model, svm.svm_predict = (lambda path: path), (lambda *_: ([3.0], None, None))
    api.create(mode="audio")
    np.testing.assert_allclose(alike.bands, api.measure_from_arrays(*pair, 48_000).fvnsim, atol=1e-9)


def test_pitches_are_those_of_torchcrepe(named, published, noisy):
    torchcrepe = published("torchcrepe")
    torchcrepe.load.model("cpu", "tiny")
    batches = torchcrepe.preprocess(torch.from_numpy(noisy)[None], RATE, 160)
    with torch.inference_mode():
        expected = torch.cat([torchcrepe.infer(batch, "tiny") for batch in batches]).numpy()
    (track,) = named("pitch").track(noisy[None], RATE)
    np.testing.assert_allclose(track.periodicity, expected.max(axis=1), atol=1e-5)
    bins = (1200 * np.log2(track.hz / 10) - 1997.3794084376191) / 20
    assert np.abs(bins - expected.argmax(axis=1))[track.voiced].max() < 1


def test_notes_are_those_of_basic_pitch(named, published, tmp_path):
    inference = published("basic_pitch.inference")
    model = inference.Model(inference.ICASSP_2022_MODEL_PATH.with_name("nmp.onnx"))
    wav = np.concatenate([chord(number)[0] for number in range(4)])
    write_audio(tmp_path / "chords.wav", wav, CHORD_RATE, "FLOAT")
    expected = inference.run_inference(tmp_path / "chords.wav", model)
    (found,) = named("notes").activations(wav[None], CHORD_RATE)
    for own, theirs in ((found.sounding, expected["note"]), (found.onset, expected["onset"])):
        # The first window is the same; later ones begin earlier there, by up to half a frame and a half more each.
        np.testing.assert_allclose(own[:142], theirs[:142], atol=1e-5)
    n_frames = min(len(found.sounding), len(expected["note"]))
    assert np.abs(found.sounding[:n_frames] - expected["note"][:n_frames]).mean() < 0.01


def test_transcripts_come_from_the_network_of_transformers(named, speech):
    judge, (wav,) = named("words"), named("words").signals("wav", np.tile(speech, 6)[None], SAMPLE_RATE)
    whisper = pytest.importorskip("transformers.models.whisper")
    features = whisper.WhisperFeatureExtractor()(wav, sampling_rate=RATE, return_tensors="pt").input_features
    np.testing.assert_allclose(log_mels(wav), features[0], atol=1e-4)
    config = whisper.WhisperConfig(
        vocab_size=51864, d_model=384, encoder_layers=4, decoder_layers=4, encoder_attention_heads=6,
        decoder_attention_heads=6, encoder_ffn_dim=1536, decoder_ffn_dim=1536,
    )  # fmt: skip
    network = whisper.WhisperForConditionalGeneration(config).eval()
    network.load_state_dict(dict(named_by_transformers(read_tensors(_WEIGHTS.locate().read_bytes()))))
    with torch.inference_mode():
        expected = network(features, decoder_input_ids=torch.tensor([[START, NO_TIMESTAMPS]])).logits[0]
        encoded = judge.network.encoder(features[0])
        layers = judge.network.decoder.children()
        memories = [layer.attention.memory(encoded) for layer in layers if hasattr(layer, "attention")]
        first, pasts = judge.network.decoder(START, 0, [None] * 4, memories)
        second, _ = judge.network.decoder(NO_TIMESTAMPS, 1, pasts, memories)
    np.testing.assert_allclose(torch.stack([first, second]), expected, atol=1e-3)


def named_by_transformers(tensors):
    """Yield the parameters of CTranslate2's file as transformers calls them."""
    layers = {
        "self_attention/linear_0": "self_attn.{q,k,v}_proj", "self_attention/linear_1": "self_attn.out_proj",
        "self_attention/layer_norm": "self_attn_layer_norm", "attention/linear_0": "encoder_attn.q_proj",
        "attention/linear_1": "encoder_attn.{k,v}_proj", "attention/linear_2": "encoder_attn.out_proj",
        "attention/layer_norm": "encoder_attn_layer_norm", "ffn/linear_0": "fc1", "ffn/linear_1": "fc2",
        "ffn/layer_norm": "final_layer_norm", "position_encodings": "embed_positions", "embeddings": "embed_tokens",
    }  # fmt: skip
    for path, values in tensors.items():
        side, *middle, last = path.split("/")
        kind = "bias" if last in ("bias", "beta") else "weight"
        place = "model." + side
        if middle[0].startswith("layer_") and middle[0][6:].isdigit():
            place, middle = f"{place}.layers.{middle[0][6:]}", middle[1:]
        name = layers.get("/".join(middle), middle[0])
        before, _, rest = name.partition("{")
        inside, _, after = rest.partition("}")
        names = [before + letter + after for letter in inside.split(",")] if rest else [name]
        for own, part in zip(names, values.chunk(len(names)), strict=True):
            if not (own.endswith("k_proj") and kind == "bias"):
                yield f"{place}.{own}.{kind}", part
        if name == "embed_tokens":
            yield "proj_out.weight", values
