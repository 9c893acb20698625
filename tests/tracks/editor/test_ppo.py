"""PPO on planted edits: ratios, rollouts, updates, and what it finds."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from soundgate.runtime.errors import TrainingError
from soundgate.tracks.editor.policy import ppo
from soundgate.tracks.editor.policy.executing import execute
from soundgate.tracks.editor.policy.imitate import (
    ImitationTask,
)
from soundgate.tracks.editor.policy.ppo import Frozen, PpoTask, clipped_loss
from soundgate.tracks.editor.policy.rollout import distribution, log_probabilities, roll_out
from soundgate.tracks.editor.policy.settings import ImitationSettings, PolicySettings
from soundgate.tracks.editor.reconstruct.model import ReconstructionModel, reconstruct_recording
from soundgate.tracks.editor.reconstruct.settings import NetworkSettings as ReconstructionNetwork
from soundgate.tracks.editor.vocabulary import Label
from soundgate.tracks.editor.windows import batch_of
from soundgate.training.finite import NonFiniteBatch
from tests.tracks.editor.planted import FEATURES, planted_cache
from tests.tracks.editor.policies import CPU, IMITATION, POLICY, PPO, WEIGHTS, Cutter, batch, ppo_task, steps


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return planted_cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    return planted_cache(tmp_path_factory.mktemp("many"), n_pairs=50)


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


def test_a_recording_that_is_not_finite_is_refused_before_labels_are_drawn(cache, monkeypatch):
    task = ppo_task(cache)
    before = {name: value.clone() for name, value in task.policy.state_dict().items()}
    draw = ppo.draw_batch

    def spoilt(*given):
        own = draw(*given)
        return own._replace(raw=own.raw * torch.nan)

    monkeypatch.setattr(ppo, "draw_batch", spoilt)
    with pytest.raises(NonFiniteBatch, match="batch not finite"):
        steps(task, 1)
    assert all(torch.equal(value, before[name]) for name, value in task.policy.state_dict().items())


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
    assert set(before) == {f"validation_{name}" for name in ("policy", "last", "imitation", "all_keep", "oracle")}
    assert before["validation_policy"] == before["validation_last"] == before["validation_imitation"]
    assert steps(task, 45)["reward_labels"] > 0.8
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


def test_the_outcome_is_an_average_over_batches(cache):
    task = ppo_task(cache, average=0.75)
    weights = [task.policy.head.weight.detach().clone()]
    for number in range(2):
        torch.manual_seed(number)
        task.step(np.arange(6), number)
        weights.append(task.policy.head.weight.detach().clone())
    expected = 0.75 * (0.75 * weights[0] + 0.25 * weights[1]) + 0.25 * weights[2]
    torch.testing.assert_close(task.average.head.weight, expected)
    assert not torch.equal(weights[1], weights[2])


def test_while_the_value_network_warms_up_the_average_rests_too(cache):
    task = ppo_task(cache, value_warmup=1)
    before = task.average.head.weight.clone()
    task.step(np.arange(6), 0)
    assert torch.equal(task.average.head.weight, before)
