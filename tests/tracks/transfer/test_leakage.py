"""The leakage audit on planted corpora: fingerprints of sources flagged, styles cleared, the unanswerable named."""

import json

import numpy as np
import pytest
from sklearn.metrics import normalized_mutual_info_score

from soundgate.runtime.files import write_json
from soundgate.runtime.ledger import jsonable
from soundgate.tracks.transfer.audit.confounding import confounding
from soundgate.tracks.transfer.audit.leakage import leakage_audit
from soundgate.tracks.transfer.audit.probes import held_out_hits, left_out_hits, make_rows, permuted_hits
from tests.workers import as_by_workers

N_CHUNKS = 2
DIM = 16


def directions(names, seed):
    generator = np.random.default_rng(seed)
    return {name: generator.standard_normal(DIM) for name in sorted(set(names))}


def planted(tracks, genre_weight, source_weight, noise=1.0):
    """Return features of two chunks a track: a direction for its genre, one for its source, and noise."""
    of_genre = directions([genre for genre, _, _ in tracks], 1)
    of_source = directions([source for _, source, _ in tracks], 2)
    rows = [(*track, chunk) for track in tracks for chunk in range(N_CHUNKS)]
    means = [genre_weight * of_genre[genre] + source_weight * of_source[source] for genre, source, _, _ in rows]
    features = np.array(means) + noise * np.random.default_rng(3).standard_normal((len(rows), DIM))
    genre, source, group, _ = (np.array(column) for column in zip(*rows, strict=True))
    return features, genre, source, group


def crossed(n_scores, n_genres=3, n_sources=4):
    """Every score in every genre by two sources in turn, as generated music is."""
    return [
        (f"g{genre}", f"s{(score + genre + turn) % n_sources}", f"score{score}")
        for score in range(n_scores)
        for genre in range(n_genres)
        for turn in range(2)
    ]


def nested(n_tracks, n_genres=3, sources_per_genre=1):
    """Every source plays one genre only; each track is a group."""
    return [
        (f"g{genre}", f"s{genre}{source}", f"{genre}-{source}-{track}")
        for genre in range(n_genres)
        for source in range(sources_per_genre)
        for track in range(n_tracks)
    ]


def audit(tracks, genre_weight, source_weight, **features):
    values, genre, source, group = planted(tracks, genre_weight, source_weight)
    return leakage_audit({"z_style": values} | features, genre, source, group, 0, 500)


def test_a_balanced_corpus_whose_features_know_styles_is_cleared():
    found = audit(crossed(24), genre_weight=1.5, source_weight=0.2)
    own = found["features"]["z_style"]
    assert (found["verdict"], found["flagged"], found["reasons"]) == ("clear", 0, [])
    assert own["genre"]["accuracy"]["value"] > 0.95 and own["genre"]["majority"] == pytest.approx(1 / 3)
    assert own["leave_one_source_out"]["accuracy"]["value"] > 0.95
    assert own["gap"]["value"] < 0 and own["gap"]["ci_high"] < 0
    assert own["genre"]["permuted"] == pytest.approx(1 / 3, abs=0.12)
    assert own["genre"]["accuracy"]["n"] == 24
    assert found["corpus"]["confounding"]["cramers_v"] == pytest.approx(0, abs=1e-9)
    assert set(own["leave_one_source_out"]["per_source"]) == {"s0", "s1", "s2", "s3"}


def test_the_gap_is_the_difference_of_what_both_have_above_their_majorities():
    own = audit(crossed(24), genre_weight=0.4, source_weight=0.4)["features"]["z_style"]
    source, genre = own["source"], own["genre"]
    expected = (source["accuracy"]["value"] - 0.25) - (genre["accuracy"]["value"] - 1 / 3)
    assert own["gap"]["value"] == pytest.approx(expected, abs=1e-9)
    assert own["gap"]["ci_low"] < own["gap"]["value"] < own["gap"]["ci_high"]
    both = source["above_majority"] / 0.75 - genre["above_majority"] / (2 / 3)
    assert own["gap"]["gap_normalised"] == pytest.approx(both, abs=1e-9)


def test_features_that_know_sources_only_are_flagged_by_the_gap():
    found = audit(crossed(24), genre_weight=0.0, source_weight=1.5)
    own = found["features"]["z_style"]
    assert found["flagged"] == 1 and own["gap"]["ci_low"] > 0.4
    assert own["source"]["accuracy"]["value"] > 0.95 and not own["genre"]["readable"]
    assert found["reasons"] == [f"z_style: source is easier to read than genre, by {own['gap']['value']:.3f} "
                                "(majorities taken off)"]  # fmt: skip


def test_features_that_know_nothing_are_not_flagged():
    own = audit(crossed(24), genre_weight=0.0, source_weight=0.0)["features"]["z_style"]
    assert own["verdict"] == "clear" and not own["source"]["readable"] and not own["genre"]["readable"]


def test_wide_intervals_clear_nobody():
    """Nothing is found in so few scores, and nothing could have been."""
    own = audit(crossed(5), genre_weight=0.0, source_weight=0.0)["features"]["z_style"]
    assert own["gap"]["ci_high"] > 0 and own["source"]["accuracy"]["ci_high"] > 0.25 + 0.15
    assert own["verdict"] == "undecided" and own["reasons"] == []


def test_one_source_a_genre_is_flagged_though_every_probe_looks_perfect():
    found = audit(nested(12), genre_weight=0.0, source_weight=2.0)
    own = found["features"]["z_style"]
    assert own["genre"]["accuracy"]["value"] > 0.95 and own["gap"]["value"] == 0
    left_out = own["leave_one_source_out"]
    assert left_out["answerable"] is False and "no genre" in left_out["reason"]
    assert left_out["per_source"]["s00"] == {
        "answerable": False,
        "reason": "too little of g0 is played by other sources",
    }
    assert found["verdict"] == "flagged"
    assert found["corpus"]["genres_of_one_source"] == ["g0", "g1", "g2"]
    assert "z_style: genre cannot be told from source: no genre is played by two sources" in found["reasons"]
    assert found["corpus"]["confounding"]["cramers_v"] == pytest.approx(1)


def test_styles_that_are_fingerprints_of_sources_fall_to_majority_on_a_source_left_out():
    """Two sources a genre, each of one genre: genre looks known, through the sources alone."""
    found = audit(nested(10, sources_per_genre=2), genre_weight=0.0, source_weight=2.0)
    own = found["features"]["z_style"]
    left_out = own["leave_one_source_out"]
    assert own["genre"]["accuracy"]["value"] > 0.95
    assert left_out["accuracy"]["value"] < 0.5 and not left_out["above"]
    assert left_out["mean_over_sources"] == pytest.approx(left_out["accuracy"]["value"])
    assert any("not known on sources left out" in reason for reason in own["reasons"])
    assert found["corpus"]["reasons"] == [] and found["flagged"] == 1
    cleared = audit(nested(10, sources_per_genre=2), genre_weight=2.0, source_weight=0.3)["features"]["z_style"]
    assert cleared["leave_one_source_out"]["accuracy"]["value"] > 0.9
    assert not any("left out" in reason for reason in cleared["reasons"])


def test_a_group_is_never_on_both_sides():
    """Features that only name the group: any probe that saw the group would know its labels."""
    tracks = nested(10)
    _, genre, source, group = planted(tracks, 0, 0)
    names = np.unique(group)
    rows = make_rows(genre, source, group, 0, 100)
    assert all(len(set(rows.fold[group == name])) == 1 for name in names)
    assert np.bincount(rows.fold).tolist() == [12] * 5
    assert all((rows.fold[genre == name] == fold).sum() == 4 for name in set(genre) for fold in range(5))
    one_hot = (group[:, None] == names[None]).astype(float)
    assert np.nanmean(held_out_hits(one_hot, rows.genre, rows)) < 0.5


def test_a_score_that_sources_share_is_left_out_with_the_source():
    """Features that name score and genre together: seen in another source's rendering, they would tell it all."""
    tracks = crossed(10, n_genres=2, n_sources=2)
    _, genre, source, group = planted(tracks, 0, 0)
    rows = make_rows(genre, source, group, 0, 100)
    pairs = np.char.add(group, genre)
    one_hot = (pairs[:, None] == np.unique(pairs)[None]).astype(float)
    assert np.nanmean(left_out_hits(one_hot, rows)) == pytest.approx(0.5, abs=0.26)
    assert np.isfinite(left_out_hits(one_hot, rows)).all()


def test_another_sources_shared_scores_still_train():
    """s2 shares no group; the scores that s0 and s1 share are all there is to learn its genres from."""
    shared = [(f"g{genre}", f"s{source}", f"score{n}") for n in range(6) for genre in range(2) for source in range(2)]
    own = [(f"g{genre}", "s2", f"own{genre}{n}") for genre in range(2) for n in range(4)]
    features, genre, source, group = planted(shared + own, 3.0, 0.0)
    found = left_out_hits(features, make_rows(genre, source, group, 0, 100))
    assert found[source == "s2"].mean() > 0.9


def test_permuted_labels_stay_with_whole_tracks():
    features, genre, source, group = planted(nested(20, n_genres=2), 5.0, 0.0)
    rows = make_rows(genre, source, group, 0, 100)
    assert held_out_hits(features, rows.genre, rows).mean() > 0.95
    assert permuted_hits(features, rows.genre, rows, "genre").mean() == pytest.approx(0.5, abs=0.2)


def test_the_same_rows_in_codes_give_the_same_numbers():
    features, genre, source, group = planted(crossed(12), 1.0, 0.5)
    codes = [np.unique(labels, return_inverse=True)[1] for labels in (genre, source, group)]
    named = leakage_audit({"a": features}, genre, source, group, 0, 200)["features"]["a"]
    coded = leakage_audit({"a": features}, *codes, 0, 200)["features"]["a"]
    assert coded["genre"]["accuracy"]["value"] == pytest.approx(named["genre"]["accuracy"]["value"], abs=0.05)
    assert set(coded["leave_one_source_out"]["per_source"]) == {"0", "1", "2", "3"}
    assert leakage_audit({"a": features}, genre, source, group, 0, 200)["features"]["a"] == named


@pytest.mark.parametrize(
    ("tracks", "reasons"),
    [
        ([("g0", "s0", "a"), ("g0", "s1", "b"), ("g1", "s0", "c")], {"genre": "3 groups", "source": "3 groups"}),
        (
            [(f"g{n % 2}", "s0", str(n)) for n in range(12)],
            {"source": "one class", "gap": "no probe for source", "leave_one_source_out": "one source"},
        ),
        (
            [("g0", f"s{n % 2}", str(n)) for n in range(12)],
            {"genre": "one class", "gap": "no probe for genre", "leave_one_source_out": "one genre"},
        ),
        ([(f"g{n % 2}", f"s{n}", str(n)) for n in range(8)], {"source": "0 of 8 classes", "gap": "source"}),
    ],
)
def test_what_cannot_be_answered_is_said(tracks, reasons, tmp_path):
    found = audit(tracks, genre_weight=1.0, source_weight=1.0)
    own = found["features"]["z_style"]
    for part, reason in reasons.items():
        assert own[part]["answerable"] is False and reason in own[part]["reason"], (part, own[part])
    assert own["verdict"] in ("not answerable", "flagged") and found["verdict"] != "clear"
    write_json(tmp_path / "audit.json", jsonable(found))
    assert "NaN" not in (tmp_path / "audit.json").read_text()


def test_one_of_something_is_no_reason_to_flag():
    """With one source there is nothing a genre could be confounded with, and nothing to tell."""
    found = audit([(f"g{n % 2}", "s0", str(n)) for n in range(12)], genre_weight=2.0, source_weight=0.0)
    assert (found["verdict"], found["flagged"]) == ("not answerable", 0)
    assert found["features"]["z_style"]["genre"]["accuracy"]["value"] > 0.8
    assert found["corpus"]["confounding"]["answerable"] is False


def test_features_that_are_not_finite_are_not_answerable_and_leave_the_others_alone():
    tracks = crossed(24)
    features = planted(tracks, 1.5, 0.2)[0]
    broken = features.copy()
    broken[3, 2] = np.nan
    found = audit(tracks, 1.5, 0.2, mean_q=broken)
    assert found["features"]["mean_q"]["genre"]["reason"] == f"1 of {len(features)} rows are not finite"
    assert found["features"]["z_style"]["verdict"] == "clear" and found["verdict"] == "not answerable"
    json.dumps(jsonable(found), allow_nan=False)


@pytest.mark.slow
def test_any_number_of_workers_gives_the_same_audit(monkeypatch):
    tracks = crossed(10)
    other = planted(tracks, 0.0, 1.0)[0]
    one = audit(tracks, 0.5, 0.5, other=other)
    as_by_workers(monkeypatch)
    assert audit(tracks, 0.5, 0.5, other=other) == one


def test_association_has_known_values():
    genre = np.repeat(["a", "b"], 20)
    same = confounding(genre, genre)
    assert same["cramers_v"] == pytest.approx(1) and same["genre_explained_by_source"] == pytest.approx(1)
    assert same["normalised_mutual_information"] == pytest.approx(1)
    crossed_source = np.tile(["x", "y"], 20)
    apart = confounding(genre, crossed_source)
    assert [apart[name] for name in list(apart)[1:]] == pytest.approx([0, 0, 0, 0], abs=1e-12)
    # Two sources a genre: the source says all of the genre, the genre half of the source's two bits.
    nested_source = np.repeat(["w", "x", "y", "z"], 10)
    finer = confounding(genre, nested_source)
    assert finer["genre_explained_by_source"] == pytest.approx(1)
    assert finer["normalised_mutual_information"] == pytest.approx(1 / 1.5)
    assert finer["normalised_mutual_information"] == pytest.approx(normalized_mutual_info_score(genre, nested_source))
    # 15 + 5 against 5 + 15: chi² = 40 · 0.25 = 10, V = √(10 / 40).
    half = confounding(genre, np.repeat(["x", "y", "x", "y"], [15, 5, 5, 15]))
    assert half["cramers_v"] == pytest.approx(0.5)
    assert half["cramers_v_corrected"] == pytest.approx(np.sqrt((0.25 - 1 / 39) / (1 - 1 / 39)))


def test_the_corrected_association_of_independent_labels_is_about_zero():
    generator = np.random.default_rng(0)
    found = [confounding(generator.choice(4, 40), generator.choice(8, 40)) for _ in range(40)]
    assert np.mean([own["cramers_v"] for own in found]) > 0.35
    assert np.mean([own["cramers_v_corrected"] for own in found]) < 0.12
    as_many = confounding(np.arange(6) % 2, np.arange(6))
    assert as_many["cramers_v"] == pytest.approx(1) and as_many["cramers_v_corrected"] <= 1
