"""What needs no training and a vocoder must be nearer than; vocoders that must not pass beside it."""

import numpy as np
import pytest
import torch

from soundgate.runtime.errors import CorpusError
from soundgate.tracks.editor.audit.gating import sound_gates
from soundgate.tracks.editor.features import Features
from soundgate.tracks.editor.pairs.table import read_pairs
from soundgate.tracks.editor.vocoder.closed_form import ClosedForm, magnitudes, wave_of
from soundgate.tracks.editor.vocoder.inverting import griffin_lim_unit
from soundgate.tracks.editor.vocoder.measures import BASELINES, FIGURES, GATED, figures, level_dbfs, measure_vocoder
from soundgate.tracks.editor.vocoder.settings import ClosedFormSettings
from soundgate.tracks.editor.vocoder.waves import pack_waves
from tests.tracks.editor.recordings import RATE, tones, write_recordings
from tests.tracks.editor.test_audit_gates import THRESHOLDS
from tests.tracks.editor.test_vocoder import FEATURES, HOP, settings

GATES = {(baseline, figure): f"vocoder_{figure}_over_{baseline}" for baseline in BASELINES for figure in GATED}
N_ITER = 4


@pytest.fixture(scope="module")
def features():
    return Features(FEATURES)


@pytest.fixture(scope="module")
def waves(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    write_recordings(folder)
    return pack_waves(read_pairs(folder), RATE, folder / "waves")


@pytest.fixture(scope="module")
def closed_form(features, waves):
    return ClosedForm.fit(features, waves, settings().closed_form, N_ITER)


def test_magnitudes_are_those_that_frames_are_sums_of(features):
    wave = tones(1.0, seed=0)
    power = np.square(magnitudes(features, wave)) @ features.power.mel_scale.fb.numpy()
    decibels = 10 * np.log10(np.maximum(power, 1e-13))
    np.testing.assert_allclose(features.from_db(decibels), features(wave), atol=1e-4)


def test_the_search_of_phases_finds_true_magnitudes_again(features):
    wave = tones(1.0, seed=1)
    made = wave_of(features, magnitudes(features, wave), 32)
    assert len(made) == len(wave) // HOP * HOP
    truth = torch.from_numpy(wave[: len(made)])[None]
    by_frames = figures(features, torch.from_numpy(griffin_lim_unit(features, features(wave)))[None], truth)
    by_truth = figures(features, torch.from_numpy(made)[None], truth)
    assert by_truth["spectral_convergence"] < 0.6 * by_frames["spectral_convergence"]


def test_the_fit_is_the_ridge_regression_of_all_training_frames(features, waves):
    own = ClosedFormSettings(context=1, seconds=1.0, ridge=0.01)
    fitted = ClosedForm.fit(features, waves, own, N_ITER)
    assert fitted.context == 1 and fitted.weights.shape == (3 * 128 + 1, 1025)
    heard, wanted = [], []
    for row in waves.rows("train"):
        wave = waves.middle(int(row), RATE)
        unit = np.pad(features(wave), ((1, 1), (0, 0)))
        heard.append(np.concatenate([unit[:-2], unit[1:-1], unit[2:], np.ones((len(unit) - 2, 1))], axis=1))
        wanted.append(np.log(np.maximum(magnitudes(features, wave), 1e-3)))
    heard, wanted = np.concatenate(heard), np.concatenate(wanted)
    # The gradient of the penalised squares is 0, and that of the constant has no penalty.
    slope = heard.T @ (heard @ fitted.weights - wanted) / len(heard)
    slope[:-1] += own.ridge * fitted.weights[:-1]
    assert np.abs(slope).max() < 1e-3


def test_nothing_to_fit_on_is_an_error(features, waves):
    nobody = waves._replace(table=waves.table.assign(split="test"))
    with pytest.raises(CorpusError, match="training split"):
        ClosedForm.fit(features, nobody, settings().closed_form, N_ITER)


def test_levels():
    assert level_dbfs(np.full(100, 0.1, np.float32)) == pytest.approx(-20, abs=1e-4)
    assert level_dbfs(np.zeros(3)) == level_dbfs(np.zeros(0)) == -np.inf


def verdicts(vocoder, waves, features):
    estimate = {"value": 1.0, "control": 0.0}
    measured = measure_vocoder(vocoder, waves, features, settings(griffin_lim_iterations=N_ITER), 0)
    return measured, sound_gates({"equally_wrong": estimate, "identical": estimate}, measured, THRESHOLDS)


def test_a_vocoder_that_is_a_baseline_fails_over_it(features, waves, closed_form):
    by = {"griffin_lim": lambda unit: griffin_lim_unit(features, unit, N_ITER), "closed_form": closed_form}
    for baseline, vocoder in by.items():
        _, gates = verdicts(vocoder, waves, features)
        assert all(gates[GATES[baseline, figure]]["verdict"] == "fail" for figure in GATED), baseline


def test_a_vocoder_that_is_nearer_passes(features, waves):
    known = [waves.middle(int(row), RATE) for row in waves.rows("test")]

    def knowing(unit):
        return 0.999 * next(wave for wave in known if np.array_equal(features(wave), unit))

    measured, gates = verdicts(knowing, waves, features)
    assert all(gates[name]["verdict"] == "pass" for name in GATES.values())
    methods = ["vocoder", "griffin_lim", "closed_form", "true_magnitudes", "random_phase", "other_recording"]
    assert list(measured) == [*methods, "over", "n_recordings", "n_inaudible"]
    convergence = {method: measured[method]["spectral_convergence"]["value"] for method in methods}
    assert convergence["true_magnitudes"] < min(convergence[baseline] for baseline in BASELINES)
    assert set(measured["closed_form"]) == set(FIGURES)


def test_only_what_is_audible_is_measured(features, waves):
    samples = np.array(waves.samples)
    silent = int(waves.rows("test")[1])
    samples[waves.ends[silent] : waves.ends[silent + 1]] //= 3_000
    measured, _ = verdicts(lambda unit: griffin_lim_unit(features, unit, 1), waves._replace(samples=samples), features)
    assert (measured["n_recordings"], measured["n_inaudible"]) == (3, 1)
    with pytest.raises(CorpusError, match="dBFS"):
        verdicts(None, waves._replace(samples=np.zeros_like(samples)), features)
