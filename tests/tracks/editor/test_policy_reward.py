"""What labels earn: the parts of the reward, what a beat answers for, advantages."""

import numpy as np
import pytest
import torch

from soundgate.tracks.editor.cache import CachedPair
from soundgate.tracks.editor.policy.advantage import advantages, normalised
from soundgate.tracks.editor.policy.reward import beat_parts, credited_parts, duration_error, sample_parts
from soundgate.tracks.editor.policy.scoring import ORACLE, baselines, judge_reward, score_split, summarise_rewards
from soundgate.tracks.editor.recovery.scores import balanced_accuracy
from soundgate.tracks.editor.vocabulary import Label
from soundgate.tracks.editor.windows import batch_of, spread
from tests.tracks.editor.planted import planted_cache
from tests.tracks.editor.policies import WEIGHTS, Cutter


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return planted_cache(tmp_path_factory.mktemp("cache"))


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
    # 10 s instead of 1 s; without the first beat 9 s, without the second 1 s.
    torch.testing.assert_close(credited.duration, torch.tensor([[2 * (8.0 - 9.0), 2 * (0.0 - 9.0)], [1.0, 0.0]]))
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
