"""Results written in the format of their source, in every container that is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from soundgate.audio.encoded import CODINGS, OTHERS, check_writable, write_other
from soundgate.audio.exact import BITS, CONTAINERS, ExactAudio, write_exact
from soundgate.audio.programme import full_scale
from soundgate.audio.spooled import spooled
from soundgate.runtime.console import logger
from soundgate.runtime.paths import path_to_text
from soundgate.tracks.transfer.transferring.recordings import BLOCK

# The sample format of a lossy source in containers without floats.
_LOSSY_INTO = dict.fromkeys((".flac", ".avr", ".nist", ".paf", ".pvf", ".sph", ".voc"), "PCM_16")


def output_suffix(path: Path) -> str:
    """Return the extension of a file's result in a folder: its own where that is written, else ``.wav``."""
    return path.suffix if path.suffix.lower() in CONTAINERS | OTHERS | CODINGS else ".wav"


def sample_format(source: ExactAudio, out: Path) -> str:
    """Return the sample format to write: the source's own; of a lossy one FLOAT, in containers without floats 16 bit.

    Raises:
        AudioError: the container that the extension names does not hold it.
    """
    lossless = source.subtype in (*BITS, "FLOAT", "DOUBLE")
    subtype = source.subtype if lossless else _LOSSY_INTO.get(out.suffix.lower(), "FLOAT")
    check_writable(out, subtype, len(source.samples))
    return subtype


def write_result(out: Path, samples: np.ndarray, rate: int, subtype: str) -> None:
    """Write a result atomically.

    Args:
        out: the file.
        samples: [C, T], floats at full scale 1 or what the sample format holds.
        rate: Hz; a lossy container that does not hold it gets the next one.
        subtype: from `sample_format`.
    """
    audio = ExactAudio(_as_held(samples, subtype, out.parent), rate, subtype)
    if out.suffix.lower() not in CODINGS | OTHERS:
        write_exact(out, audio)
        return
    written = write_other(out, audio)
    if written != rate:
        text = "%s: written at %d Hz, as the format does not hold %d Hz"
        logger.warning(text, path_to_text(out), written, rate)


def _as_held(samples: np.ndarray, subtype: str, folder: Path) -> np.ndarray:
    """Return samples of the type that a sample format has: left-aligned int32, float32 or float64."""
    wanted = np.dtype("int32" if subtype in BITS else "float64" if subtype == "DOUBLE" else "float32")
    if samples.dtype == wanted:
        return samples
    held = spooled(samples.shape, wanted, folder)
    for first in range(0, samples.shape[1], BLOCK):
        block = full_scale(samples[:, first : first + BLOCK])
        if wanted.kind == "i":
            block = np.clip(np.rint(block.astype(np.float64) * 2.0**31), -(2**31), 2**31 - 1)
        held[:, first : first + BLOCK] = block
    return held
