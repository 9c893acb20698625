from pathlib import Path

import pytest
from pydantic import Field

from soundgate.runtime.config import (
    Section,
    check_origin,
    load_section,
    load_seed,
    load_training_seed,
    parse_section,
    read_section,
)
from soundgate.runtime.errors import ConfigError


class Fit(Section):
    fraction: float = Field(gt=0, lt=1)
    n_init: int = Field(default=10, ge=1)


PARAMS = "seed: 3\ntrack:\n  fit:\n    fraction: {fraction}\n"


@pytest.fixture
def params(tmp_path):
    def write(text):
        path = tmp_path / "params.yaml"
        path.write_text(text)
        return path

    return write


def test_a_section_is_read_checked_and_frozen(params):
    path = params(PARAMS.format(fraction=0.25))
    fit = load_section("track.fit", Fit, path)
    assert (fit.fraction, fit.n_init, load_seed(path)) == (0.25, 10, 3)
    assert read_section("track.fit", path) == {"fraction": 0.25}
    with pytest.raises(ValueError, match="frozen"):
        fit.fraction = 0.5


@pytest.mark.parametrize(
    ("text", "subject", "parts"),
    [
        (PARAMS.format(fraction=1.5), "track.fit.fraction", ["less than 1", "1.5"]),
        (PARAMS.format(fraction="much"), "track.fit.fraction", ["number", "'much'"]),
        (PARAMS.format(fraction="0.5\n    n_int: 4"), "track.fit.n_int", ["fraction, n_init", "4"]),
        ("seed: 0\ntrack:\n  fit: {}\n", "track.fit.fraction", ["a value", "no such key"]),
        ("seed: 0\ntrack:\n  fits: {}\n", "track.fit", ["fits under track"]),
        ("seed: 0\ntrack: {fit: 3}\n", "track.fit", ["section", "3"]),
        ("- 1\n", "params.yaml", ["mapping"]),
        ("a: [1\n", "params.yaml", ["YAML"]),
        ("a: &a [1, 1]\nb: [*a, *a]\n", "params.yaml", ["YAML", "an alias"]),
        ("a: 1\na: 2\n", "params.yaml", ["YAML", "duplicate key"]),
        ("a: !!bool x\n", "params.yaml", ["YAML", "its tag does not fit", "x"]),
    ],
)
def test_an_error_names_the_key_the_value_and_what_is_allowed(params, text, subject, parts):
    with pytest.raises(ConfigError) as caught:
        load_section("track.fit", Fit, params(text))
    assert caught.value.subject.endswith(subject)
    for part in parts:
        assert part in str(caught.value)


def test_values_are_the_readers_own_and_a_changed_file_is_read_again(params):
    path = params(PARAMS.format(fraction=0.5))
    read_section("track.fit", path)["fraction"] = 0.1
    assert read_section("track.fit", path) == {"fraction": 0.5}
    params(PARAMS.format(fraction=0.7))
    assert read_section("track.fit", path) == {"fraction": 0.7}


def test_every_wrong_key_is_named(params):
    with pytest.raises(ConfigError, match=r"track\.fit\.fraction.*Also wrong: track\.fit\.n_init"):
        load_section("track.fit", Fit, params(PARAMS.format(fraction="2\n    n_init: 0")))


def test_a_missing_file_says_how_to_write_it(tmp_path):
    with pytest.raises(ConfigError, match="soundgate compose"):
        load_section("track.fit", Fit, tmp_path / "params.yaml")


@pytest.mark.parametrize("seed", ["-1", "one", "1.5", "true"])
def test_a_seed_is_a_whole_number(params, seed):
    with pytest.raises(ConfigError, match="seed: expected a whole number"):
        load_seed(params(f"seed: {seed}\n"))
    with pytest.raises(ConfigError, match="training_seed: expected a whole number"):
        load_training_seed(params(f"seed: 0\ntraining_seed: {seed}\n"))


def test_the_seed_of_trainings_is_added_and_zero_changes_nothing(params):
    assert load_training_seed(params("seed: 3\ntraining_seed: 0\n")) == 3
    path = params("seed: 3\ntraining_seed: 2\n")
    assert (load_training_seed(path), load_seed(path)) == (5, 3)
    with pytest.raises(ConfigError, match="training_seed"):
        load_training_seed(params("seed: 3\n"))


def test_an_origin_is_compared_as_a_path():
    check_origin(None, "own/music", "corpus.music.origin")
    check_origin(Path("own/music"), "own/music/", "corpus.music.origin")
    with pytest.raises(ConfigError, match="--origin: expected corpus.music.origin, own/music; found other"):
        check_origin(Path("other"), "own/music", "corpus.music.origin")


def test_an_origin_that_is_not_given_says_how_to_give_it(params):
    class Music(Section):
        origin: str

    path = params("corpus:\n  music: {origin: null}\n")
    with pytest.raises(ConfigError, match=r"found none\. Give it: corpus\.music\.origin=FOLDER"):
        load_section("corpus.music", Music, path)
    with pytest.raises(ConfigError, match=r"Give it: 'corpus\.pools=\[\{name: NAME, .*origin: FOLDER"):
        parse_section("corpus.pools.1", {"origin": None}, Music)
