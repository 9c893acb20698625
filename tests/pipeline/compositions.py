"""Compositions of ``conf/``, each made once however many tests read it: one takes half a second."""

import copy
from functools import cache
from unittest import mock

import hydra
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf
from ruamel.yaml import YAML

from soundgate.pipeline import compose as composing
from tests.pipeline_file import ROOT

_ENTRY = "{name: %s, source: folder, origin: own, seed: 0}"
# What a user of `profile=real` gives of their own.
SPEECH, MUSIC, SONGS = (f"{key}.origin=own" for key in ("corpus.speech", "corpus.music", "editor.songs"))
POOLS = f"corpus.rooms.pools=[{_ENTRY % 'bad'}, {_ENTRY % 'target'}]"
ONE_POOL = f"corpus.rooms.pools=[{_ENTRY % 'bad'}]"
VOICES = f"corpus.voices.sources=[{_ENTRY % 'dry'}]"


@cache
def _parsed(text):
    return OmegaConf.create(text)


def _load_once(file):
    """Do what `OmegaConf.load` does of an open file, once of the same text: a fifth of a composition is parsing."""
    return copy.deepcopy(_parsed(file.read()))


@cache
def text_of(*overrides):
    """Return what overrides are composed to, as text."""
    with mock.patch.object(OmegaConf, "load", staticmethod(_load_once)):
        return composing.compose_text(overrides, ROOT / "conf")


def composed(*overrides):
    """Return what overrides are composed to, the caller's own to change."""
    return YAML(typ="safe").load(text_of(*overrides))


def compose_once(monkeypatch):
    """Have Hydra compose once where this repository and DVC ask it for the same; each gets a copy of its own."""
    real, made = hydra.compose, {}

    def compose(config_name, overrides):
        sources = GlobalHydra.instance().config_loader().get_search_path().get_path()
        asked = config_name, *overrides, *((source.provider, source.path) for source in sources)
        if asked not in made:
            made[asked] = real(config_name=config_name, overrides=list(overrides))
        return copy.deepcopy(made[asked])

    monkeypatch.setattr(OmegaConf, "load", staticmethod(_load_once))
    monkeypatch.setattr(hydra, "compose", compose)
    monkeypatch.setattr(composing, "hydra_compose", compose)
    return made
