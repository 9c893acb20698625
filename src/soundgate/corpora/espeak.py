"""espeak-ng: one text to samples, the same bytes for the same arguments whatever was spoken before."""

from __future__ import annotations

import _ctypes
import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import espeakng_loader
import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from soundgate.runtime.errors import CorpusError

SAMPLE_RATE = 22_050
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_RATE, _VOLUME, _PITCH, _PITCH_RANGE = 1, 2, 3, 4
_NO_CLIPPING_VOLUME = 70
_POSITION_CHARACTER = 1
_CHARS_UTF8 = 1
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)


class Voice(BaseModel):
    """How one speaker sounds.

    Args:
        voice: espeak-ng language and variant, ``"en-us+f3"``.
        pitch: base pitch, 0 to 99.
        pitch_range: liveliness of the pitch, 0 to 99.
        rate_wpm: words a minute, 80 to 450.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    voice: str = Field(pattern=r"^[\w-]+\+[\w-]+$")
    pitch: int = Field(ge=0, le=99)
    pitch_range: int = Field(ge=0, le=99)
    rate_wpm: int = Field(ge=80, le=450)


def synthesise(text: str, voice: Voice, seed: int) -> np.ndarray:
    """Speak a text.

    espeak-ng keeps oscillator phases and a random state between texts, and no call resets them all. The
    library is therefore loaded afresh for each text (about 5 ms) and its random numbers are seeded.

    Args:
        text: what to say.
        voice: who says it.
        seed: of the voice's noise components, non-negative.

    Returns:
        int16 samples [T] at 22,050 Hz.

    Raises:
        CorpusError: the voice does not exist, or espeak-ng fails or says nothing.
    """
    _check_variant(voice)
    with _fresh_library() as library:
        blocks: list[bytes] = []

        @_CALLBACK
        def collect(samples: int | None, count: int, _events: int | None) -> int:
            if samples and count > 0:
                blocks.append(ctypes.string_at(samples, 2 * count))
            return 0

        library.espeak_SetSynthCallback(collect)
        _check(library.espeak_SetVoiceByName(voice.voice.encode()), voice, "selecting the voice")
        values = {
            _RATE: voice.rate_wpm,
            _VOLUME: _NO_CLIPPING_VOLUME,
            _PITCH: voice.pitch,
            _PITCH_RANGE: voice.pitch_range,
        }
        for parameter, value in values.items():
            _check(library.espeak_SetParameter(parameter, value, 0), voice, f"parameter {parameter}")
        library.espeak_ng_SetRandSeed(ctypes.c_long(seed))
        encoded = text.encode()
        status = library.espeak_Synth(
            ctypes.c_char_p(encoded),
            ctypes.c_size_t(len(encoded) + 1),
            ctypes.c_uint(0),
            _POSITION_CHARACTER,
            ctypes.c_uint(0),
            ctypes.c_uint(_CHARS_UTF8),
            None,
            None,
        )
        _check(status, voice, "speaking")
        library.espeak_Synchronize()
    wav = np.frombuffer(b"".join(blocks), dtype=np.int16)
    if not wav.any():
        raise CorpusError(voice.voice, expected=f"speech for {text!r}", found="silence")
    return wav


@contextmanager
def _fresh_library() -> Iterator[ctypes.CDLL]:
    """Load espeak-ng, initialise it, and unload it again."""
    path = espeakng_loader.get_library_path()
    library = ctypes.CDLL(path, mode=ctypes.RTLD_LOCAL)
    try:
        rate = library.espeak_Initialize(_AUDIO_OUTPUT_SYNCHRONOUS, 0, espeakng_loader.get_data_path().encode(), 0)
        if rate != SAMPLE_RATE:
            raise CorpusError("espeak-ng", expected=f"{SAMPLE_RATE} Hz", found=f"{rate} Hz or an error")
        yield library
        library.espeak_Terminate()
    finally:
        _ctypes.dlclose(library._handle)
    if _is_loaded(path):
        raise CorpusError(
            "espeak-ng",
            expected="a library nothing else in this process uses",
            found="it stays loaded",
            remedy="Generate speech in a process of its own.",
        )


def _is_loaded(path: str) -> bool:
    try:
        handle = _ctypes.dlopen(str(path), os.RTLD_NOLOAD | os.RTLD_LAZY)
    except OSError:
        return False
    _ctypes.dlclose(handle)
    return True


def _check(status: int, voice: Voice, step: str) -> None:
    if status != 0:
        raise CorpusError(voice.voice, expected="a voice of espeak-ng", found=f"error {status} while {step}")


def _check_variant(voice: Voice) -> None:
    """Refuse an unknown variant, which espeak-ng itself replaces by the plain voice without a word."""
    variant = voice.voice.partition("+")[2]
    if not Path(espeakng_loader.get_data_path(), "voices", "!v", variant).is_file():
        raise CorpusError(voice.voice, expected="a variant of espeak-ng", found=f"no variant {variant!r}")
