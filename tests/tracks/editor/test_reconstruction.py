import numpy as np
import pytest
import torch
from ruamel.yaml import YAML

from soundgate.pipeline.compose import compose_text
from soundgate.runtime.errors import CorpusError, WeightsError
from soundgate.tracks.editor.edit_list import Tone
from soundgate.tracks.editor.features import Features, FeatureSettings
from soundgate.tracks.editor.reconstruct.drawing import draw_edit, draw_labels
from soundgate.tracks.editor.reconstruct.losses import consistency_loss, l1_loss, mse_loss, multi_resolution_loss
from soundgate.tracks.editor.reconstruct.measures import measure, other_labels
from soundgate.tracks.editor.reconstruct.model import (
    ReconstructionModel,
    load_reconstruction,
    reconstruct_recording,
    run_positions,
    save_reconstruction,
)
from soundgate.tracks.editor.reconstruct.settings import DrawnLabels, NetworkSettings, ReconstructionSettings
from soundgate.tracks.editor.reconstruct.task import ReconstructionTask
from soundgate.tracks.editor.reconstruct.train import measure_reconstruction, train_reconstruction
from soundgate.tracks.editor.timeline import from_labels, target_on_raw_timeline
from soundgate.tracks.editor.vocabulary import BEAT_LABELS, Label
from soundgate.tracks.editor.windows import batch_of, beat_numbers
from tests.tracks.editor.planted import FEATURES, planted_cache

CPU = torch.device("cpu")
NETWORK = NetworkSettings(
    dim=16, label_dim=8, n_encoder_layers=1, n_decoder_layers=1, n_heads=2, dropout=0.0, n_frames=64, patch=4,
    residual="gate", run_position=True,
)  # fmt: skip
DRAWN = DrawnLabels(
    share=0.5, run_beats=(1, 4), weights={label.name: 1.0 for label in BEAT_LABELS}, effect_db=(3.0, 9.0)
)
SETTINGS = ReconstructionSettings(
    network=NETWORK, loop={"epochs": 1, "batch_size": 4, "steps_per_epoch": 6}, learning_rate=0.005, warmup_steps=2,
    weight_decay=0.01, clip=1.0, bf16=False, checkpointing=False,
    weights={"l1": 1.0, "mse": 0.5, "stft": 1.0, "consistency": 0.5}, drawn=DRAWN,
)  # fmt: skip


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return planted_cache(tmp_path_factory.mktemp("cache"))


def changed(settings, **update):
    return type(settings).model_validate(settings.model_dump() | update)


def network(seed=0, **update):
    torch.manual_seed(seed)
    return ReconstructionModel(changed(NETWORK, **update), FEATURES).eval()


def stirred(model, seed=1):
    """Give a model the weights of one that has learned something: a gate's head is 0 at first."""
    torch.manual_seed(seed)
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model


def composed(*overrides):
    params = YAML(typ="safe").load(compose_text(overrides))["editor"]
    return ReconstructionSettings.model_validate(params["reconstruction"]), params["cache"]["features"]


def test_the_seeds_preset_has_the_seeds_size_and_numbers():
    settings, features = composed("ablation=editor_seed")
    with torch.device("meta"):
        model = ReconstructionModel(settings.network, FeatureSettings.model_validate(features))
    n_parameters = sum(parameter.numel() for parameter in model.parameters())
    assert abs(n_parameters / 29.9e6 - 1) < 0.01
    assert settings.network.n_frames == 2048 and settings.network.residual == "scalar"
    assert settings.loop.n_steps(0) == 100_000 and settings.learning_rate == 1e-4 and settings.clip == 1


@pytest.mark.parametrize("profile", ["embedded", "tiny", "real", "full"])
def test_profiles_have_the_rule_with_learned_parameters(profile):
    settings, features = composed(f"profile={profile}")
    assert settings.network.patch == 4 and settings.network.residual == "rule"
    assert FeatureSettings.model_validate(features) == FeatureSettings()


@pytest.mark.parametrize("residual", ["gate", "scalar"])
@pytest.mark.parametrize("patch", [1, 4])
def test_padding_does_not_change_what_is_there(cache, residual, patch):
    model = stirred(network(residual=residual, patch=patch))
    alone = batch_of([(cache.pair(0), (0, 5))])
    padded = batch_of([(cache.pair(0), (0, 5)), (cache.pair(1), (0, 9))])
    n_frames = alone.raw.shape[1]
    expected = model(alone.raw, alone.frame_labels)
    made = model(padded.raw, padded.frame_labels)
    torch.testing.assert_close(made[:1, :n_frames], expected, atol=1e-5, rtol=1e-5)
    # What stands in the padding plays no part either.
    padded.raw[0, n_frames + patch :] = 5.0
    torch.testing.assert_close(model(padded.raw, padded.frame_labels)[:1, :n_frames], expected, atol=1e-5, rtol=1e-5)


def test_the_gate_takes_to_the_floor_and_leaves_alone_exactly():
    model = network()
    raw = torch.rand(1, 8, FEATURES.n_mels)
    labels = torch.full((1, 8), Label.CUT)
    head = model.decoder.head
    for bias, expected in ((-10.0, torch.zeros_like(raw)), (10.0, raw)):
        head.bias.data.zero_()
        head.bias.data.reshape(NETWORK.patch, 2, FEATURES.n_mels)[:, 1] = bias
        torch.testing.assert_close(model(raw, labels), expected, atol=0, rtol=0)
    head.bias.data.reshape(NETWORK.patch, 2, FEATURES.n_mels)[:, 0] = -0.25
    torch.testing.assert_close(model(raw, labels), (raw - 0.25).clamp(min=0), atol=0, rtol=0)


def test_the_scalar_residual_is_the_raw_recording_times_one_factor():
    model = network(residual="scalar")
    raw, labels = torch.rand(1, 8, FEATURES.n_mels), torch.full((1, 8), Label.KEEP)
    before = model(raw, labels)
    model.decoder.alpha.data += 0.5
    torch.testing.assert_close(model(raw, labels) - before, 0.5 * raw, atol=1e-6, rtol=1e-5)


def test_cut_and_keep_are_learned(cache):
    task = ReconstructionTask(cache, SETTINGS, 0, CPU, 80)
    untrained = task.evaluate()
    for step in range(80):
        torch.manual_seed(step)
        task.step(np.arange(6), step)
    trained = task.evaluate()
    for label in ("CUT", "KEEP", "LOOP"):
        assert trained[f"validation_l1_db_{label}"] < 0.4 * untrained[f"validation_l1_db_{label}"], label
    assert trained["validation_l1"] < 0.6 * trained["validation_l1_raw"]
    assert trained["validation_l1_swapped"] > 2 * trained["validation_l1"]


class Deaf(ReconstructionModel):
    """Ignores the labels."""

    def forward(self, raw, frame_labels):
        return super().forward(raw, torch.full_like(frame_labels, Label.KEEP))


def test_a_model_that_ignores_labels_is_detected(cache):
    torch.manual_seed(0)
    deaf, hearing = Deaf(NETWORK, FEATURES).eval(), network()
    for model, differs in ((deaf, False), (hearing, True)):
        stirred(model)
        measured = measure(model, cache, cache.rows("validation"), 0, "test")
        assert (abs(measured["l1"] - measured["l1_swapped"]) > 1e-4) == differs


class Perfect(ReconstructionModel):
    """Leaves the raw recording as it is."""

    def forward(self, raw, frame_labels):
        return raw + self.offset


def test_keeping_all_is_its_own_control(cache):
    model = Perfect(NETWORK, FEATURES).eval()
    rows = cache.rows("test")
    model.offset = 0.0
    measured = measure(model, cache, rows, 0, "test")
    assert measured["l1"] == measured["l1_raw"] == measured["l1_swapped"] and measured["keep"] == 1
    assert measured["l1_db_KEEP"] == measured["l1_db_LOOP"] == 0 and measured["l1_db_CUT"] > 10
    assert measured["l1_db"] == pytest.approx(measured["l1"] * 80)
    # 1 dB is 0.0125.
    for model.offset, keep in ((0.012, 1), (0.013, 0)):
        assert measure(model, cache, rows, 0, "test")["keep"] == keep


def test_other_labels_are_never_the_same_and_never_padding():
    labels = np.repeat(np.arange(7), 200)
    others = other_labels(labels, np.random.default_rng(0))
    assert (others != labels).all() and set(others[labels == 3]) == set(range(7)) - {3}


def test_losses_have_known_values_and_ignore_padding():
    mask = torch.tensor([[True] * 6 + [False] * 2])
    target = torch.rand(1, 8, 8) + 0.5
    made = torch.where(mask[..., None], target + 0.1, 100.0)
    assert l1_loss(made, target, mask) == pytest.approx(0.1, abs=1e-6)
    assert mse_loss(made, target, mask) == pytest.approx(0.01, abs=1e-6)
    labels = torch.tensor([[1, 1, 0, 0, 1, 2, 7, 7]])
    raw = torch.where((labels == 1)[..., None], made - 0.3, 50.0)
    assert consistency_loss(made, raw, labels) == pytest.approx(0.3, abs=1e-4)
    assert consistency_loss(made, raw, torch.zeros_like(labels)) == 0
    # A constant difference is the same at every resolution; its convergence is its share of the target's norm.
    ones = torch.ones_like(target)
    made = torch.where(mask[..., None], 1.2 * ones, 100.0)
    assert multi_resolution_loss(made, ones, mask) == pytest.approx(0.2 + 0.2, abs=1e-5)
    checkers = ones + 0.5 * (torch.arange(8) % 2 * 2 - 1)
    coarse = multi_resolution_loss(checkers, ones, mask)
    # Poolings over bands do not see it.
    assert coarse == pytest.approx((1.0 + 1.0 + 0 + 0) / 4, abs=1e-4)


def test_a_perfect_output_has_a_gradient():
    made = torch.rand(1, 8, 8).requires_grad_()
    mask = torch.ones(1, 8, dtype=torch.bool)
    multi_resolution_loss(made, made.detach(), mask).backward()
    assert torch.isfinite(made.grad).all()


def test_a_frame_knows_where_in_its_run_it_is():
    places = run_positions(torch.tensor([[1, 1, 1, 1, 0, 2, 2, 7], [3] * 8]))
    np.testing.assert_allclose(places[0, :, 0], [0.125, 0.375, 0.625, 0.875, 0.5, 0.25, 0.75, 0.5])
    np.testing.assert_allclose(places[0, :, 1] * 100, [4, 4, 4, 4, 1, 2, 2, 1], rtol=1e-6)
    np.testing.assert_allclose(places[1, :, 0], (np.arange(8) + 0.5) / 8)
    assert run_positions(torch.tensor([[1]]))[0, 0, 0] == 0.5


@pytest.mark.parametrize("seed", range(5))
def test_a_drawn_edit_has_the_target_of_its_edit_list(cache, seed):
    features = Features(FEATURES)
    pair = cache.pair(seed)
    drawn = draw_edit(pair, features, DRAWN, np.random.default_rng(seed))
    hop = FEATURES.hop_length
    # A drawn beat begins half a frame before its first frame's centre; a frame in front leaves room for that.
    edges = np.append(-1, pair.edges) + 1
    spans = np.maximum(np.stack([edges[:-1], edges[1:]], axis=1) * hop - hop // 2, 0)
    edit = from_labels(np.append(Label.CUT, drawn.labels), spans, FEATURES.sample_rate, Tone())
    decibels = features.to_db(np.pad(pair.raw, ((1, 0), (0, 0)))).T
    target_db = target_on_raw_timeline(decibels, edit, hop, FEATURES.floor_db, features.centres_hz).T[1:]
    np.testing.assert_allclose(drawn.target, features.from_db(target_db), atol=0.002)
    frame_labels = drawn.labels[beat_numbers(pair.edges)]
    effect = frame_labels == Label.EFFECT
    np.testing.assert_array_equal(drawn.target[effect], pair.raw[effect])
    np.testing.assert_array_equal(drawn.raw[~effect], pair.raw[~effect])
    if effect.any():
        change = np.abs(drawn.raw - pair.raw)[effect] * FEATURES.range_db
        assert change.max() > 2.9 and change.max() < 27 and (change.max(axis=1) > 0).all()


def test_drawn_labels_come_in_runs_of_the_lengths_and_shares_asked_for():
    settings = changed(DRAWN, run_beats=(3, 3), weights=DRAWN.weights | {"CUT": 6.0, "EFFECT": 0.0})
    labels = draw_labels(3_000, settings, np.random.default_rng(0))
    assert len(labels) == 3_000 and (labels.reshape(-1, 3) == labels[::3, None]).all()
    assert np.mean(labels == Label.CUT) == pytest.approx(6 / 11, abs=0.05) and Label.EFFECT not in labels


def test_half_of_a_batch_is_drawn(cache):
    task = ReconstructionTask(cache, SETTINGS, 0, CPU, 6)
    torch.manual_seed(0)
    batch = task.draw(np.zeros(4, np.int64), 0)
    sequences = cache.pair(int(task.rows[0])).labels
    as_in_pair = [
        any(np.array_equal(own[own != Label.PAD], sequences[s : s + n]) for s in range(len(sequences)))
        for own, n in ((own.numpy(), int((own != Label.PAD).sum())) for own in batch.labels)
    ]
    assert as_in_pair == [False, False, True, True]


def test_a_long_recording_is_made_of_windows_and_each_beat_of_one(cache):
    pair = cache.pair(0)
    model = stirred(network())
    made = reconstruct_recording(model, pair.raw, pair.edges, pair.labels)
    assert made.shape == pair.raw.shape and made.min() >= 0 and made.max() <= 1
    assert len(pair.raw) > 2 * NETWORK.n_frames
    first = pair.edges[np.searchsorted(pair.edges, NETWORK.n_frames, side="right") - 1]
    labels = torch.from_numpy(pair.labels[beat_numbers(pair.edges)])
    alone = model(torch.from_numpy(pair.raw[None, :first]), labels[None, :first])[0].detach().clamp(0, 1)
    np.testing.assert_allclose(made[: first // 2], alone[: first // 2], atol=1e-6)
    keep = Perfect(NETWORK, FEATURES).eval()
    keep.offset = 0.0
    np.testing.assert_array_equal(reconstruct_recording(keep, pair.raw, pair.edges, pair.labels), pair.raw)


@pytest.mark.parametrize("update", [{"checkpointing": True}, {"bf16": True}])
def test_savings_change_little_or_nothing(cache, update):
    results = []
    for settings in (SETTINGS, changed(SETTINGS, **update)):
        task = ReconstructionTask(cache, settings, 0, CPU, 6)
        torch.manual_seed(0)
        losses = task.step(np.arange(4), 0)
        results.append((losses["loss"], task.model.state_dict()["encoder.frames.weight"]))
    exact = "checkpointing" in update
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-6 if exact else 0.02)
    torch.testing.assert_close(results[0][1], results[1][1], atol=1e-7 if exact else 0.02, rtol=0)


def test_the_trained_model_is_published_and_loaded(cache, tmp_path):
    model, history = train_reconstruction(cache, SETTINGS, 0, CPU, tmp_path / "checkpoint.pt")
    save_reconstruction(tmp_path / "out", model)
    loaded = load_reconstruction(tmp_path / "out")
    assert loaded.features == FEATURES and loaded.settings == NETWORK and not loaded.training
    batch = batch_of([(cache.pair(0), (0, 5))])
    made = [m(batch.raw, batch.frame_labels) for m in (model, loaded)]
    torch.testing.assert_close(made[0], made[1], atol=0, rtol=0)
    assert {"l1", "mse", "stft", "consistency", "validation_l1", "validation_l1_swapped"} <= set(history[0])
    measured = measure_reconstruction(loaded, cache, 0)
    assert measured["n_parameters"] > 1_000 and measured["validation"]["l1"] == history[0]["validation_l1"]
    with pytest.raises(WeightsError):
        load_reconstruction(tmp_path / "nowhere")


def test_what_cannot_be_trained_says_why(cache, tmp_path):
    short = changed(SETTINGS, network=NETWORK.model_dump() | {"n_frames": 4})
    with pytest.raises(CorpusError, match="beats of at most 4 frames"):
        train_reconstruction(cache, short, 0, CPU, tmp_path / "checkpoint.pt")
    untrained = planted_cache(tmp_path / "cache", n_pairs=5)
    untrained.table["split"] = "test"
    with pytest.raises(CorpusError, match="pairs to train on"):
        train_reconstruction(untrained, SETTINGS, 0, CPU, tmp_path / "checkpoint.pt")
    with pytest.raises(ValueError, match="multiple"):
        changed(NETWORK, n_heads=3)
    with pytest.raises(ValueError, match="weights needs"):
        changed(DRAWN, weights={"CUT": 1.0})
