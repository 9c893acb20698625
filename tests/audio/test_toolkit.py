"""Draws stay in their ranges, reach all of them, and belong to their generator alone."""

from collections import Counter

import numpy as np
import pytest
from pydantic import ValidationError

from soundgate.audio.effects import COLOURS, EFFECTS
from soundgate.audio.toolkit import ToolkitSettings, draw_effects

VALUES = {
    "n_effects": [3, 6],
    "snr_db": [5, 40],
    "eq_gain_db": [-12, 12],
    "high_pass_hz": [60, 300],
    "low_pass_hz": [3000, 16000],
    "gain_db": [-12, 6],
    "bits": [8, 16],
    "clip_db": [1, 12],
}
SETTINGS = ToolkitSettings.model_validate(VALUES)


@pytest.fixture(scope="module")
def draws():
    return [draw_effects(np.random.default_rng(seed), SETTINGS) for seed in range(4_000)]


def drawn(draws, name, key):
    return np.array([effect.settings[key] for effects in draws for effect in effects if effect.name == name])


def test_counts_are_uniform_and_nothing_is_drawn_twice(draws):
    counts = Counter(len(effects) for effects in draws)
    assert sorted(counts) == [3, 4, 5, 6]
    assert all(abs(count - 1_000) < 150 for count in counts.values())
    assert all(len({effect.name for effect in effects}) == len(effects) for effects in draws)


def test_every_family_is_as_frequent_and_as_often_first_as_the_others(draws):
    present = Counter(effect.name for effects in draws for effect in effects)
    first = Counter(effects[0].name for effects in draws)
    assert set(present) == set(first) == set(EFFECTS)
    assert all(abs(count - 4_000 * 4.5 / 7) < 170 for count in present.values())
    assert all(abs(count - 4_000 / 7) < 120 for count in first.values())


def test_colours_and_mains_frequencies_are_all_drawn_and_hum_alone_has_mains(draws):
    noises = [effect.settings for effects in draws for effect in effects if effect.name == "noise"]
    colours = Counter(settings["colour"] for settings in noises)
    assert set(colours) == set(COLOURS)
    assert all(abs(count / len(noises) - 0.2) < 0.05 for count in colours.values())
    assert {settings.get("mains_hz") for settings in noises if settings["colour"] == "hum"} == {50, 60}
    assert {settings.get("mains_hz") for settings in noises if settings["colour"] != "hum"} == {None}
    assert len({settings["seed"] for settings in noises}) == len(noises)


@pytest.mark.parametrize(
    ("name", "key", "low", "high"),
    [
        ("noise", "snr_db", 5, 40),
        ("equaliser", "low_db", -12, 12),
        ("equaliser", "mid_db", -12, 12),
        ("equaliser", "high_db", -12, 12),
        ("gain", "gain_db", -12, 6),
        ("hard_clip", "below_peak_db", 1, 12),
    ],
)
def test_levels_fill_their_range_evenly(draws, name, key, low, high):
    values = drawn(draws, name, key)
    assert low <= values.min() < low + 0.01 * (high - low)
    assert high - 0.01 * (high - low) < values.max() <= high
    quartiles = np.histogram(values, 4, (low, high))[0] / len(values)
    assert np.abs(quartiles - 0.25).max() < 0.05


@pytest.mark.parametrize(("name", "low", "high"), [("high_pass", 60, 300), ("low_pass", 3_000, 16_000)])
def test_cutoffs_fill_their_range_evenly_in_octaves(draws, name, low, high):
    values = drawn(draws, name, "cutoff_hz")
    assert low <= values.min() < 1.02 * low
    assert 0.98 * high < values.max() <= high
    quartiles = np.histogram(np.log(values), 4, (np.log(low), np.log(high)))[0] / len(values)
    assert np.abs(quartiles - 0.25).max() < 0.05


def test_bits_take_every_whole_number_of_their_range(draws):
    values = drawn(draws, "bit_crush", "bits")
    assert set(values) == set(range(8, 17))


def test_equaliser_gains_are_drawn_one_by_one(draws):
    gains = np.stack([drawn(draws, "equaliser", key) for key in ("low_db", "mid_db", "high_db")])
    assert np.abs(np.corrcoef(gains) - np.eye(3)).max() < 0.1


def test_equal_generators_draw_the_same_and_others_do_not(draws):
    assert draw_effects(np.random.default_rng(11), SETTINGS) == draws[11]
    assert draws[11] != draws[12]


def test_a_range_of_one_value_draws_that_value():
    fixed = {key: [value[0], value[0]] for key, value in VALUES.items()} | {"n_effects": [7, 7]}
    for seed in range(20):
        effects = draw_effects(np.random.default_rng(seed), ToolkitSettings.model_validate(fixed))
        settings = {effect.name: effect.settings for effect in effects}
        assert settings["high_pass"] == {"cutoff_hz": 60} and settings["low_pass"] == {"cutoff_hz": 3_000}
        assert settings["bit_crush"] == {"bits": 8} and settings["gain"] == {"gain_db": -12}
        assert settings["noise"]["snr_db"] == 5


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("snr_db", [40, 5]),
        ("snr_db", [5, float("inf")]),
        ("snr_db", [float("nan"), 5]),
        ("n_effects", [3, 8]),
        ("n_effects", [-1, 3]),
        ("bits", [8.5, 16]),
        ("bits", [0, 16]),
        ("clip_db", [-3, 3]),
        ("high_pass_hz", [0, 300]),
        ("high_pass_hz", [60, 3_000]),
        ("gain_db", [1]),
        ("reverb", [0, 1]),
    ],
)
def test_impossible_ranges_are_refused(key, value):
    with pytest.raises(ValidationError):
        ToolkitSettings.model_validate(VALUES | {key: value})


def test_no_range_has_a_default_and_settings_are_frozen():
    for key in VALUES:
        with pytest.raises(ValidationError, match=key):
            ToolkitSettings.model_validate({k: v for k, v in VALUES.items() if k != key})
    with pytest.raises(ValidationError, match="frozen"):
        SETTINGS.bits = (8, 8)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("n_effects", 0, 7),
        ("snr_db", -60, 120),
        ("eq_gain_db", -60, 60),
        ("gain_db", -60, 60),
        ("bits", 2, 24),
        ("clip_db", 0, 60),
    ],
)
def test_ranges_reach_to_their_limits_and_no_further(name, low, high):
    ToolkitSettings.model_validate(VALUES | {name: [low, high]})
    for beyond in ([low - 1, high], [low, high + 1], [high, low]):
        with pytest.raises(ValidationError, match=name):
            ToolkitSettings.model_validate(VALUES | {name: beyond})


def test_frequencies_reach_from_10_hz_to_192_khz_and_some_band_passes_both():
    widest = VALUES | {"high_pass_hz": [10, 20], "low_pass_hz": [20.1, 192_000]}
    ToolkitSettings.model_validate(widest)
    for beyond in ({"high_pass_hz": [9.9, 20]}, {"low_pass_hz": [20.1, 192_001]}, {"low_pass_hz": [20, 192_000]}):
        with pytest.raises(ValidationError):
            ToolkitSettings.model_validate(widest | beyond)
