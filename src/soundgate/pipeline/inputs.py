"""What a composition gives to work on: which corpora, so which tracks can run, and what their stages watch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from omegaconf import DictConfig, OmegaConf

RESOLVER = "soundgate_inputs"


class Corpus(NamedTuple):
    """A corpus as the parameters know it.

    Attributes:
        name: as in stage ``corpus-<name>``, and in ``data/<profile>/origins/<name>.json``.
        section: dotted path of its settings, or of the list of them.
        what: what it holds, for messages.
    """

    name: str
    section: str
    what: str

    @property
    def setting(self) -> str:
        """Return what a user sets to give it."""
        return self.section if self.section in LISTS else f"{self.section}.origin"


CORPORA = {
    corpus.name: corpus
    for corpus in (
        Corpus("speech", "corpus.speech", "speech"),
        Corpus("music", "corpus.music", "music"),
        Corpus("rooms", "corpus.rooms.pools", "impulse responses"),
        Corpus("voices", "corpus.voices.sources", "dry voices"),
        Corpus("songs", "editor.songs", "songs"),
        Corpus("pairs", "editor.pairs", "pairs of recording and edit"),
    )
}
# Settings of several corpora of a kind, each with a name.
LISTS = ("corpus.rooms.pools", "corpus.voices.sources")
# What each track needs; of alternatives one is enough.
NEEDS = {
    "structure": ("speech",),
    "rooms": ("rooms", "voices"),
    "transfer": ("music", "speech"),
    "editor": ("songs",),
    "voice": ("speech",),
}


def missing(track: str, params: Mapping) -> list[Corpus]:
    """Return the corpora that a track needs and that the parameters do not give; none where it can run."""
    return [CORPORA[name] for name in NEEDS[track] if not _entries(CORPORA[name], params)]


def pipeline_inputs(params: Mapping) -> dict:
    """Return what ``dvc.yaml`` is templated by, beside the settings themselves.

    Args:
        params: the composed parameters.

    Returns:
        ``runs``: for each corpus and track the profile in a list, or an empty one where it is not given;
        ``listed``: names of the folders whose files are listed at every run, since only looking tells what is in them;
        ``watched``: for each corpus the file its stage depends on (a source list, or the listing of a folder), for a
        list of corpora the names and files.
    """
    profile = list(params["profile"])
    found = {name: _entries(corpus, params) for name, corpus in CORPORA.items()}
    runs = {name: profile if found[name] else [] for name in ("speech", "music")}
    runs |= {track: [] if missing(track, params) else profile for track in NEEDS}
    watched, listed = {}, []
    for name, entries in found.items():
        files = []
        for entry in entries:
            own = f"{name}-{entry['name']}" if CORPORA[name].section in LISTS else name
            folder = entry["source"] == "folder"
            listed += [own] if folder else []
            files.append(f"data/{profile[0]}/origins/{own}.json" if folder else entry["origin"])
        if CORPORA[name].section in LISTS:
            names = [entry["name"] for entry in entries]
            watched[name] = [{"name": own, "file": file} for own, file in zip(names, files, strict=True)]
        else:
            watched[name] = files[0] if files else None
    return {"runs": runs, "listed": listed, "watched": watched}


def _entries(corpus: Corpus, params: Mapping) -> list[Mapping]:
    """Return the settings of a corpus that is given: one, or those in its list; none where no origin is named."""
    value = params
    for key in corpus.section.split("."):
        value = value[key]
    entries = value if corpus.section in LISTS else [value]
    return [entry for entry in entries if entry.get("origin")]


def register_resolver() -> None:
    """Let a composition call `pipeline_inputs` on itself: ``${soundgate_inputs:}``."""
    OmegaConf.register_new_resolver(RESOLVER, _resolve, replace=True)


def _resolve(*, _root_: DictConfig) -> DictConfig:
    plain = {key: _root_._get_node(key) for key in _root_ if key != "pipeline"}
    return OmegaConf.create(pipeline_inputs(OmegaConf.to_container(OmegaConf.create(plain), resolve=True)))
