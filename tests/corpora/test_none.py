"""Source `none`: a corpus without a file, for runs that reuse what an earlier one made."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest

from soundgate.audio.io import write_audio
from soundgate.corpora import archived
from soundgate.corpora.index import read_index
from soundgate.corpora.named import load_named
from soundgate.corpora.rooms import RoomsSettings, build_room_corpus
from soundgate.corpora.voices import VoicesSettings, build_voice_corpus
from soundgate.pipeline.compose import compose_text
from soundgate.runtime.config import load_section
from soundgate.runtime.console import logger
from soundgate.runtime.errors import CorpusError
from soundgate.tracks.rooms.chain import FOLDERS, ChainSettings
from tests.pipeline_file import ROOT

BUILDERS = {"rooms": (RoomsSettings, build_room_corpus), "voices": (VoicesSettings, build_voice_corpus)}
COUNTS = {
    "rooms": {"n_irs": 0, "n_rooms": 0, "n_rejected": 0, "duration_s": 0.0},
    "voices": {"n_utterances": 0, "n_speakers": 0, "n_rejected": 0, "duration_s": 0.0},
}
ALL = pytest.mark.parametrize("kind", BUILDERS)


@pytest.fixture
def build(tmp_path, monkeypatch):
    """A function that builds one corpus of a kind and returns its counts."""
    monkeypatch.chdir(tmp_path)

    def run(kind, source, origin, out):
        settings, builder = BUILDERS[kind]
        return builder(settings(name="target", source=source, origin=origin, seed=0), out, "work")

    return run


@ALL
def test_nothing_has_the_columns_and_types_of_something(build, tmp_path, kind):
    write_audio(tmp_path / "mine/s/a.wav", 0.5 * np.sin(np.arange(9_000) / 9), 16_000)
    assert build(kind, "none", "origin.yaml", "nothing") == COUNTS[kind]
    build(kind, "folder", "mine", "something")
    nothing, something = (pd.read_parquet(f"{folder}/index.parquet") for folder in ("nothing", "something"))
    assert len(nothing) == 0 and len(something) == 1
    assert nothing.dtypes.to_dict() == something.dtypes.to_dict() and list(nothing) == list(something)
    schemas = [pyarrow.parquet.read_schema(f"{folder}/index.parquet") for folder in ("nothing", "something")]
    assert schemas[0].equals(schemas[1])
    assert Path("nothing/rejected.csv").read_text() == Path("something/rejected.csv").read_text() == "path,reason\n"
    assert {path.name for path in Path("nothing").iterdir()} == {"index.parquet", "rejected.csv"}


@ALL
def test_nothing_is_fetched_and_it_is_said_so(build, monkeypatch, kind):
    def refuse(*_):
        raise AssertionError("downloaded")

    said = []
    monkeypatch.setattr(archived, "download", refuse)
    monkeypatch.setattr(logger, "info", lambda text, *values: said.append(text % values))
    build(kind, "none", "origin.yaml", "out")
    assert any("(none): nothing is acquired" in line for line in said) and not Path("work").exists()
    first = Path("out/index.parquet").read_bytes()
    shutil.rmtree("out")
    build(kind, "none", "origin.yaml", "out")
    assert Path("out/index.parquet").read_bytes() == first


@ALL
def test_nothing_must_not_be_used(build, kind):
    build(kind, "none", "origin.yaml", "out")
    with pytest.raises(CorpusError, match=r"out/index\.parquet.*nothing was acquired"):
        read_index("out")


def test_the_sizes_may_be_left_open():
    pool = RoomsSettings(name="bad", source="none", origin="x", n_rooms=None, seed=0)
    corpus = VoicesSettings(name="v", source="none", origin="x", n_speakers=None, n_utterances=None, seed=0)
    assert pool.n_rooms is corpus.n_speakers is corpus.n_utterances is None


@pytest.mark.parametrize("profile", ["embedded", "full", "real", "tiny"])
def test_the_ablation_acquires_nothing_and_reuses_everything(profile, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    overrides = [f"profile={profile}", "ablation=chained_rooms", "rooms.chain.previous_run=../run1"]
    Path("params.yaml").write_text(compose_text(overrides, ROOT / "conf"))
    origin = "sources/none.yaml"
    assert (ROOT / origin).is_file()
    for name in ("bad", "target"):
        assert load_named("corpus.rooms", "pools", name, origin, RoomsSettings).source == "none"
    assert load_named("corpus.voices", "sources", "none", origin, VoicesSettings).source == "none"
    chain = load_section("rooms.chain", ChainSettings)
    assert set(chain.reuse) == {*FOLDERS, "triples"} and chain.previous_run == "../run1"
