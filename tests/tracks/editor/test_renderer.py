"""Phase 1 as the rule with learned parameters: what it may change, and that it learns what labels leave unsaid."""

import numpy as np
import pytest
import torch

from soundgate.tracks.editor.edit_list import Tone
from soundgate.tracks.editor.features import Features
from soundgate.tracks.editor.reconstruct.drawing import draw_edit
from soundgate.tracks.editor.reconstruct.model import (
    build_reconstruction,
    load_reconstruction,
    reconstruct_recording,
    save_reconstruction,
)
from soundgate.tracks.editor.reconstruct.renderer import LearnedRenderer
from soundgate.tracks.editor.reconstruct.rule import rule_recording
from soundgate.tracks.editor.reconstruct.settings import ReconstructionSettings, RendererSettings
from soundgate.tracks.editor.reconstruct.task import ReconstructionTask
from soundgate.tracks.editor.timeline import tone_db
from soundgate.tracks.editor.vocabulary import Label
from soundgate.tracks.editor.windows import batch_of, beat_numbers
from tests.tracks.editor.planted import FEATURES, planted_cache
from tests.tracks.editor.test_reconstruction import CPU, SETTINGS

NETWORK = RendererSettings(residual="rule", dim=16, n_frames=400, patch=2)
RANGE_DB = FEATURES.range_db
LEARNT = [Label.EFFECT, Label.TRANSITION]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return planted_cache(tmp_path_factory.mktemp("cache"))


def renderer(stirred=0.0):
    torch.manual_seed(0)
    model = build_reconstruction(NETWORK, FEATURES).eval()
    for parameter in model.parameters():
        parameter.data += stirred * torch.randn_like(parameter)
    return model


def ruled(pair):
    return rule_recording(pair.raw, pair.edges, pair.labels, RANGE_DB)


def by_frames(pair):
    """Return what the rule makes of frames, without knowing where a beat ends."""
    labels = pair.labels[beat_numbers(pair.edges)]
    return rule_recording(pair.raw, np.arange(len(labels) + 1), labels, RANGE_DB)


def test_untrained_it_is_the_rule(cache):
    for row in range(4):
        pair = cache.pair(row)
        made = reconstruct_recording(renderer(), pair.raw, pair.edges, pair.labels)
        np.testing.assert_array_equal(made, by_frames(pair))
        label = pair.labels[beat_numbers(pair.edges)]
        np.testing.assert_array_equal(made[label != Label.TRANSITION], ruled(pair)[label != Label.TRANSITION])


def test_whatever_it_learns_it_changes_effects_and_transitions_only(cache):
    pair = cache.pair(0)
    label = pair.labels[beat_numbers(pair.edges)]
    made = reconstruct_recording(renderer(stirred=1.0), pair.raw, pair.edges, pair.labels)
    said = ~np.isin(label, LEARNT)
    np.testing.assert_array_equal(made[said], by_frames(pair)[said])
    effect = label == Label.EFFECT
    assert np.abs(made[effect] - pair.raw[effect]).max() > 0.05


def test_what_an_effect_does_is_a_gain_and_the_renderers_equaliser():
    model = renderer()
    asked = np.array([0.2, -0.3, 0.1, 0.4])
    model.head[-1].bias.data[:4] = torch.from_numpy(np.arctanh(asked)).float()
    raw, labels = torch.full((1, 10, 8), 0.5), torch.full((1, 10), Label.EFFECT)
    raw[0, 3, 2] = 0
    change_db = RANGE_DB * (model(raw, labels) - raw).detach()[0].numpy()
    low, mid, high = 12 * asked[1:]
    tone = Tone(low_db=low, mid_db=mid, high_db=high)
    expected = 12 * asked[0] + tone_db(tone, Features(FEATURES).centres_hz, FEATURES.sample_rate)
    np.testing.assert_allclose(change_db[0], expected, atol=0.5)
    assert change_db[3, 2] == 0, "what is at the floor stays there"


def test_a_transition_is_between_its_partner_and_its_own_halves():
    labels = torch.tensor([[Label.TRANSITION] * 8 + [Label.CUT] * 4 + [Label.TRANSITION] * 8])
    raw, model = torch.ones(1, 20, 8), renderer()
    paired = model(raw, labels)[0, :, 0]
    assert paired[0] > 0.99 and paired[7] < 0.85 and paired[12] < 0.85 and paired[19] > 0.99
    model.head[-1].bias.data[4] = 20
    halves = model(raw, labels)[0, :, 0].detach()
    one = rule_recording(np.ones((8, 1), np.float32), np.arange(9), np.full(8, Label.TRANSITION), RANGE_DB)[:, 0]
    np.testing.assert_allclose(halves, np.concatenate([one, np.zeros(4), one]), atol=1e-6)


@pytest.mark.parametrize("last", [15, 16, 17, 18])
def test_padding_changes_nothing(cache, last):
    model = renderer(stirred=0.5)
    pair = cache.pair(0)
    pair = pair._replace(labels=np.where(np.arange(len(pair.labels)) < last - 2, pair.labels, Label.EFFECT))
    alone = batch_of([(pair, (0, last))])
    padded = batch_of([(pair, (0, last)), (cache.pair(1), (0, 24))])
    n_frames = alone.raw.shape[1]
    assert padded.raw.shape[1] > n_frames
    padded.raw[0, n_frames:] = 5.0
    made = model(padded.raw, padded.frame_labels)[:1, :n_frames]
    torch.testing.assert_close(made, model(alone.raw, alone.frame_labels), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("label", [Label.EFFECT, Label.CUT, Label.TRANSITION])
def test_recordings_with_nothing_to_compare_are_no_error(label):
    for raw in (torch.rand(1, 1, 8), torch.zeros(1, 7, 8), torch.rand(1, 7, 8)):
        made = renderer(stirred=0.5)(raw, torch.full(raw.shape[:2], label))
        assert made.shape == raw.shape and torch.isfinite(made).all()


def test_an_effect_is_compared_with_what_sounds_alike_and_is_none():
    model = renderer()
    generator = torch.Generator().manual_seed(0)
    bars = torch.rand(3, 1, 8, generator=generator).expand(3, 6, 8) * 0.5 + 0.2
    raw = torch.cat([bars[0], bars[1], bars[2], bars[1] - 0.1])
    labels = np.array([Label.KEEP] * 18 + [Label.EFFECT] * 6)
    alike, usual = model._compared(raw, labels)
    torch.testing.assert_close(alike[18:], bars[1], atol=1e-3, rtol=0)
    torch.testing.assert_close(usual[18:], bars.mean((0, 1)).expand(6, 8))
    torch.testing.assert_close(alike[:18], raw[:18], atol=0, rtol=0)


def away_db(model, pairs):
    """Return how far a model's effects are from their targets, in dB."""
    found = []
    for pair in pairs:
        effect = pair.labels[beat_numbers(pair.edges)] == Label.EFFECT
        made = reconstruct_recording(model.eval(), pair.raw, pair.edges, pair.labels)
        found.append(np.abs(made - pair.target)[effect].mean() * RANGE_DB)
    return np.mean(found)


def test_what_effects_mend_is_learnt(cache):
    settings = ReconstructionSettings.model_validate(
        SETTINGS.model_dump() | {"network": NETWORK.model_dump(), "learning_rate": 0.01}
    )
    task = ReconstructionTask(cache, settings, 0, CPU, 60)
    held_out = [
        draw_edit(cache.pair(int(row)), task.features, settings.drawn, np.random.default_rng(0))
        for row in cache.rows("test")
    ]
    untrained = away_db(task.model, held_out)
    for step in range(60):
        torch.manual_seed(step)
        task.step(np.arange(4), step)
    assert away_db(task.model, held_out) < 0.6 * untrained
    trained = task.evaluate()
    for label in ("CUT", "KEEP", "LOOP", "FADE_IN", "FADE_OUT"):
        assert trained[f"validation_l1_db_{label}"] == pytest.approx(trained[f"validation_l1_db_rule_{label}"])


def test_half_precision_is_the_networks_alone(cache):
    model = renderer(stirred=0.3)
    batch = batch_of([(cache.pair(0), (0, 20))])
    made = []
    for half in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            made.append(model(batch.raw, batch.frame_labels))
    assert made[1].dtype == torch.float32
    torch.testing.assert_close(*made, atol=0.01, rtol=0)
    said = ~torch.isin(batch.frame_labels, torch.tensor(LEARNT))
    assert torch.equal(made[0][said], made[1][said])


def test_it_is_read_as_it_was_written(tmp_path, cache):
    model = renderer(stirred=0.5)
    save_reconstruction(tmp_path, model)
    loaded = load_reconstruction(tmp_path)
    assert isinstance(loaded, LearnedRenderer) and loaded.settings == NETWORK and loaded.features == FEATURES
    pair = cache.pair(0)
    made = [reconstruct_recording(own, pair.raw, pair.edges, pair.labels) for own in (model, loaded)]
    np.testing.assert_array_equal(*made)
