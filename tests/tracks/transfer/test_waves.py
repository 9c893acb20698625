"""Each score of a delivered wave reacts to its own kind of damage and to no other."""

import numpy as np
import pandas as pd
import pytest

from soundgate.judges.notes import N_PITCHES, Activations
from soundgate.judges.registry import load_judge
from soundgate.tracks.transfer.outside.settings import OutsideThresholds
from soundgate.tracks.transfer.outside.summary import outside_gates, summarise
from soundgate.tracks.transfer.outside.waves import SCORES, compare, hear
from tests.tracks.transfer.planted_damage import played

RATE = 22_050
THRESHOLDS = OutsideThresholds(over_shuffled=0.1, lost=0.1, drums=0.5)
CONTROLS = ("no_transfer", "true_target", "knn")
# What each damage is heard by.
OWN = {"chords": "harmony", "bass": "bass", "melody": "rhythm", "drums": "drum_onsets"}


@pytest.fixture(scope="module")
def lost():
    """By damage and score: what is lost against the undamaged rendering, the mean over two scores in two styles."""
    judge, rows = load_judge("notes"), []

    def heard(*what):
        wav = played(*what)
        return hear(wav, RATE, judge.activations([wav], RATE)[0])

    for style in ("hiphop", "electronic"):
        for score_id in ("a", "b"):
            source = heard(style, score_id)
            rows.append({"damage": "none"} | compare(source, source, source))
            for damage in OWN:
                rows.append({"damage": damage} | compare(source, source, heard(style, score_id, damage)))
    return 1 - pd.DataFrame(rows).groupby("damage").mean()


def test_what_is_undamaged_loses_nothing(lost):
    assert lost.loc["none"].to_numpy() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("damage", "score"), OWN.items())
def test_a_score_reacts_to_its_own_damage_and_to_no_other(lost, damage, score):
    own, others = lost.loc[damage, score], lost[score].drop([damage, "none"])
    assert own > 0.1 and (others < own / 2).all(), f"{score}: {own:.3f} by {damage}, else\n{others}"


@pytest.mark.parametrize(("damage", "score"), OWN.items())
def test_a_damage_is_heard_most_by_its_own_score(lost, damage, score):
    # Scores have different scales: each in the share of what its own damage does to it.
    shares = pd.Series({name: lost.loc[damage, name] / lost.loc[kind, name] for kind, name in OWN.items()})
    assert shares.idxmax() == score and (shares.drop(score) < 0.5).all(), shares


def gates_of(scores, truth_scores):
    """Judge a path whose waves have some scores where the true rendering and the rest have others."""
    generator, rows = np.random.default_rng(0), []
    for path, system in (("mel", "transfer"), ("mel", "copy_synthesis"), *(("control", name) for name in CONTROLS)):
        own = scores if (path, system) == ("mel", "transfer") else truth_scores
        for group in range(10):
            noisy = {name: own[name] + 0.01 * generator.standard_normal() for name in SCORES}
            known = {"path": path, "system": system, "group": group, "note_f1": 0.8, "note_f1_other": 0.1}
            rows.append(known | noisy)
    figures = summarise(pd.DataFrame(rows), 0, 200)
    return outside_gates(figures, {"deaf": False, "asked": ""}, THRESHOLDS)


def test_the_true_rendering_passes_each_gate(lost):
    truth = dict.fromkeys(SCORES, 0.8)
    gates = gates_of(truth, truth)
    assert {gates[f"mel_{name}"]["verdict"] for name in SCORES} == {"pass"}


def test_without_a_true_rendering_only_the_drums_are_judged():
    unknown = dict.fromkeys(SCORES, np.nan)
    assert [name for name in gates_of(dict.fromkeys(SCORES, 0.8), unknown) if name[4:] in SCORES] == ["mel_drum_onsets"]


@pytest.mark.parametrize(("damage", "score"), OWN.items())
def test_a_path_that_damages_one_part_fails_the_gate_of_that_part_alone(lost, damage, score):
    truth = dict.fromkeys(SCORES, 1.0)
    gates = gates_of({name: 1 - lost.loc[damage, name] for name in SCORES}, truth)
    failed = {name for name in OWN.values() if gates[f"mel_{name}"]["verdict"] == "fail"}
    assert failed <= {score, "bass"} and gates[f"mel_{score}"]["verdict"] == "fail", gates


def test_recall_of_notes_falls_with_the_chords_and_not_without_drums(lost):
    assert lost.loc["chords", "note_recall"] > 0.2 > lost.loc["drums", "note_recall"] + 0.05


def test_loudness_changes_nothing():
    wav = played("hiphop", "a")
    silent = Activations(np.ones((400, N_PITCHES), np.float32), np.random.default_rng(0).random((400, N_PITCHES)))
    loud, quiet = hear(wav, RATE, silent), hear(0.05 * wav, RATE, silent)
    assert list(compare(loud, loud, quiet)) == list(SCORES)
    assert min(compare(loud, loud, quiet).values()) > 0.999


def test_silence_keeps_nothing_and_nothing_can_be_kept_of_silence():
    wav, nothing = played("hiphop", "a"), Activations(*np.zeros((2, 340, N_PITCHES), np.float32))
    sounding = Activations(np.ones((340, N_PITCHES)), np.random.default_rng(0).random((340, N_PITCHES)))
    source, silence = hear(wav, RATE, sounding), hear(np.zeros_like(wav), RATE, nothing)
    assert set(compare(source, source, silence).values()) == {0.0}
    assert all(np.isnan(value) for value in compare(silence, silence, source).values())
