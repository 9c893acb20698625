"""What a folder of the user's is taken for, and which tracks it suffices for, before anything is built from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from soundgate.corpora.folder import Listed, folder_entries, say_no_audio
from soundgate.corpora.index import build_index
from soundgate.corpora.music import MusicSettings, music_entries
from soundgate.corpora.rooms import ROOM_EXTENSIONS, room_entries
from soundgate.corpora.walking import find_files
from soundgate.runtime.errors import CorpusError
from soundgate.runtime.paths import path_to_text

# As in conf/: structure.latents.min_duration_s, voice.cache.min_s and min_utterances.
LATENTS_MIN_S, VOICE_MIN_S, VOICE_MIN_UTTERANCES = 3.0, 1.0, 4
# Two to learn from, two for the judges, two for the test.
VOICE_SPEAKERS = 6
# One to learn from, one to choose by, one for the test.
SPLITS = 3
GENRES = 2


@dataclass(frozen=True)
class Checked:
    """What was found out about a folder.

    Attributes:
        layout: what it is taken for.
        index: of the usable files, see `build_index`; ``speaker_id`` is the source of music and the room of a
            response, and ``genre`` stands beside that of music.
        refused: ``path`` and ``reason`` of every file that is not used.
        suffices: what the folder suffices for, a line each.
        lacks: what it does not suffice for, with what is needed and what was found.
    """

    layout: str
    index: pd.DataFrame
    refused: pd.DataFrame
    suffices: list[str]
    lacks: list[str]


Rule = Callable[[pd.DataFrame], tuple[str, int, int, str]]


def check_corpus(root: str | Path, kind: str) -> Checked:
    """List and read every file of a folder, and hold what is usable against what tracks need.

    Args:
        root: the folder.
        kind: a key of ``KINDS``.

    Raises:
        CorpusError: there is no such folder.
    """
    listed = _listed(root, kind)
    index, refused = build_index(listed.entries, path_to_text(root), refused=listed.refused, empty_ok=True)
    level = len(Path(root).parts)
    index["genre"] = [parts[level] if len(parts := Path(path).parts) > level + 1 else "" for path in index["path"]]
    judged = [(needs, *rule(index)) for needs, rule in _RULES[kind].items()]
    suffices = [f"{needs}: {count} {what}" for needs, what, count, wanted, _ in judged if count >= wanted]
    lacks = [
        f"{needs}: {count} {what}, needed are {wanted}{remedy}"
        for needs, what, count, wanted, remedy in judged if count < wanted
    ]  # fmt: skip
    return Checked(listed.layout, index, refused, suffices, lacks)


def _listed(root: str | Path, kind: str) -> Listed:
    try:
        if kind == "rooms":
            return room_entries(root, [], "file")
        if kind == "music":
            # Set by a copy, because the settings of a file refuse a name that is not UTF-8.
            settings = MusicSettings(source="folder", origin=".", seed=0).model_copy(update={"origin": str(root)})
            music, refused = music_entries(settings)
            return Listed(music.entries, refused, "genre folders")
        return folder_entries(root)
    except CorpusError:
        if not Path(root).is_dir():
            raise
    files = find_files(root, ROOM_EXTENSIONS)
    say_no_audio(files)
    return Listed([], [one._replace(path=files.root / one.path) for one in files.refused], "no audio")


def _speakers(index: pd.DataFrame, at_least_s: float, utterances: int) -> int:
    counts = index[index["duration_s"] >= at_least_s].groupby("speaker_id").size()
    return int((counts >= utterances).sum())


def _structure(index: pd.DataFrame) -> tuple[str, int, int, str]:
    return f"speakers with an utterance of {LATENTS_MIN_S:g} s or more", _speakers(index, LATENTS_MIN_S, 1), 2, ""


def _voice(index: pd.DataFrame) -> tuple[str, int, int, str]:
    what = f"speakers with {VOICE_MIN_UTTERANCES} utterances of {VOICE_MIN_S:g} s or more"
    return what, _speakers(index, VOICE_MIN_S, VOICE_MIN_UTTERANCES), VOICE_SPEAKERS, ""


def _dry_voices(index: pd.DataFrame) -> tuple[str, int, int, str]:
    return "speakers", index["speaker_id"].nunique(), SPLITS, "; further folders can be named in corpus.voices.sources"


def _pool(index: pd.DataFrame) -> tuple[str, int, int, str]:
    return "rooms", index["speaker_id"].nunique(), SPLITS, ""


def _transfer(index: pd.DataFrame) -> tuple[str, int, int, str]:
    genres = index.loc[index["genre"] != "", "genre"].nunique()
    return "genres (folders)", genres, GENRES, "; genres can come from elsewhere, see transfer.labels"


def _songs(index: pd.DataFrame) -> tuple[str, int, int, str]:
    return "songs", len(index), SPLITS, ""


_RULES: dict[str, dict[str, Rule]] = {
    "speech": {"structure": _structure, "voice": _voice, "rooms (as dry voices)": _dry_voices},
    "voices": {"rooms": _dry_voices},
    "rooms": {"rooms (a pool)": _pool},
    "music": {"transfer": _transfer, "editor": _songs},
}
KINDS = tuple(_RULES)
