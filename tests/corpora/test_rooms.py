"""One contract over every source of rooms."""

import hashlib
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from soundgate.audio.io import read_audio, write_audio
from soundgate.corpora.archived import fetch_archive
from soundgate.corpora.index import COLUMN_TYPES, read_index
from soundgate.corpora.named import load_named
from soundgate.corpora.rooms import RoomsSettings, build_room_corpus, room_entries
from soundgate.runtime.errors import ConfigError, CorpusError, DownloadError, FormatError
from tests.http_server import Served, serving
from tests.workers import as_by_workers

GENERATED = Path(__file__).resolve().parents[2] / "sources" / "generated_rooms.yaml"
NAMES = [f"h{number:03d}_room" for number in range(1, 6)]


def impulse(seed):
    generator = np.random.default_rng(seed)
    return 0.5 * generator.uniform(-1, 1, 3_200) * 10 ** (-3 * np.arange(3_200) / 1_600)


def make_survey(folder):
    for number, name in enumerate(NAMES):
        write_audio(folder / "Audio" / f"{name}.wav", impulse(number), 32_000)
    (folder / "__MACOSX" / "Audio").mkdir(parents=True)
    (folder / "__MACOSX" / "Audio" / f"._{NAMES[0]}.wav").write_bytes(b"Mac OS X")
    return folder


def zipped(folder):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for path in sorted(folder.rglob("*")):
            packed.write(path, path.relative_to(folder))
    return buffer.getvalue()


@pytest.fixture
def survey(tmp_path):
    """Serve a small survey that drops its first connection; yield its source list and what is served."""
    content = zipped(make_survey(tmp_path / "survey"))
    served = Served(content, drop_after=len(content) // 2, drops=1, headers={"ETag": '"1"'})
    with serving({"/Audio.zip": served}) as address:
        source = tmp_path / "mit_survey.yaml"
        source.write_text(f"urls: ['{address}/Audio.zip']\nsha256: null\n")
        yield source, served


@pytest.fixture(params=["generated", "folder", "mit_survey"])
def settings(request, tmp_path):
    if request.param == "generated":
        origin = str(GENERATED)
    elif request.param == "folder":
        origin = str(make_survey(tmp_path / "mine"))
    else:
        origin = str(request.getfixturevalue("survey")[0])
    return RoomsSettings(name="target", source=request.param, origin=origin, n_rooms=3, seed=5)


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_every_source_gives_a_true_index(settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    counts = build_room_corpus(settings, Path("out"), Path("work"))
    index = read_index("out")
    assert list(index) == [*COLUMN_TYPES, "rt60_true_s"]
    assert index["speaker_id"].nunique() == 3 and index["utt_id"].is_monotonic_increasing
    assert len(index) == (6 if settings.source == "generated" else 3)
    for row in index.itertuples():
        assert Path(row.path).is_relative_to(tmp_path / "mine" if settings.source == "folder" else "out/audio")
        assert hashlib.sha256(Path(row.path).read_bytes()).hexdigest() == row.sha256
        audio = read_audio(row.path)
        assert (*audio.wav.shape, audio.sample_rate) == (row.channels, row.samples, row.sample_rate)
        assert np.isnan(row.rt60_true_s) == (settings.source != "generated")
    total_s = pytest.approx(index["duration_s"].sum())
    assert counts == {"n_irs": len(index), "n_rooms": 3, "n_rejected": 0, "duration_s": total_s}
    assert pd.read_csv("out/rejected.csv").empty


def test_every_source_gives_the_same_bytes_twice(settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    build_room_corpus(settings, Path("out"), Path("work"))
    first = contents(tmp_path / "out")
    (tmp_path / "out").rename(tmp_path / "first")
    as_by_workers(monkeypatch)
    build_room_corpus(settings, Path("out"), Path("work"))
    assert contents(tmp_path / "out") == first


def listed(root, patterns=(), room_of="file"):
    return [
        (e.utt_id, e.speaker_id, e.path.relative_to(root).as_posix())
        for e in room_entries(root, patterns, room_of).entries
    ]


def make(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_equal_stems_do_not_collide(tmp_path):
    make(tmp_path, "a/ir.wav", "b/deep/ir.irs", "b/other.FLAC", "hall.wav", "hall.aif", "notes.txt", ".x/ir.wav")
    root = tmp_path.name
    assert listed(tmp_path) == [
        ("a-ir", "a-ir", "a/ir.wav"),
        ("deep-ir", "deep-ir", "b/deep/ir.irs"),
        ("other", "other", "b/other.FLAC"),
        (f"{root}-hall", f"{root}-hall", "hall.aif"),
        (f"{root}-hall-2", f"{root}-hall-2", "hall.wav"),
    ]


def test_a_folder_of_several_responses_is_one_room_only_when_asked(tmp_path):
    make(tmp_path, "hall/1.wav", "hall/2.wav", "booth/3.wav", "x/hall/4.wav", "x/hall/5.wav")
    assert len({room for _, room, _ in listed(tmp_path)}) == 5
    rooms = {ir: room for ir, room, _ in listed(tmp_path, room_of="folder")}
    assert rooms == {"1": "hall", "2": "hall", "3": "3", "4": "x-hall", "5": "x-hall"}


def test_patterns_are_of_paths(tmp_path):
    make(tmp_path, "house-a.wav", "House-b.wav", "far/house-c.irs", "far/d.wav")
    assert [ir for ir, *_ in listed(tmp_path, ["house-*"])] == ["house-a"]
    assert [ir for ir, *_ in listed(tmp_path, ["house-*", "far/*"])] == ["d", "house-c", "house-a"]
    assert [ir for ir, *_ in listed(tmp_path, ["*/house-*"])] == ["house-c"]
    with pytest.raises(CorpusError, match="match cave.*found none"):
        listed(tmp_path, ["cave*"])


def test_an_unusable_folder_is_an_error(tmp_path):
    make(tmp_path, "empty/readme.txt", "file.wav")
    for root, reason in (("none", "nothing"), ("file.wav", "a file"), ("empty", "found none")):
        with pytest.raises(CorpusError, match=reason):
            room_entries(tmp_path / root, [], "file")


def test_a_link_that_leads_back_is_followed_once(tmp_path):
    make(tmp_path / "irs", "a.wav")
    (tmp_path / "irs" / "loop").symlink_to(tmp_path / "irs", target_is_directory=True)
    make(tmp_path / "elsewhere", "b.wav")
    (tmp_path / "irs" / "linked").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert [path for *_, path in listed(tmp_path / "irs")] == ["a.wav", "linked/b.wav"]


def test_bad_files_are_listed_and_the_rest_used(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / "mine"
    write_audio(mine / "good.wav", impulse(0), 32_000)
    (mine / "good.wav").rename(mine / "good.irs")
    write_audio(mine / "whole.wav", impulse(1), 32_000)
    (mine / "cut.wav").write_bytes((mine / "whole.wav").read_bytes()[:-1_000])
    (mine / "pointer.wav").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    (mine / "copy.irs").write_bytes((mine / "whole.wav").read_bytes())
    (mine / "text.irs").write_text("no audio")
    counts = build_room_corpus(RoomsSettings(name="bad", source="folder", origin="mine", seed=0), "out", "work")
    assert (counts["n_irs"], counts["n_rejected"]) == (2, 4)
    assert read_index("out")["utt_id"].tolist() == ["copy", "good"]
    reasons = dict(pd.read_csv("out/rejected.csv").values.tolist())
    assert set(reasons) == {"mine/cut.wav", "mine/pointer.wav", "mine/text.irs", "mine/whole.wav"}
    assert reasons["mine/cut.wav"].startswith("truncated")
    assert reasons["mine/pointer.wav"].startswith("Git-LFS pointer")
    assert reasons["mine/text.irs"].startswith("unreadable")
    assert reasons["mine/whole.wav"] == "duplicate content of mine/copy.irs"


def test_caps_are_keyed_and_nested(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_survey(tmp_path / "mine")

    def chosen(n_rooms, seed=0):
        settings = RoomsSettings(name="bad", source="folder", origin="mine", n_rooms=n_rooms, seed=seed)
        build_room_corpus(settings, "out", "work")
        return set(read_index("out")["utt_id"])

    assert chosen(None) == set(NAMES)
    assert chosen(1) < chosen(3) < chosen(5)
    assert len({frozenset(chosen(2, seed)) for seed in range(5)}) > 1
    with pytest.raises(CorpusError, match="n_rooms = 6; found 5 rooms"):
        chosen(6)


def test_a_download_is_resumed_pinned_and_held_to_its_pin(survey, tmp_path):
    source, served = survey
    work = tmp_path / "work"
    folder = fetch_archive(source, work)
    assert served.requests == ["", f"bytes={len(served.content) // 2}-"]
    assert sorted(path.stem for path in (folder / "Audio").iterdir()) == NAMES
    sha256 = hashlib.sha256(served.content).hexdigest()
    assert json.loads((work / "pinned.json").read_text()) == {"mit_survey": sha256}
    assert fetch_archive(source, work) == folder and len(served.requests) == 2
    (work / "mit_survey.archive").unlink()
    assert fetch_archive(source, work) == folder and len(served.requests) == 3
    make_survey(tmp_path / "other")
    write_audio(tmp_path / "other" / "Audio" / "h999_room.wav", impulse(99), 32_000)
    served.content = zipped(tmp_path / "other")
    (work / "mit_survey.archive").unlink()
    with pytest.raises(DownloadError, match=f"sha256:{sha256}.*wrong checksum"):
        fetch_archive(source, work)
    for damaged in ("{", "[]", '{"mit_survey": "abc"}', '{"mit_survey": null}'):
        (work / "pinned.json").write_text(damaged)
        with pytest.raises(FormatError, match="pinned"):
            fetch_archive(source, work)


def test_a_published_hash_is_not_pinned_but_kept_to(survey, tmp_path):
    source, served = survey
    sha256 = hashlib.sha256(served.content).hexdigest()
    right = source.read_text()
    source.write_text(right.replace("null", f"'{sha256}'"))
    fetch_archive(source, tmp_path / "work")
    assert not (tmp_path / "work" / "pinned.json").exists()
    source.write_text(right.replace("null", f"'{sha256[::-1]}'"))
    with pytest.raises(DownloadError, match="wrong checksum"):
        fetch_archive(source, tmp_path / "work")


def test_a_corrupt_first_download_is_not_pinned(survey, tmp_path):
    source, served = survey
    whole, served.content = served.content, served.content[:-40]
    with pytest.raises(CorpusError, match="corrupt"):
        fetch_archive(source, tmp_path / "work")
    assert list((tmp_path / "work").iterdir()) == []
    served.content = whole
    assert fetch_archive(source, tmp_path / "work").is_dir()


def test_an_archive_that_finds_no_room_is_kept(survey, tmp_path, monkeypatch):
    source, served = survey
    with monkeypatch.context() as patched:
        patched.setattr("soundgate.corpora.unpacking.free_bytes", lambda _: 1000)
        with pytest.raises(CorpusError, match="room for .* bytes; found .* free"):
            fetch_archive(source, tmp_path / "work")
    n_requests = len(served.requests)
    assert fetch_archive(source, tmp_path / "work").is_dir() and len(served.requests) == n_requests


def test_a_survey_that_is_gone_and_a_wrong_list_are_errors(tmp_path):
    with serving({"/x": Served(b"", statuses=[-404])}) as address:
        (tmp_path / "s.yaml").write_text(f"urls: ['{address}/x']\nsha256: null\n")
        with pytest.raises(DownloadError, match="HTTP 404"):
            fetch_archive(tmp_path / "s.yaml", tmp_path / "work")
    for text, key in (
        ("urls: []\nsha256: null", "urls"),
        ("urls: [x]", "sha256"),
        ("urls: [x]\nsha256: abc", "sha256"),
    ):
        (tmp_path / "s.yaml").write_text(text)
        with pytest.raises(ConfigError, match=key):
            fetch_archive(tmp_path / "s.yaml", tmp_path / "work")


@pytest.mark.parametrize("name", ["mit_survey", "ljspeech", "vctk"])
def test_the_source_lists_are_read_before_anything_is_fetched(name, tmp_path, monkeypatch):
    asked = []

    def refuse(url, *_arguments, **_options):
        asked.append(url)
        raise DownloadError("x", expected="", found="refused")

    monkeypatch.setattr("soundgate.corpora.archived.download", refuse)
    with pytest.raises(DownloadError):
        fetch_archive(GENERATED.with_name(f"{name}.yaml"), tmp_path)
    assert len(asked) == 1 and "http" in str(asked[0])


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"name": "good"}, "name"),
        ({"source": "tape"}, "source"),
        ({"n_rooms": None}, "n_rooms"),
        ({"n_rooms": 0}, "n_rooms"),
        ({"patterns": ["*"]}, "patterns"),
        ({"room_of": "house"}, "room_of"),
        ({"extra": 1}, "extra"),
    ],
)
def test_wrong_settings_name_their_key(change, key):
    right = {"name": "bad", "source": "generated", "origin": "x", "n_rooms": 1, "seed": 0}
    with pytest.raises(ValidationError, match=key):
        RoomsSettings(**right | change)


def test_an_entry_is_found_by_its_name(tmp_path):
    params = tmp_path / "params.yaml"
    entries = [
        {"name": "bad", "source": "folder", "origin": "a", "seed": 0},
        {"name": "target", "source": "folder", "origin": "b", "seed": 0, "n_rooms": 4},
    ]

    def load(name="target", origin="b", pools=None):
        params.write_text(json.dumps({"corpus": {"rooms": {"pools": entries if pools is None else pools}}}))
        return load_named("corpus.rooms", "pools", name, origin, RoomsSettings, params)

    assert load() == RoomsSettings(**entries[1])
    for arguments, reason in (
        ({"name": "cave"}, "one entry named cave; found 0, of: bad, target"),
        ({"pools": [*entries, entries[1]]}, "found 2"),
        ({"pools": {"target": 1}}, "a list of entries"),
        ({"pools": [{"source": "folder"}]}, "a list of entries"),
        ({"origin": "c"}, "--origin: expected the origin of corpus.rooms.pools target, b; found c"),
        ({"pools": [entries[0], entries[1] | {"n_rooms": 0}]}, "corpus.rooms.pools.1.n_rooms"),
    ):
        with pytest.raises(ConfigError, match=reason):
            load(**arguments)
