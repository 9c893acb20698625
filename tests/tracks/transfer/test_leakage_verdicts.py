"""Verdicts of the leakage audit from probes whose figures are given."""

from __future__ import annotations

import numpy as np
import pytest

from soundgate.tracks.transfer.audit.leakage import (
    _gap,
    _left_out,
    _majority,
    _normalised,
    _probe,
    _reasons,
    _unusable,
    _verdict,
)
from soundgate.tracks.transfer.audit.probes import make_rows


def probes_of(source_high=0.6, genre_readable=True, source_readable=True):
    return {
        "genre": {"answerable": True, "readable": genre_readable},
        "source": {
            "answerable": True,
            "readable": source_readable,
            "majority": 0.5,
            "accuracy": {"ci_high": source_high},
        },
    }


def gap_of(value=-0.2, high=-0.1):
    return {"answerable": True, "value": value, "ci_high": high}


KNOWN = {"answerable": True, "above": True, "accuracy": {"value": 0.9}, "majority": 0.5}


@pytest.mark.parametrize(
    ("gap_high", "source_high", "verdict"),
    [
        (0.0, 0.99, "clear"),
        (0.01, 0.649, "clear"),
        # 0.65 - 0.5 is more than 0.15 in binary, 0.5 + 0.15 is not less than 0.65.
        (0.01, 0.65, "clear"),
        (0.01, 0.651, "undecided"),
        (None, 0.5, "undecided"),
        (-1.0, None, "undecided"),
    ],
)
def test_clear_is_no_gap_or_a_source_little_above_its_majority_by_the_intervals(gap_high, source_high, verdict):
    assert _verdict([], probes_of(source_high), gap_of(high=gap_high), KNOWN) == verdict


def test_a_reason_flags_and_what_cannot_be_answered_clears_nothing():
    assert _verdict(["why"], {}, {}, {}) == "flagged"
    for place in range(3):
        parts = [probes_of(), gap_of(), KNOWN]
        parts[place] = parts[place] | {"answerable": False}
        if place == 0:
            parts[0] = probes_of() | {"source": {"answerable": False}}
        assert _verdict([], *parts) == "not answerable"


def test_a_source_that_is_readable_and_easier_than_genre_is_a_reason():
    assert len(_reasons(probes_of(), gap_of(0.01), KNOWN)) == 1
    assert "by 0.010" in _reasons(probes_of(), gap_of(0.01), KNOWN)[0]
    assert _reasons(probes_of(), gap_of(0.0), KNOWN) == []
    assert _reasons(probes_of(source_readable=False), gap_of(0.3), KNOWN) == []
    assert _reasons(probes_of(), {"answerable": False}, KNOWN) == []


def test_a_genre_that_is_read_but_not_on_other_sources_is_a_reason():
    below = KNOWN | {"above": False}
    assert "accuracy 0.900, majority 0.500" in _reasons(probes_of(), gap_of(), below)[0]
    assert _reasons(probes_of(genre_readable=False), gap_of(), below) == []
    confounded = {"answerable": False, "per_source": {}}
    assert "no genre is played by two sources" in _reasons(probes_of(), gap_of(), confounded)[0]
    assert _reasons(probes_of(), gap_of(), {"answerable": False}) == []


def test_an_excess_is_the_share_of_what_is_left_above_the_majority():
    assert _normalised(0.1, 0.6) == pytest.approx(0.25)
    assert _normalised(0.0, 1.0) is None
    assert _majority(np.array(list("aabac"))) == 0.6


GENRE, SOURCE = np.array(list("xxxyyyxxyy")), np.array(list("aaaabbbbbb"))
GROUP = np.arange(10) // 2


def rows():
    return make_rows(GENRE, SOURCE, GROUP, 0, 50)


def test_five_groups_are_enough_and_every_row_must_be_finite():
    features = np.zeros((10, 2))
    assert _unusable(rows(), features) is None
    features[3, 1] = np.nan
    assert _unusable(rows(), features) == "1 of 10 rows are not finite"
    four = make_rows(GENRE[:8], SOURCE[:8], GROUP[:8], 0, 50)
    assert _unusable(four, np.zeros((8, 2))).startswith("4 groups: five 80/20 splits need at least 5")


def test_a_probes_figures_are_of_the_rows_that_were_scored():
    hits = np.array([1, 1, 0, 1, np.nan, 1, 1, 0, 1, 1.0])
    found = _probe(rows(), hits, GENRE, np.array([0.25, 0.5, np.nan]), "any")
    assert found["accuracy"]["value"] == pytest.approx(7 / 9) and found["n_rows"] == 9
    assert found["majority"] == pytest.approx(5 / 9) and found["above_majority"] == pytest.approx(2 / 9)
    assert (found["permuted"], found["n_classes"]) == (0.375, 2)
    assert found["readable"] == (found["accuracy"]["ci_low"] > 5 / 9)
    assert not _probe(rows(), hits, np.full(10, "x"), hits, "any")["answerable"]
    lost = np.where(GENRE == "x", np.nan, hits)
    assert "1 of 2 classes stand in two groups" in _probe(rows(), lost, GENRE, hits, "any")["reason"]


def test_the_gap_is_what_source_exceeds_its_majority_by_less_what_genre_does():
    genre = np.array([1, 1, 0, 1, np.nan, 1, 1, 0, 1, 1.0])
    source = np.array([1, 1, 1, 1, 1, 1, 1, 1, 1, np.nan])
    known = {label: {"answerable": True} for label in ("genre", "source")}
    found = _gap(rows(), known, {"genre": genre, "source": source}, "any")
    # Eight rows were scored by both: genre x in 5, y in 3; source a in 4, b in 4.
    assert found["value"] == pytest.approx((1 - 4 / 8) - (6 / 8 - 5 / 8))
    assert found["gap_normalised"] == pytest.approx((1 / 2) / (1 / 2) - (1 / 8) / (3 / 8))
    assert "no probe for genre" in _gap(rows(), known | {"genre": {"answerable": False}}, {}, "any")["reason"]
    nothing = {"genre": genre, "source": np.where(np.isfinite(genre), np.nan, 1.0)}
    assert _gap(rows(), known, nothing, "any")["reason"] == "no row was scored by both probes"


def test_sources_left_out_are_scored_one_by_one_and_together():
    hits = np.array([1, 1, 0, 1, np.nan, 1, 0, 0, 1, 1.0])
    found = _left_out(rows(), hits, "any")
    assert found["accuracy"]["value"] == pytest.approx(6 / 9)
    assert found["mean_over_sources"] == pytest.approx((3 / 4 + 3 / 5) / 2)
    assert (found["n_rows"], found["n_rows_unanswerable"]) == (9, 1)
    assert found["majority"] == pytest.approx(5 / 9)
    assert found["above"] == (found["accuracy"]["ci_low"] > 5 / 9)
    assert found["per_source"]["b"]["n_rows"] == 5 and found["per_source"]["b"]["genres_not_asked"] == ["y"]
    one = make_rows(GENRE, np.full(10, "a"), GROUP, 0, 50)
    assert "one source" in _left_out(one, hits, "any")["reason"]
    none = _left_out(rows(), np.full(10, np.nan), "any")
    assert not none["answerable"] and set(none["per_source"]) == {"a", "b"}
