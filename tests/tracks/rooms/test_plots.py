import dataclasses

import pandas as pd
import pytest

from soundgate.tracks.rooms.measures import read_triples
from soundgate.tracks.rooms.plots import write_plots

from .conftest import RATE


@pytest.fixture
def effects(batches, manifest):
    return read_triples(batches, manifest)[1]


REJECTED = {"room: silent": 2, "voice: truncated": 1}


def test_the_plots_hold_the_counts(tables, effects, tmp_path):
    triples, stored = tables["triples"], tables["stored"]
    write_plots(triples, effects, stored, REJECTED, RATE, tmp_path)
    names = {"snr", "rt60", "effects", "durations", "rejects"}
    assert {path.name for path in tmp_path.iterdir()} == {f"{name}.csv" for name in names} | {"overview.png"}
    found = {name: pd.read_csv(tmp_path / f"{name}.csv") for name in names}
    snr = stored.levels["stored_snr_db"].dropna()
    assert found["snr"]["count"].sum() == len(snr)
    for edge, count in found["snr"].iloc[:-1].itertuples(index=False):
        assert count == ((snr >= edge) & (snr < edge + 2.5)).sum()
    durations = found["durations"].set_index("duration_s")["count"]
    assert durations[0.25] == (triples["valid_samples"] == 12_000).sum() and durations.sum() == 20
    assert durations[0.0] == (triples["valid_samples"] == 3_000).sum()
    assert found["effects"].set_index("effect")["count"].to_dict() == effects["name"].value_counts().to_dict()
    assert found["rt60"]["rt60_s"].is_monotonic_increasing and set(found["rt60"]["ir"]) == set(stored.rooms["ir"])
    assert dict(found["rejects"].values.tolist()) == REJECTED
    assert (tmp_path / "overview.png").read_bytes().startswith(b"\x89PNG")
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    write_plots(triples, effects, stored, REJECTED, RATE, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == first


@pytest.mark.parametrize("kept", ["no noise", "nothing"])
def test_plots_are_written_without_noise_rooms_and_rejects(tables, effects, tmp_path, kept):
    effects = effects[effects["name"] != "noise"] if kept == "no noise" else effects.iloc[:0]
    stored = dataclasses.replace(tables["stored"], levels=tables["stored"].levels.iloc[:0])
    if kept == "nothing":
        stored = dataclasses.replace(stored, rooms=stored.rooms.iloc[:0])
    write_plots(tables["triples"], effects, stored, {}, RATE, tmp_path)
    assert not pd.read_csv(tmp_path / "snr.csv")["count"].any()
    assert pd.read_csv(tmp_path / "rejects.csv", keep_default_na=False).values.tolist() == [["none", 0]]
    assert pd.read_csv(tmp_path / "effects.csv")["count"].sum() == len(effects)
    assert (tmp_path / "overview.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["a$b_{$", "100 $"])
def test_plots_show_reasons_of_any_name(tables, effects, tmp_path, name):
    write_plots(tables["triples"], effects, tables["stored"], {name: 1}, RATE, tmp_path)
    assert (tmp_path / "overview.png").read_bytes().startswith(b"\x89PNG")
