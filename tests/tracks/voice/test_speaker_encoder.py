import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional

from soundgate.runtime.errors import WeightsError
from soundgate.tracks.voice.augment import AugmentSettings, equalise, mask
from soundgate.tracks.voice.embeddings.embed import embed_rows
from soundgate.tracks.voice.embeddings.similarity import pairs_of
from soundgate.tracks.voice.features import track_f0
from soundgate.tracks.voice.speaker.model import SpeakerEncoder, StatisticsPooling, load_speaker, save_speaker
from soundgate.tracks.voice.speaker.objective import AdditiveMargin
from soundgate.tracks.voice.speaker.settings import NetworkSettings, SpeakerSettings
from soundgate.tracks.voice.speaker.task import measure_speaker, train_speaker
from soundgate.tracks.voice.speeds import Speeds
from tests.tracks.voice.spoken import FEATURES, RATE, spoken_cache

NETWORK = NetworkSettings(width=32, dilations=[1, 2], dim=16, f_max_hz=3_000.0)
SETTINGS = {
    "network": NETWORK.model_dump(), "loop": {"epochs": 2, "batch_size": 16, "steps_per_epoch": 40},
    "augment": {"speeds": [0.8, 1.0, 1.25], "equaliser": 0.3, "mask_bands": 4, "mask_frames": 8},
    "crop_s": 1.0, "learning_rate": 3e-3, "warm_up": 5, "final_rate": 0.1, "weight_decay": 0.01, "clip": 5.0,
    "margin": 0.1, "scale": 20.0, "n_bootstrap": 200,
}  # fmt: skip


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return spoken_cache(tmp_path_factory.mktemp("spoken"))[0]


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return SpeakerEncoder(NETWORK, FEATURES).eval()


def test_an_embedding_has_unit_length_knows_no_level_and_no_neighbour(encoder):
    wav = torch.randn(3, RATE, generator=torch.Generator().manual_seed(0)) * 0.1
    own = encoder(wav)
    torch.testing.assert_close(own.norm(dim=-1), torch.ones(3))
    torch.testing.assert_close(encoder(0.2 * wav), own, atol=1e-4, rtol=0)
    torch.testing.assert_close(encoder(wav[1:2]), own[1:2], atol=1e-5, rtol=0)
    assert encoder(wav[:, : RATE // 2]).shape == own.shape and (own[0] @ own[1]).abs() < 1


def test_an_embedding_can_be_pulled_through_the_front_end(encoder):
    wav = (0.1 * torch.randn(1, RATE)).requires_grad_()
    (encoder(wav) @ functional.normalize(torch.ones(16), dim=0)).sum().backward()
    assert wav.grad.abs().sum() > 0 and torch.isfinite(wav.grad).all()


def test_pooling_without_preference_is_mean_and_deviation():
    pooling = StatisticsPooling(4)
    for parameter in pooling.score[2].parameters():
        torch.nn.init.zeros_(parameter)
    hidden = torch.randn(2, 4, 50)
    expected = torch.cat([hidden.mean(dim=-1), hidden.std(dim=-1, correction=0)], dim=1)
    torch.testing.assert_close(pooling(hidden), expected, atol=1e-4, rtol=1e-4)


def test_the_margin_is_added_to_the_own_speakers_angle():
    head = AdditiveMargin(3, 2, scale=10.0)
    angles = torch.tensor([0.0, 1.0, 2.5])
    with torch.no_grad():
        head.directions.copy_(5 * torch.stack([angles.cos(), angles.sin()], dim=1))
    at = torch.tensor([0.3])
    embedding = torch.stack([at.cos(), at.sin()], dim=1)
    logits = 10 * torch.cos(torch.tensor([[0.3 + 0.2, 0.7, 2.2]]))
    loss, accuracy = head(embedding, torch.tensor([0]), margin=0.2)
    torch.testing.assert_close(loss, functional.cross_entropy(logits, torch.tensor([0])))
    assert accuracy == 1 and head(embedding, torch.tensor([1]), margin=0.0)[1] == 0
    assert head(embedding, torch.tensor([0]), 0.0)[0] < loss
    # Past 180 degrees a margin would make the wrong direction better again.
    opposite = head(-embedding, torch.tensor([0]), 1.0)[0]
    assert opposite >= head(-embedding, torch.tensor([0]), 0.0)[0]


def test_a_faster_copy_is_higher_and_comes_earlier(cache):
    speeds = Speeds([0.8, 1.0, 1.25])
    row = cache.rows("train")[0]
    f0 = math.exp(cache.table["log_f0_mean"][row])
    for which, speed in enumerate(speeds.speeds):
        wav = speeds.crops(cache, np.array([row]), np.array([which]), RATE, None)[0].numpy()
        found = track_f0(wav, FEATURES)
        assert len(wav) == RATE and np.median(found[found > 0]) == pytest.approx(speed * f0, rel=0.1)
        whole = torch.from_numpy(cache.wave(row))[None]
        assert speeds.apply(whole, which).shape[1] == pytest.approx(whole.shape[1] / speed, abs=1)


def test_every_crop_of_a_batch_has_its_own_speed(cache):
    speeds, rows = Speeds([0.8, 1.25]), cache.rows("train")[:3]
    together = speeds.crops(cache, rows, np.array([0, 1, 0]), RATE, None)
    for position, which in enumerate((0, 1, 0)):
        alone = speeds.crops(cache, rows[position : position + 1], np.array([which]), RATE, None)
        torch.testing.assert_close(together[position : position + 1], alone)


def test_speeds_that_are_the_same_or_absurd_are_refused():
    for speeds in ([1.0, 1.001], [0.2], [3.0]):
        with pytest.raises(ValidationError, match="whole percents"):
            AugmentSettings(speeds=speeds, equaliser=0, mask_bands=1, mask_frames=1)


def test_an_equaliser_is_constant_over_time_and_a_mask_hides_runs():
    torch.manual_seed(0)
    spectrum = torch.randn(4, 20, 30)
    curve = equalise(spectrum, 1.0) - spectrum
    torch.testing.assert_close(curve, curve[..., :1].expand_as(curve), atol=1e-5, rtol=0)
    assert curve[:, :, 0].std(dim=1).min() > 0.05 and not torch.allclose(curve[0], curve[1])
    assert torch.equal(mask(spectrum, 1, 1), spectrum)
    hidden = mask(spectrum, 6, 8) != spectrum
    assert hidden.any(dim=(1, 2)).sum() >= 3 and hidden.float().mean() < 0.6
    bands, frames = hidden.all(dim=2).sum(dim=1), hidden.all(dim=1).sum(dim=1)
    assert bands.max() < 6 and frames.max() < 8 and bands.max() > 0 and frames.max() > 0


def test_after_training_unseen_speakers_are_told_apart(cache, encoder, tmp_path):
    settings = SpeakerSettings.model_validate(SETTINGS)
    trained, history = train_speaker(cache, settings, 0, torch.device("cpu"), tmp_path / "checkpoint.pt")
    rows = np.concatenate([cache.rows("judge"), cache.rows("test")])

    def separation(model):
        pairs = pairs_of(embed_rows(model, cache, rows, 1.0), cache.speaker_codes[rows])
        return pairs.similarity[pairs.same].mean() - pairs.similarity[~pairs.same].mean()

    assert separation(trained) > separation(encoder) + 0.25
    assert history[-1]["accuracy"] > 0.5 and history[-1]["validation_same"] > history[-1]["validation_different"] + 0.3
    measured = measure_speaker(trained, cache, settings, 0)
    assert measured["n_speakers"] == 4 and measured["validation"]["eer"]["value"] < 0.2
    save_speaker(tmp_path / "speaker", trained)
    again = load_speaker(tmp_path / "speaker")
    wav = cache.batch(rows[:2], RATE, None).wav
    torch.testing.assert_close(again(wav), trained(wav))
    assert again.settings == NETWORK and again.features == FEATURES
    with pytest.raises(WeightsError):
        load_speaker(tmp_path / "nothing")
