"""Which corpora are given, and which tracks these suffice for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from soundgate.runtime.errors import ConfigError

# Corpora that each track reads: stage corpus-<name> builds one.
NEEDS: Mapping[str, tuple[str, ...]] = {
    "structure": ("speech",),
    "rooms": ("rooms", "voices"),
    "transfer": ("music", "speech"),
    "editor": ("songs", "pairs"),
    "voice": ("speech",),
}
TRACKS = tuple(NEEDS)
# A corpus that a track reads in place of a shared one, where its settings differ: by track, what for what.
OWN: Mapping[str, Mapping[str, str]] = {"voice": {"speech": "voice_speech"}}
_SHARED = {own: shared for corpora in OWN.values() for shared, own in corpora.items()}
# Where the parameters say what a corpus is read from, and how to give it.
CORPORA: Mapping[str, tuple[str, str]] = {
    "speech": ("corpus.speech", "corpus.speech.origin=FOLDER"),
    "voice_speech": ("voice.speech", "voice.speech.source=folder voice.speech.origin=FOLDER"),
    "music": ("corpus.music", "corpus.music.origin=FOLDER"),
    "songs": ("editor.songs", "editor.songs.origin=FOLDER"),
    "pairs": ("editor.pairs", "editor.pairs.source=folder editor.pairs.origin=FOLDER"),
    "rooms": (
        "corpus.rooms.pools",
        "'corpus.rooms.pools=[{name: bad, source: folder, origin: FOLDER, seed: 0}, "
        "{name: target, source: folder, origin: FOLDER, seed: 0}]'",
    ),
    "voices": (
        "corpus.voices.sources",
        "'corpus.voices.sources=[{name: mine, source: folder, origin: FOLDER, seed: 0}]'",
    ),
}
# Corpora of which there are several, each with a name.
LISTS = ("rooms", "voices")
# Entries that a list of corpora must have.
_ENTRIES: Mapping[str, set[str]] = {"rooms": {"bad", "target"}}


def chosen_tracks(options: Sequence[str]) -> tuple[str, ...]:
    """Return the tracks named on the command line in the pipeline's order; all of them where none is named.

    Args:
        options: one or several names each, separated by commas.

    Raises:
        ConfigError: there is no track of a name.
    """
    names = [name.strip() for option in options for name in option.split(",") if name.strip()]
    unknown = sorted(set(names) - set(TRACKS))
    if unknown:
        raise ConfigError("--track", expected=f"one or several of {', '.join(TRACKS)}", found=", ".join(unknown))
    return tuple(track for track in TRACKS if track in names) if names else TRACKS


def runnable(params: Mapping) -> dict[str, str | None]:
    """Return for each track None where it can run, else what it lacks and how to give that.

    Args:
        params: the composed parameters. A corpus is given where it has an ``origin``, and a list of corpora where it
            has an entry and each has one; of rooms there are two, ``bad`` and ``target``.
    """
    lacking = {corpus: _lack(params, corpus) for corpus in CORPORA}
    return {track: "; ".join(filter(None, map(lacking.get, corpora_of(params, track)))) or None for track in TRACKS}


def corpora_of(params: Mapping, track: str) -> tuple[str, ...]:
    """Return the corpora that a track reads: its own in place of a shared one, where their settings differ.

    Args:
        params: the composed parameters.
        track: its name.
    """
    own = OWN.get(track, {})
    return tuple(own[name] if name in own and _all_entries(params, own[name]) else name for name in NEEDS[track])


def entries_of(params: Mapping, corpus: str) -> list[Mapping]:
    """Return the settings of a corpus that is given: one, or those in its list.

    None where no origin is named, nor of a track's own that has the settings of the shared one.
    """
    return [entry for entry in _all_entries(params, corpus) if entry.get("origin")]


def _all_entries(params: Mapping, corpus: str) -> list[Mapping]:
    value, shared = _settings(params, corpus), _SHARED.get(corpus)
    if shared and value == _settings(params, shared):
        return []
    entries = value if isinstance(value, list) else [value]
    return [entry for entry in entries if isinstance(entry, Mapping)]


def _settings(params: Mapping, corpus: str) -> object:
    value: object = params
    for key in CORPORA[corpus][0].split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _lack(params: Mapping, corpus: str) -> str | None:
    given = entries_of(params, corpus)
    names = {entry.get("name") for entry in given}
    whole = given and len(given) == len(_all_entries(params, corpus)) and names >= _ENTRIES.get(corpus, set())
    return None if whole else f"no {corpus} ({CORPORA[corpus][1]})"


def tracks_to_run(params: Mapping, options: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    """Return the tracks asked for that can run, and a line for each that cannot.

    Args:
        params: the composed parameters.
        options: the tracks asked for, see ``chosen_tracks``.

    Raises:
        ConfigError: there is no track of a name, or none of them can run.
    """
    lacks = {track: reason for track, reason in runnable(params).items() if track in chosen_tracks(options)}
    tracks = tuple(track for track, reason in lacks.items() if reason is None)
    lines = [f"not run: {track}: {reason}" for track, reason in lacks.items() if reason is not None]
    if not tracks:
        raise ConfigError("nothing to run", expected="the audio of a track", found="; ".join(lines))
    return tracks, lines
