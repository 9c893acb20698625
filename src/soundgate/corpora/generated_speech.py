"""Speech made on the spot: espeak-ng voices saying sentences from a grammar, in LibriSpeech's layout."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from soundgate.audio.io import write_audio
from soundgate.corpora.espeak import SAMPLE_RATE, Voice, synthesise
from soundgate.corpora.index import Entry
from soundgate.corpora.sentences import Grammar, transcript
from soundgate.corpora.source_list import read_source_list
from soundgate.runtime.errors import ConfigError
from soundgate.runtime.execution import map_items
from soundgate.runtime.files import write_text
from soundgate.runtime.randomness import keyed_generator, keyed_seed

STAGE = "corpus-speech"


class SpeakerVoice(Voice):
    """A row of the voice table.

    Args:
        speaker: the speaker's number.
        sex: of the voice, ``F`` or ``M``.
    """

    speaker: int = Field(ge=1)
    sex: Literal["F", "M"]


class Jitter(BaseModel):
    """By how much an utterance's voice may differ from its speaker's, either way."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pitch: int = Field(ge=0, le=20)
    rate_wpm: int = Field(ge=0, le=50)


class SpeechSource(BaseModel):
    """The source list of generated speech; see ``sources/generated_speech.yaml``.

    Args:
        utterances_per_chapter: files in one chapter folder.
        sentences_per_utterance: fewest and most.
        jitter: of the voice from one utterance to the next.
        templates: of the grammar.
        words: of the grammar.
        voices: the speakers, in the order in which they are taken.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    utterances_per_chapter: int = Field(ge=1)
    sentences_per_utterance: tuple[int, int]
    jitter: Jitter
    templates: list[str]
    words: dict[str, list[str]]
    voices: list[SpeakerVoice] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> SpeechSource:
        fewest, most = self.sentences_per_utterance
        if not 1 <= fewest <= most:
            raise ValueError(f"sentences_per_utterance: {fewest} to {most} is not a range from at least 1")
        if len({voice.speaker for voice in self.voices}) < len(self.voices):
            raise ValueError("voices: speakers repeat")
        Grammar(templates=self.templates, words=self.words)
        return self


@dataclass(frozen=True)
class _Chapter:
    """The work of one item: a chapter's utterances, all by one speaker."""

    folder: Path
    voice: SpeakerVoice
    utt_ids: list[str]
    source: SpeechSource
    seed: int


def read_source(path: str | Path) -> SpeechSource:
    """Read the source list of generated speech.

    Args:
        path: a YAML file.

    Raises:
        ConfigError: the file is missing, or a key is missing, unknown or out of range.
    """
    return read_source_list(path, SpeechSource, "generated speech")


def generate_speech(
    folder: str | Path, source_list: str | Path, seed: int, n_speakers: int, n_utterances: int
) -> list[Entry]:
    """Speak a corpus into a folder.

    Files are 16-bit FLAC at 22,050 Hz, ``<speaker>/<chapter>/<speaker>-<chapter>-NNNN.flac``, with one
    ``<speaker>-<chapter>.trans.txt`` a chapter, and the voices' parameters in ``speakers.csv``. An utterance
    depends on the source list, the seed and its own name alone, not on how many others there are.

    Args:
        folder: what to write into.
        source_list: voices and grammar, see `SpeechSource`.
        seed: of every draw.
        n_speakers: how many of the listed voices.
        n_utterances: of each speaker, at most 10,000 a chapter and 99 chapters.

    Returns:
        One entry for each utterance.

    Raises:
        ConfigError: the source list is wrong or has too few voices.
        CorpusError: espeak-ng does not know a voice.
    """
    source = read_source(source_list)
    if not 1 <= n_speakers <= len(source.voices):
        expected = f"1 to {len(source.voices)}, the voices in {source_list}"
        raise ConfigError("n_speakers", expected=expected, found=str(n_speakers))
    voices, root = source.voices[:n_speakers], Path(folder).absolute()
    chapters = [chapter for voice in voices for chapter in _chapters(root, voice, source, seed, n_utterances)]
    written = [entry for entries in map_items(_speak_chapter, chapters, "speaking") for entry in entries]
    write_text(root / "speakers.csv", _speaker_table(voices))
    return written


def _chapters(folder: Path, voice: SpeakerVoice, source: SpeechSource, seed: int, n_utterances: int) -> list[_Chapter]:
    chapters = []
    for number, first in enumerate(range(0, n_utterances, source.utterances_per_chapter)):
        name = f"{voice.speaker}{number:02d}"
        count = min(source.utterances_per_chapter, n_utterances - first)
        utt_ids = [f"{voice.speaker}-{name}-{position:04d}" for position in range(count)]
        chapters.append(_Chapter(folder / str(voice.speaker) / name, voice, utt_ids, source, seed))
    return chapters


def _speak_chapter(chapter: _Chapter) -> list[Entry]:
    speaker, entries, lines = str(chapter.voice.speaker), [], []
    for utt_id in chapter.utt_ids:
        text, wav = utterance(chapter.source, chapter.voice, chapter.seed, utt_id)
        path = chapter.folder / f"{utt_id}.flac"
        write_audio(path, wav.astype(np.float32) / 32768, SAMPLE_RATE)
        entries.append(Entry(utt_id, speaker, path))
        lines.append(f"{utt_id} {transcript(text)}\n")
    write_text(chapter.folder / f"{speaker}-{chapter.folder.name}.trans.txt", "".join(lines))
    return entries


def utterance(source: SpeechSource, voice: SpeakerVoice, seed: int, utt_id: str) -> tuple[str, np.ndarray]:
    """Draw and speak one utterance.

    Args:
        source: grammar and jitter.
        voice: the speaker.
        seed: of the draws.
        utt_id: keys the draws.

    Returns:
        The text, and int16 samples [T] at 22,050 Hz.
    """
    generator = keyed_generator(seed, STAGE, utt_id)
    fewest, most = source.sentences_per_utterance
    grammar = Grammar(templates=source.templates, words=source.words)
    text = " ".join(grammar.sentence(generator) for _ in range(generator.integers(fewest, most + 1)))
    jitter = source.jitter
    own = Voice(
        voice=voice.voice,
        pitch=int(np.clip(voice.pitch + generator.integers(-jitter.pitch, jitter.pitch + 1), 0, 99)),
        pitch_range=voice.pitch_range,
        rate_wpm=voice.rate_wpm + int(generator.integers(-jitter.rate_wpm, jitter.rate_wpm + 1)),
    )
    return text, synthesise(text, own, keyed_seed(seed, STAGE, utt_id))


def _speaker_table(voices: list[SpeakerVoice]) -> str:
    table = io.StringIO()
    columns = ["speaker", "sex", "voice", "pitch", "pitch_range", "rate_wpm"]
    writer = csv.DictWriter(table, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(voice.model_dump() for voice in voices)
    return table.getvalue().replace("speaker,", "speaker_id,", 1)
