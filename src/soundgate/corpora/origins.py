"""Which folders of the user's the corpora of the parameters are made from."""

from __future__ import annotations

import re
from pathlib import Path

from soundgate.runtime.config import PARAMS_FILE, read_section
from soundgate.runtime.errors import ConfigError

_SECTIONS = {
    "speech": "corpus.speech",
    "voice_speech": "voice.speech",
    "music": "corpus.music",
    "songs": "editor.songs",
    "pairs": "editor.pairs",
}
_LISTS = {"rooms": ("corpus.rooms", "pools"), "voices": ("corpus.voices", "sources")}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def folder_origins(params_path: str | Path = PARAMS_FILE) -> dict[str, str | None]:
    """Return the folder of each corpus, by name: ``speech``, ``voice_speech``, ``music``, ``songs``,
    ``pairs``, and of the lists ``rooms-<pool>``, ``voices-<name>``.

    Its value is None where the corpus has another source than a folder, or no origin.

    Raises:
        ConfigError: the parameters are missing, or an entry of a list of corpora has no name fit for a file.
    """
    entries = {name: read_section(section, params_path) for name, section in _SECTIONS.items()}
    for kind, (section, key) in _LISTS.items():
        for entry in read_section(section, params_path).get(key) or []:
            name = entry.get("name") if isinstance(entry, dict) else None
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                raise ConfigError(f"{section}.{key}", expected="entries with a name fit for a file", found=repr(name))
            entries[f"{kind}-{name}"] = entry
    return {
        name: str(entry["origin"]) if entry.get("source") == "folder" and entry.get("origin") else None
        for name, entry in entries.items()
    }
