import dataclasses
import json
from collections import Counter

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
import torch

from soundgate.runtime.errors import CorpusError
from soundgate.tracks.voice.audit.content import Units, agreement, audible
from soundgate.tracks.voice.audit.hearing import Hearing, Listeners
from soundgate.tracks.voice.audit.pairs import SEEN, UNSEEN, couples_in_rounds, draw_evaluation
from soundgate.tracks.voice.audit.pitch import f0_correlation, f0_error_semitones, mean_f0_hz
from soundgate.tracks.voice.audit.plots import write_plots
from soundgate.tracks.voice.audit.reconstruction import Distances, intelligibility
from soundgate.tracks.voice.audit.report import report_markdown
from soundgate.tracks.voice.audit.run import SCORES, run_audit, scores_of
from soundgate.tracks.voice.audit.settings import AuditSettings
from soundgate.tracks.voice.audit.summary import summarise
from soundgate.tracks.voice.audit.systems import CONVERTED, baselines, by_converter, controls, untrained
from soundgate.tracks.voice.roles import assign_roles
from soundgate.tracks.voice.speaking import joined, spoken, voice_of

from .planted_voices import FEATURES, HOP, RATE, FormantJudge, ToneUnits, say, text, write_planted_cache
from .tiny_converter import tiny_converter

SETTINGS = AuditSettings(
    evaluation={
        "seed": 0, "n_content": 2, "n_enrolment": 2, "n_pairs": 8, "n_seen_pairs": 2, "duration_s": 1.2,
    },
    thresholds={
        "closer_to_target": 0.501, "margin": 0.02, "over_baseline": 0.001, "mel_db": 6.0,
        "f0_correlation": 0.7, "f0_error": 2.0, "faults_found": 0.8, "false_alarms": 1.0,
    },
    griffin_lim_iterations=2,
    n_bootstrap=100,
)  # fmt: skip


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return write_planted_cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def audit(cache):
    listeners = Listeners(FormantJudge(), FormantJudge(), ToneUnits())
    return run_audit(SETTINGS, cache, tiny_converter(), listeners), listeners


def test_correlation_of_pitch_ignores_height_and_spread_and_counts_voiced_frames_alone():
    said = 150 * np.exp(0.1 * np.sin(np.arange(80) * 0.3))
    said[10:20] = 0
    higher = np.where(said > 0, 300 * (np.maximum(said, 1) / 150) ** 2, 0)
    higher[40:45] = 0
    assert f0_correlation(higher, said) == pytest.approx(1)
    assert f0_correlation(np.where(said > 0, 150**2 / np.maximum(said, 1), 0), said) == pytest.approx(-1)
    assert f0_correlation(np.full(80, 200.0), said) == 0 == f0_correlation(np.zeros(80), said)
    assert np.isnan(f0_correlation(said, np.zeros(80)))
    assert f0_correlation(np.concatenate([higher, np.full(30, 500.0)]), said) == pytest.approx(1)


def test_height_is_told_in_semitones():
    f0 = np.concatenate([np.full(20, 100.0), np.zeros(5), np.full(20, 400.0)])
    assert mean_f0_hz(f0) == pytest.approx(200)
    assert f0_error_semitones(f0, np.log(100)) == pytest.approx(12)
    assert f0_error_semitones(f0, np.log(200 * 2 ** (-1 / 12))) == pytest.approx(1)
    assert f0_error_semitones(np.zeros(40), np.log(100)) == 12


def test_units_are_those_spoken_and_silence_has_none():
    wav, _ = say("ann-1", "ann", 2 * RATE)
    wav[RATE:] = 0
    units = Units(ToneUnits())(wav)
    centres = np.arange(len(units)) * HOP
    half = centres < RATE - 2 * HOP
    assert np.mean(units[half] == text("ann-1", 2 * RATE)[centres[half]]) > 0.8
    assert np.all(units[centres > RATE + 2 * HOP] == -1)
    assert not audible(np.zeros(100), 10).any()


def test_agreement_counts_what_was_audible():
    said = np.array([0, 1, -1, -1, 2, 3])
    assert agreement(np.array([0, 1, 4, 4, 2, 0]), said) == 0.75
    assert agreement(np.full(6, -1), said) == 0 and agreement(said[:2], said) == 1
    assert np.isnan(agreement(said, np.full(6, -1)))


def test_content_is_the_same_in_another_voice_and_not_in_another_utterance():
    units = Units(ToneUnits())
    said, voiced, other = (units(say(*how, RATE)[0]) for how in (("ann-1", "ann"), ("ann-1", "cat"), ("ann-2", "cat")))
    assert agreement(voiced, said) > 0.9 and agreement(other, said) < 0.5


def test_distances_have_known_values():
    truth = np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32)
    distances = Distances(FEATURES)
    same = {"mel_db": 0, "stft": pytest.approx(0, abs=1e-4), "stoi": pytest.approx(1, abs=1e-3)}
    assert distances(truth, truth) == same
    half = distances(truth / 2, truth)
    assert half["mel_db"] == pytest.approx(20 * np.log10(2), abs=1e-3)
    assert half["stft"] == pytest.approx(0.5 + np.log(2), abs=0.01)
    # Noise far below the loudest value is silence.
    quiet = truth.copy()
    quiet[RATE // 2 :] = 0
    noisy = quiet + 1e-6 * truth
    assert distances(noisy, quiet)["mel_db"] < 1e-3
    assert distances(truth[: RATE // 2], truth)["mel_db"] == pytest.approx(0, abs=0.5)


def test_intelligibility_falls_with_noise_and_does_not_depend_on_level():
    generator = np.random.default_rng(0)
    # What carries words: levels of bands that change several times a second.
    levels = np.repeat(generator.uniform(0, 1, 40), RATE // 20)
    truth, noise = levels * generator.normal(0, 0.1, len(levels)), generator.normal(0, 0.05, len(levels))
    clean, noisy, noisier = (intelligibility(truth + gain * noise, truth, RATE) for gain in (0, 1, 8))
    assert clean == pytest.approx(1, abs=1e-3) and clean > noisy > noisier and noisier < 0.6
    assert intelligibility(0.1 * truth, truth, RATE) == pytest.approx(1, abs=1e-3)
    assert np.isnan(intelligibility(truth[: RATE // 5], truth[: RATE // 5], RATE))


def test_roles_are_disjoint_and_do_not_depend_on_the_tables_order(cache):
    for split in (UNSEEN, SEEN):
        roles = assign_roles(cache.table, split, 2, 2, 0)
        shuffled = assign_roles(cache.table.sample(frac=1, random_state=1), split, 2, 2, 0)
        assert len(roles) == (3 if split == UNSEEN else 2)
        for speaker, own in roles.items():
            every = np.concatenate(own)
            assert len(set(every)) == len(every) and all(len(part) for part in own)
            assert set(cache.table["speaker"][every]) == {speaker}
            assert all(np.array_equal(*both) for both in zip(own, shuffled[speaker], strict=True))
            assert set(cache.table["split"][own.content]) == {split}
            assert set(cache.table["split"][own.reference]) == {"test" if split == UNSEEN else "train"}


def test_a_speaker_with_too_few_utterances_has_no_role(cache):
    few = cache.table[(cache.table["speaker"] != "ann") | (cache.table["utterance"] < "ann-2")]
    assert set(assign_roles(few, UNSEEN, 2, 2, 0)) == {"bob", "cat"}


def test_pairs_go_both_ways_and_judges_never_heard_what_the_converter_was_given(cache):
    evaluation = draw_evaluation(cache, UNSEEN, 8, SETTINGS.evaluation)
    ways = [(pair.source, pair.target) for pair in evaluation.pairs]
    assert len(ways) == 8 and sorted(ways) == sorted((target, source) for source, target in ways)
    assert len(set(ways)) == 6, "every pair of speakers has its turn before any other content"
    for pair in evaluation.pairs:
        roles = evaluation.roles
        assert pair.row in roles[pair.source].content and pair.target_row in roles[pair.target].enrolment
        assert pair.other_row not in roles[pair.source].content
        speakers = cache.table["speaker"]
        assert speakers[pair.row] == speakers[pair.other_row] == pair.source != pair.target == speakers[pair.target_row]
    assert draw_evaluation(cache, UNSEEN, 8, SETTINGS.evaluation).pairs == evaluation.pairs


@pytest.mark.parametrize("n_names", [2, 3, 7, 10, 12])
def test_any_number_of_couples_has_all_speakers_alike(n_names):
    names = [f"s{number}" for number in range(n_names)]
    couples = couples_in_rounds(names)
    assert len({frozenset(couple) for couple in couples}) == len(couples) == n_names * (n_names - 1) // 2
    for count in range(1, len(couples) + 1):
        times = Counter(dict.fromkeys(names, 0)) + Counter(name for couple in couples[:count] for name in couple)
        spread = max(times.values()) - min(times.get(name, 0) for name in names)
        assert spread <= 1 + n_names % 2, "a speaker is in more couples than another"


def test_a_single_speaker_is_an_error(tmp_path):
    with pytest.raises(CorpusError, match="two speakers or more"):
        draw_evaluation(write_planted_cache(tmp_path, unseen=("ann",)), UNSEEN, 4, SETTINGS.evaluation)


def test_what_is_converted_is_the_middle_in_whole_frames_and_parts_join(cache):
    row = int(cache.rows(UNSEEN)[0])
    middle, whole = spoken(cache, row, 1.0), spoken(cache, row)
    assert len(middle.wav) == RATE // HOP * HOP and len(whole.wav) == 2 * RATE
    for own in (middle, whole, joined([whole, middle])):
        assert len(own.f0) == FEATURES.n_frames(len(own.wav))
    both = joined([whole, middle])
    np.testing.assert_array_equal(both.wav[2 * RATE :], middle.wav)
    np.testing.assert_array_equal(both.f0[2 * RATE // HOP :], middle.f0)


def test_a_voice_is_the_mean_over_utterances(cache):
    model, rows = tiny_converter(), cache.rows(UNSEEN)[:2]
    both, (one, other) = voice_of(model, cache, rows), (voice_of(model, cache, [row]) for row in rows)
    torch.testing.assert_close(both.embedding, (one.embedding + other.embedding) / 2)
    assert not torch.equal(one.embedding, other.embedding) and both.embedding.shape == (1, 16)
    assert float(both.log_f0_mean) == pytest.approx(np.log(150), abs=1e-4)


def test_random_weights_are_others_and_leave_the_global_generator_alone():
    model, state = tiny_converter(3), torch.random.get_rng_state()
    drawn = untrained(model)
    assert torch.equal(state, torch.random.get_rng_state()) and drawn.speaker is model.speaker
    assert not torch.equal(drawn.decoder.head.weight, model.decoder.head.weight)


def test_scores_are_those_of_the_audit_and_of_every_pair(audit, cache):
    (found, listeners), columns = audit, ["source", "target", "utterance", "measure"]
    scores = scores_of(found, cache)
    again = run_audit(SETTINGS, cache, tiny_converter(), listeners)
    pd.testing.assert_frame_equal(scores, scores_of(again, cache))
    assert set(scores["measure"]) == set(SCORES) and not scores.duplicated(columns).any()
    silent = found.pairs.assign(f0_correlation=np.nan)
    assert "f0_correlation" not in set(scores_of(found._replace(pairs=silent), cache)["measure"])
    assert scores["measure"].value_counts()["similarity_gap"] == 8
    own = scores[scores["measure"] == "mel_db"]
    assert (own["source"] == own["target"]).all() and own["utterance"].is_unique
    assert set(scores["source"]) == {"ann", "bob", "cat"}, "speakers trained on are reported apart"


def test_the_audit_reports_speakers_seen_and_unseen_apart(audit, tmp_path):
    found, _ = audit
    assert set(found.pairs[found.pairs["split"] == SEEN]["system"]) == {"converted", "identity"}
    assert set(found.pairs[found.pairs["split"] == SEEN]["source"]) == {"dan", "eve"}
    figures = summarise(found, 0, 100)
    identity = figures["systems"][UNSEEN]["identity"]
    assert identity["closer"]["value"] == 0 and identity["f0_correlation"]["value"] > 0.95
    assert figures["systems"][UNSEEN]["target_utterance"]["closer"]["value"] == 1
    assert figures["systems"][UNSEEN]["converted"]["closer"]["n"] == 3
    report = report_markdown(figures, {})
    assert "3 speakers are too few" in report and "speakers trained on" in report
    write_plots(tmp_path, found, figures)
    systems = pd.read_csv(tmp_path / "systems.csv").set_index("system")
    assert systems["closer"]["identity"] == 0 and len(systems) == 10
    for name in ("similarity", "f0"):
        assert matplotlib.image.imread(tmp_path / f"{name}.png")[..., :3].std() > 0.05
    json.dumps(figures, allow_nan=False)


def test_no_system_knows_the_pitch_of_utterances_that_judges_alone_hear(cache):
    """Reference utterances an octave higher change no conversion, only what its height is held against."""
    evaluation = draw_evaluation(cache, UNSEEN, 2, SETTINGS.evaluation)
    pair, other = evaluation.pairs[0], cache.f0_frames["test"].copy()
    n_frames = cache.settings.n_frames(cache.table["n_samples"])
    for row in evaluation.roles[pair.target].reference:
        first = n_frames[:row][cache.table["split"][:row] == "test"].sum()
        other[first : first + n_frames[row]] *= 2
    frames = cache.f0_frames | {"test": other}
    table = cache.table.assign(log_f0_mean=cache.table["log_f0_mean"] + 0.5)
    higher = dataclasses.replace(cache, f0_frames=frames, table=table)
    listeners, model = Listeners(FormantJudge(), FormantJudge(), ToneUnits()), tiny_converter()
    errors, before = [], None
    for own in (cache, higher):
        parts = (own, evaluation.roles, 1.2)
        systems = {CONVERTED: by_converter(model, *parts)} | controls(model, *parts) | baselines(*parts)
        made = {name: system.make(pair) for name, system in systems.items()}
        hearing = Hearing(listeners, own, evaluation._replace(pairs=[pair]), 1.2)
        errors.append(hearing.table(CONVERTED, systems[CONVERTED])["f0_error"].item())
        before = before or made
        assert all(np.array_equal(before[name], wav) for name, wav in made.items())
    assert errors[0] < 1 and errors[1] == pytest.approx(12, abs=1)
