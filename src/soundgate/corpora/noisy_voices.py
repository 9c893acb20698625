"""Voices made on the spot, with the hum and hiss of a plain recording, and the clean truth beside them."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from soundgate.audio.io import write_audio
from soundgate.audio.noise import coloured_noise, mains_hum
from soundgate.audio.snr import mix_at_snr
from soundgate.corpora.espeak import SAMPLE_RATE
from soundgate.corpora.generated_speech import SpeakerVoice, SpeechSource, read_source, utterance
from soundgate.corpora.index import Entry
from soundgate.corpora.source_list import read_source_list
from soundgate.runtime.errors import ConfigError
from soundgate.runtime.execution import map_items
from soundgate.runtime.files import write_text
from soundgate.runtime.randomness import keyed_generator, keyed_seed

STAGE = "corpus-voices"
AUDIO_FOLDER = "audio"
CLEAN_FOLDER = "clean"
PEAK = 0.99
_COLUMNS = ["utt_id", "sex", "noise_snr_db", "hum_share", "mains_hz", "hiss"]


class VoiceSource(BaseModel):
    """The source list of generated voices; see ``sources/generated_voices.yaml``.

    Args:
        speech: the source list of generated speech, relative to this one.
        silence_s: range of the silence before, and of that after an utterance.
        clean_share: share of the utterances to which no noise is added.
        noise_snr_db: range of the signal-to-noise ratio over active frames.
        hum_share: range of the hum's share of the noise power.
        mains_hz: the fundamentals drawn from.
        hiss: the noise colours drawn from.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    speech: str = Field(min_length=1)
    silence_s: tuple[float, float]
    clean_share: float = Field(ge=0, le=1)
    noise_snr_db: tuple[float, float]
    hum_share: tuple[float, float]
    mains_hz: list[Literal[50, 60]] = Field(min_length=1)
    hiss: list[Literal["white", "pink"]] = Field(min_length=1)

    @model_validator(mode="after")
    def _ranges(self) -> VoiceSource:
        limits = {"silence_s": (0, 10), "noise_snr_db": (-20, 80), "hum_share": (0, 1)}
        for name, (least, most) in limits.items():
            low, high = getattr(self, name)
            if not least <= low <= high <= most:
                raise ValueError(f"{name}: {low:g} to {high:g} is not a range within {least} to {most}")
        return self


class VoiceTruth(NamedTuple):
    """What is known of a voice file.

    Args:
        clean_path: the file without noise; None where there is none.
        noise_snr_db: of the noise that was added; NaN where none was, or where it is not known.
    """

    clean_path: Path | None
    noise_snr_db: float


@dataclass(frozen=True)
class _Recording:
    """The work of one item: one utterance."""

    folder: Path
    voice: SpeakerVoice
    utt_id: str
    source: VoiceSource
    speech: SpeechSource
    seed: int


def read_voice_source(path: str | Path) -> tuple[VoiceSource, SpeechSource]:
    """Read the source list of generated voices, and that of the speech it names.

    Args:
        path: a YAML file.

    Raises:
        ConfigError: a file is missing, or a key is missing, unknown or out of range.
    """
    source = read_source_list(path, VoiceSource, "generated voices")
    return source, read_source(Path(path).parent / source.speech)


def generate_voices(
    folder: str | Path, source_list: str | Path, seed: int, n_speakers: int, n_utterances: int
) -> tuple[list[Entry], dict[Path, VoiceTruth]]:
    """Speak a corpus into a folder and add noise to most of it.

    Files are 24-bit FLAC at 22,050 Hz: ``audio/<speaker>/<speaker>-NNNN.flac``, and under ``clean`` the same
    without noise, at the same level, where noise was added. What was added stands in ``noise.csv``. An
    utterance depends on the source lists, the seed and its own name alone.

    Args:
        folder: what to write into.
        source_list: see `VoiceSource`.
        seed: of every draw.
        n_speakers: how many of the listed voices.
        n_utterances: of each speaker.

    Returns:
        One entry for each utterance, and what is known of each file.

    Raises:
        ConfigError: a source list is wrong or has too few voices.
        CorpusError: espeak-ng does not know a voice.
    """
    source, speech = read_voice_source(source_list)
    if not 1 <= n_speakers <= len(speech.voices):
        expected = f"1 to {len(speech.voices)}, the voices in {source.speech}"
        raise ConfigError("n_speakers", expected=expected, found=str(n_speakers))
    root = Path(folder).absolute()
    items = [
        _Recording(root, voice, f"{voice.speaker}-{number:04d}", source, speech, seed)
        for voice in speech.voices[:n_speakers]
        for number in range(n_utterances)
    ]
    entries, truth, rows = [], {}, []
    for item, (path, known, row) in zip(items, map_items(_record, items, "recording voices"), strict=True):
        entries.append(Entry(item.utt_id, str(item.voice.speaker), path))
        truth[path] = known
        rows.append(row)
    table = io.StringIO()
    writer = csv.DictWriter(table, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(root / "noise.csv", table.getvalue())
    return entries, truth


def _record(item: _Recording) -> tuple[Path, VoiceTruth, dict]:
    source, generator = item.source, keyed_generator(item.seed, STAGE, item.utt_id)
    _, spoken = utterance(item.speech, item.voice, item.seed, item.utt_id)
    silence = [round(second * SAMPLE_RATE) for second in generator.uniform(*source.silence_s, size=2)]
    clean = np.pad(spoken.astype(np.float32) / 32768, silence)
    name = Path(str(item.voice.speaker), f"{item.utt_id}.flac")
    path, clean_path = item.folder / AUDIO_FOLDER / name, item.folder / CLEAN_FOLDER / name
    row = {"utt_id": item.utt_id, "sex": item.voice.sex}
    if generator.uniform() < source.clean_share:
        write_audio(path, clean, SAMPLE_RATE, "PCM_24")
        return path, VoiceTruth(path, math.nan), row
    drawn = {
        "noise_snr_db": float(generator.uniform(*source.noise_snr_db)),
        "hum_share": float(generator.uniform(*source.hum_share)),
        "mains_hz": source.mains_hz[generator.integers(len(source.mains_hz))],
        "hiss": source.hiss[generator.integers(len(source.hiss))],
    }
    seeds = [keyed_seed(item.seed, STAGE, f"{item.utt_id} {kind}") for kind in ("hum", "hiss")]
    hum = mains_hum(drawn["mains_hz"], len(clean), SAMPLE_RATE, seeds[0])
    hiss = coloured_noise(drawn["hiss"], len(clean), SAMPLE_RATE, seeds[1])
    noise = (math.sqrt(drawn["hum_share"]) * hum + math.sqrt(1 - drawn["hum_share"]) * hiss).astype(np.float32)
    noisy, _ = mix_at_snr(clean, noise, drawn["noise_snr_db"], SAMPLE_RATE, len(clean))
    level = min(1.0, PEAK / float(np.abs(noisy).max()))
    for target, wav in ((path, noisy), (clean_path, clean)):
        write_audio(target, level * wav, SAMPLE_RATE, "PCM_24")
    return path, VoiceTruth(clean_path, drawn["noise_snr_db"]), row | drawn
