"""What a composition gives to work on: which corpora, so which tracks run, and what their stages watch."""

from __future__ import annotations

from collections.abc import Mapping

from omegaconf import DictConfig, OmegaConf

from soundgate.pipeline.tracks import CORPORA, LISTS, OWN, TRACKS, corpora_of, entries_of, runnable

RESOLVER = "soundgate_inputs"


def pipeline_inputs(params: Mapping) -> dict:
    """Return what ``dvc.yaml`` is templated by, beside the settings themselves.

    Args:
        params: the composed parameters.

    Returns:
        ``runs``: for the corpora that are one of a kind and for each track the profile in a list, or an empty one where
        it is not given; and the ``tracks`` that run. ``speech_of``: the folder below ``data/<profile>`` of the speech
        of a track that can have its own. ``listed``: names of the folders whose files are listed at every run, since
        only looking tells what is in them. ``watched``: for each corpus the file that its stage depends on (a source
        list, or the listing of a folder), for a list of corpora the names and files.
    """
    profile = list(params["profile"])
    given = {name: entries_of(params, name) for name in CORPORA}
    runs = {name: profile if given[name] else [] for name in ("speech", "voice_speech", "music")}
    runs |= {track: [] if lack else profile for track, lack in runnable(params).items()}
    runs["tracks"] = [track for track in TRACKS if runs[track]]
    speech_of = {track: "speech" if "speech" in corpora_of(params, track) else f"{track}/speech" for track in OWN}
    listed, watched = [], {}
    for name, entries in given.items():
        files = {}
        for entry in entries:
            own = f"{name}-{entry['name']}" if name in LISTS else name
            listed += [own] if entry["source"] == "folder" else []
            files[own] = f"data/{profile[0]}/origins/{own}.json" if entry["source"] == "folder" else entry["origin"]
        if name in LISTS:
            watched[name] = [
                {"name": entry["name"], "file": file} for entry, file in zip(entries, files.values(), strict=True)
            ]
        else:
            watched[name] = files.get(name)
    return {"runs": runs, "speech_of": speech_of, "listed": listed, "watched": watched}


def register_resolver() -> None:
    """Let a composition call `pipeline_inputs` on itself: ``${soundgate_inputs:}``."""
    OmegaConf.register_new_resolver(RESOLVER, _resolve, replace=True)


def _resolve(*, _root_: DictConfig) -> DictConfig:
    plain = {key: _root_._get_node(key) for key in _root_ if key != "pipeline"}
    return OmegaConf.create(pipeline_inputs(OmegaConf.to_container(OmegaConf.create(plain), resolve=True)))
