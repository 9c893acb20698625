import math

import numpy as np
import pytest
import torch

from soundgate.runtime.errors import CorpusError, WeightsError
from soundgate.tracks.structure.dynamics import comparing
from soundgate.tracks.structure.dynamics import linear as linear_module
from soundgate.tracks.structure.dynamics.baselines import Gaussian, UniformLogNormal
from soundgate.tracks.structure.dynamics.gates import train_gates
from soundgate.tracks.structure.dynamics.linear import LinearFitter
from soundgate.tracks.structure.dynamics.model import StepPredictor, save_predictor
from soundgate.tracks.structure.dynamics.plots import write_compare_plots, write_train_plots
from soundgate.tracks.structure.dynamics.scoring import SpeakerMeans, one_step, score
from soundgate.tracks.structure.dynamics.settings import CompareSettings, OptimisationSettings, TrainSettings
from soundgate.tracks.structure.dynamics.task import (
    frame_scale,
    log_magnitude,
    step_statistics,
    train_predictor,
)
from soundgate.tracks.structure.dynamics.train import train_and_measure, trained_models
from soundgate.tracks.structure.dynamics.windows import Frames, Windows
from soundgate.tracks.structure.sequences import EVAL, HOLDOUT, TRAIN
from tests.tracks.structure.planted_steps import SHAPE, as_frames, autoregressive, returning, turning, wandering

CPU = torch.device("cpu")
OPTIMISATION = {
    "hidden": 48, "max_steps": 200, "batch_size": 128, "evaluate_every": 100, "patience": 3,
    "context_noise": 0.0, "ridge": 0.1, "checkpoint_s": 60.0,
    "learning_rate": 0.005, "weight_decay": 1e-4, "warm_up": 5, "final_rate": 0.05, "clip": 5.0, "num_workers": 0,
    "compile": False, "compile_mode": "default", "amp": False, "amp_dtype": "bfloat16", "max_eval_samples": None,
    "n_bootstrap": 500,
}  # fmt: skip
TRAIN_SETTINGS = OPTIMISATION | {
    "hidden": 8, "max_steps": 4, "evaluate_every": 2, "window": 3, "horizons": (1, 2), "family": "vmf",
    "gates": {"min_gain": 0.001},
}  # fmt: skip


def fitted(frames, window=1, horizons=(1,), ridge=0.1):
    return LinearFitter(frames, ridge, frame_scale(frames, frames.targets(TRAIN))).fit(window, horizons)


def linear_of(*args, **kwargs):
    return {k: crossed.model for k, crossed in fitted(*args, **kwargs).items()}


def trained(frames, tmp_path, family="vmf", window=1, horizon=1, **changes):
    windows = Windows(frames, window, horizon)
    settings = OptimisationSettings.model_validate(OPTIMISATION | changes)
    linear = fitted(frames, window, (horizon,))[horizon]
    found = train_predictor(windows, family, linear, settings, 0, f"test {family}", CPU, tmp_path / f"{family}.pt")
    return found.model, windows, found.history


def means_of(frames, rows):
    return SpeakerMeans(frames.speakers(rows), 0, "test", 500)


def test_windows_end_a_horizon_before_their_frame_and_threads_change_nothing():
    x = np.arange(SHAPE.n_sequences * SHAPE.n_frames, dtype=float).reshape(SHAPE.n_sequences, -1, 1).repeat(2, 2)
    x[..., 1] = -(x[..., 1] ** 1.01)
    frames = as_frames(x, 7)
    rows = frames.targets(EVAL)[[0, 5, -1]]
    for horizon in (1, 4):
        windows = Windows(frames, 3, horizon)(rows)
        now = frames.x[rows, 0]
        assert np.array_equal(windows[:, :, 0], now[:, None] - horizon - np.array([2, 1, 0]))
        assert torch.equal(Windows(frames, 3, horizon, num_workers=2)(rows), windows)
    first = frames.targets(TRAIN)[0]
    assert first == 7 and np.allclose(frames.steps(rows)[:, 0], 1)


def test_frames_that_do_not_move_are_left_out_and_counted():
    x = wandering()
    x[:, 20:25] = x[:, 19:20]
    frames = as_frames(x, 3)
    assert frames.n_still == 5 * SHAPE.n_sequences
    assert (np.linalg.norm(frames.steps(frames.targets(EVAL)), axis=1) > 0).all()


def test_parameters_and_likelihood_of_the_family_are_found_again(tmp_path):
    kappa, log_mean, log_std = 30.0, 0.2, 0.3
    frames = as_frames(returning(kappa, log_mean, log_std), 1)
    model, windows, history = trained(frames, tmp_path, max_steps=300)
    rows = frames.targets(EVAL)
    said = model(windows(rows))
    # Of steps in units of the linear errors, which are alike in all dimensions.
    assert float(said.kappa.median()) == pytest.approx(kappa, rel=0.15)
    assert float((said.log_mean + said.scale.log().mean()).mean()) == pytest.approx(log_mean, abs=0.05)
    assert float(said.log_std.mean()) == pytest.approx(log_std, rel=0.1)
    truth = type(said)(
        torch.ones(SHAPE.dim),
        -torch.nn.functional.normalize(windows(rows)[:, 0], dim=1),
        *(torch.full((len(rows),), v, dtype=torch.float64) for v in (kappa, log_mean, log_std)),
    )
    step = frames.steps(rows)
    lost = means_of(frames, rows).mean((said.nll(step) - truth.nll(step)).numpy() / SHAPE.dim, "lost")
    assert 0 <= lost.value < 0.06
    assert torch.nn.functional.cosine_similarity(said.direction, truth.direction).mean() > 0.97
    assert history[-1]["holdout_nll"] < history[0]["holdout_nll"]


def test_without_a_law_nothing_is_saved(tmp_path):
    shape = type(SHAPE)(n_speakers=50, n_utterances=10, n_frames=40, dim=4, n_eval=25)
    frames = as_frames(wandering(shape), 4, shape)
    changes = {"max_steps": 60, "evaluate_every": 20, "learning_rate": 0.001}
    model, windows, _ = trained(frames, tmp_path, window=4, **changes)
    rows = frames.targets(EVAL)
    base = UniformLogNormal(step_statistics(frames, frames.targets(TRAIN)))
    gain = score(base, windows, rows, CPU).nll - score(model, windows, rows, CPU).nll
    estimate = means_of(frames, rows).mean(gain / SHAPE.dim, "gain")
    assert estimate.ci_low <= 0
    assert abs(estimate.value) < 0.002


def test_the_best_weights_on_the_holdout_are_kept(tmp_path):
    shape = type(SHAPE)(n_speakers=6, n_utterances=2, n_frames=12, dim=4, n_eval=3)
    frames = as_frames(wandering(shape), 2, shape)
    model, windows, history = trained(frames, tmp_path, window=2, max_steps=300, evaluate_every=50, batch_size=8)
    held = frames.targets(HOLDOUT)
    kept = score(model, windows, held, CPU).nll.mean() / 4
    assert kept <= min(row["holdout_nll"] for row in history) + 1e-9
    # Trained far past the point where it learns the train frames by heart.
    assert history[-1]["holdout_nll"] > kept + 0.1


def test_the_linear_model_finds_a_linear_law_at_every_horizon():
    coefficient = 0.6
    frames = as_frames(autoregressive(coefficient), 4, horizons=(1, 3))
    rows, found = frames.targets(EVAL), linear_of(frames, 2, (1, 3), 1e-3)
    for horizon, linear in found.items():
        windows = Windows(frames, 2, horizon)
        expected = (coefficient**horizon - 1) * windows(rows)[:, -1]
        assert float((linear(windows(rows)).mean() - expected).square().mean().sqrt()) < 0.1
        nll = 0.5 * math.log(2 * math.pi * math.e * sum(coefficient ** (2 * i) for i in range(horizon)))
        figures = one_step(score(linear, windows, rows, CPU), means_of(frames, rows), SHAPE.dim, "linear")
        assert figures["nll_per_dim"]["value"] == pytest.approx(nll, abs=0.02)


def test_each_horizon_and_dimension_has_a_penalty_of_its_own_and_no_edge_is_chosen_in_silence(caplog, monkeypatch):
    x = autoregressive(0.9)
    generator = np.random.default_rng(0)
    # The second half of the dimensions has steps that nothing foretells.
    x[..., 2:] = np.cumsum(generator.standard_normal(x[..., 2:].shape), axis=1)
    frames = as_frames(x, 8, horizons=(1, 4))
    near, far = linear_of(frames, 4, (1, 4), 100.0).values()
    assert near.ridge[:2].max() < 10 and len(set(near.ridge)) > 1 and (near.ridge != far.ridge).any()
    assert near.least == far.least == 0 and near.choice()["at_least_ridge"] == 0 and not caplog.text
    monkeypatch.setattr(linear_module, "RIDGES", (0.5, 1e4))
    ended = linear_of(frames, 4, ridge=1.0)[1]
    assert ended.choice()["at_least_ridge"] > 0 and ended.least == pytest.approx(0.1)
    assert "want a smaller penalty" in caplog.text
    bare = linear_of(as_frames(wandering(), 3), 2, ridge=1.0)[1]
    assert bare.choice()["without_window"] > 0


def test_what_a_network_is_trained_on_has_not_seen_the_frame():
    shape = type(SHAPE)(n_speakers=6, n_utterances=4, n_frames=30, dim=4, n_eval=3)
    frames = as_frames(autoregressive(0.5, shape), 8, shape)
    crossed = fitted(frames, 8, ridge=1e-6)[1]
    windows = Windows(frames, 8, 1)
    rows = frames.targets(TRAIN)
    parts = crossed.fold[frames.sequences.utterance[rows]]
    assert set(parts) == {0, 1}
    for own, other in ((0, 1), (1, 0)):
        some = rows[parts == own]
        assert torch.equal(crossed.expected(some, windows(some)), crossed.folds[own].expected(windows(some)))
        assert not torch.equal(crossed.folds[own].weight, crossed.folds[other].weight)
    seen, unseen = (
        float((windows.steps(rows) - expected).square().mean())
        for expected in (crossed.model.expected(windows(rows)), crossed.expected(rows, windows(rows)))
    )
    assert seen < unseen


def test_persistence_and_the_gaussian_say_what_they_must():
    frames = as_frames(wandering() + 0.5 * np.arange(SHAPE.n_frames)[:, None], 2)
    rows, windows = frames.targets(EVAL), Windows(frames, 1, 1)
    steps = step_statistics(frames, frames.targets(TRAIN))
    still, gaussian = (score(model, windows, rows, CPU) for model in (Gaussian.still(steps), Gaussian.of(steps)))
    assert (still.length == 0).all() and (still.cosine == 0).all()
    assert gaussian.nll.mean() < still.nll.mean() - 0.2
    assert gaussian.cosine.mean() > 0.4


@pytest.mark.parametrize("family", ["vmf", "power_spherical", "gaussian", "mdn"])
def test_a_model_comes_back_from_disk_as_it_was(tmp_path, family):
    frames = as_frames(returning(), 2)
    model, windows, _ = trained(frames, tmp_path, family, max_steps=2, evaluate_every=1, amp=True)
    save_predictor(tmp_path / "horizon_1", model)
    rows = frames.targets(EVAL)[:50]
    again = trained_models(tmp_path)[1]
    assert torch.equal(again(windows(rows)).nll(frames.steps(rows)), model(windows(rows)).nll(frames.steps(rows)))
    draws = model(windows(rows)).sample(torch.Generator().manual_seed(0))
    assert draws.shape == (50, SHAPE.dim) and torch.isfinite(draws).all()
    assert torch.equal(again.linear.expected(windows(rows)), model.linear.expected(windows(rows)))
    with pytest.raises(WeightsError, match="a model of horizon 1"):
        trained_models(tmp_path / "horizon_1")


def test_mixtures_are_densities_and_their_mean_is_that_of_their_draws(tmp_path):
    frames = as_frames(returning(), 2)
    model, windows, _ = trained(frames, tmp_path, "mdn", max_steps=30, evaluate_every=30)
    one = model(windows(frames.targets(EVAL)[:1]).expand(20_000, -1, -1))
    draws = one.sample(torch.Generator().manual_seed(0))
    assert torch.allclose(draws.mean(0), one.mean()[0], atol=0.03)
    # E[1 / p(x)] over a box, x drawn from p, is the box's volume: checked by importance on a Gaussian of equal moments.
    wide = torch.distributions.MultivariateNormal(draws.mean(0), 2 * torch.cov(draws.T))
    points = wide.sample((20_000,))
    weight = torch.exp(-one.nll(points) - wide.log_prob(points).double())
    assert float(weight.mean()) == pytest.approx(1, abs=5 * float(weight.std()) / math.sqrt(20_000) + 0.01)


@pytest.mark.parametrize("family", ["vmf", "power_spherical", "gaussian", "mdn"])
def test_an_untrained_network_says_what_the_linear_model_says(family):
    frames = as_frames(autoregressive(0.6), 2)
    linear, windows, rows = linear_of(frames, 2)[1], Windows(frames, 2, 1), frames.targets(EVAL)
    model = StepPredictor(family, 2, 8, linear, log_magnitude(linear, windows, rows)).eval()
    with torch.no_grad():
        said, expected = model(windows(rows)), linear.expected(windows(rows))
    near = torch.nn.functional.cosine_similarity(said.mean(), expected, dim=1)
    assert float(near.median()) > (0.9 if family == "mdn" else 0.999)
    if family == "gaussian":
        assert torch.allclose(said.nll(windows.steps(rows)), linear(windows(rows)).nll(windows.steps(rows)), atol=1e-4)


def test_patience_ends_a_training_that_is_gone_on_with_all_the_same(tmp_path):
    frames = as_frames(wandering(), 2)
    changes = {"max_steps": 400, "evaluate_every": 10, "patience": 2, "learning_rate": 0.05}
    _, _, history = trained(frames, tmp_path, window=2, **changes)
    assert len(history) < 40
    best = min(range(len(history)), key=lambda i: history[i]["holdout_nll"])
    assert len(history) - 1 - best == 2 or len(history) == 2
    assert trained(frames, tmp_path, window=2, **changes)[2] == history


def test_noise_on_the_context_teaches_the_way_back(tmp_path):
    frames = as_frames(turning(noise=0.1), 2)
    plain, windows, _ = trained(frames, tmp_path, "gaussian", evaluate_every=200)
    (tmp_path / "gaussian.pt").unlink()
    noisy, _, _ = trained(frames, tmp_path, "gaussian", evaluate_every=200, context_noise=0.3)
    rows = frames.targets(EVAL)
    off = 0.3 * frame_scale(frames, rows)[1] * torch.randn(len(rows), 1, SHAPE.dim, generator=torch.manual_seed(0))
    means = [float((windows(rows)[:, -1] + off[:, 0] + model(windows(rows) + off).mean()
                    - torch.from_numpy(frames.x[rows])).norm(dim=1).mean()) for model in (plain, noisy)]  # fmt: skip
    assert means[1] < 0.98 * means[0]


def stage_gates(frames, tmp_path, **changes):
    settings = TrainSettings.model_validate(TRAIN_SETTINGS | changes)
    metrics, curves = train_and_measure(frames, settings, 0, CPU, tmp_path / "work", tmp_path / "out")
    return metrics, curves, {k: v["verdict"] for k, v in train_gates(metrics, settings.gates).items()}


def test_the_whole_stage_measures_every_horizon(tmp_path):
    frames = as_frames(returning(), 4, horizons=(1, 2))
    settings = TrainSettings.model_validate(TRAIN_SETTINGS)
    assert settings.history == 4
    metrics, curves, verdicts = stage_gates(frames, tmp_path)
    again, _ = train_and_measure(frames, settings, 0, CPU, tmp_path / "other", tmp_path / "again")
    assert metrics == again and len(curves) == 4
    for horizon in ("1", "2"):
        entry = metrics["horizons"][horizon]
        names = {"uniform_lognormal", "gaussian", "persistence", "linear", "untrained"}
        assert set(entry["gain"]) == names and set(entry["models"]) == {"network", *names}
    assert set(verdicts) == {f"gain_over_{what}_{k}" for what in ("linear", "mismatched") for k in (1, 2)}
    write_train_plots(metrics, curves, tmp_path / "plots")
    assert {path.name for path in (tmp_path / "plots").iterdir()} == {"gain.csv", "gain.png", "training.csv"}


def test_a_law_that_is_not_linear_passes_and_a_linear_one_does_not(tmp_path):
    changes = {"hidden": 48, "max_steps": 300, "evaluate_every": 50, "window": 1, "horizons": (1,)}
    planted = as_frames(returning(), 2)
    _, _, verdicts = stage_gates(planted, tmp_path / "planted", **changes)
    assert verdicts == {"gain_over_linear_1": "pass", "gain_over_mismatched_1": "pass"}
    # The linear baseline in the network's place: the context matters, and nothing is gained over linear.
    linear = as_frames(autoregressive(0.6), 2)
    _, _, verdicts = stage_gates(linear, tmp_path / "linear", **changes, family="gaussian")
    assert verdicts["gain_over_linear_1"] != "pass" and verdicts["gain_over_mismatched_1"] == "pass"
    # Hardly trained, on the planted law: what an untrained network has is the linear model's.
    untrained = {"learning_rate": 1e-9, "max_steps": 2, "evaluate_every": 1}
    _, _, verdicts = stage_gates(planted, tmp_path / "untrained", **(changes | untrained), family="gaussian")
    assert verdicts["gain_over_linear_1"] == "fail"
    # Steps of any direction: no context can be told from another's.
    _, _, verdicts = stage_gates(as_frames(wandering(), 2), tmp_path / "mismatched", **changes)
    assert "pass" not in verdicts.values()


COMPARE = OPTIMISATION | {
    "contexts": {"frames": {"frames": 2}, "duration": {"duration_s": 0.16}}, "families": ("gaussian",),
}  # fmt: skip


def codec(name, frames, rate):
    return comparing.Representation(name, frames, [f"s{i}" for i in range(SHAPE.n_speakers)], rate)


def test_two_codecs_are_compared_per_frame_and_per_second_at_matched_frames_and_duration(tmp_path):
    coefficient = 0.3
    settings = CompareSettings.model_validate(COMPARE)
    slow, fast = (as_frames(autoregressive(coefficient, seed=s), 12) for s in (1, 2))
    pair = (codec("slow", slow, 12.5), codec("fast", fast, 75.0))
    assert [comparing.history_of(settings, rate) for rate in (12.5, 75.0)] == [2, 12]
    metrics, curves = comparing.compare(pair, settings, 0, CPU, tmp_path)
    frames = {n: [c["frames"] for c in entry["contexts"].values()] for n, entry in metrics["codecs"].items()}
    assert frames == {"slow": [2, 2], "fast": [2, 12]}
    # Given x[t-1] a step has variance 1, without it 2 / (1 + a).
    true = SHAPE.dim * 0.5 * math.log(2 / (1 + coefficient))
    for name, rate in (("slow", 12.5), ("fast", 75.0)):
        found = metrics["codecs"][name]["contexts"]["frames"]["families"]["gaussian"]
        assert found["gain_per_frame"]["value"] == pytest.approx(true, rel=0.1)
        for end in ("value", "ci_low", "ci_high"):
            assert found["gain_per_second"][end] == pytest.approx(rate * found["gain_per_frame"][end])
        linear = metrics["codecs"][name]["contexts"]["frames"]["families"]["linear"]
        assert linear["gain_per_frame"]["value"] == pytest.approx(true, rel=0.1)
        assert abs(found["over_linear_per_dim"]["value"]) < 0.01 and linear["over_linear_per_dim"]["value"] == 0
        assert set(found["training"]) == {"steps", "converged"}
    difference = metrics["first_less_second"]["frames"]["gaussian"]
    assert difference["value"] == pytest.approx((12.5 - 75) * true, rel=0.1)
    assert difference["ci_high"] < 0 and difference["n"] == SHAPE.n_eval
    write_compare_plots(metrics, curves, tmp_path / "plots")
    assert (tmp_path / "plots/comparison.png").stat().st_size > 1000


def test_codecs_of_other_speakers_are_refused(tmp_path):
    frames = as_frames(wandering(), 12)
    pair = (codec("one", frames, 12.5), comparing.Representation("two", frames, [f"x{i}" for i in range(30)], 75.0))
    with pytest.raises(CorpusError, match="same eval speakers"):
        comparing.compare(pair, CompareSettings.model_validate(COMPARE), 0, CPU, tmp_path)


def test_settings_that_make_no_sense_are_refused():
    for wrong in ({"max_steps": 201}, {"compile_mode": "fastest"}, {"amp_dtype": "float8"}, {"patience": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            OptimisationSettings.model_validate(OPTIMISATION | wrong)
    for wrong in ({}, {"frames": 3, "duration_s": 1.0}):
        with pytest.raises(ValueError, match="exactly one"):
            CompareSettings.model_validate(COMPARE | {"contexts": {"c": wrong}})


def test_too_short_utterances_are_named(tmp_path):
    frames = Frames(as_frames(wandering(), 4).x, as_frames(wandering(), 4).sequences, SHAPE.n_frames)
    settings = OptimisationSettings.model_validate(OPTIMISATION)
    linear = fitted(as_frames(wandering(), 4))[1]
    with pytest.raises(CorpusError, match="train frames with 60 before"):
        train_predictor(Windows(frames, 1, 1), "vmf", linear, settings, 0, "test", CPU, tmp_path / "short.pt")
