"""What an edit writes: the sound in its own format, the edit list, the labels, the picture, the explanation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from soundgate.audio.encoded import CODINGS, OTHERS, check_writable, write_other
from soundgate.audio.exact import BITS, ExactAudio, write_exact
from soundgate.audio.programme import programme_loudness_lufs, true_peak
from soundgate.audio.spooled import spooled
from soundgate.runtime.console import logger
from soundgate.runtime.errors import AudioError
from soundgate.runtime.files import write_text
from soundgate.tracks.editor.edit_list import EditList, Segment, write_edit_list
from soundgate.tracks.editor.editing.inputs import Recording
from soundgate.tracks.editor.editing.pipeline import Decision
from soundgate.tracks.editor.exports.audacity import write_audacity
from soundgate.tracks.editor.vocabulary import Label

PEAK_LIMIT_DBTP = -1.0
# The sample format of a lossy recording in containers without floats.
_LOSSY_INTO = dict.fromkeys((".flac", ".avr", ".nist", ".paf", ".pvf", ".sph", ".voc"), "PCM_16")
_OF_32_BITS = (".wav", ".wave", ".aiff", ".aif", ".aifc", ".au", ".snd")
_BYTES = {"PCM_S8": 1, "PCM_U8": 1, "PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8}
_MOST_BYTES = 2**32 - 2**16
_BLOCK = 2**20


@dataclass(frozen=True)
class Outputs:
    """Where an edit's files lie: beside the sound, with its stem.

    Args:
        sound: the audio file.
    """

    sound: Path

    def beside(self, ending: str) -> Path:
        """Return ``<stem><ending>`` beside the sound."""
        return self.sound.with_name(self.sound.stem + ending)


def output_format(recording: ExactAudio, out: Path) -> str:
    """Return the sample format an edit is written in: the recording's own.

    A lossy recording's is FLOAT, in containers without floats 16 bit. A lossy container codes what is in it.

    Raises:
        AudioError: the container that the extension names does not hold it.
    """
    lossless = recording.subtype in (*BITS, "FLOAT", "DOUBLE")
    subtype = recording.subtype if lossless else _LOSSY_INTO.get(out.suffix.lower(), "FLOAT")
    check_writable(out, subtype, len(recording.samples))
    return subtype


def check_size(out: Path, recording: ExactAudio, edit: EditList, subtype: str) -> None:
    """Check that a container whose header counts 32 bits holds an edit.

    Raises:
        AudioError: it does not.
    """
    size = edit.output_samples * len(recording.samples) * _BYTES.get(subtype, 4)
    if out.suffix.lower() in _OF_32_BITS and size > _MOST_BYTES:
        expected = f"at most 4 GiB in {out.suffix}: .w64, .rf64 and .caf hold more"
        raise AudioError(out, expected=expected, found=f"{size / 2**30:.1f} GiB")


def write_sound(path: Path, samples: np.ndarray, sample_rate: int, subtype: str) -> None:
    """Write an edit atomically.

    Floats are rounded and limited where the format is of integers; a lossy container that does not hold the rate gets
    the next one.
    """
    if subtype in BITS and samples.dtype.kind == "f":
        scaled = spooled(samples.shape, np.dtype(np.int32), path.parent)
        for first in range(0, samples.shape[1], _BLOCK):
            block = samples[:, first : first + _BLOCK].astype(np.float64) * 2.0**31
            scaled[:, first : first + _BLOCK] = np.clip(np.rint(block), -(2**31), 2**31 - 1)
        samples = scaled
    audio = ExactAudio(samples, sample_rate, subtype)
    if path.suffix.lower() not in CODINGS | OTHERS:
        write_exact(path, audio)
        return
    rate = write_other(path, audio)
    if rate != sample_rate:
        logger.warning("%s: written at %d Hz, as the format does not hold %d Hz", path, rate, sample_rate)


def normalise(samples: np.ndarray, sample_rate: int, target_lufs: float) -> None:
    """Scale an edit to a loudness, in place; less where its true peak would pass -1 dBTP, and never silence.

    Source: EBU R 128 (2023) for the limit.
    """
    loudness = programme_loudness_lufs(samples, sample_rate)
    if loudness is None:
        logger.warning("Too quiet or too short to have a loudness: nothing is scaled")
        return
    gain_db = target_lufs - loudness
    room_db = PEAK_LIMIT_DBTP - 20 * np.log10(true_peak(samples, sample_rate))
    if gain_db > room_db:
        reached = loudness + room_db
        logger.warning(
            "%.1f LUFS would clip: the gain is %.2f dB instead of %.2f, which makes %.1f LUFS with peaks at %g dBTP",
            target_lufs, room_db, gain_db, reached, PEAK_LIMIT_DBTP,
        )  # fmt: skip
        gain_db = room_db
    logger.info("Loudness: %.1f LUFS before, a gain of %.2f dB", loudness, gain_db)
    gain, whole = 10 ** (gain_db / 20), samples.dtype.kind == "i"
    for first in range(0, samples.shape[1], _BLOCK):
        block = samples[:, first : first + _BLOCK] * gain
        samples[:, first : first + _BLOCK] = np.rint(block) if whole else block


def explanation(decision: Decision) -> pd.DataFrame:
    """Return what is done with each beat, and why.

    Returns:
        ``beat``, ``start_s``, ``stop_s``, ``label``, ``probability``, ``second``, ``second_probability`` (nan and
        empty where the labels were given), ``rule``, which decided (empty where none did), and ``done``, in words.
    """
    rate, labels = decision.edit.sample_rate, decision.labels
    spans, chances = decision.grid.spans, decision.probabilities
    n_beats = len(labels)
    table = pd.DataFrame({"beat": np.arange(n_beats), "start_s": spans[:, 0] / rate, "stop_s": spans[:, 1] / rate})
    table["label"] = [Label(label).name for label in labels]
    table["probability"], table["second"], table["second_probability"] = np.nan, "", np.nan
    if chances is not None:
        rows = np.arange(n_beats)
        others = np.where(np.arange(chances.shape[1]) == labels[:, None], -1, chances)
        second = others.argmax(axis=1)
        table["probability"], table["second_probability"] = chances[rows, labels], chances[rows, second]
        table["second"] = [Label(label).name for label in second]
    table["rule"] = "" if decision.rules is None else decision.rules
    table["done"] = _done(decision.edit, spans)
    return table


def show_explanation(table: pd.DataFrame) -> None:
    """Print an explanation as a table to standard output."""
    shown = Table("beat", "from s", "to s", "label", "p", "second", "p", "what is done")
    for row in table.itertuples():
        first, second = (f"{p:.2f}" if np.isfinite(p) else "" for p in (row.probability, row.second_probability))
        times = f"{row.start_s:.3f}", f"{row.stop_s:.3f}"
        done = f"{row.done} ({row.rule})" if row.rule else row.done
        shown.add_row(str(row.beat), *times, row.label, first, row.second, second, done)
    Console().print(shown)


def write_lists(outputs: Outputs, decision: Decision, table: pd.DataFrame | None) -> None:
    """Write ``<stem>.edit.json``, ``<stem>.labels.txt`` and, where there is one, the explanation as CSV."""
    write_edit_list(outputs.beside(".edit.json"), decision.edit)
    write_audacity(outputs.beside(".labels.txt"), decision.edit)
    if table is not None:
        text = table.to_csv(index=False, float_format="%.6f", lineterminator="\n")
        write_text(outputs.beside(".explain.csv"), text)


def check_output(source: Path, out: Path, recording: Recording) -> str:
    """Return the sample format to write.

    Raises:
        AudioError: the output is the input, a folder, or of no container that holds the format.
    """
    if out.is_dir() or (out.exists() and out.samefile(source)):
        raise AudioError(out, expected="a file other than the input", found="a folder" if out.is_dir() else "the input")
    return output_format(recording.audio, out)


def _done(edit: EditList, spans: np.ndarray) -> list[str]:
    """Say in words what happens to each span: by the segment that takes most of it."""
    words, most = np.full(len(spans), "is left out", object), np.zeros(len(spans))
    for number, segment in enumerate(edit.segments):
        for side, (start, stop) in enumerate(segment.spans):
            overlap = np.minimum(spans[:, 1], stop) - np.maximum(spans[:, 0], start)
            own = overlap > most
            words[own], most[own] = _words(number, segment, side), overlap[own]
    return words.tolist()


def _words(number: int, segment: Segment, side: int) -> str:
    match segment.label:
        case "KEEP":
            return "is played as it is"
        case "LOOP":
            return f"is played {segment.repeats} times (segment {number})"
        case "FADE_IN" | "FADE_OUT":
            return "fades in" if segment.label == "FADE_IN" else "fades out"
        case "TRANSITION":
            return f"fades {'in' if side else 'out'} across the other side (segment {number})"
    parts = [f"level {20 * np.log10(max(segment.gain[0][1], 1e-5)):+.1f} dB"] if segment.gain else []
    tone = segment.tone.model_dump() if segment.tone else {}
    parts += [f"{name.removesuffix('_db')} {value:+.1f} dB" for name, value in tone.items() if value]
    return ", ".join(parts) or "is played as it is"
