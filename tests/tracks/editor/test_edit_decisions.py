"""What `soundgate edit` decides: by rules, by the policy, to a length."""

import matplotlib.image
import numpy as np
import pandas as pd
import pytest

from soundgate.audio.exact import read_exact
from soundgate.tracks.editor.edit_list import read_edit_list
from soundgate.tracks.editor.rendering import untouched
from tests.tracks.editor.edit_runs import BY_POLICY, RATE, edit, edited, music, refused, text, write


def test_what_the_policy_thought_is_explained(work, models, drawn):
    result = edited(write(work / "a.wav"), "--out", work / "out.wav", "--models", models, "--explain", *BY_POLICY)
    table = pd.read_csv(work / "out.explain.csv")
    assert np.all(table["probability"] >= table["second_probability"]) and np.all(table["label"] != table["second"])
    assert table["probability"].between(1 / 8, 1).all() and table["done"].notna().all()
    assert "what is done" in result.output
    picture = matplotlib.image.imread(work / "out.png")[..., :3]
    assert picture.std() > 0.1
    grey, green = np.array([184, 184, 184]) / 255, np.array([0, 158, 115]) / 255
    assert all(np.any(np.abs(picture - colour).max(axis=2) < 0.01) for colour in (grey, green))


def session(rate=RATE):
    """Two takes with dead air between them."""
    wave = np.concatenate([music(12, rate=rate)[0], np.zeros(3 * rate), music(12, rate=rate)[0, ::-1]])
    return (wave + np.random.default_rng(1).normal(size=len(wave)) * 1e-4)[None]


def test_rules_cut_dead_air_without_any_model_and_say_so(work, tmp_path_factory):
    source, empty = write(work / "a.wav", samples=session()), tmp_path_factory.mktemp("none")
    result = edited(source, "--out", work / "out.wav", "--models", empty, "--explain")
    table = pd.read_csv(work / "out.explain.csv", keep_default_na=False)
    cut = table[table["label"] == "CUT"]
    assert cut["start_s"].min() == pytest.approx(12.1, abs=0.2) and cut["stop_s"].max() == pytest.approx(14.9, abs=0.2)
    assert set(cut["rule"]) == {"dead air"} and set(table["rule"][table["label"] == "KEEP"]) == {""}
    assert (cut["probability"] > 0.5).all() and "(dead" in result.output
    made, raw = read_exact(work / "out.wav").samples, read_exact(source).samples
    origin = untouched(read_edit_list(work / "out.edit.json"))
    np.testing.assert_array_equal(made[:, origin >= 0], raw[:, origin[origin >= 0]])
    edited(source, "--out", work / "all.wav", "--models", empty, "--aggressiveness", "0.0")
    assert read_exact(work / "all.wav").samples.shape[1] >= made.shape[1]


def test_rules_leave_a_finished_song_as_it_is(work, tmp_path_factory):
    source = write(work / "a.wav", channels=2)
    edited(source, "--out", work / "out.wav", "--models", tmp_path_factory.mktemp("none"))
    assert read_exact(work / "out.wav").samples.tobytes() == read_exact(source).samples.tobytes()


@pytest.mark.parametrize("method", ["rules", "policy"])
def test_the_gain_of_a_recording_changes_no_decision(work, models, method):
    sounds = {"loud": session(), "quiet": session() / 4}
    for name, samples in sounds.items():
        source = write(work / f"{name}.wav", "FLOAT", samples=samples)
        more = ("--models", models, "--explain", "--method", method, "--aggressiveness", "0.7")
        edited(source, "--out", work / f"{name}_out.wav", *more)
    tables = [pd.read_csv(work / f"{name}_out.explain.csv") for name in sounds]
    assert tables[0]["label"].nunique() > 1
    assert tables[0]["label"].tolist() == tables[1]["label"].tolist()
    np.testing.assert_allclose(tables[0]["probability"], tables[1]["probability"], atol=1e-3)


def test_what_the_policy_is_unsure_of_is_kept(work, models):
    source = write(work / "a.wav")
    for name, sure in (("bold", 1), ("timid", 0)):
        more = ("--models", models, "--explain", "--method", "policy", "--aggressiveness", sure)
        edited(source, "--out", work / f"{name}.wav", *more)
    bold, timid = (pd.read_csv(work / f"{name}.explain.csv", keep_default_na=False) for name in ("bold", "timid"))
    assert set(bold["label"]) - {"KEEP"} and set(timid["label"]) == {"KEEP"}
    assert (timid["rule"] == "policy, not sure").tolist() == (bold["label"] != "KEEP").tolist()


@pytest.mark.parametrize(("target", "seconds"), [("0:12", 12), ("30.5", 30.5)])
def test_a_target_length_is_reached_to_a_bar(work, tmp_path_factory, target, seconds):
    source, empty = write(work / "a.wav", seconds=20, channels=2), tmp_path_factory.mktemp("none")
    edited(source, "--out", work / "out.wav", "--models", empty, "--target-length", target, "--explain")
    assert read_exact(work / "out.wav").samples.shape[1] / RATE == pytest.approx(seconds, abs=2.1)
    table = pd.read_csv(work / "out.explain.csv", keep_default_na=False)
    assert set(table["rule"]) == {"target length", ""}
    assert ((table["probability"] == "") == (table["rule"] == "target length")).all()
    # What was exported plays the same.
    own = ("--labels", work / "out.labels.txt", "--models", empty)
    edited(source, "--out", work / "again.wav", *own)
    assert (work / "again.wav").read_bytes() == (work / "out.wav").read_bytes()


def test_target_lengths_that_cannot_be_are_refused(work, tmp_path_factory):
    source, empty = write(work / "a.wav", seconds=20), tmp_path_factory.mktemp("none")
    message = refused(source, "--out", work / "out.wav", "--models", empty, "--target-length", "1:00:00")
    assert "to 1:20 for this recording" in message and "found 60:00" in message
    own = text(work / "l.txt", "KEEP\n")
    for more in (["x"], ["1:75"], ["0"], ["nan"], ["0:12", "--method", "policy"], ["0:12", "--labels", own]):
        result = edit(source, "--out", work / "out.wav", "--models", empty, "--target-length", *more)
        assert result.exit_code == 2 and not (work / "out.wav").exists()
    assert edit(source, "--out", work / "out.wav", "--keep-structure").exit_code == 2
