"""The policy's networks, what they hear, and imitation, on planted edits."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from soundgate.runtime.errors import TrainingError
from soundgate.tracks.editor.cache import CachedPair
from soundgate.tracks.editor.policy.hearing import compared, moments
from soundgate.tracks.editor.policy.imitate import (
    ImitationTask,
    class_weights,
    measure_imitation,
    train_imitation,
)
from soundgate.tracks.editor.policy.model import (
    EditPredictor,
    ValueNetwork,
    load_predictor,
    save_predictor,
)
from soundgate.tracks.editor.policy.ppo import Frozen, PpoTask, measure_policy, train_policy
from soundgate.tracks.editor.policy.predict import predict_labels
from soundgate.tracks.editor.policy.settings import ImitationSettings, PolicySettings
from soundgate.tracks.editor.vocabulary import Label
from soundgate.tracks.editor.windows import batch_of
from tests.tracks.editor.planted import FEATURES, planted_cache
from tests.tracks.editor.policies import CPU, IMITATION, POLICY, PPO, Cutter, batch, network, ppo_task, predictor


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return planted_cache(tmp_path_factory.mktemp("cache"))


@pytest.mark.parametrize("kind", [EditPredictor, ValueNetwork])
def test_padding_changes_no_answer(cache, kind):
    torch.manual_seed(0)
    model = kind(network(), FEATURES.n_mels).eval()
    pair = cache.pair(0)
    alone = batch_of([(pair, (0, 5))])
    padded = batch_of([(pair, (0, 5)), (cache.pair(1), (0, 21))])
    answers = [model(b.raw, b.beat_of_frame, b.labels.shape[1])[0, :5] for b in (alone, padded)]
    torch.testing.assert_close(*answers, rtol=0, atol=1e-5)


def test_pad_is_never_predicted_and_the_rest_can_be(cache):
    b = batch(cache)
    logits = predictor()(b.raw, b.beat_of_frame, b.labels.shape[1])
    assert torch.all(logits[..., Label.PAD] == -torch.inf) and torch.isfinite(logits[..., : Label.PAD]).all()
    assert (torch.softmax(logits, -1)[..., Label.PAD] == 0).all()


def test_each_beat_hears_its_own_frames_and_its_neighbours(cache):
    b, model = batch(cache, (0,)), predictor()
    other = b.raw.clone()
    other[b.beat_of_frame == 3] += 0.2
    away = (model(other, b.beat_of_frame, 24) - model(b.raw, b.beat_of_frame, 24))[0, :, : Label.PAD].abs().sum(-1)
    assert away[3] > 0 and away[10] > 0


def test_the_beat_that_comes_again_is_found_where_it_is_and_heard_to_be_noisier():
    generator = torch.Generator().manual_seed(0)
    beats = torch.rand(10, 8, FEATURES.n_mels, generator=generator)
    beats[7] = beats[3].clamp(min=0.3)
    numbers = torch.arange(10).repeat_interleave(8)[None]
    padded = torch.cat([numbers, torch.full((1, 5), 12)], 1)
    raw = functional.pad(beats.flatten(0, 1), (0, 0, 0, 5))[None]
    mask = torch.arange(12)[None] < 10
    there, like, louder, noisier = compared(raw, padded, moments(raw, padded, 12), mask, 5)[0].chunk(4, -1)
    before, after = (7, 3), (3, 5 + 3)  # 4 before, 4 after: columns are 1 ... 5 before, then 1 ... 5 after
    assert like[before] == like[after] > 0.5
    others = like.clone()
    others[before] = others[after] = 0
    assert others.max() < 0.5 * like[before]
    assert noisier[before] > 0.2 and noisier[after] == -noisier[before] and louder[before] > 0
    assert there[0].tolist() == [0] * 5 + [1] * 5 and there[9].tolist() == [1] * 5 + [0] * 5 and there[10:].sum() == 0
    assert (like[there == 0] == 0).all()


def test_a_take_played_again_is_told_by_its_noise(tmp_path):
    """The first of two equal beats is kept, the second, whose floor is raised, is cut: no single beat's level tells."""
    generator = np.random.default_rng(0)

    def pair():
        beats, labels = [], []
        for _ in range(6):
            beat = generator.uniform(0.0, 1.0, (6, FEATURES.n_mels))
            again = np.maximum(beat, 0.25)
            repeated = generator.random() < 0.7
            beats += [beat, again] if repeated else [beat]
            labels += [Label.KEEP, Label.CUT] if repeated else [Label.KEEP]
        raw, n = np.concatenate(beats).astype(np.float32), len(labels)
        edges = np.arange(n + 1) * 6
        return CachedPair(raw, raw, edges, np.array(labels, np.int64), np.ones(n, np.float32), np.ones(n, np.float32))

    model = predictor(dropout=0.0)
    optimiser = torch.optim.AdamW(model.parameters(), 0.01)
    for _ in range(80):
        pairs = [pair() for _ in range(8)]
        b = batch_of([(p, (0, len(p.labels))) for p in pairs])
        logits = model(b.raw, b.beat_of_frame, b.labels.shape[1])[..., : Label.PAD]
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), b.labels.flatten(), ignore_index=Label.PAD)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    unseen = [pair() for _ in range(20)]
    right = [np.mean(predict_labels(model, p.raw, p.edges)[0] == p.labels) for p in unseen]
    assert np.mean(right) > 0.95


def test_a_predictor_survives_the_disk(cache, tmp_path):
    model, pair = predictor(), cache.pair(0)
    save_predictor(tmp_path, model)
    for before, after in zip(
        predict_labels(model, pair.raw, pair.edges),
        predict_labels(load_predictor(tmp_path), pair.raw, pair.edges),
        strict=True,
    ):
        np.testing.assert_array_equal(before, after)


def test_long_recordings_are_labelled_in_windows_and_short_ones_at_once(cache):
    pair = cache.pair(0)
    labels, probabilities = predict_labels(predictor(n_frames=64), pair.raw, pair.edges)
    assert labels.shape == (24,) and probabilities.shape == (24, 8)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
    b = batch_of([(pair, (0, 24))])
    model = predictor(n_frames=10_000)
    whole = torch.softmax(model(b.raw, b.beat_of_frame, 24)[0], -1).detach()
    np.testing.assert_allclose(predict_labels(model, pair.raw, pair.edges)[1], whole, atol=1e-6)
    assert not np.allclose(probabilities, whole, atol=1e-4)


def test_a_beat_longer_than_the_windows_is_labelled(cache):
    raw = np.random.default_rng(0).uniform(0, 1, (300, FEATURES.n_mels)).astype(np.float32)
    assert predict_labels(predictor(), raw, np.array([0, 300]))[0].shape == (1,)
    assert predict_labels(predictor(), raw[:1], np.array([0, 1]))[0].shape == (1,)


def test_imitation_learns_what_can_be_heard_and_ppo_goes_on_from_it(cache, tmp_path):
    settings = ImitationSettings.model_validate(IMITATION)
    model, history = train_imitation(cache, settings, 0, CPU, tmp_path / "imitation.pt")
    assert history[-1]["validation_accuracy"] > 0.9 and history[-1]["validation_macro_f1"] > 0.8
    measured = measure_imitation(cache, model, 0, 100)
    assert measured["imitation"]["accuracy"]["value"] > 0.9 > measured["majority"]["accuracy"]["value"]
    quick = POLICY | {"ppo": PPO | {"loop": PPO["loop"] | {"steps_per_epoch": 2}, "learning_rate": 1e-9}}
    frozen = Frozen(cache, model, Cutter())
    policy, rows = train_policy(frozen, PolicySettings.model_validate(quick), 0, tmp_path / "policy.pt")
    assert rows[-1]["validation_policy"] == rows[-1]["validation_imitation"] > rows[-1]["validation_all_keep"]
    scored = measure_policy(frozen, policy, PolicySettings.model_validate(quick), 0)
    assert scored["policy"]["over"]["imitation"]["value"] == 0 < scored["policy"]["over"]["all_keep"]["value"]
    assert scored["policy"]["gain"]["value"] > 0 and set(scored) >= {"imitation", "oracle", "majority"}


def test_class_weights_average_1_over_beats(cache):
    rows = cache.rows("train")
    labels = np.concatenate([cache.pair(int(row)).labels for row in rows])
    assert torch.equal(class_weights(cache, rows, 0.0), torch.ones(7))
    weights = class_weights(cache, rows, 0.5).numpy()
    assert weights[labels].mean() == pytest.approx(1)
    counts = np.bincount(labels, minlength=7)
    assert weights[counts.argmin()] / weights[counts.argmax()] == pytest.approx((counts.max() / counts.min()) ** 0.5)


def test_what_is_heard_is_scaled_by_the_train_pairs_beats_and_so_for_the_value_network(cache):
    task = ImitationTask(cache, ImitationSettings.model_validate(IMITATION), 0, CPU, 50)
    encoder = task.model.encoder
    pairs = [cache.pair(int(row)) for row in cache.rows("train")]
    heard = []
    for pair in pairs:
        b = batch_of([(pair, (0, 24))])
        heard.append(encoder.hear(b.raw, b.beat_of_frame, 24)[0][0])
    heard = torch.cat(heard)
    torch.testing.assert_close(encoder.centre, heard.mean(0), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(encoder.spread, heard.std(0, correction=0).clamp(min=0.01), rtol=1e-3, atol=1e-3)
    ppo = PpoTask(Frozen(cache, task.model.eval(), Cutter()), PolicySettings.model_validate(POLICY), 0, 1)
    assert torch.equal(ppo.value.encoder.centre, encoder.centre)


def test_dropout_is_of_imitation_alone(cache):
    task = ImitationTask(cache, ImitationSettings.model_validate(IMITATION), 0, CPU, 50)
    task.step(np.arange(6), 0)
    assert task.model.training
    task.evaluate()
    assert not task.model.training and not ppo_task(cache).policy.training


def test_nothing_to_learn_from_is_an_error(cache, tmp_path):
    class Empty:
        settings = FEATURES

        def rows(self, split):
            return np.empty(0, np.int64)

    with pytest.raises(TrainingError, match="train pairs"):
        train_imitation(Empty(), ImitationSettings.model_validate(IMITATION), 0, CPU, tmp_path / "c.pt")
    frozen = Frozen(Empty(), predictor(), Cutter())
    with pytest.raises(TrainingError, match="train pairs"):
        train_policy(frozen, PolicySettings.model_validate(POLICY), 0, tmp_path / "c.pt")
    with pytest.raises(TrainingError, match="test pairs"):
        measure_imitation(Empty(), predictor(), 0, 100)
