"""Labels that are looked up, and which tracks are used: known tables, reasons for everything dropped."""

import pandas as pd
import pytest
from pydantic import ValidationError

from soundgate.runtime.errors import ConfigError, CorpusError, FormatError
from soundgate.runtime.files import sha256_of
from soundgate.tracks.transfer.labels.balance import cap_genres
from soundgate.tracks.transfer.labels.build import build_labels
from soundgate.tracks.transfer.labels.outside import open_analysis, outside_hashes
from soundgate.tracks.transfer.labels.table import LABEL_COLUMNS, open_table, read_labels, write_labels
from tests.tracks.transfer.label_settings import make_tracks, settings

SMALL = [
    ("a", "jazz", "lab", ""),
    ("b", "jazz", "club", ""),
    ("c", "hiphop", "lab", ""),
    ("d", "hiphop", "club", ""),
    ("e", "", "club", ""),
    ("f", "choir", "nave", ""),
]


def label(rows=SMALL, seed=0, **changes):
    table, report = build_labels(settings(**changes), make_tracks(rows), seed)
    return table.set_index("utt_id"), report


def test_the_folder_schema_takes_the_folders_names_and_keeps_every_row():
    table, report = label([row for row in SMALL if row[0] != "f"])
    assert list(table.reset_index()[LABEL_COLUMNS]) == LABEL_COLUMNS
    assert table["genre"].to_dict() == {"a": "jazz", "b": "jazz", "c": "hiphop", "d": "hiphop", "e": ""}
    assert table["confidence"].tolist() == [1, 1, 1, 1, 0]
    assert table.loc["e", ["kept", "reason"]].tolist() == [False, "no genre"]
    assert report["genres"] == {"hiphop": 2, "jazz": 2} and report["dropped"] == {"no genre": 1}
    assert report["genre_by_source"] == {"hiphop": {"club": 1, "lab": 1}, "jazz": {"club": 1, "lab": 1}}
    assert (report["n_tracks"], report["n_kept"], report["n_dropped"]) == (5, 4, 1)
    assert report["confounding"]["cramers_v"] == 0


def test_a_track_of_a_few_samples_is_left_out_with_its_reason():
    tracks = make_tracks([row for row in SMALL if row[0] != "f"])
    tracks.loc[tracks["utt_id"] == "a", "duration_s"] = 5 / 48_000
    table, report = build_labels(settings(on_few_sources="report"), tracks, 0)
    assert table.set_index("utt_id").loc["a", ["kept", "reason"]].tolist() == [False, "too short: 0.000 s"]
    assert report["dropped"] == {"no genre": 1, "too short": 1}
    with pytest.raises(CorpusError, match="tracks of 0.1 s or more"):
        build_labels(settings(), tracks.assign(duration_s=0.0), 0)


def test_a_genre_of_one_source_stops_or_is_reported(caplog):
    with pytest.raises(CorpusError, match="at least 2 sources.*found choir: nave.*binary_acoustic_beats"):
        label()
    with caplog.at_level("WARNING", logger="soundgate"):
        table, report = label(on_few_sources="report")
    assert report["genres_of_few_sources"] == {"choir": ["nave"]} and table.loc["f", "kept"]
    assert label(require_min_sources_per_genre=1)[1]["genres_of_few_sources"] == {}


def test_a_confounded_corpus_is_seen_before_training():
    rows = [(f"{n}", ("jazz", "hiphop")[n % 2], ("lab", "club")[n % 2], "") for n in range(20)]
    report = label(rows, on_few_sources="report")[1]
    assert report["confounding"]["cramers_v"] == pytest.approx(1)
    assert report["confounding"]["genre_explained_by_source"] == pytest.approx(1)


def test_fewer_than_two_genres_are_no_corpus_for_a_transfer():
    with pytest.raises(CorpusError, match="at least two genres; found jazz"):
        label(SMALL[:2])


def test_two_buckets_take_genres_or_sources_and_name_the_rest():
    table, report = label(genre_schema="binary_acoustic_beats")
    assert table["genre"].tolist() == ["acoustic", "acoustic", "beats", "beats", "", ""]
    assert table.loc["f", "reason"] == "unmapped: choir" and report["dropped"] == {"unmapped": 2}
    assert report["mapped_but_absent"] == ["classical"]
    by_source = {"by": "source", "acoustic": ["nave", "lab"], "beats": ["club"]}
    table, _ = label(genre_schema="binary_acoustic_beats", binary=by_source, on_few_sources="report")
    assert table["genre"].tolist() == ["acoustic", "beats", "acoustic", "beats", "beats", "acoustic"]
    with pytest.raises(CorpusError, match="none of opera, polka; the corpus has"):
        label(genre_schema="binary_acoustic_beats", binary={"acoustic": ["opera"], "beats": ["polka"]})


@pytest.mark.parametrize("key", ["track_id", "utt_id", "path"])
def test_a_csv_is_matched_by_any_key_and_its_strange_rows_are_named(tmp_path, key, caplog):
    tracks = make_tracks(SMALL)
    given = pd.DataFrame({"genre": [" x", "x", "y", "y", ""], "source": ["one", "", "one", "two", ""]})
    given[key] = tracks[key][:5]
    strange = pd.DataFrame({"genre": ["x"], "source": ["one"], key: ["nobody"]})
    path = tmp_path / "mine.csv"
    pd.concat([given, strange]).to_csv(path, index=False, encoding="utf-8-sig")
    with caplog.at_level("WARNING", logger="soundgate"):
        table, report = label(genre_schema="csv", csv={"path": str(path)})
    assert table["genre"].tolist() == ["x", "x", "y", "y", "", ""]
    assert table["source"].tolist() == ["one", "club", "one", "two", "club", "nave"]
    assert table.loc[["e", "f"], "reason"].tolist() == ["no genre", "not in the csv"]
    assert report["unmatched_csv_rows"] == ["nobody"]


def test_paths_of_a_csv_may_be_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths = make_tracks(SMALL)["path"][:4].map(lambda path: str(tmp_path / path))
    pd.DataFrame({"path": paths, "genre": ["x", "x", "y", "y"]}).to_csv("mine.csv", index=False)
    assert label(genre_schema="csv", csv={"path": "mine.csv"})[1]["genres"] == {"x": 2, "y": 2}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("utt_id,style\na,x\n", "found the columns utt_id, style"),
        ("name,genre\na,x\n", "found the columns name, genre"),
        ("utt_id,genre\na,x\na,y\n", "each track once; found again: a"),
        ("", "No columns"),
    ],
)
def test_a_csv_of_another_shape_is_refused(tmp_path, text, reason):
    (tmp_path / "mine.csv").write_text(text)
    with pytest.raises(FormatError, match=reason):
        label(genre_schema="csv", csv={"path": str(tmp_path / "mine.csv")})


def test_files_from_outside_are_pinned(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("utt_id,genre\na,x\n")
    own = {"path": str(path), "sha256": sha256_of(path)}
    assert outside_hashes(settings(genre_schema="csv", csv=own)) == {"csv": sha256_of(path)}
    assert outside_hashes(settings(csv=own)) == {}
    with pytest.raises(FormatError, match=f"found {sha256_of(path)}.*If the change is meant"):
        outside_hashes(settings(genre_schema="csv", csv=own | {"sha256": "0" * 64}))
    with pytest.raises(ConfigError, match="transfer.labels.csv.path"):
        outside_hashes(settings(genre_schema="csv"))
    path.unlink()
    with pytest.raises(FormatError, match="no such file"):
        outside_hashes(settings(genre_schema="csv", csv=own))


def test_a_music_gate_needs_a_lab_1():
    for ask in (outside_hashes, lambda own: build_labels(own, make_tracks(SMALL), 0)):
        with pytest.raises(ConfigError, match="analysis.folder: expected a finished Lab 1.*dvc repro transfer-content"):
            ask(settings(require_is_music=True))
    assert open_analysis(settings(analysis={"folder": "nowhere"})) is None


def many(n_scores=8):
    """Scores in two styles; style x has sources of 8, 4 and 2 tracks, style y of 4 and 4."""
    x = [
        (f"x{source}{n}", "x", source, f"score{n}")
        for source, size in (("a", 8), ("b", 4), ("c", 2))
        for n in range(size)
    ]
    return x + [(f"y{n}", "y", "ab"[n % 2], f"score{n}") for n in range(n_scores)]


def test_each_source_of_a_genre_is_cut_to_its_smallest():
    table, report = label(many(), balance_sources_within_genre=True)
    assert report["genre_by_source"] == {"x": {"a": 2, "b": 2, "c": 2}, "y": {"a": 4, "b": 4}}
    assert report["dropped"] == {"surplus of its source": 8}
    assert table["genre"].ne("").all()
    other = label(many(), seed=1, balance_sources_within_genre=True)[0]
    assert table["kept"].sum() == other["kept"].sum() and (table["kept"] != other["kept"]).any()


def test_the_cap_takes_sources_in_turn_and_a_larger_one_holds_the_smaller():
    report = label(many(), per_genre_samples=5)[1]
    assert report["genre_by_source"] == {"x": {"a": 2, "b": 2, "c": 1}, "y": {"a": 3, "b": 2}}
    assert report["dropped"] == {"surplus of its genre": 12}
    kept = {n: set(label(many(), per_genre_samples=n)[0].query("kept").index) for n in (2, 5, 12)}
    assert kept[2] < kept[5] < kept[12]
    assert len(kept[12]) == 20


def test_the_same_scores_are_drawn_in_every_genre():
    """True targets of a transfer, other renderings of a score, outlive the cap."""
    rows = [(f"{genre}{n}", genre, "ab"[n % 2], f"score{n}") for genre in ("x", "y", "z") for n in range(40)]
    table = label(rows, per_genre_samples=10)[0].query("kept")
    drawn = [set(own) for _, own in table.groupby("genre")["score_id"]]
    assert drawn[0] == drawn[1] == drawn[2] and len(drawn[0]) == 10


def test_dropped_tracks_take_no_place_in_a_draw():
    table = open_table(make_tracks(many())).assign(genre="x")
    table.loc[table["source"] != "a", "kept"] = False
    table.loc[table["source"] != "a", "reason"] = "before"
    capped = cap_genres(table, 5, 0)
    assert capped["kept"].sum() == 5 and capped.loc[capped["kept"], "source"].eq("a").all()
    assert (capped.loc[capped["source"] != "a", "reason"] == "before").all()


def test_the_order_of_the_tracks_changes_nothing(tmp_path):
    changes = {"balance_sources_within_genre": True, "per_genre_samples": 4}
    tracks = make_tracks(many())
    for name, rows in {"one": tracks, "other": tracks.sample(frac=1, random_state=3)}.items():
        write_labels(tmp_path / name, build_labels(settings(**changes), rows, 0)[0])
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_labels_come_back_as_they_were_written(tmp_path):
    rows = [("1", "1990", "01", ""), ("2", "1990", "02", ""), ("3", "2000", "01", ""), ("4", "2000", "02", "007")]
    table, _ = build_labels(settings(), make_tracks(rows).assign(track_id=["12", "0012", "1e5", "34"]), 0)
    write_labels(tmp_path / "labels.csv", table)
    read = read_labels(tmp_path / "labels.csv")
    assert read["genre"].tolist() == ["1990", "1990", "2000", "2000"] and read["kept"].dtype == bool
    assert read["track_id"].tolist() == ["12", "0012", "1e5", "34"] and read["source"].tolist()[0] == "01"
    assert read["score_id"].tolist() == ["", "", "", "007"]
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    for other in ("other.csv", "none.csv"):
        with pytest.raises(FormatError, match=f"{other}.*"):
            read_labels(tmp_path / other)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"genre_schema": "mood"}, "genre_schema"),
        ({"binary": {"beats": ["jazz"]}}, "in acoustic and in beats: jazz"),
        ({"clap": {"prompt": "music"}}, "prompt must hold {label}"),
        ({"clap": {"labels": ["a", "a"]}}, "labels repeat"),
        ({"clap": {"labels": ["a"]}}, "labels"),
        ({"cluster": {"n_clusters": 1}}, "n_clusters"),
        ({"per_genre_samples": 1}, "per_genre_samples must be at least"),
        ({"genre_schema": "clap", "chunks": {"duration_s": 12.0}}, "at most 10 s"),
        ({"extra": 1}, "extra"),
    ],
)
def test_wrong_settings_name_their_key(change, reason):
    with pytest.raises(ValidationError, match=reason):
        settings(**change)
