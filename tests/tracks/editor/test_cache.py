import numpy as np
import pandas as pd
import pytest

from soundgate.audio.io import write_audio
from soundgate.runtime.errors import CorpusError, FormatError
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.editor.cache import PairCache
from soundgate.tracks.editor.caching import CacheSettings, build_cache, edited_beats_s
from soundgate.tracks.editor.edit_list import EditList, Segment
from soundgate.tracks.editor.features import Features, FeatureSettings
from soundgate.tracks.editor.grid import beat_grid, plays_of
from soundgate.tracks.editor.pairs.assembling import assemble
from soundgate.tracks.editor.pairs.drawing import draw_plan
from soundgate.tracks.editor.pairs.table import read_pairs, write_pairs
from soundgate.tracks.editor.recovery.table import read_labels
from soundgate.tracks.editor.rendering import render
from soundgate.tracks.editor.timeline import LOOP_REPEATS, beat_spans, labels_of
from soundgate.tracks.editor.vocabulary import Label
from tests.tracks.editor.planted import planted_cache
from tests.tracks.editor.test_pairs import DRAW, RATE, beats, song

SETTINGS = CacheSettings(
    features=FeatureSettings(n_mels=32), max_beat_s=4.0, export=True, seed_normalisation=False, tempo_bpm=110
)


def write_pair(folder, pair_id, raw, edit, rate, edit_list=None, raw_beats=(), split="train"):
    paths = {f"{kind}_path": f"audio/{pair_id}_{kind}.wav" for kind in ("raw", "edit")}
    for path, wav in zip(paths.values(), (raw, edit), strict=True):
        write_audio(folder / path, wav, rate)
    return paths | {
        "pair_id": pair_id, "group": pair_id, "split": split, "sample_rate": rate, "raw_samples": raw.shape[-1],
        "edit_samples": edit.shape[-1], "reordered": False, "beats": np.asarray(raw_beats, np.int64),
        "edit_list": edit_list.model_dump_json() if edit_list else "",
    }  # fmt: skip


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """A drawn pair, one at another rate whose truth is not known, one without beats, one shorter than a transform."""
    folder = tmp_path_factory.mktemp("pairs")
    generator = keyed_generator(1, "test")
    plan = draw_plan(10, 1.8, DRAW, generator)
    made = assemble(song(), RATE, beats()[:41], plan, generator)
    raw = made.raw / np.float32(2**16)
    spans = beat_spans(made.beats, made.edit.n_samples)
    rows = [write_pair(folder, "drawn", raw, render(raw, made.edit), RATE, made.edit, made.beats)]
    labels = [("drawn", spans[:, 0], labels_of(made.edit, spans))]
    sweep = song(9)[None]
    rows.append(write_pair(folder, "found", sweep[:, : 8 * 8_000], sweep[:, : 2 * 8_000], 8_000, split="test"))
    found = [Label.KEEP] * 4 + [Label.EFFECT] * 4 + [Label.CUT] * 4 + [Label.LOOP] * 4
    labels.append(("found", np.arange(16) * 4_000, np.array(found)))
    rows.append(write_pair(folder, "beatless", sweep, sweep, RATE, split="validation"))
    labels.append(("beatless", np.array([0]), np.array([Label.KEEP])))
    rows.append(write_pair(folder, "short", sweep[:, :700], sweep[:, :700], RATE))
    labels.append(("short", np.array([0, 100, 200]), np.array([Label.KEEP, Label.LOOP, Label.CUT])))
    write_pairs(folder, rows)
    table = pd.DataFrame([{"pair_id": n, "split": "", "origin": "", "starts": s, "labels": v} for n, s, v in labels])
    table.to_parquet(folder / "labels.parquet")
    return folder


@pytest.fixture(scope="module")
def built(pairs, tmp_path_factory):
    root = tmp_path_factory.mktemp("cache")
    counts = build_cache(SETTINGS, read_pairs(pairs), read_labels(pairs), root / "work", root / "out")
    return counts, PairCache.open(root / "out"), root / "out"


def cached(cache, pair_id):
    return cache.pair(int(np.flatnonzero(cache.table["pair_id"] == pair_id)[0]))


def test_the_cache_holds_every_pair_once(built):
    counts, cache, _ = built
    assert counts["n_pairs"] == {"train": 2, "test": 1, "validation": 1} and counts["n_known"] == 1
    assert counts["at_ceiling"] == 0 and 0 < counts["at_floor"] < 0.5
    assert sorted(np.concatenate([cache.rows(split) for split in ("train", "validation", "test")])) == [0, 1, 2, 3]
    for row in range(4):
        pair = cache.pair(row)
        assert pair.edges[0] == 0 and pair.edges[-1] == len(pair.raw) == len(pair.target)
        assert (np.diff(pair.edges) > 0).all()
        assert len(pair.labels) == len(pair.plays) == len(pair.seconds) == len(pair.edges) - 1


def test_a_drawn_pair_is_what_its_edit_list_says(built, pairs):
    pair = cached(built[1], "drawn")
    row = read_pairs(pairs).set_index("pair_id").loc["drawn"]
    edit = EditList.model_validate_json(row["edit_list"])
    np.testing.assert_array_equal(pair.labels, labels_of(edit, beat_spans(row["beats"], edit.n_samples)))
    assert float(pair.plays @ pair.seconds) == pytest.approx(edit.output_samples / RATE, abs=1e-3)
    assert pair.seconds.sum() == pytest.approx(edit.n_samples / RATE, abs=1e-3)
    frame_labels = np.repeat(pair.labels, np.diff(pair.edges))
    np.testing.assert_array_equal(pair.target[frame_labels == Label.KEEP], pair.raw[frame_labels == Label.KEEP])
    assert not pair.target[frame_labels == Label.CUT].any() and (frame_labels == Label.CUT).any()
    effect = frame_labels == Label.EFFECT
    assert np.abs(pair.target[effect] - pair.raw[effect]).mean() > 0.01
    for name, value in {Label.KEEP: 1, Label.CUT: 0, Label.TRANSITION: 0.5, Label.FADE_IN: 1}.items():
        np.testing.assert_allclose(pair.plays[pair.labels == name], value, atol=1e-5)


def test_labels_alone_make_the_edit_where_it_is_not_known(built):
    pair = cached(built[1], "found")
    np.testing.assert_array_equal(pair.labels, [1] * 4 + [5] * 4 + [0] * 4 + [2] * 4)
    np.testing.assert_array_equal(np.unique(np.diff(pair.edges[:-1])), [21, 22])
    np.testing.assert_allclose(pair.plays, [1] * 8 + [0] * 4 + [LOOP_REPEATS] * 4)
    np.testing.assert_allclose(pair.seconds, 0.5, atol=1e-3)
    heard = pair.edges[[0, 8]], pair.edges[[12, 16]]
    for first, last in heard:
        np.testing.assert_array_equal(pair.target[first:last], pair.raw[first:last])


def test_without_beats_a_recording_is_in_equal_parts(built):
    pair = cached(built[1], "beatless")
    np.testing.assert_allclose(pair.seconds, 3.0, atol=1e-3)
    np.testing.assert_array_equal(pair.labels, [Label.KEEP] * 3)


def test_beats_without_a_frame_are_joined_to_others(built):
    pair = cached(built[1], "short")
    assert len(pair.raw) == 2
    np.testing.assert_array_equal(pair.labels, [Label.KEEP, Label.CUT])
    np.testing.assert_allclose(pair.seconds * RATE, [200, 500], atol=0.01)
    np.testing.assert_allclose(pair.plays, [(1 + LOOP_REPEATS) / 2, 0])


def test_the_export_has_the_seeds_layout(built):
    _, cache, out = built
    for row, name in enumerate(cache.table["pair_id"]):
        raw, edit = (np.load(out / f"export/features/{name}_{kind}.npz") for kind in ("raw", "edit"))
        labels = np.load(out / f"export/labels/{name}_labels.npy")
        pair = cache.pair(row)
        assert raw["mel"].shape == pair.raw.shape and labels.shape == (len(pair.raw),)
        np.testing.assert_allclose(raw["mel"], pair.raw, atol=1e-3)
        np.testing.assert_array_equal(labels, np.repeat(pair.labels, np.diff(pair.edges)))
        assert edit["mel"].shape[1] == 32 and (np.diff(edit["beat_times"]) > 0).all()


def test_the_exports_mels_are_scaled_as_the_seed_does_on_demand(pairs, built, tmp_path):
    settings = SETTINGS.model_copy(update={"seed_normalisation": True})
    table = read_pairs(pairs).iloc[:1]
    build_cache(settings, table, read_labels(pairs), tmp_path / "work", tmp_path / "out")
    mel = np.load(tmp_path / "out/export/features/beatless_raw.npz")["mel"]
    assert mel.min() == 0 and mel.max() == pytest.approx(1)
    np.testing.assert_array_equal(PairCache.open(tmp_path / "out").pair(0).raw, cached(built[1], "beatless").raw)


def test_a_killed_run_goes_on_and_gives_the_same_bytes(pairs, built, tmp_path):
    table, labels = read_pairs(pairs), read_labels(pairs)
    settings = SETTINGS.model_copy(update={"export": False})
    build_cache(settings, table.iloc[:2], labels, tmp_path / "work", tmp_path / "half")
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "work/parts").iterdir()}
    build_cache(settings, table, labels, tmp_path / "work", tmp_path / "out")
    assert len(written) == 2 and {path: path.stat().st_mtime_ns for path in written} == written
    for file in (tmp_path / "out").iterdir():
        assert file.read_bytes() == (built[2] / file.name).read_bytes(), file


def test_beats_of_the_edit_are_those_it_plays():
    segments = (Segment(label="LOOP", start=10, stop=30, repeats=2), Segment(label="KEEP", start=0, stop=10))
    edit = EditList(sample_rate=10, n_samples=40, segments=segments)
    times = edited_beats_s(edit, beat_spans(np.arange(0, 40, 10), 40))
    np.testing.assert_allclose(times, [0, 1, 2, 3, 4])
    np.testing.assert_allclose(plays_of(edit, np.array([[0, 20], [20, 40]])), [1.5, 1])


def test_every_frame_belongs_to_the_beat_its_centre_lies_in():
    spans = beat_spans(np.array([3, 95, 212, 213, 900]), 1_000)
    grid = beat_grid(spans, 10.0, 101, 400)
    for beat, (first, last) in enumerate(zip(grid.edges, grid.edges[1:], strict=False)):
        start, stop = grid.spans[beat]
        centres = np.arange(first, last) * 10
        # The frame centred on the end belongs to the last beat; the beat of one sample has no frame.
        assert ((centres >= start) & ((centres < stop) | (centres == 1_000))).all()
    np.testing.assert_array_equal(grid.source, [0, 1, 2, 4, 4, 5])
    np.testing.assert_array_equal(grid.edges, [0, 1, 10, 22, 56, 90, 101])


def test_a_cache_that_is_none_is_refused(pairs, tmp_path):
    with pytest.raises(FormatError, match="cache of pairs"):
        PairCache.open(tmp_path)
    with pytest.raises(FormatError, match="table of labels"):
        read_labels(tmp_path)
    planted_cache(tmp_path)
    np.save(tmp_path / "raw.npy", np.zeros((3, 8), np.float16))
    with pytest.raises(FormatError, match="frames of all rows"):
        PairCache.open(tmp_path)
    with pytest.raises(CorpusError, match="none for beatless"):
        build_cache(SETTINGS, read_pairs(pairs), read_labels(pairs).iloc[:0], tmp_path, tmp_path)


def test_the_planted_cache_is_what_features_say(tmp_path):
    cache = planted_cache(tmp_path, n_pairs=5)
    assert cache.pair(0).raw.shape[1] == Features(cache.settings).settings.n_mels == 8
    part = cache.pair(2, (3, 7))
    whole = cache.pair(2)
    np.testing.assert_array_equal(part.raw, whole.raw[whole.edges[3] : whole.edges[7]])
    np.testing.assert_array_equal(part.edges, whole.edges[3:8] - whole.edges[3])
    np.testing.assert_array_equal(part.labels, whole.labels[3:7])
