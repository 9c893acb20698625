"""The audit of the audit: editors that know nothing, and models that do not listen, fail the gates meant for them."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

from soundgate.audio.exact import read_exact
from soundgate.tracks.editor.audit import run
from soundgate.tracks.editor.audit.gating import phase1_gates, policy_gates, sound_gates
from soundgate.tracks.editor.audit.reconstruction import reconstruction_table, summarise
from soundgate.tracks.editor.audit.reward_truth import (
    EQUAL_SHARE,
    N_EQUAL,
    SHARES,
    Recording,
    agreement,
    equally_wrong,
    perturbed,
    reward_against_renderer,
)
from soundgate.tracks.editor.audit.settings import AuditSettings, AuditThresholds
from soundgate.tracks.editor.edit_list import Tone, write_edit_list
from soundgate.tracks.editor.editing.output import write_sound
from soundgate.tracks.editor.editing.samples import SUMMARY
from soundgate.tracks.editor.features import Features
from soundgate.tracks.editor.policy.controls import Habits, collapsed, constant_ratio
from soundgate.tracks.editor.policy.scoring import (
    baselines,
    judge_reward,
    score_split,
    summarise_labels,
    summarise_rewards,
)
from soundgate.tracks.editor.policy.settings import RewardWeights
from soundgate.tracks.editor.reconstruct.rule import rule_recording
from soundgate.tracks.editor.rendering import render
from soundgate.tracks.editor.timeline import from_labels
from soundgate.tracks.editor.vocabulary import Label
from tests.tracks.editor.planted import FEATURES, planted_cache

# Planted labels change at random, and what is cut is a seventh: the parts weigh otherwise than in real music.
WEIGHTS = RewardWeights(reconstruction=100, labels=5, duration=3, smoothness=0)
THRESHOLDS = AuditThresholds(
    l1=0.1, stft=1.0, keep_preserved=0.95, over_rule_db=0.01, reward=0.0, accuracy=0.7, duration_error=0.1,
    margin=0.001, reward_agreement=0.7,
)  # fmt: skip


class Executor(torch.nn.Module):
    """A reconstruction that cuts what is CUT, or does not listen."""

    settings = SimpleNamespace(n_frames=10_000)

    def __init__(self, listens=True):
        super().__init__()
        self.listens, self.weight = listens, torch.nn.Parameter(torch.ones(()))

    def forward(self, raw, frame_labels):
        return raw * (frame_labels != Label.CUT)[..., None] if self.listens else raw


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return planted_cache(tmp_path_factory.mktemp("cache"), n_pairs=30)


def nearly_true(share):
    """Return the truth with a share of the beats wrong."""

    def labels(pair):
        generator = np.random.default_rng(len(pair.raw))
        wrong = generator.random(len(pair.labels)) < share
        return np.where(wrong, (pair.labels + 1) % 7, pair.labels)

    return labels


def knowing_little(cache, policy, imitation):
    """Return the controls of two functions that label a pair, as `controls` makes them of models."""
    habits = Habits.of(cache, cache.rows("train"))
    return {
        "collapse": lambda pair: collapsed(policy(pair), habits.n_faded),
        "imitation_collapse": lambda pair: collapsed(imitation(pair), habits.n_faded),
        "constant_ratio": lambda pair: constant_ratio(pair.seconds, habits.ratio),
    }


def policy_verdicts(cache, policy, imitation, weights=WEIGHTS):
    methods = {"policy": policy, "imitation": imitation} | baselines(cache) | knowing_little(cache, policy, imitation)
    scored = score_split(cache, cache.rows("test"), methods, judge_reward(Executor(), weights))
    rewards = summarise_rewards(scored, "test", 0, 200)
    for method, own in scored.groupby("method"):
        value = float((own["reward"] + weights.labels * own["labels"]).mean())
        rewards[method]["with_labels"] = {"value": value, "ci_low": value, "ci_high": value, "n": len(own)}
    return policy_gates(summarise_labels(scored, "test", 0, 200), rewards, THRESHOLDS)


def failed(verdicts):
    return {name for name, gate in verdicts.items() if gate["verdict"] != "pass"}


def test_an_editor_that_is_nearly_right_passes(cache):
    assert not failed(policy_verdicts(cache, nearly_true(0.02), nearly_true(0.4)))


@pytest.mark.parametrize("known", ["all_keep", "majority"])
def test_an_editor_that_knows_nothing_fails_every_margin(cache, known):
    policy = baselines(cache)[known]
    verdicts = policy_verdicts(cache, policy, nearly_true(0.4))
    assert {f"policy_over_{known}", "policy_macro_f1_over_control", "policy_accuracy"} <= failed(verdicts)


def test_a_policy_that_is_its_imitation_gains_nothing(cache):
    assert failed(policy_verdicts(cache, nearly_true(0.05), nearly_true(0.05))) == {"policy_over_imitation"}


def test_a_policy_that_knows_nothing_but_cuts_earns_nothing_over_its_collapse(cache):
    def cutting(pair):
        return collapsed(nearly_true(0.02)(pair), Habits.of(cache, cache.rows("train")).n_faded)

    verdicts = policy_verdicts(cache, cutting, nearly_true(0.4))
    assert verdicts["policy_over_collapse"]["verdict"] == "fail"
    assert verdicts["policy_over_all_keep"]["verdict"] == "pass"


def test_a_policy_that_keeps_a_constant_ratio_has_no_length_of_its_own(cache):
    def keeping(pair):
        return knowing_little(cache, None, None)["constant_ratio"](pair)

    verdicts = policy_verdicts(cache, keeping, nearly_true(0.4))
    for name in ("policy_duration_over_constant_ratio", "policy_over_constant_ratio"):
        assert verdicts[name]["verdict"] == "fail"


def test_keep_for_all_is_paid_by_the_seeds_reward(cache):
    """What the seed's criterion is worth: an editor that does nothing meets it."""
    seeds = RewardWeights(reconstruction=10, labels=5, duration=3, smoothness=2)
    verdicts = policy_verdicts(cache, baselines(cache)["all_keep"], nearly_true(0.4), seeds)
    assert verdicts["policy_reward"]["verdict"] == "pass" and verdicts["policy_over_all_keep"]["verdict"] == "fail"


@pytest.mark.parametrize("listens", [True, False])
def test_a_model_that_ignores_its_labels_is_found(cache, listens):
    table = reconstruction_table(cache, cache.rows("test"), Executor(listens), 0)
    gates = phase1_gates(summarise(table, 0, 200), THRESHOLDS)
    for name in ("reconstruction_obeys_labels", "reconstruction_over_raw"):
        assert gates[name]["verdict"] == ("pass" if listens else "fail")
    # It does keep what is kept.
    assert gates["reconstruction_keep"]["verdict"] == "pass"


class Judge(torch.nn.Module):
    """A reconstruction that knows its pair."""

    settings = SimpleNamespace(n_frames=10_000)

    def __init__(self, pair):
        super().__init__()
        self.pair, self.weight = pair, torch.nn.Parameter(torch.ones(()))

    def forward(self, raw, frame_labels):
        return torch.from_numpy(self.made(frame_labels[0, self.pair.edges[:-1]].numpy()))[None]


class Ruled(Judge):
    """Does what labels say."""

    def made(self, labels):
        return rule_recording(self.pair.raw, self.pair.edges, labels, FEATURES.range_db)


class Counting(Judge):
    """Is the further from the target the more labels are wrong, whichever they are."""

    def made(self, labels):
        return self.pair.target * np.float32(1 - 0.01 * np.count_nonzero(labels != self.pair.labels))


class Deaf(Judge):
    """Does not listen."""

    def made(self, labels):
        return self.pair.raw


def test_versions_are_equally_wrong_in_different_places():
    labels = np.arange(70) % 7
    versions = equally_wrong(labels, np.random.default_rng(0))
    assert [np.count_nonzero(version != labels) for version in versions] == [round(70 * EQUAL_SHARE)] * N_EQUAL
    assert len({version.tobytes() for version in versions}) == N_EQUAL


def test_labels_are_exchanged_for_others():
    labels = np.arange(70) % 7
    for share, version in zip(SHARES, perturbed(labels, np.random.default_rng(0)), strict=True):
        assert np.mean(version != labels) == pytest.approx(share, abs=0.01)


def heard_pair(cache):
    """Return a pair with sound of its own, and that sound with the edit that its labels describe."""
    pair = cache.pair(int(cache.rows("test")[0]))
    edges = pair.edges * FEATURES.hop_length
    spans = np.stack([edges[:-1], edges[1:]], axis=1)
    generator = np.random.default_rng(0)
    levels = np.repeat(generator.uniform(0.05, 0.3, len(spans)), np.diff(edges))
    wav = (generator.standard_normal(edges[-1]) * levels).astype(np.float32)[None]
    edit = from_labels(pair.labels, spans, FEATURES.sample_rate, Tone())
    raw = Features(FEATURES)(wav[0])[: len(pair.raw)]
    target = rule_recording(raw, pair.edges, pair.labels, FEATURES.range_db)
    return pair._replace(raw=raw, target=target), Recording(wav, FEATURES.sample_rate, edit, spans)


@pytest.mark.parametrize(("judge", "agrees"), [(Ruled, True), (Counting, False), (Deaf, False)])
def test_a_reward_that_orders_equally_wrong_edits_as_their_audio_does_agrees(cache, judge, agrees):
    pair, recording = heard_pair(cache)
    table = reward_against_renderer(pair, recording, judge(pair), Features(FEATURES), 0, "p")
    growing, equal = (table[table["kind"] == kind] for kind in ("growing", "equal"))
    assert growing["renderer"].iloc[0] == 0 and len(equal) == N_EQUAL and equal["n_wrong"].nunique() == 1
    assert agreement(equal, "n_wrong") == 0
    value = agreement(equal)
    assert value > 0.8 if agrees else value == 0
    # Of growing shares the number of wrong labels tells nearly all: they decide nothing.
    assert agreement(growing, "n_wrong") > 0.8 and (judge is Deaf or agreement(growing) > 0.8)


@pytest.mark.parametrize("damaged", [False, True])
def test_the_audit_judges_the_files_of_edits(cache, tmp_path, monkeypatch, damaged):
    rows, rate = [], FEATURES.sample_rate
    for number in cache.rows("test"):
        pair, name = cache.pair(int(number)), cache.table["pair_id"].iloc[number]
        edges = pair.edges * FEATURES.hop_length
        spans = np.stack([edges[:-1], edges[1:]], axis=1)
        noise, raw = np.random.default_rng(number).uniform(-0.5, 0.5, edges[-1]), tmp_path / f"{name}.flac"
        soundfile.write(raw, noise, rate)
        edit = from_labels(pair.labels, spans, rate, Tone(low_db=6))
        truth = {"edit_list": edit.model_dump_json(), "beats": edges[:-1]}
        rows.append({"pair_id": name, "group": f"g{number}", "raw_path": raw} | truth)
    sound = render(read_exact(raw).samples, edit)
    write_sound(tmp_path / "edit.flac", sound ^ (damaged << 16), rate, "PCM_16")
    write_edit_list(tmp_path / "edit.json", edit)
    sample = {"pair_id": name, "sound": "edit.flac", "edit_list": "edit.json"}
    pd.DataFrame([sample]).to_csv(tmp_path / SUMMARY, index=False)
    monkeypatch.setattr(run, "by_policy", lambda policy: policy)
    monkeypatch.setattr(run, "controls", lambda cache, policy, imitation: {})  # They need networks.
    trained = run.Trained(Executor(), nearly_true(0.4), nearly_true(0.05))
    settings = AuditSettings(thresholds=THRESHOLDS, n_rendered=3, n_bootstrap=100)
    audit = run.run_audit(settings, cache, pd.DataFrame(rows), tmp_path, trained, WEIGHTS, 0)
    identical = audit.truth["identical"]
    assert identical["n"] == 4 and identical["control"] < 0.01
    # One file of four is wrong in every sample.
    assert identical["value"] == (0.75 if damaged else 1)


def test_damaged_copies_and_a_poor_vocoder_fail():
    estimate = {"value": 0.9, "ci_low": 0.8, "ci_high": 1.0, "n": 5, "control": 0.0}
    vocoder = {"over": {"griffin_lim": {"stft_loss": {"value": 0.1, "ci_low": -0.1, "ci_high": 0.3, "n": 5}}}}
    gates = sound_gates({"equally_wrong": estimate, "identical": estimate}, vocoder, THRESHOLDS)
    assert failed(gates) == {"kept_samples_identical", "vocoder_stft_loss_over_griffin_lim"}
