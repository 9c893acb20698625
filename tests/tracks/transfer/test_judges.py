import numpy as np
import pytest
import torch

from soundgate.tracks.transfer.augment import blur
from soundgate.tracks.transfer.judge.features import content_features, shift_bands, style_features
from soundgate.tracks.transfer.judge.measures import measure_judges
from soundgate.tracks.transfer.judge.networks import ContentJudge, StyleJudge
from soundgate.tracks.transfer.judge.scoring import Judges
from soundgate.tracks.transfer.judge.style_fit import fit_style_judge
from soundgate.tracks.transfer.judge.task import JudgeSettings, JudgeTask
from soundgate.training.loop import fit
from tests.tracks.transfer.planted import GENRES, content_of, planted_cache, style_of

SETTINGS = JudgeSettings(
    channels=32,
    loop={"epochs": 2, "batch_size": 12, "steps_per_epoch": 20, "checkpoint_s": 60.0},
    learning_rate=0.003,
    weight_decay=0.01,
    temperature=0.1,
    same=0.97,
    different=0.2,
    margin_weight=2.0,
    max_shift=2,
    n_copies=1,
    n_bootstrap=200,
)


def planted(score, genre, frames=256):
    mel = content_of(score) + style_of(genre)
    return torch.from_numpy(np.clip(mel - mel.max(), -80, 0)[None, :, :frames].astype(np.float32))


@pytest.fixture(scope="module")
def cache():
    return planted_cache()


@pytest.fixture(scope="module")
def judges(cache, tmp_path_factory):
    task = JudgeTask(cache, SETTINGS, 0, 40, torch.device("cpu"))
    checkpoint = tmp_path_factory.mktemp("judge") / "checkpoint.pt"
    fit(task, SETTINGS.loop, len(task.rows), seed=0, name="judge", checkpoint=checkpoint)
    return Judges(task.judge.requires_grad_(False).eval(), fit_style_judge(cache, 1, 0))


def test_content_features_do_not_hear_a_slope_over_the_bands():
    bright, dark = (content_features(planted(0, genre))[:, 10:86] for genre in (0, 1))
    other = content_features(planted(1, 0))[:, 10:86]
    cosine = torch.nn.functional.cosine_similarity
    assert (
        cosine(bright.flatten(), dark.flatten(), dim=0) > 0.9 > 0.3 > cosine(bright.flatten(), other.flatten(), dim=0)
    )


def test_style_features_hear_the_slope_and_not_the_notes():
    bright, dark, other = (style_features(planted(*which))[0] for which in ((0, 0), (0, 1), (1, 0)))
    assert (bright - dark)[1].abs() > 10 * (bright - other)[1].abs()


def test_bands_are_moved_up_and_down_and_what_comes_in_is_empty():
    features = torch.arange(1.0, 6.0).reshape(1, 5, 1).repeat(2, 1, 3)
    moved = shift_bands(features, np.array([1, -2]), 4)
    assert moved[0, :, 0].tolist() == [0, 1, 2, 3, 5] and moved[1, :, 0].tolist() == [3, 4, 0, 0, 5]


def test_the_judges_know_music_they_never_heard(cache, judges):
    measured = measure_judges(cache, judges, 0, 200)
    assert measured["style"]["accuracy"]["value"] == 1 > measured["style"]["majority"]
    assert measured["content"]["same"]["value"] > 0.7 > 0.4 > measured["content"]["mismatched"]["value"]
    retrieved = measured["content"]["retrieval_across_styles"]
    assert retrieved["value"] > 0.9 > 0.3 > retrieved["chance"]


def test_the_judges_learn_from_their_own_split_alone(cache, judges):
    mels = cache.mels.copy()
    foreign = np.flatnonzero(cache.index["split"] != "judge")
    mels[foreign] = -40
    other = type(cache)(cache.index, mels)
    again = fit_style_judge(other, 1, 0)
    assert all(torch.equal(a, b) for a, b in zip(again.buffers(), judges.style_judge.buffers(), strict=True))


def test_untrained_judges_know_nothing(cache):
    torch.manual_seed(0)
    blank = Judges(ContentJudge(96, 32).eval(), StyleJudge(84, len(GENRES)))
    measured = measure_judges(cache, blank, 0, 200)
    assert measured["style"]["accuracy"]["value"] == 0.5 == measured["style"]["true_genre_probability"]["value"]
    assert measured["content"]["same"]["value"] - measured["content"]["mismatched"]["value"] < 0.6


def test_judges_survive_the_disk(judges, tmp_path):
    judges.save(tmp_path)
    mels = np.concatenate([planted(3, 0), planted(4, 1)])
    again = Judges.open(tmp_path)
    np.testing.assert_array_equal(again.content(mels), judges.content(mels))
    np.testing.assert_array_equal(again.style(mels), judges.style(mels))


def test_a_blur_keeps_levels_and_takes_detail():
    torch.manual_seed(0)
    mels = torch.rand(4, 96, 64)
    smooth = blur(mels)
    assert smooth.shape == mels.shape and torch.equal(blur(torch.full((2, 96, 64), 0.5)), torch.full((2, 96, 64), 0.5))
    torch.testing.assert_close(smooth.mean((1, 2)), mels.mean((1, 2)), atol=0.03, rtol=0)
    assert (smooth.std((1, 2)) < mels.std((1, 2))).sum() >= 3
