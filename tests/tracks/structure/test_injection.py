import math

import numpy as np
import pytest
import torch

from soundgate.evaluation.statistics import Estimate
from soundgate.runtime.errors import CorpusError
from soundgate.tracks.structure.dynamics.baselines import Gaussian
from soundgate.tracks.structure.dynamics.ensembles import energy_score
from soundgate.tracks.structure.dynamics.families import gaussians
from soundgate.tracks.structure.dynamics.gates import inject_gates
from soundgate.tracks.structure.dynamics.injecting import conclude, diagnose, modes
from soundgate.tracks.structure.dynamics.plots import write_inject_plots
from soundgate.tracks.structure.dynamics.rollout import choose_segments, possible_starts, run
from soundgate.tracks.structure.dynamics.settings import InjectSettings
from soundgate.tracks.structure.dynamics.task import step_statistics
from soundgate.tracks.structure.sequences import EVAL, TRAIN
from tests.tracks.structure.planted_steps import SHAPE, as_frames, autoregressive, logistic, turning, wandering

CPU = torch.device("cpu")
SETTINGS = InjectSettings.model_validate({
    "diag": {
        "max_train_samples": 5000, "n_eval_utterances": 48, "segments_per_utt": 3, "steps": 16, "every": 4,
        "members": 12,
    },
    "n_bootstrap": 500,
    "gates": {"min_gain": 0.001, "max_excess": 0.05, "min_skill": 0.01, "finite": 1.0},
})  # fmt: skip


def knowing(law, std):
    """Return a model that expects x[t] = law(x[t-1]) within a standard deviation."""

    def model(windows):
        last = windows[:, -1]
        return gaussians(law(last) - last, torch.full((SHAPE.dim,), std), len(last))

    return model


def rotation(last, angle=0.7):
    a, b = last.chunk(2, dim=1)
    c, s = np.cos(angle), np.sin(angle)
    return torch.cat([c * a - s * b, s * a + c * b], 1)


def test_starts_leave_room_before_and_behind():
    frames = as_frames(wandering(), 5)
    found = possible_starts(frames, 16)
    place = found % SHAPE.n_frames
    assert place.min() == 4 and place.max() == SHAPE.n_frames - 17
    assert len(found) == SHAPE.n_eval * SHAPE.n_utterances * (SHAPE.n_frames - 20)
    assert (frames.sequences.split[frames.sequences.utterance[found]] == EVAL).all()
    segments = choose_segments(frames, 16, 48, 3, 0, "test")
    utterances, counts = np.unique(frames.sequences.utterance[segments], return_counts=True)
    assert len(utterances) == 48 and (counts == 3).all()
    # Dealt over speakers evenly.
    assert set(np.unique(frames.sequences.speaker[utterances], return_counts=True)[1]) == {2}
    with pytest.raises(CorpusError, match="more than 66 frames"):
        possible_starts(as_frames(wandering(), 5), 61)


def test_who_knows_the_law_stays_on_the_path_and_who_holds_still_does_not():
    frames = as_frames(turning(), 3)
    starts = possible_starts(frames, 16)[::90]
    known = run(knowing(rotation, 0.1), frames, starts, 16, 1, CPU)
    assert known.error_before.max() < 1e-4 and known.cosine.min() > 0.9999
    assert np.allclose(known.length, known.true_length, rtol=1e-4)
    still = run(Gaussian.still(step_statistics(frames, frames.targets(TRAIN))), frames, starts, 16, 1, CPU)
    assert (still.error_before[:, 1:] > 0).all() and (still.length == 0).all()


def test_the_true_state_is_put_back_after_the_steps_named():
    frames = as_frames(wandering(), 3)
    starts = possible_starts(frames, 16)[::200]
    model = knowing(lambda last: last + 1, 1.0)
    fresh = {mode: run(model, frames, starts, 16, 2, CPU, after).error_before.max(0) == 0
             for mode, after in modes(SETTINGS.diag).items()}  # fmt: skip
    steps = {mode: (np.flatnonzero(zero) + 1).tolist() for mode, zero in fresh.items()}
    assert steps == {"A": list(range(1, 17)), "B": [1, 5, 9, 13], "C": [1, 2], "D": [1]}


HORIZONS = (1, 4, 16)


def autoregression(coefficient, horizons=HORIZONS):
    """Return the exact law of `autoregressive`, by horizon."""

    def law(k):
        variance = sum(coefficient ** (2 * i) for i in range(k))
        return knowing(lambda last: coefficient**k * last, math.sqrt(variance))

    return {k: law(k) for k in horizons}


def diagnosed(models, linear, frames):
    found = diagnose(models, linear, frames, 1, SETTINGS, 0, CPU)
    return found, {name: gate["verdict"] for name, gate in inject_gates(found, SETTINGS.gates).items()}


@pytest.mark.parametrize("coefficient", [0.0, 0.5, 0.9])
def test_the_exact_law_passes_and_is_not_called_drift(coefficient):
    """A coefficient of 0 is white noise."""
    frames = as_frames(autoregressive(coefficient), 3, horizons=HORIZONS)
    law = autoregression(coefficient)
    found, gates = diagnosed(law, law, frames)
    assert found["verdict"] == "neither"
    assert gates["free_run_excess"] == gates["free_run_over_still"] == gates["free_runs_finite"] == "pass"
    # It is the linear law: nothing is gained over it.
    assert gates["teacher_forced_gain_over_linear"] == "fail" and found["gain_over_linear"]["value"] == 0
    # Runs without draws are too sure of themselves.
    assert found["ensembles"]["16"]["excess_undrawn"]["ci_low"] > 0.05


def test_runs_that_drift_fail_and_one_bad_step_is_told_from_them(tmp_path):
    frames = as_frames(autoregressive(0.5), 3, horizons=HORIZONS)
    law = autoregression(0.5)
    # Better than no context in one step, and drawn away from where the process returns to.
    drifting = law | {1: knowing(lambda last: 0.5 * last + 0.4, 1.0)}
    found, gates = diagnosed(drifting, autoregression(0.0), frames)
    assert found["verdict"] == "compounding drift" and gates["free_run_excess"] == "fail"
    # A bad direct prediction does not excuse free runs: the linear one is there too.
    excused = drifting | {16: knowing(lambda last: last + 30, 1.0)}
    found, gates = diagnosed(excused, law, frames)
    assert found["ensembles"]["16"]["reference"] == "linear" and gates["free_run_excess"] == "fail"
    assert found["verdict"] == "one-step error" and "linear" in found["reason"]
    # No better than no context from true states.
    bad = law | {1: knowing(lambda last: 0 * last + 3, 4.0)}
    found, gates = diagnosed(bad, bad, frames)
    assert found["verdict"] == "one-step error" and "no context" in found["reason"]
    write_inject_plots(found, tmp_path)
    assert (tmp_path / "steps.csv").read_text().count("\n") == 1 + 4 * 16
    assert (tmp_path / "ensembles.csv").read_text().count("\n") == 1 + 3 * 5


def test_holding_still_and_runs_that_break_do_not_pass():
    frames = as_frames(autoregressive(0.5), 3, horizons=HORIZONS)
    law = autoregression(0.5)
    still = {k: Gaussian.still(step_statistics(frames, frames.targets(TRAIN), k)) for k in HORIZONS}
    _, gates = diagnosed(still, law, frames)
    assert gates["free_run_over_still"] == "fail" and gates["free_run_excess"] == "fail"
    broken = law | {1: knowing(lambda last: torch.where(last.abs() > 2, math.inf, 1.5 * last), 1.0)}
    found, gates = diagnosed(broken, law, frames)
    assert gates["free_runs_finite"] == "fail" and gates["free_run_excess"] == "fail"
    assert found["verdict"] == "undecided" and "does not exist" in found["reason"]


def test_chaos_is_no_drift_of_the_model_that_knows_it():
    frames = as_frames(logistic(), 3)
    model = {1: knowing(lambda last: 3.9 * last * (1 - last), 0.01)}
    found, _ = diagnosed(model, autoregression(0.0, (1,)), frames)
    assert found["verdict"] != "compounding drift"
    # Closer to the last injection, less is lost.
    gain = {mode: [step["value"] for step in found["modes"][mode]["gain"]] for mode in "ABCD"}
    assert min(gain["A"]) > 2 and gain["D"][15] < gain["B"][15] < gain["A"][15]
    assert gain["B"][4] > gain["D"][4] and gain["C"][1] == gain["A"][1] > gain["D"][1]


def test_a_verdict_needs_numbers_and_an_interval_on_one_side():
    def verdict(gain, excess, linear=(0.1, 0.2)):
        between = [Estimate(sum(ends) / 2, *ends, 5) for ends in (gain, linear, excess)]
        return conclude(*between, SETTINGS)

    assert verdict((0.9, 1.1), (0.06, 0.7))[0] == "compounding drift"
    assert verdict((0.9, 1.1), (-0.1, 0.04))[0] == "neither"
    undecided, reason = verdict((0.9, 1.1), (0.03, 0.9))
    assert undecided == "undecided" and "holds 0.05" in reason
    # An interval that holds 0 says nothing about one step, in either direction.
    undecided, reason = verdict((-0.4, 0.28), (0.06, 0.7))
    assert undecided == "undecided" and "one-step gain" in reason
    assert verdict((-0.4, -0.1), (0.06, 0.7))[0] == "one-step error"
    assert verdict((0.9, 1.1), (0.06, 0.7), (-0.4, -0.1))[0] == "one-step error"
    assert verdict((0.9, 1.1), (0.06, 0.7), (-0.4, 0.28))[0] == "compounding drift"
    assert verdict((float("nan"), float("nan")), (0.55, 0.7))[0] == "undecided"


def test_the_energy_score_is_least_for_the_law_that_was_drawn_from():
    generator = torch.Generator().manual_seed(0)
    truth = torch.randn(20_000, 3, generator=generator)
    draws = torch.randn(8, 20_000, 3, generator=generator)
    score = {name: float(energy_score(changed, truth).mean())
             for name, changed in {"true": draws, "wide": 1.5 * draws, "narrow": 0.5 * draws, "off": draws + 0.5,
                                   "point": draws * 0}.items()}  # fmt: skip
    assert min(score, key=score.get) == "true"
    # E|X - y| - E|X - X'| / 2 of standard normal vectors in 3 dimensions: half of E|X - X'| = 2 sqrt(2) 2 / sqrt(2 pi).
    assert score["true"] == pytest.approx(2 / math.sqrt(math.pi), rel=0.02)
    few = float(energy_score(draws[:2], truth).mean())
    assert few == pytest.approx(score["true"], rel=0.02)
    pairs = [float((draws[i, 0] - draws[j, 0]).norm()) for i in range(8) for j in range(8) if i != j]
    by_hand = float((draws[:, 0] - truth[0]).norm(dim=1).mean()) - 0.5 * np.mean(pairs)
    assert float(energy_score(draws, truth)[0]) == pytest.approx(by_hand, abs=1e-5)
