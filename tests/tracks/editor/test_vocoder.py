import numpy as np
import pytest
import torch

from soundgate.runtime.errors import ConfigError, CorpusError, WeightsError
from soundgate.runtime.files import read_json, write_json
from soundgate.tracks.editor.features import Features, FeatureSettings
from soundgate.tracks.editor.pairs.table import read_pairs
from soundgate.tracks.editor.vocoder import model as modelling
from soundgate.tracks.editor.vocoder.inverting import griffin_lim_unit, random_phase_unit
from soundgate.tracks.editor.vocoder.measures import FIGURES, figures, measure_vocoder
from soundgate.tracks.editor.vocoder.model import Vocoder, VocoderNetwork, load_vocoder, save_vocoder
from soundgate.tracks.editor.vocoder.settings import NetworkSettings, VocoderSettings
from soundgate.tracks.editor.vocoder.task import VocoderTask, train_vocoder
from soundgate.tracks.editor.vocoder.waves import pack_waves
from tests.tracks.editor.recordings import RATE, tones, write_recordings

FEATURES = FeatureSettings()
HOP = FEATURES.hop_length
SETTINGS = {
    "network": {"width": 32, "n_blocks": 1}, "loop": {"epochs": 2, "batch_size": 2, "steps_per_epoch": 4},
    "crop_frames": 12, "learning_rate": 2e-3, "warm_up": 2, "final_rate": 0.1, "weight_decay": 0.01, "clip": 1.0,
    "weights": {"mel": 15.0, "stft": 1.0}, "n_evaluated": 2, "measured_s": 1.0, "griffin_lim_iterations": 16,
    "audible_dbfs": -50.0, "closed_form": {"context": 2, "seconds": 2.0, "ridge": 1e-3}, "n_bootstrap": 100,
}  # fmt: skip
CPU = torch.device("cpu")


def network(seed=0, n_blocks=2):
    torch.manual_seed(seed)
    return VocoderNetwork(NetworkSettings(width=16, n_blocks=n_blocks), FEATURES)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    write_recordings(folder)
    return read_pairs(folder)


@pytest.fixture(scope="module")
def waves(pairs, tmp_path_factory):
    return pack_waves(pairs, RATE, tmp_path_factory.mktemp("waves"))


def settings(**changes):
    return VocoderSettings.model_validate(SETTINGS | changes)


def test_the_frames_of_training_are_those_of_the_cache():
    wav = tones(2.0, seed=0)
    np.testing.assert_allclose(
        Features(FEATURES).of_batch(torch.from_numpy(wav)[None])[0], Features(FEATURES)(wav), atol=1e-6
    )


@pytest.mark.parametrize("n_frames", [2, 5, 40])
def test_frames_become_a_hop_each(n_frames):
    assert network()(torch.rand(3, n_frames, 128)).shape == (3, (n_frames - 1) * HOP)


def test_untrained_levels_are_the_bands_own():
    """White noise is flat within every band, so the magnitudes before training are right on average."""
    noise = 0.1 * np.random.default_rng(0).normal(size=4 * RATE).astype(np.float32)
    untrained = network()
    torch.nn.init.zeros_(untrained.head.weight), torch.nn.init.zeros_(untrained.head.bias)
    unit = torch.from_numpy(Features(FEATURES)(noise))
    spectrum = torch.stft(torch.from_numpy(noise), 2048, HOP, window=torch.hann_window(2048), return_complex=True)
    level_db = 20 / np.log(10) * (unit @ untrained.spread + untrained.offset)[2:-2].mean(0)
    truth_db = 10 * spectrum[:, 2:-2].abs().square().mean(1).log10()
    # Bands average powers over up to 60 bins; a mean of logarithms lies below the logarithm of the mean.
    assert (level_db - truth_db)[4:-8].abs().mean() < 1.5


def test_an_impulse_in_the_middle_of_its_frame_is_the_zero_of_phase():
    untrained = network()
    torch.nn.init.zeros_(untrained.head.weight), torch.nn.init.zeros_(untrained.head.bias)
    wave = untrained(torch.full((1, 9, 128), 0.6))[0]
    peaks = wave.abs().reshape(-1, HOP)[:, 0]
    assert peaks[1:].min() > 20 * wave.abs().reshape(-1, HOP)[:, HOP // 4 : -HOP // 4].mean()


@pytest.mark.parametrize("n_frames", [1, 2, 20, 57, 131])
def test_long_recordings_in_blocks_are_the_same(monkeypatch, n_frames):
    vocoder = Vocoder(network())
    unit = np.random.default_rng(0).uniform(0.2, 0.8, (n_frames, 128)).astype(np.float32)
    monkeypatch.setattr(modelling, "_BLOCK_FRAMES", 10_000)
    whole = vocoder(unit)
    monkeypatch.setattr(modelling, "_BLOCK_FRAMES", 19)
    np.testing.assert_allclose(vocoder(unit), whole, atol=1e-5 * max(1e-9, np.abs(whole).max(initial=0)))
    assert len(whole) == (n_frames - 1) * HOP


def test_the_context_is_as_far_as_a_frame_reaches():
    vocoder = network().eval()
    unit = torch.full((1, 60, 128), 0.5)
    changed = unit.clone()
    changed[0, 30] = 0.7
    with torch.no_grad():
        moved = (vocoder(unit) - vocoder(changed))[0].abs() > 0
    reach = moved.nonzero().flatten()
    assert (30 - vocoder.context) * HOP <= reach.min() and reach.max() < (30 + vocoder.context) * HOP
    assert reach.min() < (31 - vocoder.context) * HOP, "the context is longer than it need be"


def test_a_vocoder_is_read_as_it_was_written(tmp_path):
    written = network()
    save_vocoder(tmp_path, written)
    unit = np.random.default_rng(0).random((20, 128), np.float32)
    assert np.array_equal(load_vocoder(tmp_path)(unit), Vocoder(written)(unit))
    write_json(tmp_path / "config.json", read_json(tmp_path / "config.json") | {"network": {"width": 16}})
    with pytest.raises(ConfigError, match="n_blocks"):
        load_vocoder(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(WeightsError):
        load_vocoder(tmp_path)


def test_griffin_lim_gives_back_frames_at_their_level():
    features, wav = Features(FEATURES), tones(2.0, seed=1)
    unit = features(wav)
    made = griffin_lim_unit(features, unit)
    assert len(made) == (len(unit) - 1) * HOP
    loud = unit[4:-4] > 0.4
    difference = np.abs(features(made) - unit)[4:-4][loud].mean()
    assert features.settings.range_db * difference < 2.5
    quieter = griffin_lim_unit(features, np.clip(unit - 10 / 80, 0, 1))
    assert 20 * np.log10(made.std() / quieter.std()) == pytest.approx(10, abs=0.5)
    assert len(griffin_lim_unit(features, unit[:1])) == 0


def test_random_phases_are_worse_than_phases_that_fit():
    features, wav = Features(FEATURES), tones(2.0, seed=1)
    unit = features(wav)
    truth = torch.from_numpy(wav[: (len(unit) - 1) * HOP])[None]
    searched = figures(features, torch.from_numpy(griffin_lim_unit(features, unit))[None], truth)
    noise = random_phase_unit(features, unit, np.random.default_rng(0))
    drawn = figures(features, torch.from_numpy(noise)[None], truth)
    assert searched["spectral_convergence"] < drawn["spectral_convergence"] - 0.05


def test_figures_of_known_changes():
    torch.manual_seed(0)
    features, truth = Features(FEATURES), 0.1 * torch.randn(1, 2 * RATE)
    assert figures(features, truth, truth) == dict.fromkeys(FIGURES, 0)
    assert figures(features, -truth, truth)["spectral_convergence"] == 0
    halved = figures(features, truth / 2, truth)
    assert halved["spectral_convergence"] == pytest.approx(0.5, abs=1e-3)
    assert halved["stft_loss"] == pytest.approx(0.5 + np.log(2), abs=0.02)
    assert halved["mel_l1_db"] == pytest.approx(20 * np.log10(2), abs=0.1)


def test_waves_are_the_recordings_and_crops_lie_inside(pairs, waves, tmp_path):
    assert list(waves.table["recording"][:2]) == ["p0_raw", "p0_edit"] and len(waves.rows("test")) == 4
    np.testing.assert_allclose(waves.wave(2), tones(3.0, 1), atol=2**-15)
    np.testing.assert_array_equal(waves.wave(3), waves.wave(2)[: 2 * RATE])
    middle = waves.middle(2, RATE)
    np.testing.assert_array_equal(middle, waves.wave(2)[RATE : 2 * RATE])
    torch.manual_seed(0)
    crops = waves.crops(np.array([2, 3, 2]), 5_000).numpy()
    for crop, row in zip(crops, (2, 3, 2), strict=True):
        whole = np.lib.stride_tricks.sliding_window_view(waves.wave(row), 5_000)
        assert (whole == crop).all(axis=1).any()
    assert not np.array_equal(crops[0], crops[2])
    short = waves.crops(np.array([3]), 3 * RATE)[0].numpy()
    np.testing.assert_array_equal(short[: 2 * RATE], waves.wave(3))
    assert not short[2 * RATE :].any()


def test_packed_waves_are_not_decoded_again(pairs, tmp_path):
    pack_waves(pairs, RATE, tmp_path)
    gone = pairs.assign(raw_path="nowhere", edit_path="nowhere")
    assert len(pack_waves(gone, RATE, tmp_path).wave(0)) == 3 * RATE
    (tmp_path / "ends.npy").unlink()
    with pytest.raises(Exception, match="nowhere"):
        pack_waves(gone, RATE, tmp_path)


def test_training_brings_sound_nearer(waves):
    loop = {"epochs": 1, "batch_size": 4, "steps_per_epoch": 40}
    own = settings(loop=loop, learning_rate=5e-3)
    task = VocoderTask(waves, FEATURES, own, 0, 40, CPU)
    before = task.evaluate()
    for step in range(40):
        torch.manual_seed(step)
        task.step(np.arange(4), step)
    after = task.evaluate()
    assert after["validation_stft_loss"] < 0.93 * before["validation_stft_loss"]
    assert after["validation_mel_l1_db"] < 0.8 * before["validation_mel_l1_db"]


def test_the_probe_notices_a_network_that_has_one_output(waves, monkeypatch):
    task = VocoderTask(waves, FEATURES, settings(), 0, 8, CPU)
    assert task.probe()["pairwise_ratio"] > 0.1
    monkeypatch.setattr(task.network, "forward", lambda frames: torch.zeros(len(frames), task.n_samples))
    assert task.probe()["pairwise_ratio"] == 0


def test_the_rate_rises_and_falls(waves):
    task, rates = VocoderTask(waves, FEATURES, settings(), 0, 8, CPU), []
    for step in (0, 1, 7):
        task.step(np.arange(2), step)
        rates.append(task.optimisers["adamw"].param_groups[0]["lr"])
    assert rates[0] == pytest.approx(1e-3, rel=0.05) and rates[1] > rates[0] > rates[2] > 2e-4


def test_nothing_to_train_on_is_an_error(waves, tmp_path):
    nobody = waves._replace(table=waves.table.assign(split="test"))
    with pytest.raises(CorpusError, match="training split"):
        train_vocoder(nobody, FEATURES, settings(), 0, CPU, tmp_path / "checkpoint.pt")


def test_what_is_measured(waves):
    class Perfect(Vocoder):
        """Knows the recordings by their frames."""

        def __call__(self, unit):
            features = Features(FEATURES)
            known = (waves.middle(row, RATE) for row in waves.rows("test"))
            return next(wave for wave in known if np.array_equal(features(wave), unit))

    measured = measure_vocoder(Perfect(network()), waves, Features(FEATURES), settings(), 0)
    assert measured["n_recordings"] == 4 and measured["n_inaudible"] == 0
    assert all(measured["vocoder"][name]["value"] == 0 for name in FIGURES)
    order = ["griffin_lim", "random_phase", "other_recording"]
    convergence = [measured[method]["spectral_convergence"] for method in order]
    assert all(own["n"] == 2 for own in convergence), "the unit is the group"
    values = [own["value"] for own in convergence]
    assert 0 < values[0] < values[1] < values[2]
