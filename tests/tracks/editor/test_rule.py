"""The labels' definitions as a baseline of phase 1, and editors that must not pass beside it."""

import numpy as np
import pytest
import torch

from soundgate.tracks.editor.audit import reconstruction as auditing
from soundgate.tracks.editor.audit.gating import UNSAID, phase1_gates
from soundgate.tracks.editor.audit.reconstruction import reconstruction_table, summarise
from soundgate.tracks.editor.reconstruct.rule import edit_of_frames, gains_db, rule_recording
from soundgate.tracks.editor.vocabulary import BEAT_LABELS, Label
from soundgate.tracks.editor.windows import beat_numbers
from tests.tracks.editor.planted import FEATURES, planted_cache
from tests.tracks.editor.test_audit_gates import THRESHOLDS

RANGE_DB = FEATURES.range_db
GATES = {label.name: f"reconstruction_{label.name.lower()}_over_rule" for label in BEAT_LABELS}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return planted_cache(tmp_path_factory.mktemp("cache"), n_pairs=30)


def by_rule(names, n_frames=4):
    """Return what the rule makes of a recording at the ceiling, in dB, a beat of so many frames a label."""
    labels = np.array([Label[name] for name in names.split()])
    edges = np.arange(len(labels) + 1) * n_frames
    made = rule_recording(np.ones((edges[-1], 2), np.float32), edges, labels, RANGE_DB)
    assert made.dtype == np.float32
    np.testing.assert_array_equal(made[:, 0], made[:, 1])
    return RANGE_DB * (made[:, 0].reshape(-1, n_frames) - 1)


def test_definitions_by_hand():
    kept, cut = np.zeros(4), np.full(4, -RANGE_DB)
    np.testing.assert_allclose(by_rule("KEEP CUT LOOP EFFECT"), [kept, cut, kept, kept], atol=1e-5)
    rising = 20 * np.log10((np.arange(8) + 0.5) / 8)
    np.testing.assert_allclose(by_rule("FADE_IN FADE_IN").ravel(), rising, atol=1e-4)
    np.testing.assert_allclose(by_rule("FADE_OUT FADE_OUT").ravel(), rising[::-1], atol=1e-4)
    ends = 20 * np.log10(np.cos((np.arange(4) + 0.5) / 4 * np.pi / 2))
    for names in ("TRANSITION TRANSITION", "TRANSITION CUT TRANSITION"):
        first, *_, second = by_rule(names)
        np.testing.assert_allclose([first, second], [ends, ends[::-1]], atol=1e-4)


def test_nothing_falls_below_the_floor_and_gains_are_decibels():
    labels, edges = np.array([Label.FADE_IN, Label.CUT]), np.array([0, 10, 14])
    made = rule_recording(np.full((14, 1), 0.01, np.float32), edges, labels, RANGE_DB)
    assert made.min() == 0 and made[9, 0] == pytest.approx(0.01 + 20 * np.log10(0.95) / RANGE_DB, abs=1e-6)
    gains = gains_db(edit_of_frames(labels, edges))
    assert gains[4] == pytest.approx(20 * np.log10(0.45), abs=1e-4) and (gains[10:] < -2 * RANGE_DB).all()


def test_only_what_labels_leave_unsaid_is_far_from_the_target(cache):
    for row in cache.rows("test"):
        pair = cache.pair(int(row))
        away = np.abs(rule_recording(pair.raw, pair.edges, pair.labels, RANGE_DB) - pair.target).mean(1)
        label = pair.labels[beat_numbers(pair.edges)]
        assert not (label == Label.EFFECT).any() or away[label == Label.EFFECT].mean() > 0.001
        # Half precision of the cache is all that is left elsewhere; planted gains are of a frame's first sample.
        copied = np.isin(label, [Label.CUT, Label.KEEP, Label.LOOP])
        assert away[copied].max() < 1e-3 and away[label != Label.EFFECT].mean() < 0.02


def verdicts(cache, monkeypatch, editor):
    """Return the gates of an editor that is given the pair, and the labels it is to follow."""
    pairs = [cache.pair(int(row)) for row in cache.rows("test")]

    def reconstruct(model, raw, edges, labels):
        return editor(next(pair for pair in pairs if np.array_equal(pair.raw, raw)), labels)

    monkeypatch.setattr(auditing, "reconstruct_recording", reconstruct)
    table = reconstruction_table(cache, cache.rows("test"), torch.nn.Identity(), 0)
    return {name: gate["verdict"] for name, gate in phase1_gates(summarise(table, 0, 200), THRESHOLDS).items()}


def ruled(pair, labels):
    return rule_recording(pair.raw, pair.edges, labels, RANGE_DB)


def test_an_editor_that_mends_what_labels_leave_unsaid_passes(cache, monkeypatch):
    def mending(pair, labels):
        unsaid = np.isin(labels[beat_numbers(pair.edges)], [Label[name] for name in UNSAID])
        return np.where(unsaid[:, None], pair.target, ruled(pair, labels))

    found = verdicts(cache, monkeypatch, mending)
    assert set(found.values()) == {"pass"}


def test_the_rule_itself_is_no_model(cache, monkeypatch):
    found = verdicts(cache, monkeypatch, ruled)
    better = {"reconstruction_over_rule"} | {GATES[name] for name in UNSAID}
    assert {name for name, verdict in found.items() if verdict == "fail"} == better


@pytest.mark.parametrize("label", [Label.CUT, Label.KEEP, Label.LOOP, Label.FADE_IN, Label.FADE_OUT])
def test_an_editor_that_blurs_one_label_fails_that_label(cache, monkeypatch, label):
    def blurring(pair, labels):
        blurred = (labels == label)[beat_numbers(pair.edges)][:, None]
        return np.where(blurred, 0.5 * ruled(pair, labels) + 0.3, pair.target)

    found = verdicts(cache, monkeypatch, blurring)
    assert found[GATES[label.name]] == "fail"
    assert all(found[GATES[name]] == "pass" for name in ("CUT", "KEEP", "LOOP", "EFFECT") if name != label.name)
