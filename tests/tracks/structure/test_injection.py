import numpy as np
import pytest
import torch

from soundgate.evaluation.statistics import Estimate
from soundgate.runtime.errors import CorpusError
from soundgate.tracks.structure.dynamics.baselines import Gaussian, gaussians
from soundgate.tracks.structure.dynamics.gates import inject_gates
from soundgate.tracks.structure.dynamics.injecting import conclude, diagnose, modes
from soundgate.tracks.structure.dynamics.plots import write_inject_plots
from soundgate.tracks.structure.dynamics.rollout import choose_segments, choose_starts, possible_starts, run
from soundgate.tracks.structure.dynamics.settings import InjectSettings
from soundgate.tracks.structure.dynamics.task import step_statistics
from soundgate.tracks.structure.sequences import EVAL, TRAIN
from tests.tracks.structure.planted_steps import SHAPE, as_frames, logistic, turning, wandering

CPU = torch.device("cpu")
SETTINGS = InjectSettings.model_validate({
    "diag": {
        "max_train_samples": 5000, "n_eval_utterances": 48, "segments_per_utt": 3, "steps": 16, "every": 4,
    },
    "n_bootstrap": 500,
    "gates": {"min_gain": 0.0, "max_lost": 0.5},
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
        choose_starts(as_frames(wandering(), 5), 61, 3, 0, "test")


def test_who_knows_the_law_stays_on_the_path_and_who_holds_still_does_not():
    frames = as_frames(turning(), 3)
    starts = choose_starts(frames, 16, 50, 0, "test")
    known = run(knowing(rotation, 0.1), frames, starts, 16, 1, 1, CPU)
    assert known.error.max() < 1e-4 and known.cosine.min() > 0.9999
    assert np.allclose(known.length, known.true_length, rtol=1e-4)
    still = run(Gaussian.still(step_statistics(frames, frames.targets(TRAIN))), frames, starts, 16, 1, 1, CPU)
    assert np.array_equal(still.error, still.still) and (still.length == 0).all() and known.finite.all()


def test_a_far_horizon_sees_true_frames_until_its_own_come_in():
    frames = as_frames(turning(), 6)
    starts = choose_starts(frames, 8, 20, 0, "test")
    seen = []

    def model(windows):
        seen.append(windows[:, -1].clone())
        return gaussians(torch.full((len(windows), SHAPE.dim), 5.0), torch.ones(SHAPE.dim), len(windows))

    run(model, frames, starts, 8, 2, 3, CPU)
    for s, last in enumerate(seen):
        true = torch.from_numpy(frames.x[starts + s - 2])
        assert torch.allclose(last, true) == (s < 3)


def test_the_true_state_is_put_back_after_the_steps_named():
    frames = as_frames(wandering(), 3)
    starts = choose_starts(frames, 16, 20, 0, "test")
    model = knowing(lambda last: last + 1, 1.0)
    fresh = {mode: run(model, frames, starts, 16, 2, 1, CPU, after).error_before.max(0) == 0
             for mode, after in modes(SETTINGS.diag).items()}  # fmt: skip
    steps = {mode: (np.flatnonzero(zero) + 1).tolist() for mode, zero in fresh.items()}
    assert steps == {"A": list(range(1, 17)), "B": [1, 5, 9, 13], "C": [1, 2], "D": [1]}


def test_the_diagnostic_tells_a_bad_step_from_steps_that_add_up(tmp_path):
    bad = as_frames(wandering(), 3)
    guess = torch.nn.functional.normalize
    found = diagnose(knowing(lambda last: last + 0.3 * guess(last, dim=1), 0.6), bad, 1, 1, SETTINGS, 0, CPU)
    assert found["verdict"] == "one-step error"
    chaos = as_frames(logistic(), 3)
    found = diagnose(knowing(lambda last: 3.9 * last * (1 - last), 0.01), chaos, 1, 1, SETTINGS, 0, CPU)
    assert found["verdict"] == "compounding drift"
    gates = inject_gates(found, SETTINGS.gates)
    assert [gates[name]["verdict"] for name in ("teacher_forced_gain", "free_run_loss")] == ["pass", "fail"]
    assert 0 < gates["free_run_loss"]["control"] < gates["free_run_loss"]["value"]
    # Closer to the last injection, less is lost.
    gain = {mode: [step["value"] for step in found["modes"][mode]["gain"]] for mode in "ABCD"}
    assert min(gain["A"]) > 2 and gain["D"][15] < gain["B"][15] < gain["A"][15]
    assert gain["B"][4] > gain["D"][4] and gain["C"][1] == gain["A"][1] > gain["D"][1]
    write_inject_plots(found, tmp_path)
    assert (tmp_path / "steps.csv").read_text().count("\n") == 1 + 4 * 16
    found = diagnose(knowing(rotation, 0.1), as_frames(turning(noise=0.01), 3), 1, 1, SETTINGS, 0, CPU)
    assert found["verdict"] == "neither" and inject_gates(found, SETTINGS.gates)["free_run_loss"]["verdict"] == "pass"


def test_a_verdict_needs_numbers_and_an_interval_on_one_side():
    def verdict(gain, lost):
        return conclude(Estimate(1.0, *gain, 5), Estimate(1.0, 0.9, 1.1, 5), Estimate(0.6, *lost, 5), SETTINGS)

    assert verdict((0.9, 1.1), (0.55, 0.7)) == "compounding drift"
    assert verdict((0.9, 1.1), (0.3, 0.45)) == "neither"
    assert verdict((0.9, 1.1), (0.3, 0.9)) == "undecided"
    assert verdict((-0.1, 1.1), (0.55, 0.7)) == "one-step error"
    assert verdict((float("nan"), float("nan")), (0.55, 0.7)) == "undecided"
