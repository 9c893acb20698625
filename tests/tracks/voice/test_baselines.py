"""Conversion without training, of vowels of known pitch and formants."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import WavLMConfig, WavLMModel

from soundgate.audio.io import resample
from soundgate.runtime.errors import WeightsError
from soundgate.tracks.voice.baselines import knn, vocoder
from soundgate.tracks.voice.baselines.contract import Moments, UnknownVoiceError
from soundgate.tracks.voice.baselines.features import WavLM
from soundgate.tracks.voice.baselines.knn import NearestNeighbours, neighbours, spread
from soundgate.tracks.voice.baselines.methods import BASELINES, KNN, WORLD_ENV, WORLD_F0, WORLD_OT, baseline_methods
from soundgate.tracks.voice.baselines.transport import transport_map
from soundgate.tracks.voice.baselines.vocoder import Analysis, blocks, joined
from soundgate.tracks.voice.baselines.world import audible, formant_factor, moments_of

RATE = 16_000
# Fundamental in Hz, factor of the formants.
LOW, HIGH = (105.0, 1.0), (180.0, 1.15)
VOWELS_HZ = np.array([[300, 2200, 3000], [700, 1200, 2600], [320, 800, 2400], [550, 1700, 2500]])
SOUNDS, SOUND_S = [0, 1, 2, 3, 1, 0, 3, 2], 0.15


def say(voice, seed):
    """Return 1.2 s of vowels in a voice, in an order of their own."""
    (f0, factor), generator = voice, np.random.default_rng(seed)
    t = np.arange(round(len(SOUNDS) * SOUND_S * RATE)) / RATE
    pitch = f0 * np.exp(0.1 * np.sin(2 * np.pi * (t / 0.7 + generator.uniform())))
    formants = VOWELS_HZ[np.repeat(generator.permutation(SOUNDS), round(SOUND_S * RATE))] * factor
    wav, phase = np.zeros(len(t)), 2 * np.pi * np.cumsum(pitch) / RATE
    for harmonic in range(1, 80):
        hz = harmonic * pitch
        gain = sum(np.exp(-np.abs(hz - formant) / 150) for formant in formants.T) + 0.05
        wav += np.where(hz < 7_000, gain / (1 + hz / 1_000), 0) * np.sin(harmonic * phase)
    return (0.1 * wav / wav.std() + generator.normal(0, 1e-3, len(wav))).astype(np.float32)


@pytest.fixture(scope="module")
def methods():
    return baseline_methods(RATE)


def enrolled(methods):
    """Return both voices as each method knows them."""
    return {
        name: tuple(method.enrol([say(voice, seed) for seed in (1, 2)]) for voice in (LOW, HIGH))
        for name, method in methods.items()
    }


def converted(methods, voices):
    """Return the low voice's words in the high voice, by method."""
    return {name: method.convert(say(LOW, 3), *voices[name]) for name, method in methods.items()}


@pytest.fixture(scope="module")
def voices(methods):
    return enrolled(methods)


@pytest.fixture(scope="module")
def made(methods, voices):
    return converted(methods, voices)


@pytest.mark.parametrize("name", BASELINES)
def test_pitch_arrives_at_the_targets_in_as_many_samples(methods, voices, made, name):
    wav, (own, voice) = made[name], voices[name]
    assert wav.shape == say(LOW, 3).shape and wav.dtype == np.float32 and np.isfinite(wav).all()
    found = methods[name].enrol([wav])
    assert abs(found.log_f0_mean - voice.log_f0_mean) < 0.03 < abs(own.log_f0_mean - voice.log_f0_mean)


def test_the_same_recordings_give_the_same_samples(made):
    methods = baseline_methods(RATE)
    again = converted(methods, enrolled(methods))
    assert all(np.array_equal(wav, again[name]) for name, wav in made.items())


@pytest.mark.parametrize("name", [WORLD_ENV, WORLD_OT])
def test_mean_envelopes_bring_timbre_nearer_than_pitch_alone(methods, voices, made, name):
    def apart(name):
        """Below 4 kHz, where vowels are."""
        found, goal = methods[WORLD_F0].enrol([made[name]]), voices[WORLD_F0][1]
        return np.abs(found.log_envelope - goal.log_envelope)[: len(goal.log_envelope) // 2].mean()

    assert apart(name) < 0.6 * apart(WORLD_F0)


def test_envelopes_are_distributed_like_the_targets(methods, voices):
    """By the map between the Gaussians, which moves nothing where they are the same."""
    method, (own, voice) = methods[WORLD_OT], voices[WORLD_OT]
    carried = transport_map(own.moments, voice.moments)
    assert np.allclose(carried, carried.T)
    assert np.allclose(carried @ own.moments.covariance @ carried, voice.moments.covariance, atol=1e-8)
    assert np.allclose(transport_map(own.moments, own.moments), np.eye(len(carried)), atol=1e-6)
    narrow, wide = (Moments(np.zeros(2), np.diag(variances)) for variances in ([1.0, 4.0], [9.0, 1.0]))
    assert np.allclose(transport_map(narrow, wide), np.diag([3.0, 0.5]))
    source = say(LOW, 1)
    analysis = method.vocoder.analyse(source)
    kept = method.filtered(source, analysis, own, own, 1.0).envelope
    moved = method.filtered(source, analysis, own, voice, 1.0).envelope
    assert np.abs(10 * np.log10(kept / analysis.envelope))[:, 20:200].mean() < 1
    assert np.allclose(moved.sum(axis=1), analysis.envelope.sum(axis=1))


def test_moments_of_few_frames_can_be_inverted():
    """An enrolment of half a second has fewer frames than coefficients, silence frames that are all the same."""
    few = np.random.default_rng(0).normal(0, 1, (5, 60))
    for coded in (few, np.ones((3, 60)), few[:1]):
        found = moments_of(coded)
        assert np.allclose(found.mean, coded.mean(axis=0)) and np.linalg.eigvalsh(found.covariance).min() > 0


def test_quiet_frames_are_no_part_of_a_distribution():
    envelope = np.ones((400, 8))
    envelope[100:] *= 1e-5
    analysis = Analysis(np.zeros(400), envelope, np.ones((400, 8)))
    assert np.array_equal(audible(analysis), np.ones((10, 8)))
    assert len(audible(analysis._replace(envelope=np.zeros((400, 8))))) == 40


def test_the_length_of_the_throat_is_found(methods):
    own, longer = (methods[WORLD_F0].enrol([say((120.0, factor), 1)]) for factor in (1.0, 0.85))
    assert formant_factor(own, longer, RATE) == pytest.approx(0.85, abs=0.06)
    assert formant_factor(longer, own, RATE) == pytest.approx(1 / 0.85, abs=0.06)
    assert formant_factor(own, own, RATE) == pytest.approx(1, abs=0.011)


@pytest.mark.parametrize("voice", [LOW, HIGH])
def test_frames_are_matched_with_those_of_the_same_sound(methods, voices, voice):
    """In a speaker's own other words, and in those of a shorter throat."""
    method, source = methods[KNN], say(LOW, 3)
    own, wished = voices[KNN][0], method.enrol([say(voice, seed) for seed in (1, 2)])

    def logs(envelope):
        """What changes of an envelope below 4 kHz."""
        found = np.log(envelope)[:, :256:8]
        return (found - found.mean(axis=0)).ravel()

    there = method.filtered(source, method.vocoder.analyse(source), own, wished, 1.0).envelope
    asked, other = (logs(method.vocoder.analyse(say(voice, seed)).envelope) for seed in (3, 4))
    assert np.corrcoef(logs(there), asked)[0, 1] > 0.8 > 0.4 > np.corrcoef(other, asked)[0, 1]


@pytest.mark.parametrize("name", BASELINES)
def test_semitones_and_formant_go_beyond_the_target(methods, voices, made, name):
    method, both = methods[name], voices[name]
    higher = method.enrol([method.convert(say(LOW, 3), *both, semitones=-5)])
    assert higher.log_f0_mean - both[1].log_f0_mean == pytest.approx(-5 * np.log(2) / 12, abs=0.03)
    plain = method.enrol([made[name]])
    for formant in (0.85, 1.2):
        found = method.enrol([method.convert(say(LOW, 3), *both, formant=formant)])
        assert formant_factor(plain, found, RATE) == pytest.approx(formant, abs=0.04)
        assert found.log_f0_mean == pytest.approx(plain.log_f0_mean, abs=0.02)


@pytest.mark.parametrize("name", BASELINES)
def test_a_voice_that_recordings_do_not_tell_is_an_error_and_says_what_is_needed(methods, name):
    noise = np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32)
    silence, sample, short = np.zeros(RATE, np.float32), np.ones(1, np.float32), say(LOW, 1)[: RATE // 5]
    for recordings in ([silence], [sample], [np.zeros(0, np.float32)], [], [short], [noise]):
        with pytest.raises(UnknownVoiceError, match=r"0\.5 s of voiced speech.*found 0\.\d\d s"):
            methods[name].enrol(recordings)
    for wrong in (np.full(RATE, np.nan, np.float32), np.zeros((2, RATE), np.float32)):
        with pytest.raises(ValueError, match="recording: expected"):
            methods[name].enrol([wrong])


@pytest.mark.parametrize("name", BASELINES)
def test_silence_noise_and_single_samples_are_converted_in_their_length(methods, voices, name):
    noise = np.random.default_rng(0).normal(0, 0.1, RATE // 3 + 1).astype(np.float32)
    for wav in (np.zeros(RATE // 2, np.float32), noise, np.ones(1, np.float32), np.zeros(0, np.float32)):
        found = methods[name].convert(wav, *voices[name])
        assert found.shape == wav.shape and found.dtype == np.float32 and np.isfinite(found).all()
    assert np.abs(methods[name].convert(np.zeros(RATE // 2, np.float32), *voices[name])).max() < 1e-4
    for formant in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="formant: expected a factor above 0"):
            methods[name].convert(noise, *voices[name], formant=formant)


def test_a_rate_that_world_cannot_work_at_is_refused():
    with pytest.raises(ValueError, match="16000 Hz or more; found 8000"):
        baseline_methods(8_000)


def test_long_recordings_are_cut_where_it_is_quiet_and_nothing_is_lost_or_heard_twice():
    rate = 1_000
    wav = np.random.default_rng(0).normal(0, 1, 75 * rate).astype(np.float32)
    for second in (17, 34, 52):
        wav[second * rate : second * rate + 100] = 0
    cut = blocks(wav, rate)
    starts = [block.kept.start for block in cut]
    assert starts == [0, *(pytest.approx(second * rate + 50, abs=50) for second in (17, 34, 52))]
    assert max(block.read.stop - block.read.start for block in cut) < 32 * rate
    np.testing.assert_allclose(joined(((block, wav[block.read]) for block in cut), len(wav), rate), wav, atol=1e-6)
    assert len(blocks(wav[: 29 * rate], rate)) == 1 and blocks(wav[:0], rate) == []


def test_a_conversion_in_blocks_is_the_one_at_once(methods, voices, monkeypatch):
    """But for what WORLD draws, and for phases, which begin anew."""
    source = np.concatenate([np.pad(say(LOW, seed), (0, RATE // 4)) for seed in (3, 4, 5)])
    whole = methods[WORLD_ENV].convert(source, *voices[WORLD_ENV])
    for name, seconds in (("_BLOCK_S", 2.0), ("_LAST_S", 1.5)):
        monkeypatch.setattr(vocoder, name, seconds)
    parts = methods[WORLD_ENV].convert(source, *voices[WORLD_ENV])
    assert len(blocks(source, RATE)) > 2 and not np.array_equal(parts, whole)
    levels = [np.square(wav[: len(wav) // 400 * 400]).reshape(-1, 400).mean(axis=1) for wav in (parts, whole)]
    assert np.corrcoef(*np.log(np.array(levels) + 1e-6))[0, 1] > 0.99


def test_neighbours_are_those_of_the_highest_cosine_in_parts_too(monkeypatch):
    generator = np.random.default_rng(0)
    asked, known = (generator.normal(size=(count, 5)).astype(np.float32) for count in (50, 30))
    cosines = asked @ known.T / np.linalg.norm(asked, axis=1)[:, None] / np.linalg.norm(known, axis=1)
    expected = np.argsort(-cosines, axis=1)[:, :4]
    np.testing.assert_array_equal(neighbours(asked, known, 4), expected)
    monkeypatch.setattr(knn, "_MOST_SIMILARITIES", 100)
    np.testing.assert_array_equal(neighbours(asked, known, 4), expected)
    assert neighbours(asked, known[:3], 4).shape == (50, 3)


def test_values_at_some_frames_become_a_line_over_all(monkeypatch):
    monkeypatch.setattr(knn, "_SMOOTHED_FRAMES", 1e-3)
    found = spread(np.array([[0.0], [4.0], [2.0]], np.float32), np.array([1, 5, 6]), 9)
    assert found[:, 0] == pytest.approx([0, 0, 1, 2, 3, 4, 2, 2, 2])
    assert spread(np.array([[3.0]], np.float32), np.array([0]), 3)[:, 0] == pytest.approx([3, 3, 3])


@pytest.fixture(scope="module")
def wavlm_folder(tmp_path_factory):
    """WavLM's architecture, small and with random weights, as transformers writes it."""
    torch.manual_seed(0)
    config = WavLMConfig(
        hidden_size=32, num_hidden_layers=7, num_attention_heads=2, intermediate_size=32, conv_dim=(16,) * 7,
        num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=2,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("weights of WavLM")
    WavLMModel(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("rate", [16_000, 24_000])
def test_neighbours_by_wavlm_are_of_its_sixth_layer_and_keep_a_speakers_own_sounds(wavlm_folder, rate):
    features = WavLM(wavlm_folder, rate)
    source = resample(say(LOW, 3), RATE, rate)
    method = NearestNeighbours(rate, features, k=1)
    rows, found = features(source, method.vocoder.analyse(source))
    model = WavLMModel.from_pretrained(wavlm_folder).eval()
    heard = torch.from_numpy(resample(source, rate, 16_000))[None]
    with torch.no_grad():
        layers = model(heard, output_hidden_states=True).hidden_states
    np.testing.assert_allclose(found, layers[6][0].numpy(), atol=1e-5)
    assert len(rows) == len(found) == len(heard[0]) // 320 - 1 and set(np.diff(rows)) == {4}
    own = method.enrol([source])
    assert own.frames.features.shape == found.shape
    kept = method.convert(source, own, own)
    logs = [np.log(method.vocoder.analyse(wav).envelope)[:, :256:8].ravel() for wav in (kept, source)]
    assert len(kept) == len(source) and np.corrcoef(*logs)[0, 1] > 0.9


def test_weights_that_are_missing_or_too_shallow_are_an_error(wavlm_folder, tmp_path):
    with pytest.raises(WeightsError, match="config.json and weights"):
        WavLM(tmp_path)
    with pytest.raises(WeightsError, match="9 layers or more; found 7 layers"):
        WavLM(wavlm_folder, layer=9)


@pytest.mark.parametrize(("rate", "edge_hz"), [(44_100, 7_300), (8_000, 4_000)])
def test_a_band_that_a_recording_lacks_is_not_raised_out_of_nothing(methods, rate, edge_hz):
    """A recording that was resampled, and a target of a longer throat with the whole band."""
    generator, target = np.random.default_rng(0), (90.0, 0.85)
    time = np.arange(len(say(LOW, 1)))
    hisses = 0.03 * generator.normal(size=len(time)) * (time % 8_000 < 3_000)
    said = [(say(LOW, seed) + hisses).astype(np.float32) for seed in (1, 2)]
    said = [resample(resample(wav[None], RATE, rate), rate, RATE)[0] for wav in said]
    hissing = [(say(target, seed) + hisses).astype(np.float32) for seed in (1, 2)]
    method = methods[WORLD_ENV]
    made = method.convert(said[0], method.enrol(said), method.enrol(hissing))
    power = np.abs(np.fft.rfft(made)) ** 2
    above = np.fft.rfftfreq(len(made), 1 / RATE) > 0.85 * edge_hz
    assert power[above].sum() < 0.1 * power.sum()
