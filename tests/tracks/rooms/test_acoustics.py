import shutil

import numpy as np
import pandas as pd
import pytest

from soundgate.runtime.files import read_json, sha256_of, write_json
from soundgate.tracks.rooms.acoustics import rendered_rooms
from soundgate.tracks.rooms.irs import load_catalogue

from .conftest import CLIP


def test_rendered_rooms_are_those_of_the_catalogue(small_run, rooms):
    entries = load_catalogue(small_run / "irs").entries
    assert rooms["ir"].tolist() == list(entries) and set(rooms["pool"]) == {"bad", "target"}
    assert rooms["rt60_error"].max() < 1e-3 and rooms["c50_error_db"].max() < 0.1
    assert not rooms["alignment_error"].any() and rooms["removed_delay_samples"].abs().min() > 0


@pytest.fixture
def altered(small_run, tmp_path):
    """A function that measures a copy of the catalogue which ``change(card, samples)`` has altered."""

    def measure(change):
        folder = shutil.copytree(small_run / "irs", tmp_path / "irs")
        card, samples = read_json(folder / "ir_catalogue.json"), np.load(folder / "irs.npy")
        change(card, samples)
        np.save(folder / "irs.npy", samples)
        write_json(folder / "ir_catalogue.json", card | {"irs_sha256": sha256_of(folder / "irs.npy")})
        return rendered_rooms(load_catalogue(folder), CLIP)

    return measure


def others(table, name):
    return table[table["ir"] != name].reset_index(drop=True)


@pytest.mark.parametrize("name", ["bad-r1", "target-r12"])
def test_a_wrong_reverberation_time_is_seen(altered, rooms, name):
    def double(card, samples):
        card["irs"][name]["rt60_s"] *= 2

    found = altered(double)
    assert found.set_index("ir").loc[name, "rt60_error"] == pytest.approx(0.5, abs=1e-3)
    pd.testing.assert_frame_equal(others(found, name), others(rooms, name))


@pytest.mark.parametrize("name", ["bad-r1", "target-r12"])
@pytest.mark.parametrize("shift", [1, 9])
def test_a_response_out_of_place_is_seen(altered, rooms, name, shift):
    def move(card, samples):
        entry = card["irs"][name]
        place = slice(entry["offset"], entry["offset"] + entry["samples"])
        samples[place] = np.roll(samples[place], shift)

    found = altered(move)
    assert found.set_index("ir").loc[name, "alignment_error"] == shift
    pd.testing.assert_frame_equal(others(found, name), others(rooms, name))
