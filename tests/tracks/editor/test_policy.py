"""Phase 2: networks, reward, advantage, imitation and PPO on planted edits."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional

from soundgate.errors import TrainingError
from soundgate.tracks.editor.cache import CachedPair
from soundgate.tracks.editor.policy.advantage import advantages, normalised
from soundgate.tracks.editor.policy.executing import execute
from soundgate.tracks.editor.policy.hearing import compared, moments
from soundgate.tracks.editor.policy.imitate import (
    ImitationTask,
    class_weights,
    measure_imitation,
    scale_of,
    train_imitation,
)
from soundgate.tracks.editor.policy.model import (
    EditPredictor,
    ValueNetwork,
    load_predictor,
    save_predictor,
)
from soundgate.tracks.editor.policy.ppo import Frozen, PpoTask, clipped_loss, measure_policy, train_policy
from soundgate.tracks.editor.policy.predict import predict_labels
from soundgate.tracks.editor.policy.reward import beat_parts, credited_parts, duration_error, sample_parts
from soundgate.tracks.editor.policy.rollout import distribution, log_probabilities, roll_out
from soundgate.tracks.editor.policy.scoring import ORACLE, baselines, judge_reward, score_split, summarise_rewards
from soundgate.tracks.editor.policy.settings import ImitationSettings, NetworkSettings, PolicySettings, RewardWeights
from soundgate.tracks.editor.reconstruct.model import ReconstructionModel, reconstruct_recording
from soundgate.tracks.editor.reconstruct.settings import NetworkSettings as ReconstructionNetwork
from soundgate.tracks.editor.recovery.scores import balanced_accuracy
from soundgate.tracks.editor.vocabulary import Label
from soundgate.tracks.editor.windows import batch_of, draw_batch, spread
from tests.tracks.editor.planted import FEATURES, planted_cache

CPU = torch.device("cpu")
NETWORK = {"channels": 8, "dim": 16, "n_layers": 1, "n_heads": 2, "n_lags": 4, "dropout": 0.1, "n_frames": 96}
IMITATION = {
    "network": NETWORK, "learning_rate": 0.01, "warmup_steps": 2, "weight_decay": 0.01, "clip": 1.0,
    "label_smoothing": 0.05, "class_power": 0.5, "n_bootstrap": 100,
    "loop": {"epochs": 2, "batch_size": 6, "steps_per_epoch": 25, "checkpoint_s": 1e-9},
}  # fmt: skip
PPO = {
    "loop": {"epochs": 1, "batch_size": 6, "steps_per_epoch": 40, "checkpoint_s": 1e-9}, "learning_rate": 0.01,
    "clip": 0.2, "gamma": 0.99, "gae_lambda": 0.95, "entropy": 0.01, "value": 0.5, "n_epochs": 4,
    "max_grad_norm": 0.5, "kl_stop": 0.1, "value_warmup": 0, "advantage": "bandit", "ratio": "beat",
}  # fmt: skip
POLICY = {
    "network": NETWORK, "ppo": PPO, "n_bootstrap": 100,
    "reward": {"reconstruction": 10, "labels": 5, "duration": 3, "smoothness": 2},
}  # fmt: skip
WEIGHTS = RewardWeights(**POLICY["reward"])


class Cutter(torch.nn.Module):
    """A reconstruction that executes cuts and nothing else."""

    settings = SimpleNamespace(n_frames=10_000)

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))

    def forward(self, raw, frame_labels):
        return raw * (frame_labels != Label.CUT)[..., None]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return planted_cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    return planted_cache(tmp_path_factory.mktemp("many"), n_pairs=50)


def steps(task, n):
    """Take steps on six of the train pairs each."""
    for step in range(n):
        torch.manual_seed(step)
        last = task.step(np.random.default_rng(step).permutation(len(task.rows))[:6], step)
    return last


def network(**changes):
    return NetworkSettings(**NETWORK | changes)


def predictor(**changes):
    torch.manual_seed(0)
    return EditPredictor(network(**changes), FEATURES.n_mels).eval()


def ppo_task(cache, n_steps=40, **changes):
    settings = PolicySettings.model_validate(POLICY | {"ppo": PPO | changes})
    untrained = predictor()
    untrained.encoder.set_scale(*scale_of(untrained, cache, cache.rows("train")))
    return PpoTask(Frozen(cache, untrained, Cutter()), settings, 0, n_steps)


def batch(cache, rows=(0, 1, 2)):
    torch.manual_seed(1)
    return draw_batch(cache, np.array(rows), 96)


# networks


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


# reward


def by_hand():
    """Two beats of 2 and 4 frames, labelled KEEP and CUT, 1 s and 3 s long; and a shorter sample beside them."""
    raw = np.full((6, 2), 0.5, np.float32)
    target = raw * np.repeat([1, 0], [2, 4])[:, None].astype(np.float32)
    labels, plays, seconds = np.array([1, 0]), np.array([1, 0], np.float32), np.array([1, 3], np.float32)
    pair = CachedPair(raw, target, np.array([0, 2, 6]), labels, plays, seconds)
    return batch_of([(pair, (0, 2)), (pair, (0, 1))])


def test_reward_parts_by_hand():
    truth = by_hand()
    labels = torch.tensor([[Label.KEEP, Label.LOOP], [Label.KEEP, Label.PAD]])
    made = Cutter()(truth.raw, spread(labels, truth.beat_of_frame))
    beats, samples = beat_parts(labels, made, truth), sample_parts(labels, made, truth)
    torch.testing.assert_close(beats.reconstruction, torch.tensor([[0.0, -0.5], [0.0, 0.0]]))
    torch.testing.assert_close(beats.labels, torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
    # 1 + 2 · 3 s instead of 1 s: more than all of it is wrong.
    torch.testing.assert_close(beats.duration, torch.tensor([[0.0, 0.0], [1.0, 0.0]]))
    torch.testing.assert_close(beats.smoothness, torch.tensor([[0.0, -1.0], [0.0, 0.0]]))
    torch.testing.assert_close(samples.reconstruction, torch.tensor([-0.5 * 4 / 6, 0.0]))
    torch.testing.assert_close(samples.labels, torch.tensor([0.5, 1.0]))
    torch.testing.assert_close(samples.smoothness, torch.tensor([-1.0, 0.0]))
    expected = torch.tensor([10 * -0.5 * 4 / 6 + 5 * 0.5 + 0 - 2, 5.0 + 3.0])
    torch.testing.assert_close(samples.total(WEIGHTS), expected)
    torch.testing.assert_close(samples.total(WEIGHTS.without_labels()), expected - 5 * samples.labels)


def test_a_label_answers_for_the_difference_that_its_beat_makes():
    """Of length and smoothness: the sample's reward less that without the beat, times the beats."""
    truth = by_hand()
    labels = torch.tensor([[Label.KEEP, Label.LOOP], [Label.KEEP, Label.PAD]])
    made = torch.zeros_like(truth.raw)
    credited = credited_parts(labels, made, truth)
    # 7 s instead of 1 s; without the first beat 6 s, without the second 1 s.
    torch.testing.assert_close(credited.duration, torch.tensor([[2 * (5.0 - 6.0), 2 * (0.0 - 6.0)], [1.0, 0.0]]))
    torch.testing.assert_close(credited.smoothness, torch.tensor([[-1.0, -1.0], [0.0, 0.0]]))
    beats = beat_parts(labels, made, truth)
    torch.testing.assert_close(credited.reconstruction, beats.reconstruction)
    torch.testing.assert_close(credited.labels, beats.labels)


def test_the_truth_earns_the_most_there_is():
    truth = by_hand()
    parts = sample_parts(truth.labels, truth.target, truth)
    torch.testing.assert_close(parts.total(WEIGHTS), torch.tensor([5.0 + 3.0 - 2.0, 5.0 + 3.0]))


@pytest.mark.parametrize(
    ("labels", "error"),
    [("KEEP KEEP", 1.0), ("TRANSITION CUT", 0.5), ("LOOP CUT", 1.0), ("EFFECT CUT", 0.0), ("CUT FADE_IN", 1.0)],
)
def test_duration_error_counts_plays(labels, error):
    labels = torch.tensor([[Label[name] for name in labels.split()], [Label.KEEP, Label.PAD]])
    assert float(duration_error(labels, by_hand())[0]) == pytest.approx(error)


def test_an_edit_of_nothing_has_a_duration_error_of_0_or_1():
    pair = CachedPair(*np.zeros((2, 2, 2), np.float32), np.array([0, 1, 2]), *np.zeros((2, 2)), np.ones(2))
    batch_ = batch_of([(pair._replace(labels=np.zeros(2, np.int64)), (0, 2))] * 2)
    assert duration_error(torch.tensor([[0, 0], [0, 1]]), batch_).tolist() == [0, 1]


def test_all_keep_gets_exactly_what_its_cuts_cost(cache):
    rows = cache.rows("test")
    table = score_split(cache, rows, baselines(cache), judge_reward(Cutter(), WEIGHTS)).set_index(["pair_id", "method"])
    for row in rows:
        pair, name = cache.pair(int(row)), cache.table["pair_id"][row]
        raw_s, edit_s = pair.seconds.sum(), (pair.seconds * pair.plays).sum()
        expected = -10 * np.abs(pair.raw - pair.target).mean() + 3 * (1 - min(1, abs(raw_s - edit_s) / edit_s))
        assert table.loc[(name, "all_keep"), "reward"] == pytest.approx(expected, abs=1e-4)
        assert table.loc[(name, "all_keep"), "accuracy"] == np.mean(pair.labels == Label.KEEP)
        assert table.loc[(name, "oracle"), "accuracy"] == 1


def test_gain_is_0_for_all_keep_and_1_for_the_truth(cache):
    judge = judge_reward(Cutter(), WEIGHTS)
    half = {"half": lambda pair: np.where(pair.labels == Label.CUT, Label.CUT, Label.KEEP)}
    table = score_split(cache, np.arange(10), baselines(cache) | half, judge)
    summary = summarise_rewards(table, "test", 0, 100)
    assert summary["all_keep"]["gain"]["value"] == 0 and summary[ORACLE]["gain"]["value"] == pytest.approx(1)
    assert 0 < summary["half"]["gain"]["value"]
    over = summary["half"]["over"]["all_keep"]["value"]
    assert over == pytest.approx(summary["half"]["reward"]["value"] - summary["all_keep"]["reward"]["value"])
    assert "labels" in summary["half"]["parts"]


def test_balanced_accuracy_is_the_mean_recall():
    table = np.zeros((7, 7), int)
    table[0, 0], table[1, 0], table[1, 1] = 90, 5, 5
    assert balanced_accuracy(table) == pytest.approx(0.75)


# advantage


def test_gae_by_hand():
    rewards, values = torch.tensor([[1.0, 2.0, 9.0]]), torch.tensor([[0.5, 1.0, 9.0]])
    mask = torch.tensor([[True, True, False]])
    # The second beat ends the episode: 2 - 1; the first: 1 + 0.9 · 1 - 0.5, and 0.9 · 0.8 of what comes after.
    expected = torch.tensor([[1.4 + 0.72 * 1.0, 1.0, 0.0]])
    torch.testing.assert_close(advantages(rewards, values, mask, 0.9, 0.8), expected)


def test_a_horizon_of_one_beat_is_the_bandit():
    torch.manual_seed(0)
    rewards, values, mask = torch.randn(3, 6), torch.randn(3, 6), torch.arange(6) < torch.tensor([[6], [4], [1]])
    torch.testing.assert_close(advantages(rewards, values, mask, 0.0, 0.95), (rewards - values) * mask)


def test_with_lambda_1_the_advantage_is_all_that_follows():
    torch.manual_seed(0)
    rewards, values, mask = torch.randn(1, 5), torch.randn(1, 5), torch.ones(1, 5, dtype=torch.bool)
    returns = torch.stack([sum(0.9**k * rewards[0, t + k] for k in range(5 - t)) for t in range(5)])[None]
    torch.testing.assert_close(advantages(rewards, values, mask, 0.9, 1.0), returns - values)


def test_normalising_looks_at_no_padding():
    values, mask = torch.tensor([[1.0, 3.0, 100.0]]), torch.tensor([[True, True, False]])
    torch.testing.assert_close(normalised(values, mask), torch.tensor([[-1.0, 1.0, 0.0]]))


# PPO


@pytest.mark.parametrize("n_frames", [32, 64, 1024])
def test_a_batch_is_executed_as_recordings_are(cache, n_frames):
    torch.manual_seed(0)
    size = {"dim": 16, "label_dim": 4, "n_encoder_layers": 1, "n_decoder_layers": 1, "n_heads": 2, "dropout": 0.0}
    form = {"n_frames": n_frames, "patch": 1, "residual": "scalar", "run_position": True}
    model = ReconstructionModel(ReconstructionNetwork(**size, **form), FEATURES).eval()
    pairs = [(cache.pair(0), (0, 24)), (cache.pair(1), (0, 9))]
    b = batch_of(pairs)
    made = execute(model, b, b.labels)
    for own, (pair, (_, last)) in zip(made, pairs, strict=True):
        n = pair.edges[last]
        expected = reconstruct_recording(model, pair.raw[:n], pair.edges[: last + 1], pair.labels[:last])
        np.testing.assert_allclose(own[:n].numpy(), expected, atol=1e-5)


def test_the_clipped_loss_at_known_ratios():
    ratio, advantage = torch.tensor([1.5, 0.5, 1.5, 0.5]), torch.tensor([1.0, 1.0, -1.0, -1.0])
    assert float(clipped_loss(ratio, advantage, 0.2)) == pytest.approx(-np.mean([1.2, 0.5, -1.5, -0.8]))


@pytest.mark.parametrize("ratio", ["beat", "seed_summed"])
def test_the_first_ratio_is_1(cache, ratio):
    logged = ppo_task(cache, ratio=ratio, n_epochs=1).step(np.arange(6), 0)
    assert logged["ratio_mean"] == pytest.approx(1, abs=1e-5) and logged["log_ratio_largest"] < 1e-4
    assert logged["clipped"] == 0 and abs(logged["kl"]) < 1e-5


def test_a_policy_that_answers_differently_twice_is_refused(cache):
    task = ppo_task(cache)
    task.policy.train()
    with pytest.raises(TrainingError, match="ratio of 1"):
        task.step(np.arange(6), 0)


def test_summed_ratios_are_of_all_the_window_and_a_beats_of_its_own(cache):
    task, b = ppo_task(cache), batch(cache)
    parts = (b, task.policy, task.value, Cutter())
    rollouts = {}
    for ratio in ("beat", "seed_summed"):
        torch.manual_seed(3)
        settings = task.settings.ppo.model_copy(update={"ratio": ratio})
        rollouts[ratio] = roll_out(*parts, settings, WEIGHTS)
    beat, summed = rollouts["beat"], rollouts["seed_summed"]
    assert torch.equal(beat.labels, summed.labels)
    torch.testing.assert_close(summed.log_probs, beat.log_probs.sum(1, keepdim=True))
    torch.testing.assert_close(summed.rewards[:, 0], summed.parts.total(WEIGHTS))
    thoughts = distribution(task.policy, b)
    own = thoughts.logits.log_softmax(-1)[0, 0, beat.labels[0, 0]].detach()
    assert float(beat.log_probs[0, 0]) == pytest.approx(float(own), abs=1e-5)
    # A step that moves each beat a little moves the window by their sum.
    with torch.no_grad():
        task.policy.head.bias[Label.KEEP] += 0.1
    settings, mask = task.settings.ppo.model_copy(update={"ratio": "seed_summed"}), b.beat_mask
    thoughts = distribution(task.policy, b)
    moved = (thoughts.log_prob(beat.labels.clamp(max=6)) * mask - beat.log_probs).sum(1, keepdim=True)
    log_ratio = log_probabilities(thoughts, beat.labels, mask, settings) - summed.log_probs
    torch.testing.assert_close(log_ratio, moved)
    assert float(log_ratio.detach().abs().max()) > 0.01


def test_padding_draws_no_label_and_earns_nothing(cache):
    pair = cache.pair(0)
    b = batch_of([(pair, (0, 4)), (pair, (0, 12))])
    task = ppo_task(cache)
    rollout = roll_out(b, task.policy, task.value, Cutter(), task.settings.ppo, WEIGHTS)
    assert (rollout.labels[0, 4:] == Label.PAD).all() and (rollout.labels[b.beat_mask] < Label.PAD).all()
    for values in (rollout.rewards, rollout.log_probs, rollout.advantages, rollout.returns):
        assert (values[0, 4:] == 0).all()


def test_returns_are_in_the_value_networks_unit(cache):
    task = ppo_task(cache, advantage="sequence", gae_lambda=1.0)
    b = batch(cache)
    rollout = roll_out(b, task.policy, task.value, Cutter(), task.settings.ppo, WEIGHTS)
    assert task.settings.ppo.horizon == pytest.approx(100)
    last = b.labels.shape[1] - 1
    followed = sum(0.99 ** (k - 5) * rollout.rewards[:, k] for k in range(5, last + 1))
    torch.testing.assert_close(rollout.returns[:, 5] * 100, followed, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("advantage", ["bandit", "sequence"])
def test_ppo_finds_labels_that_pay(many, advantage):
    """The label's band is loud: nobody shows the policy labels, it is only paid for them."""
    task = ppo_task(many, 40, advantage=advantage, gamma=0.5, kl_stop=0.0, learning_rate=0.003, entropy=0.2)
    before = task.evaluate()
    assert set(before) == {f"validation_{name}" for name in ("policy", "imitation", "all_keep", "oracle")}
    assert before["validation_policy"] == before["validation_imitation"]
    assert steps(task, 30)["reward_labels"] > 0.8
    assert task.evaluate()["validation_policy"] > before["validation_policy"] + 0.5


def test_ppo_without_the_label_bonus_gets_from_a_poor_imitation_to_what_sounds_right(many):
    learner = ImitationTask(many, ImitationSettings.model_validate(IMITATION | {"learning_rate": 0.003}), 0, CPU, 50)
    steps(learner, 4)
    reward = {"reconstruction": 10, "labels": 0, "duration": 0, "smoothness": 0}
    settings = POLICY | {"ppo": PPO | {"kl_stop": 0.0, "learning_rate": 0.003}, "reward": reward}
    task = PpoTask(Frozen(many, learner.model.eval(), Cutter()), PolicySettings.model_validate(settings), 0, 30)
    steps(task, 18)
    known = task.evaluate()
    assert known["validation_imitation"] < known["validation_oracle"] - 0.3
    assert known["validation_policy"] > (known["validation_imitation"] + known["validation_oracle"]) / 2


def test_the_policy_rests_while_the_value_network_warms_up(cache):
    task = ppo_task(cache, value_warmup=1)
    before = [p.clone() for p in task.policy.parameters()], [p.clone() for p in task.value.parameters()]
    assert "policy_loss" not in task.step(np.arange(6), 0)
    assert all(map(torch.equal, before[0], task.policy.parameters()))
    assert not all(map(torch.equal, before[1], task.value.parameters()))
    assert "policy_loss" in task.step(np.arange(6), 1)
    assert not all(map(torch.equal, before[0], task.policy.parameters()))


def test_updates_stop_when_the_policy_has_moved_far(cache):
    assert ppo_task(cache, kl_stop=1e-9).step(np.arange(6), 0)["updates"] == 1
    assert ppo_task(cache, kl_stop=0.0).step(np.arange(6), 0)["updates"] == 4


def test_entropy_is_paid_for_at_first_and_not_at_last(cache):
    def change(step):
        task = ppo_task(cache, n_steps=10, entropy=1e6, n_epochs=1, max_grad_norm=1e9)
        with torch.no_grad():
            task.policy.head.bias[Label.KEEP] += 2
        torch.manual_seed(0)
        before = task.step(np.arange(6), step)["entropy"]
        torch.manual_seed(0)
        return task.step(np.arange(6), step)["entropy"] - before

    assert change(0) > 0.01 > change(10)


def test_a_window_of_one_decision_has_no_sequence():
    with pytest.raises(ValidationError, match="seed_summed"):
        PolicySettings.model_validate(POLICY | {"ppo": PPO | {"ratio": "seed_summed", "advantage": "sequence"}})


# imitation


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
    assert scored["policy"]["gain"]["value"] > 0.5 and set(scored) >= {"imitation", "oracle", "majority"}


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


def test_the_policy_that_earned_most_on_validation_pairs_is_kept(cache):
    task = ppo_task(cache)
    bias = task.policy.head.bias
    for value, reward, kept in ((1.0, 0.5, 1.0), (2.0, 0.7, 2.0), (3.0, 0.6, 2.0)):
        bias.data[0] = value
        task.best.offer(task.policy, reward)
        assert task.best.policy.head.bias[0].item() == kept
    # Where nothing is known of any, the last one.
    task.best.offer(task.policy, None)
    assert task.best.policy.head.bias[0].item() == 3.0
