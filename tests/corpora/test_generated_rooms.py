"""Simulated rooms have the decay they were built with, and each depends on its own name alone."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.signal import butter, sosfiltfilt

from soundgate.audio.io import read_audio
from soundgate.corpora.colouring import Band, Comb, Equaliser, apply_colour, power_response
from soundgate.corpora.generated_rooms import draw_room, generate_rooms, read_room_source
from soundgate.corpora.room_response import BANDS_HZ, SPEED_OF_SOUND, Room, room_response, wall_absorption
from soundgate.runtime.errors import ConfigError
from tests.workers import as_by_workers

SOURCE = Path(__file__).resolve().parents[2] / "sources" / "generated_rooms.yaml"
RATE = 48_000


def t30(wav):
    """Return the reverberation time by Schroeder's integral and a line from -5 to -35 dB."""
    decay = np.cumsum(np.square(wav[::-1]))[::-1]
    level = 10 * np.log10(decay / decay[0] + 1e-30)
    first, last = np.argmax(level <= -5), np.argmax(level <= -35)
    return -60 / np.polyfit(np.arange(first, last) / RATE, level[first:last], 1)[0]


def plain(size_m=(6.0, 5.0, 3.0), decay_s=0.6, scatter_m=0.08, colours=(), decays=None):
    return Room(size_m, decays or (decay_s,) * len(BANDS_HZ), 0.05, scatter_m, colours)


def response(room, seed=0, source=(0.4, 0.45, 0.5), microphone=(0.62, 0.58, 0.45)):
    places = [np.array(place) * room.size_m for place in (source, microphone)]
    return room_response(room, *places, np.random.default_rng(seed))


@pytest.fixture(scope="module")
def pools(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pools")
    return {kind: generate_rooms(folder / kind, SOURCE, kind, 0, 8) for kind in ("bad", "target")}


@pytest.mark.parametrize("kind", ["bad", "target"])
def test_the_true_decay_is_the_measured_one(pools, kind):
    entries, rt60_s = pools[kind]
    errors = [t30(read_audio(entry.path).wav[0].astype(float)) / rt60_s[entry.path] - 1 for entry in entries]
    assert len(errors) == 16
    assert np.abs(errors).max() < 0.05 and np.abs(np.mean(errors)) < 0.01
    assert 0.15 < min(rt60_s.values()) and max(rt60_s.values()) < 1.3
    assert max(rt60_s.values()) > 1.5 * min(rt60_s.values())


@pytest.mark.parametrize("decay_s", [0.25, 0.6, 1.2])
def test_a_room_with_one_decay_has_that_decay(decay_s):
    wav, rt60_s = response(plain(decay_s=decay_s))
    assert rt60_s == pytest.approx(decay_s, rel=0.05)
    assert t30(wav) == pytest.approx(decay_s, rel=0.05)


def test_each_band_has_its_own_decay():
    decays = (1.2, 1.2, 1.2, 1.0, 0.8, 0.6, 0.5, 0.5)
    wav, _ = response(plain(decays=decays), 1)
    late = wav[round(0.07 * RATE) :]
    for frequency, decay_s in ((1_000, 1.0), (4_000, 0.6)):
        band = butter(3, [frequency / 1.1, frequency * 1.1], "band", fs=RATE, output="sos")
        assert t30(sosfiltfilt(band, late)) == pytest.approx(decay_s, rel=0.12)


@pytest.mark.parametrize("seed", range(3))
def test_images_and_tail_meet_without_a_step(seed):
    decay_s, room = 0.6, plain()
    wav, _ = response(room, seed)
    time_s = np.arange(len(wav)) / RATE
    flat = np.square(wav) * 10 ** (6 * time_s / decay_s)  # constant where the power falls as planted
    spans = [(0.015, 0.03), (0.03, 0.06), (0.06, 0.12), (0.12, 0.4)]
    levels = [10 * np.log10(flat[(time_s > low) & (time_s < high)].mean()) for low, high in spans]
    density = 10 * np.log10(4 * np.pi * SPEED_OF_SOUND / 90 / RATE)
    assert np.abs(np.array(levels) - density).max() < 1.5


def test_the_direct_sound_comes_when_it_must():
    room = plain(scatter_m=0.08)
    for microphone in ((0.6, 0.5, 0.5), (0.7, 0.7, 0.4)):
        wav, _ = response(room, microphone=microphone)
        distance = np.linalg.norm((np.array((0.4, 0.45, 0.5)) - microphone) * room.size_m)
        assert abs(np.argmax(np.abs(wav)) - distance / SPEED_OF_SOUND * RATE) <= 1
        assert np.abs(wav).max() == pytest.approx(1 / distance, rel=0.05)


def test_absorption_known_value():
    # Sabine's 0.161 V / (S a) for little absorption: 90 m3, 126 m2, 11.5 s.
    assert wall_absorption((6.0, 5.0, 3.0), np.array([11.5])) == pytest.approx([0.01], rel=0.02)


@pytest.mark.parametrize(
    "colour", [Band(low_hz=300, high_hz=3_400), Equaliser(low_db=12), Comb(delay_s=0.0037, gain=0.7)]
)
def test_a_colour_is_its_power_response_and_keeps_the_decay(colour):
    impulse = np.zeros(1 << 16)
    impulse[0] = 1
    frequency = np.fft.rfftfreq(len(impulse), 1 / RATE)
    measured = np.square(np.abs(np.fft.rfft(apply_colour(colour, impulse, RATE))))
    np.testing.assert_allclose(power_response(colour, frequency[10:], RATE), measured[10:], rtol=1e-3, atol=1e-6)
    assert measured.max() / measured[10:-10].min() > 10
    wav, rt60_s = response(plain(colours=(colour,)))
    assert rt60_s == pytest.approx(0.6, rel=0.06) and t30(wav) == pytest.approx(rt60_s, rel=0.05)


def test_the_pools_differ_as_they_should():
    source = read_room_source(SOURCE)
    bad, target = ([draw_room(source.kinds[kind], 0, f"r{k}") for k in range(40)] for kind in ("bad", "target"))
    assert max(np.prod(room.size_m) for room in bad) < min(np.prod(room.size_m) for room in target)
    assert {len(room.colours) for room in bad} == {2} and {len(room.colours) for room in target} == {1}
    assert len({room.colours for room in bad}) == len(source.kinds["bad"].colours)
    assert all(room.decay_s[-1] < 0.6 * room.decay_s[2] for room in target)


def tree(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_workers_and_pool_size_change_no_file(tmp_path, monkeypatch):
    _, first = generate_rooms(tmp_path / "one", SOURCE, "target", 3, 2)
    as_by_workers(monkeypatch)
    _, second = generate_rooms(tmp_path / "two", SOURCE, "target", 3, 2)
    generate_rooms(tmp_path / "more", SOURCE, "target", 3, 3)
    generate_rooms(tmp_path / "other", SOURCE, "target", 4, 2)
    one, more, other = tree(tmp_path / "one"), tree(tmp_path / "more"), tree(tmp_path / "other")
    assert one == tree(tmp_path / "two") and list(first.values()) == list(second.values())
    assert len([name for name in one if name.endswith(".flac")]) == 4
    assert all(more[name] == one[name] and other[name] != one[name] for name in one if name.endswith(".flac"))


def test_the_table_tells_what_was_built(pools):
    entries, _ = pools["bad"]
    table = pd.read_csv(entries[0].path.parents[1] / "rooms.csv")
    room = draw_room(read_room_source(SOURCE).kinds["bad"], 0, "bad-001")
    assert table["room_id"].tolist() == sorted({entry.speaker_id for entry in entries})
    assert table.loc[0, ["length_m", "width_m", "height_m"]].tolist() == pytest.approx(room.size_m, abs=1e-4)
    assert table.loc[0, "decay_1khz_s"] == pytest.approx(room.decay_s[3], abs=1e-4)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("positions_per_room: 2", "positions_per_room: 0"), "positions_per_room"),
        (("[3.0, 9.0]", "[9.0, 3.0]"), "not a range"),
        (("[1.15, 1.08,", "[1.15,"), "decay_profile"),
        (("kind: comb", "kind: fog"), "fog"),
        (("low_hz: 300", "low_hz: 4000"), "high_hz"),
        (("kinds:", "sorts:"), "sorts"),
    ],
)
def test_a_wrong_source_list_is_refused(tmp_path, change, reason):
    (tmp_path / "source.yaml").write_text(SOURCE.read_text().replace(*change))
    with pytest.raises(ConfigError, match=reason):
        read_room_source(tmp_path / "source.yaml")


def test_a_missing_kind_is_refused(tmp_path):
    text = SOURCE.read_text()
    (tmp_path / "source.yaml").write_text(text[: text.index("  bad:")])
    with pytest.raises(ConfigError, match="bad"):
        generate_rooms(tmp_path, tmp_path / "source.yaml", "bad", 0, 1)
