"""Values on the command line: paths as they are, everything else as Hydra reads it."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from ruamel.yaml import YAML

from soundgate.pipeline import compose as composing
from soundgate.pipeline.names import NAMED, check_names
from soundgate.pipeline.overrides import quoted
from soundgate.pipeline.tracks import OWN, TRACKS
from soundgate.runtime.errors import ConfigError
from tests.pipeline.compositions import text_of
from tests.pipeline_file import stage_entries

AWKWARD = [
    "/a b", "/jörg", "語音", "/x,y", "a=b", "/take(1)", "/it[1]", "[it]", "{it}", "/C#", "R&B (2023)", "a;touch b",
    "`ls`", "$HOME/x", "/${HOME}/\\${seed}${", "a\\b", "a\\ b", "/a\\", "-x", "2023", "1e3", "true", "/a\nb", "/a\tb",
    " before", "after ", "/a:b", "it's", '"half', "'", '"', '/a\\"', "2026-01-01", "1:30", "glob(*)", "/\ue000$",
    f"/{'long ' * 40}",
]  # fmt: skip


@pytest.fixture
def conf(tmp_path):
    """A small configuration with a path, a key that refers to it, and other values."""
    (tmp_path / "config.yaml").write_text(
        "speech:\n  origin: x\n  n: 1\n  subsets: []\nmusic:\n  origin: ${speech.origin}\nprompt: a\n"
    )
    return tmp_path


def read(conf, *overrides):
    text = composing.compose_text(overrides, conf)
    # DVC reads params.yaml with the parser in C, the stages with the other.
    in_c, pure = (YAML(typ="safe", pure=pure).load(text) for pure in (False, True))
    assert in_c == pure
    return pure


@pytest.mark.parametrize("path", AWKWARD)
def test_a_path_is_taken_as_it_is_also_by_a_key_that_refers_to_it(conf, path):
    params = read(conf, f"speech.origin={path}")
    assert params["speech"]["origin"] == params["music"]["origin"] == path


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12))
def test_whatever_the_file_system_allows_is_taken(text):
    made = quoted([f"a.origin=/{text}"])
    parsed = OverridesParser.create().parse_override(made.overrides[0]).value()
    config = OmegaConf.create({"a": parsed, "b": "${a}"})
    OmegaConf.resolve(config)
    assert YAML(typ="safe").load(made.restored(OmegaConf.to_yaml(config))) == {"a": f"/{text}", "b": f"/{text}"}


def test_what_is_quoted_for_hydra_is_hydras(conf):
    assert read(conf, 'speech.origin="/jörg/C#"')["speech"]["origin"] == "/jörg/C#"
    assert read(conf, "speech.origin='/a b/${prompt}'")["speech"]["origin"] == "/a b/a"
    assert read(conf, "speech.origin=null")["speech"]["origin"] is None


def test_only_paths_and_what_hydra_refuses_are_quoted(conf):
    given_ones = ["speech.n=2", "speech.subsets=[a,b]", "prompt=true", "+more.x={a: 1}", "prompt=${speech.n}"]
    assert quoted(given_ones).overrides == given_ones
    params = read(conf, *given_ones)
    assert params["speech"] == {"origin": "x", "n": 2, "subsets": ["a", "b"]}
    assert params["prompt"] == 2 and params["more"] == {"x": {"a": 1}}
    assert read(conf, "prompt=a {label} of jörg")["prompt"] == "a {label} of jörg"


def test_a_home_folder_is_found_and_elsewhere_refused(conf, monkeypatch):
    monkeypatch.setenv("HOME", "/home/jörg")
    assert read(conf, "speech.origin=~/my speech")["speech"]["origin"] == "/home/jörg/my speech"
    for override in (
        'speech.origin="~/x"',
        '+sources=[{name: a, origin: "~/x"}]',
        "speech.origin=~nobody-of-this-name",
    ):
        with pytest.raises(ConfigError, match=r"origin: expected a path without ~.*Give an absolute path"):
            composing.compose_text([override], conf)


def test_inside_a_list_the_error_says_how_to_quote(conf):
    with pytest.raises(ConfigError, match="needs quotes of its own inside"):
        composing.compose_text(["speech.subsets=[jörg]"], conf)
    assert read(conf, 'speech.subsets=["jörg", "x y"]')["speech"]["subsets"] == ["jörg", "x y"]


def test_a_name_that_yaml_does_not_keep_is_refused_in_words():
    with pytest.raises(ConfigError, match=r"a\\xc2\\x85b: expected a value without .*U\+0085.*ln -s"):
        quoted(["corpus.speech.origin=a\x85b"])


def test_a_number_of_thousands_of_digits_is_text():
    digits = "9" * 5000
    assert quoted([f"seed={digits}"]).overrides == [f'seed="{digits}"']


def test_a_name_that_is_not_utf8_is_refused_in_words(conf):
    with pytest.raises(ConfigError, match=r"caf\\xe9: expected a value in UTF-8.*ln -s") as caught:
        composing.compose_text(["speech.origin=/caf\udce9"], conf)
    str(caught.value).encode("ascii")


@pytest.mark.parametrize(
    "override",
    [
        'structure.codecs=["a;touch b"]',
        "structure.codecs=[../x]",
        "corpus.voices.sources=[{name: 'x$(id)', source: folder, origin: a, seed: 0}]",
        "corpus.voices.sources=[{name: -x, source: folder, origin: a, seed: 0}]",
        "corpus.rooms.pools=[{name: 3, source: folder, origin: a, seed: 0}]",
        "dynamics.pairs=[{name: a, first: 'b c', second: d}]",
        'rooms.embedder=["acoustic\\n"]',
    ],
)
def test_a_name_that_is_more_than_a_name_is_refused(override):
    key = override.partition("=")[0]
    with pytest.raises(ConfigError, match=rf"{key}\[0\]\S*: expected a name of letters, digits"):
        text_of(override)


def test_names_are_checked_wherever_a_command_has_them():
    """Nothing reaches a command or a path of dvc.yaml but items of lists whose names are checked."""
    checked = {(key, field) for key, fields in NAMED.items() for field in fields or (None,)}
    own = [f"{track}_speech" for track in OWN]
    # Composed from what is checked.
    checked |= {("pipeline.watched.rooms", "name"), ("pipeline.watched.voices", "name"), ("pipeline.listed", None)}
    checked |= {(f"pipeline.runs.{name}", None) for name in (*TRACKS, "speech", "music", "tracks", *own)}
    # One of two folders that no parameter names.
    computed = {f"pipeline.speech_of.{track}" for track in OWN}
    seen = set()
    for stage, entry in ((stage, entry) for stage, entry in stage_entries().items() if stage != "code"):
        matrix = {axis: values.strip("${}") for axis, values in entry["matrix"].items()}
        paths = [entry["cmd"], *map(str, entry.get("outs", [])), *map(str, entry.get("metrics", []))]
        for template in (part.partition("}")[0] for text in paths for part in text.split("${")[1:]):
            if template in computed:
                continue
            assert template.startswith("item."), f"{stage}: {template}"
            axis, _, field = template.removeprefix("item.").partition(".")
            seen.add((matrix[axis], field or None))
    assert seen and seen <= checked


def test_parameters_without_these_lists_are_fine():
    check_names({"a": 1, "corpus": {"rooms": {}}})
