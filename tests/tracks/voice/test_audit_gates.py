"""The audit of the audit: every broken converter fails the gate that is meant for it."""

from typing import NamedTuple

import librosa
import numpy as np
import pandas as pd
import pytest

from soundgate.evaluation.gates import gated
from soundgate.tracks.voice.audit.gating import (
    conversion_gates,
    embedding_gates,
    health_gates,
    reconstruction_gates,
)
from soundgate.tracks.voice.audit.hearing import Hearing, Listeners
from soundgate.tracks.voice.audit.pairs import UNSEEN, draw_evaluation
from soundgate.tracks.voice.audit.reconstruction import Reconstruction, reconstruction_table
from soundgate.tracks.voice.audit.report import conclusions
from soundgate.tracks.voice.audit.run import Audit
from soundgate.tracks.voice.audit.settings import AuditThresholds, EvaluationSettings
from soundgate.tracks.voice.audit.summary import summarise
from soundgate.tracks.voice.audit.systems import CONVERTED, System, controls
from soundgate.tracks.voice.baselines.methods import BASELINES
from soundgate.tracks.voice.speaking import spoken

from .planted_voices import RATE, FormantJudge, ToneUnits, say, write_planted_cache
from .tiny_converter import tiny_converter

DURATION_S = 2.0
SPEAKERS = ("ann", "bob", "cat", "dan", "eve")
SETTINGS = EvaluationSettings(seed=0, n_content=2, n_enrolment=2, n_pairs=20, n_seen_pairs=0, duration_s=DURATION_S)
THRESHOLDS = AuditThresholds(
    closer_to_target=0.501,
    margin=0.02,
    over_baseline=0.001,
    mel_db=6.0,
    f0_correlation=0.7,
    f0_error=2.0,
    faults_found=0.8,
    false_alarms=1.0,
)
N_BOOTSTRAP = 300


class Bench(NamedTuple):
    """What every converter is measured with; the controls are measured once."""

    cache: object
    hearing: Hearing
    controls: pd.DataFrame
    reconstruction: pd.DataFrame

    def audit(self, make):
        """Return the audit's figures of a converter, a function from pair to waveform."""
        own = self.hearing.table(CONVERTED, System(make, lambda pair: (pair.row, pair.target)))
        audit = Audit(pd.concat([own, self.controls]), self.reconstruction)
        return summarise(audit, 0, N_BOOTSTRAP)

    def name(self, row):
        return self.cache.table["utterance"].iloc[row]

    def mean_log_f0(self, row):
        return self.cache.table["log_f0_mean"].iloc[row]


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    cache = write_planted_cache(tmp_path_factory.mktemp("cache"), seen=(), unseen=SPEAKERS)
    evaluation = draw_evaluation(cache, UNSEEN, SETTINGS.n_pairs, SETTINGS)
    hearing = Hearing(Listeners(FormantJudge(), FormantJudge(), ToneUnits()), cache, evaluation, DURATION_S)
    others = controls(tiny_converter(), cache, evaluation.roles, DURATION_S)
    tables = [hearing.table(name, system) for name, system in others.items()]
    # Methods that move the pitch alone stand for those without training, which take seconds.
    shifted = next(table for table in tables if (table["system"] == "pitch_shift").all())
    tables += [shifted.assign(system=name) for name in BASELINES]
    made = {name: others[name] for name in ("copy_synthesis", "random_weights")}
    reconstruction = reconstruction_table(cache, evaluation.pairs, Reconstruction(made, 4, DURATION_S))
    return Bench(cache, hearing, pd.concat(tables), reconstruction)


def honest(bench):
    """The source's words and melody in the target's voice."""
    return lambda pair: say(bench.name(pair.row), pair.target, int(DURATION_S * RATE))[0]


def identity(bench):
    return lambda pair: spoken(bench.cache, pair.row, DURATION_S).wav


def playback(bench):
    """The right voice that says something else."""
    return lambda pair: spoken(bench.cache, pair.target_row, DURATION_S).wav


def one_voice_for_all(bench):
    """A good conversion to a voice that nobody asked for."""
    return lambda pair: say(bench.name(pair.row), "bob", int(DURATION_S * RATE))[0]


def another_voice(bench):
    """A good conversion, away from the source, to the voice after the target's."""
    return lambda pair: say(
        bench.name(pair.row), SPEAKERS[(SPEAKERS.index(pair.target) + 1) % 5], int(DURATION_S * RATE)
    )[0]


def pitch_only(bench):
    def make(pair):
        semitones = 12 / np.log(2) * (bench.mean_log_f0(pair.target_row) - bench.mean_log_f0(pair.row))
        return librosa.effects.pitch_shift(spoken(bench.cache, pair.row, DURATION_S).wav, sr=RATE, n_steps=semitones)

    return make


def monotone(bench):
    """The right voice and words on one note, an octave too high."""

    def make(pair):
        wav, _ = say(bench.name(pair.row), pair.target, int(DURATION_S * RATE))
        time = np.arange(len(wav)) / RATE
        note = 2 * np.exp(bench.mean_log_f0(pair.target_row))
        return (0.3 * sum(np.cos(2 * np.pi * order * note * time) for order in range(1, 8)) + wav).astype(np.float32)

    return make


def verdicts(bench, converter):
    gates = conversion_gates(bench.audit(converter(bench)), THRESHOLDS)
    return {name: gate["verdict"] for name, gate in gates.items()}


def test_an_honest_converter_passes_every_gate(bench):
    assert set(verdicts(bench, honest).values()) == {"pass"}


@pytest.mark.parametrize(
    ("converter", "failed"),
    [
        (identity, {"conversion_closer_to_target", "conversion_follows_target", "f0_error_held_out"}),
        (playback, {"content_over_shuffled", "f0_correlation"}),
        (one_voice_for_all, {"conversion_closer_to_target", "conversion_follows_target"}),
        (another_voice, {"conversion_follows_target"}),
        (pitch_only, {"conversion_over_pitch_shift", "conversion_over_best_baseline"}),
        (monotone, {"f0_correlation", "f0_error_held_out"}),
    ],
)
def test_a_broken_converter_fails_the_gate_meant_for_it(bench, converter, failed):
    found = verdicts(bench, converter)
    assert {name for name in failed if found[name] != "pass"} == failed
    assert found["judge_hears_real_targets"] == "pass"


def test_playback_passes_by_voice_alone_and_content_alone_shows_it(bench):
    found = verdicts(bench, playback)
    assert found["conversion_closer_to_target"] == found["conversion_follows_target"] == "pass"


def test_a_judge_that_hears_nothing_voids_the_audit(bench):
    deaf = bench.controls.assign(similarity_gap=0.0, similarity_to_target=0.5, similarity_to_source=0.5)
    own = bench.hearing.table(CONVERTED, System(honest(bench), lambda pair: (pair.row, pair.target)))
    found = summarise(Audit(pd.concat([own, deaf]), bench.reconstruction), 0, N_BOOTSTRAP)
    assert conversion_gates(found, THRESHOLDS)["judge_hears_real_targets"]["verdict"] == "fail"
    assert any("no other verdict" in line for line in conclusions(found))


def test_a_converter_made_for_the_training_encoder_is_told(bench):
    own = bench.hearing.table(CONVERTED, System(honest(bench), lambda pair: (pair.row, pair.target)))
    own["encoder_similarity_gap"] = own["similarity_gap"] + 0.5
    found = summarise(Audit(pd.concat([own, bench.controls]), bench.reconstruction), 0, N_BOOTSTRAP)
    assert found["encoder_over_judge"]["value"] == pytest.approx(0.5)
    assert any("made for it alone" in line and "no sign" not in line for line in conclusions(found))
    assert any("no sign" in line for line in conclusions(bench.audit(honest(bench))))


def test_reconstructions_no_better_than_random_weights_fail(bench):
    found = bench.audit(honest(bench))
    by_method = found["reconstruction"]
    assert by_method["identity"]["mel_db"]["value"] == 0 < by_method["griffin_lim"]["mel_db"]["value"]
    assert by_method["griffin_lim"]["mel_db"]["value"] < by_method["other_utterance"]["mel_db"]["value"]
    failed = reconstruction_gates(found, THRESHOLDS)
    assert failed["reconstruction_mel_db"]["verdict"] == "fail"
    assert failed["reconstruction_over_random"]["verdict"] in ("fail", "undecided")


def test_reconstructions_nearer_than_random_weights_pass(bench):
    table = bench.reconstruction.copy()
    made = table["method"] == "copy_synthesis"
    table.loc[made, "mel_db"] = 1.0 + 0.1 * np.arange(made.sum())
    own = bench.controls.assign(system=bench.controls["system"].replace("identity", CONVERTED))
    found = summarise(Audit(pd.concat([own, bench.controls]), table), 0, N_BOOTSTRAP)
    assert {gate["verdict"] for gate in reconstruction_gates(found, THRESHOLDS).values()} == {"pass"}


def test_a_monitor_that_misses_faults_or_cries_wolf_fails():
    def figures(share, alarms):
        return {
            name: {"value": value, "ci_low": value - 0.1, "ci_high": value + 0.1, "n": 20}
            for name, value in (("found", share), ("false_alarms", alarms), ("healthy_runs_with_alarm", 0.0))
        }

    def found(*values):
        return [gate["verdict"] for gate in health_gates(figures(*values), THRESHOLDS).values()]

    assert found(1.0, 0.0) == ["pass", "pass"] and found(0.85, 0.95) == ["undecided", "undecided"]
    assert found(0.6, 0.0) == ["fail", "pass"] and found(1.0, 2.0) == ["pass", "fail"]


def test_the_gates_of_the_embeddings_are_judged_as_handed_on():
    found = {"gates": {"separation": gated(0.5, "above", 0.4, control=0.01), "different": gated(0.5, "below", 0.3)}}
    verdicts = embedding_gates(found)
    assert verdicts["embedding_separation"]["verdict"] == "pass" and verdicts["embedding_separation"]["control"] == 0.01
    assert verdicts["embedding_different"]["margin"] == pytest.approx(-0.2)
