"""The speech corpus of a profile, from whichever source its settings name."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, model_validator

from soundgate.corpora.folder import folder_entries
from soundgate.corpora.generated_speech import generate_speech
from soundgate.corpora.index import Entry, build_index, record_corpus
from soundgate.corpora.librispeech import librispeech_entries
from soundgate.runtime.errors import CorpusError
from soundgate.runtime.randomness import keyed_generator

AUDIO_FOLDER = "audio"


class SpeechSettings(BaseModel):
    """Where a speech corpus comes from and how much of it is used.

    Args:
        source: ``generated`` (espeak-ng), ``folder`` (the user's files) or ``librispeech`` (a download).
        origin: the source's dependency: a source list (generated, librispeech) or the folder itself.
        n_speakers: how many speakers to use; None takes all (not for ``generated``).
        n_utterances: how many utterances of each speaker; None takes all (not for ``generated``).
        subsets: LibriSpeech's parts to use.
        seed: of every draw.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Literal["generated", "folder", "librispeech"]
    origin: str = Field(min_length=1)
    n_speakers: int | None = Field(default=None, ge=1)
    n_utterances: int | None = Field(default=None, ge=1)
    subsets: list[str] = Field(default_factory=list)
    seed: int = Field(ge=0)

    @model_validator(mode="after")
    def _source_has_what_it_needs(self) -> SpeechSettings:
        if self.source == "generated" and (self.n_speakers is None or self.n_utterances is None):
            raise ValueError("source 'generated' needs n_speakers and n_utterances")
        if self.source == "librispeech" and not self.subsets:
            raise ValueError("source 'librispeech' needs subsets, e.g. [dev-clean]")
        return self


class Caps(Protocol):
    """The settings of any corpus of speakers that `choose_entries` can cap."""

    origin: str
    n_speakers: int | None
    n_utterances: int | None
    seed: int


def build_speech_corpus(settings: SpeechSettings, out_folder: str | Path, work_folder: str | Path) -> dict:
    """Build a speech corpus: its audio where the source makes it, ``index.parquet`` and ``rejected.csv``.

    Args:
        settings: the source and its size.
        out_folder: the corpus; generated and downloaded audio goes to ``audio`` inside, files of a user's
            folder stay where they are.
        work_folder: downloads are kept here, so that a killed run goes on where it was.

    Returns:
        Counts: ``n_utterances``, ``n_speakers``, ``n_rejected``, ``duration_s`` (total).

    Raises:
        CorpusError: the source has no usable audio, or fewer speakers than asked for.
        ConfigError: a source list is wrong.
        DownloadError: an archive cannot be had as its source list promises.
    """
    audio, refused = Path(out_folder) / AUDIO_FOLDER, []
    if settings.source == "generated":
        entries = generate_speech(audio, settings.origin, settings.seed, settings.n_speakers, settings.n_utterances)
    elif settings.source == "folder":
        listed = folder_entries(settings.origin)
        entries, refused = choose_entries(listed.entries, settings), listed.refused
    else:
        listed = librispeech_entries(settings.origin, settings.subsets, audio, work_folder)
        entries, refused = choose_entries(listed.entries, settings), listed.refused
    description = f"speech ({settings.source})"
    return record_corpus(out_folder, *build_index(entries, description, out_folder, refused), description)


def choose_entries(entries: list[Entry], settings: Caps) -> list[Entry]:
    """Cap speakers and utterances by keyed draws, so that the choice is always the same.

    Args:
        entries: of all speakers, in a fixed order.
        settings: the caps and the seed.

    Returns:
        The chosen entries, in the order given.

    Raises:
        CorpusError: there are fewer speakers than asked for.
    """
    speakers = sorted({entry.speaker_id for entry in entries})
    wanted = settings.n_speakers or len(speakers)
    if wanted > len(speakers):
        found = f"{len(speakers)} speakers"
        raise CorpusError(settings.origin, expected=f"n_speakers = {wanted}", found=found)
    chosen = set(_draw(speakers, wanted, settings.seed, "speakers"))
    kept = []
    for speaker in sorted(chosen):
        own = [entry for entry in entries if entry.speaker_id == speaker]
        kept += _draw(own, settings.n_utterances or len(own), settings.seed, f"utterances of {speaker}")
    order = {id(entry): position for position, entry in enumerate(entries)}
    return sorted(kept, key=lambda entry: order[id(entry)])


def _draw(items: list, count: int, seed: int, item: str) -> list:
    if count >= len(items):
        return list(items)
    order = keyed_generator(seed, "corpus-speech", item).permutation(len(items))
    return [items[position] for position in sorted(order[:count])]
