"""The audit is audited: models that cheat in one way fail the gate meant for it."""

import numpy as np
import pandas as pd
import pytest
import torch

from soundgate.audio.mel import MelSettings
from soundgate.runtime.errors import CorpusError
from soundgate.tracks.transfer.audit.copying import copied
from soundgate.tracks.transfer.audit.exits import (
    Thresholds,
    content_gates,
    exit_report,
    leakage_gates,
    path_gates,
    stage_gates,
)
from soundgate.tracks.transfer.audit.own_style import own_style_gate
from soundgate.tracks.transfer.audit.report import report_markdown
from soundgate.tracks.transfer.audit.run import AuditSettings, run_audit
from soundgate.tracks.transfer.audit.score_truth import (
    chroma_similarity,
    mel_chroma,
    onset_f1,
    score_agreement,
    score_chroma,
)
from soundgate.tracks.transfer.audit.scores import Scorer, mels_of
from soundgate.tracks.transfer.cache import ChunkCache
from soundgate.tracks.transfer.content.model import ContentModel, EncoderSettings
from soundgate.tracks.transfer.judge.scoring import Judges
from soundgate.tracks.transfer.judge.style_fit import fit_style_judge
from soundgate.tracks.transfer.judge.task import JudgeTask
from soundgate.training.loop import fit
from tests.tracks.transfer.planted import GENRES, content_of, planted_cache, style_of
from tests.tracks.transfer.test_judges import SETTINGS as JUDGE_SETTINGS

NO_NOTES = pd.DataFrame(columns=["score_id", "part", "onset_s", "offset_s", "midi", "velocity"])
THRESHOLDS = Thresholds(mps=0.6, mps_mismatched=0.5, sf=0.85, copied=0.05, gap=0.0)
SETTINGS = AuditSettings(thresholds=THRESHOLDS, n_bootstrap=200)


@pytest.fixture(scope="module")
def cache():
    return planted_cache(30)


@pytest.fixture(scope="module")
def scorer(cache, tmp_path_factory):
    loop = JUDGE_SETTINGS.loop.model_copy(update={"epochs": 3})
    task = JudgeTask(cache, JUDGE_SETTINGS, 0, 60, torch.device("cpu"))
    checkpoint = tmp_path_factory.mktemp("judge") / "checkpoint.pt"
    fit(task, loop, len(task.rows), seed=0, name="judge", checkpoint=checkpoint)
    judges = Judges(task.judge.requires_grad_(False).eval(), fit_style_judge(cache, 1, 0))
    torch.manual_seed(0)
    lab = ContentModel(EncoderSettings(channels=(16, 16, 16), shared=16), 2, 2).eval().requires_grad_(False)
    return Scorer(cache, lab, judges)


def rendering(score, genre, seed):
    mel = content_of(score) + style_of(genre) + np.random.default_rng(seed).normal(0, 1, (96, 272))
    return np.clip(mel - mel.max(), -80, 0)[:, :256]


def audit_of(cache, scorer, make):
    """Audit a model that turns (row, score, source genre, target genre) into a spectrogram."""
    rows, mels = [], []
    for row in cache.rows("test"):
        source = int(cache.index["genre_code"].iloc[row])
        score = int(cache.index["group"].iloc[row])
        for kind, target in (("transfer", 1 - source), ("identity", source)):
            rows.append(("mel", kind, row, GENRES[source], GENRES[target]))
            mels.append(make(row, score, source, target))
    table = pd.DataFrame(rows, columns=["path", "kind", "row", "source_genre", "target_genre"])
    features = {"planted": np.random.default_rng(0).standard_normal((len(cache.index), 4))}
    audit = run_audit(SETTINGS, scorer, table, np.stack(mels), NO_NOTES, features, MelSettings(), 0)
    own = audit.pairs[audit.pairs["path"] == "mel"]
    return audit, path_gates("mel", audit.kinds, own, audit.copied["mel"], THRESHOLDS)


def failed(gates):
    return {name.removeprefix("mel_") for name, gate in gates.items() if gate["verdict"] == "fail"}


def test_an_honest_model_fails_no_gate(cache, scorer):
    audit, gates = audit_of(cache, scorer, lambda row, score, source, target: rendering(score, target, row))
    assert failed(gates) == set()
    transfer, control = audit.kinds["mel"]["transfer"], audit.kinds["control"]
    assert transfer["retrieved_held_out"]["value"] == 1
    assert control["no_transfer"]["mps_held_out"]["value"] == pytest.approx(1, abs=1e-5)
    assert control["no_transfer"]["sf_held_out"]["value"] < 0.3 < 0.6 < control["real_target"]["sf_held_out"]["value"]
    assert control["real_target"]["mps_held_out"]["value"] < 0.5 < control["true_target"]["mps_held_out"]["value"]
    assert control["true_target"]["to_truth_db"]["value"] < 2 < control["no_transfer"]["to_truth_db"]["value"]
    assert control["no_transfer"]["closer_db"]["value"] == 0


def test_a_gate_has_what_a_broken_model_would_have_beside_it(cache, scorer):
    audit, gates = audit_of(cache, scorer, lambda row, score, source, target: rendering(score, target, row))
    control = audit.kinds["control"]
    assert gates["mel_mps"]["control"] == control["real_target"]["mps_held_out"]["value"] < THRESHOLDS.mps
    assert gates["mel_sf"]["control"] == control["no_transfer"]["sf_held_out"]["value"] < THRESHOLDS.sf
    assert gates["mel_mps_mismatched"]["control"] == gates["mel_mps"]["value"] > THRESHOLDS.mps_mismatched
    # Two pairs of genres, neither of which a model that does nothing would bring nearer to the truth.
    assert gates["mel_truth_closer"]["control"] == 2 > gates["mel_truth_closer"]["value"] == 0
    assert "| 2.000 | pass |" in report_markdown(audit, gates, {"dropped": {}}, cache.index)


def test_without_transfers_there_is_nothing_to_audit(cache, scorer):
    table = pd.DataFrame({"path": ["mel"], "kind": ["identity"], "row": [0], "source_genre": "dark"})
    table["target_genre"] = "dark"
    for transfers in (table, table.iloc[:0]):
        mels = np.zeros((len(transfers), 96, 256))
        with pytest.raises(CorpusError, match=f"found {len(transfers)} outputs, none of them transferred"):
            run_audit(SETTINGS, scorer, transfers, mels, NO_NOTES, {}, MelSettings(), 0)


def test_a_model_that_ignores_content_fails_by_content(cache, scorer):
    _, gates = audit_of(cache, scorer, lambda row, score, source, target: rendering(1000 + row, target, row))
    assert {"mps"} <= failed(gates) <= {"mps", "truth_closer"}


def test_a_model_that_ignores_style_fails_by_style(cache, scorer):
    _, gates = audit_of(cache, scorer, lambda row, score, source, target: rendering(score, source, row))
    assert {"sf"} <= failed(gates) <= {"sf", "truth_closer"}


def test_a_model_that_copies_training_is_caught(cache, scorer):
    train = cache.rows("train")
    genre = cache.index["genre_code"].to_numpy()

    def copy(row, score, source, target):
        own = train[genre[train] == target]
        return mels_of(cache, own[row % len(own) : row % len(own) + 1])[0]

    audit, gates = audit_of(cache, scorer, copy)
    assert {"copied", "mps"} <= failed(gates) <= {"copied", "mps", "truth_closer"} and audit.copied["mel"] == 1


def test_a_model_that_only_turns_the_equaliser_is_caught(cache, scorer):
    tilt = np.linspace(-3, 3, 96)[:, None]

    def equalise(row, score, source, target):
        mel = mels_of(cache, np.array([row]))[0] + (tilt if target == 0 else -tilt)
        return np.clip(mel - mel.max(), -80, 0)

    _, gates = audit_of(cache, scorer, equalise)
    assert {"sf"} <= failed(gates) <= {"sf", "truth_closer"}


def test_the_exit_audit_and_the_report_say_what_failed(cache, scorer):
    audit, gates = audit_of(cache, scorer, lambda row, score, source, target: rendering(score, source, row))
    exits = exit_report(gates, audit.kinds, ["mel"])
    mel = exits["paths"]["mel"]
    assert exits["verdict"] == mel["SF"]["verdict"] == mel["verdict"] == "fail"
    assert mel["MPS"]["threshold"] == 0.6
    text = report_markdown(audit, gates, {"dropped": {}}, cache.index)
    assert "**FAIL**" in text and "`mel_sf`" in text and "6 groups were held out" in text


def test_genres_of_one_source_are_named_in_the_conclusions(cache, scorer):
    audit, gates = audit_of(cache, scorer, lambda row, score, source, target: rendering(score, target, row))
    alone = cache.index.assign(source=cache.index["genre"])
    assert "Genres of one source (bright, dark)" in report_markdown(audit, gates, {"dropped": {}}, alone)


def test_without_a_truth_there_is_no_gate_on_it(cache, scorer):
    one = (cache.index["genre_code"] == cache.index.groupby("group").ngroup() % 2) | ~cache.index["is_music"]
    alone = ChunkCache(cache.index[one].reset_index(drop=True), cache.mels[one])
    own = Scorer(alone, scorer.content, scorer.judges)
    audit, gates = audit_of(alone, own, lambda row, score, source, target: rendering(score, target, row))
    assert "mel_truth_closer" not in gates and "true_target" not in audit.kinds["control"]
    assert "No true target is known" in report_markdown(audit, gates, {"dropped": {}}, alone.index)


def test_gates_of_the_labs_are_judged_by_their_own_thresholds():
    measured = {"lab1": {"gates": {"auc": {"value": 0.8, "side": "above", "threshold": 0.9, "control": 0.5}}}}
    gate = stage_gates(measured)["lab1_auc"]
    assert gate["verdict"] == "fail" and gate["margin"] == pytest.approx(-0.1) and gate["control"] == 0.5


def test_cosines_of_the_same_and_of_other_music_are_each_others_control():
    same = {"value": 0.95, "side": "above", "threshold": 0.92}
    other, alone = {"value": 0.1, "side": "below", "threshold": 0.5}, {"value": 1, "side": "above", "threshold": 0.95}
    gates = {"same_content": same, "mismatched_content": other, "stability": alone}
    verdicts = stage_gates({"lab": {"gates": gates}})
    assert verdicts["lab_same_content"]["control"] == 0.1 and verdicts["lab_mismatched_content"]["control"] == 0.95
    assert "control" not in verdicts["lab_stability"]


def test_a_leakage_gap_that_is_unknown_has_no_gate():
    gap = {"answerable": True, "value": 0.1, "ci_low": 0.0, "ci_high": 0.2, "n": 12}
    probes = {"source": {"permuted": 0.3, "majority": 0.25}, "genre": {"permuted": 0.48, "majority": 0.5}}
    few = {"source": {"permuted": None, "majority": 0.25}, "genre": probes["genre"]}
    unknown = {"gap": {"answerable": False, "reason": "one source"}}
    features = {"known": {"gap": gap} | probes, "unknown": unknown, "few": {"gap": gap} | few}
    gates = leakage_gates({"features": features}, THRESHOLDS)
    assert list(gates) == ["leakage_known", "leakage_few"] and gates["leakage_known"]["verdict"] == "undecided"
    assert gates["leakage_known"]["control"] == pytest.approx(0.05 + 0.02) and "control" not in gates["leakage_few"]


def test_what_changes_a_source_in_its_own_style_is_caught(cache, scorer):
    def own(make):
        found = audit_of(cache, scorer, make)[0].own_style["mel"]
        return found, own_style_gate(found)["verdict"]

    honest, verdict = own(lambda row, score, source, target: mels_of(cache, np.array([row]))[0])
    assert verdict == "pass" and honest["change_db"].value == 0 < honest["equaliser_db"].value
    # Knows the style by its name, and plays always the same in it.
    assert own(lambda row, score, source, target: rendering(1, target, 0))[1] == "fail"
    audit, _ = audit_of(cache, scorer, lambda row, score, source, target: rendering(score, target, row))
    text = report_markdown(audit, {}, {"dropped": {}}, cache.index)
    assert "Path mel changes the source by " in text and "Best baseline by style" in text


def test_content_that_names_the_genre_is_caught():
    accuracy = {"value": 0.62, "ci_low": 0.58, "ci_high": 0.66, "n": 12}
    genre = {"answerable": True, "accuracy": accuracy, "majority": 0.25, "permuted": 0.27}
    gate = content_gates({"features": {"sequence": {"genre": genre}}})["leakage_sequence_genre"]
    assert gate["verdict"] == "fail" and gate["value"] == pytest.approx(0.37) and gate["control"] == pytest.approx(0.02)
    chance = genre | {"accuracy": accuracy | {"value": 0.26, "ci_low": 0.2, "ci_high": 0.32}}
    gates = content_gates({"features": {"sequence": {"genre": chance}}})
    assert gates["leakage_sequence_genre"]["verdict"] == "pass"
    assert content_gates({"features": {"sequence": {"genre": {"answerable": False, "reason": "one class"}}}}) == {}


def test_copies_play_what_a_training_item_of_the_genre_plays():
    training = np.eye(4)[:3]
    outputs = np.array([[1, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0], [0.6, 0, 0, 0.8]])
    sources = np.array([[0, 0, 0, 1], [1, 0, 0, 0], [0, 0, 0, 1], [0, 1, 0, 0]])
    same_genre = np.array([[True, True, False]] * 2 + [[False, True, True]] + [[True, True, True]])
    assert copied(outputs, sources, training, same_genre).tolist() == [True, False, False, False]


NOTES = pd.DataFrame(
    {
        "score_id": "a",
        "part": ["melody", "melody", "drums"],
        "onset_s": [1.0, 2.0, 1.5],
        "offset_s": [2.0, 3.0, 1.6],
        "midi": [69, 72, 36],
        "velocity": 1.0,
    }
)


def test_chroma_of_a_score_is_its_pitched_notes():
    chroma = score_chroma(NOTES, 1.0, 20, 10.0)
    assert chroma[9, :10].tolist() == [1] * 10 and chroma[0, 10:].tolist() == [1] * 10 and chroma.sum() == 20


def test_chroma_of_a_tone_agrees_with_its_note_and_with_no_other():
    settings = MelSettings()
    mel = np.full((96, 20), -80.0)
    import librosa

    hz = librosa.mel_frequencies(98, fmin=20, fmax=11025)[1:-1]
    mel[int(np.abs(hz - 880).argmin())] = 0
    heard = mel_chroma(mel, settings)
    tones = np.zeros((2, 12, 20))
    tones[0, 9], tones[1, 3] = 1, 1
    assert chroma_similarity(heard, tones[0]) > 0.95 > 0 > chroma_similarity(heard, tones[1])
    assert np.isnan(chroma_similarity(heard, np.zeros((12, 20))))


def test_onsets_are_found_where_they_are():
    settings = MelSettings()
    frame_rate = settings.sample_rate / settings.hop_length
    onsets = np.array([0.5, 1.2, 2.0])
    mel = np.full((96, 256), -60.0)
    for onset in onsets:
        first = round(onset * frame_rate)
        mel[:, first:] = np.maximum(mel[:, first:], -5 - 0.8 * np.arange(256 - first)[None, :])
    assert onset_f1(mel, onsets, settings) == 1
    assert onset_f1(mel, onsets + 0.3, settings) == 0
    assert np.isnan(onset_f1(mel, onsets + 100, settings))


def test_drums_are_no_part_of_the_agreement_with_a_score():
    settings = MelSettings()
    frame_rate = settings.sample_rate / settings.hop_length
    index = pd.DataFrame({"score_id": ["a", "b", "unknown"], "start_s": [1.0, 0.0, 0.0]})
    table, mels = pd.DataFrame({"row": [0, 1, 2]}), np.full((3, 96, 256), -60.0)
    drums = NOTES[NOTES["part"] == "drums"].assign(score_id="b")
    for onset in NOTES.loc[NOTES["part"] == "melody", "onset_s"] + 0.5 - index["start_s"][0]:
        first = round(onset * frame_rate)
        mels[:, :, first:] = np.maximum(mels[:, :, first:], -5 - 0.8 * np.arange(256 - first))
    later = NOTES.assign(onset_s=NOTES["onset_s"] + 0.5, offset_s=NOTES["offset_s"] + 0.5)
    agreement = score_agreement(table, mels, index, pd.concat([later, drums]), settings)
    assert agreement["onset_f1"][0] == 1
    # A score of drums alone, and none at all: there is nothing that a transfer owes.
    assert agreement.iloc[1:].isna().all(axis=None)
    doubled = later.assign(part="melody")
    assert score_agreement(table, mels, index, doubled, settings)["onset_f1"][0] == pytest.approx(0.8)
