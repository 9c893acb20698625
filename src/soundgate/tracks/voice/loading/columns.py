"""Which entries of a batch hold audio, speakers, lengths and sample rates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from torch import Tensor

from soundgate.tracks.voice.loading.kinds import Audio, audio_of, labels_of, named_columns, numbers_of

WAV, SPEAKER, LENGTHS, RATE = "wav", "speaker", "lengths", "sample_rate"
# What entries are called, the likelier first; case does not matter.
NAMES = {
    WAV: (
        "wav", "wavs", "waveform", "waveforms", "audio", "audios", "input_values", "signal", "signals", "speech",
        "samples",
    ),
    SPEAKER: (
        "speaker", "speakers", "speaker_id", "speaker_ids", "spk", "spks", "spk_id", "spk_ids", "speaker_idx",
        "speaker_label", "speaker_labels", "label", "labels",
    ),
    LENGTHS: (
        "lengths", "length", "wav_lengths", "wav_length", "wav_lens", "wav_len", "lens", "input_lengths", "n_samples",
        "num_samples", "attention_mask",
    ),
    RATE: ("sample_rate", "sample_rates", "sampling_rate", "sampling_rates", "sr"),
}  # fmt: skip
# What is never taken for speakers because nothing else is left.
_OTHERS = ("text", "texts", "transcript", "transcripts", "sentence", "id", "ids", "utterance", "path", "paths", "file")
# Hz; an entry without a name that is one of them throughout says the sample rate.
_COMMON_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000)


class Misread(Exception):
    """A batch that is not understood.

    Args:
        expected: what would have been right.
    """

    def __init__(self, expected: str) -> None:
        super().__init__(expected)
        self.expected = expected


class Contents(NamedTuple):
    """What a batch holds.

    Args:
        audio: see `Audio`; its lengths are those that the batch says.
        speakers: int64 or str [B].
        rates: Hz, int64 [B]; None: the batch does not say.
        keys: by kind, the entry that it was found in.
    """

    audio: Audio
    speakers: np.ndarray
    rates: np.ndarray | None
    keys: dict[str, str | int]


def columns_of(batch: object) -> dict[str | int, object]:
    """Return a batch's entries by name or, of a tuple or list, by position; a list of items is turned round."""
    if isinstance(batch, (Tensor, np.ndarray)):
        return {0: batch}
    columns = named_columns(batch)
    if columns is None and isinstance(batch, (list, tuple)):
        columns = _of_items(batch) or dict(enumerate(batch))
    unfolded = {}
    for key, value in (columns or {}).items():
        decoded = value if isinstance(value, Mapping) else _of_items(value) if isinstance(value, list) else None
        if decoded and "array" in decoded:  # An audio column of the package `datasets`.
            unfolded[key] = decoded["array"]
            unfolded |= {RATE: decoded["sampling_rate"]} if "sampling_rate" in decoded else {}
        else:
            unfolded[key] = value
    return unfolded


def contents_of(columns: Mapping[str | int, object], fields: Mapping[str, str | int]) -> Contents:
    """Find what a batch holds: as told, else by the names of its entries, else by their types and shapes.

    Args:
        columns: see `columns_of`.
        fields: by kind (``wav``, ``speaker``, ``lengths``, ``sample_rate``), the name or position of its entry.

    Raises:
        Misread: something is missing, has another shape or could be several things.
    """
    keys = {kind: key for kind in NAMES if (key := _key_of(columns, kind, fields)) is not None}
    keys[WAV] = _wav_key(columns, keys, told=WAV in fields)
    audio = audio_of(columns[keys[WAV]])
    keys |= _by_look(columns, keys, audio.wav.shape)
    if SPEAKER not in keys:
        raise Misread("speakers of the utterances, as text or integers [B]")
    speakers = labels_of(columns[keys[SPEAKER]])
    if speakers is None or len(speakers) != len(audio.wav):
        raise Misread(f"text or integers [{len(audio.wav)}] as speakers in {keys[SPEAKER]!r}")
    if LENGTHS in keys and not isinstance(columns[keys[WAV]], (list, tuple)):
        audio = audio._replace(lengths=_lengths(columns[keys[LENGTHS]], audio, keys[LENGTHS]))
    rates = _rates(columns[keys[RATE]], len(speakers), keys[RATE]) if RATE in keys else None
    return Contents(audio, speakers, rates, keys)


def _of_items(values: list | tuple) -> dict[str | int, list] | None:
    """Return the columns of a list of items, each of which has all of its own; None where it is no such list."""
    if not values or not all(map(_is_item, values)):
        return None
    rows = [named_columns(value) or dict(enumerate(value)) for value in values]
    return {key: [row.get(key) for row in rows] for key in rows[0]}


def _is_item(value: object) -> bool:
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        one = [own for own in value if not isinstance(own, (list, tuple)) and labels_of(own) is not None]
        return any(audio_of(own) is not None for own in value) and bool(one)
    return bool(named_columns(value))


def _key_of(columns: Mapping[str | int, object], kind: str, fields: Mapping[str, str | int]) -> str | int | None:
    """Return the entry of a kind by what was told or by its name; of audio, the first that is audio."""
    if kind in fields:
        if fields[kind] not in columns:
            raise Misread(f"an entry {fields[kind]!r}, which was given as {kind}")
        return fields[kind]
    called = {str(key).lower(): key for key in columns}
    found = [called[name] for name in NAMES[kind] if name in called]
    return next((key for key in found if kind != WAV or audio_of(columns[key]) is not None), None)


def _wav_key(columns: Mapping[str | int, object], keys: Mapping[str, str | int], *, told: bool) -> str | int:
    """Return the entry that holds audio.

    Raises:
        Misread: none does, or several may.
    """
    expected = "audio, float [B, T] or [B, 1, T] or a list of [T]"
    if told and audio_of(columns[keys[WAV]]) is None:
        raise Misread(f"{expected}, in {keys[WAV]!r}")
    if WAV in keys:
        return keys[WAV]
    found = {key: audio for key in _rest(columns, keys) if (audio := audio_of(columns[key])) is not None}
    batched = [key for key, audio in found.items() if not audio.flat] or list(found)
    if len(batched) != 1:
        raise Misread(f"{expected}, in one entry" + (f" (not {batched} alike)" if batched else ""))
    return batched[0]


def _by_look(
    columns: Mapping[str | int, object], keys: Mapping[str, str | int], shape: tuple[int, int]
) -> dict[str, str | int]:
    """Return the entries that have no name, by their values: sample rates, lengths, and speakers where one is left.

    Raises:
        Misread: several may be the speakers, or one may be two things.
    """
    left = [
        key
        for key in _rest(columns, keys)
        if isinstance(key, int) or (SPEAKER not in keys and str(key).lower() not in _OTHERS)
    ]
    labels = {key: own for key in left if (own := labels_of(columns[key])) is not None}
    looks = {key: _looks(own, shape) for key, own in labels.items()}
    if unclear := [key for key, own in looks.items() if len(own) > 1]:
        raise Misread(f"either the sample rate or lengths, told by fields, in {unclear[0]!r}")
    found = {}
    for kind in (RATE, LENGTHS):
        alike = [key for key, own in looks.items() if own == [kind]]
        if len(alike) == 1 and kind not in keys:
            found[kind] = alike[0]
    speakers = [key for key, own in looks.items() if not own and len(labels[key]) == shape[0]]
    if SPEAKER not in keys and len(speakers) > 1:
        raise Misread(f"speakers in one entry (not {speakers} alike)")
    return found | ({SPEAKER: speakers[0]} if SPEAKER not in keys and speakers else {})


def _looks(labels: np.ndarray, shape: tuple[int, int]) -> list[str]:
    """Return what integers may be beside labels."""
    if labels.dtype.kind != "i":
        return []
    is_kind = {
        RATE: len(set(labels)) == 1 and labels[0] in _COMMON_RATES,
        LENGTHS: len(labels) == shape[0] and labels.min() >= 1 and labels.max() == shape[1],
    }
    return [kind for kind, true in is_kind.items() if true]


def _lengths(value: object, audio: Audio, key: str | int) -> np.ndarray:
    """Return int64 [B] of lengths in samples, shares of the longest, or a mask [B, T].

    Raises:
        Misread: they are none of these, or lie outside the audio.
    """
    size, longest = audio.wav.shape
    mask = np.asarray(value.detach().cpu() if isinstance(value, Tensor) else value)
    numbers = numbers_of(value)
    if mask.shape == (size, longest) and longest > 1:
        numbers = mask.astype(bool).sum(axis=1)
        if not np.array_equal(mask.astype(bool), np.arange(longest) < numbers[:, None]):
            numbers = None
    elif numbers is not None and (numbers <= 1).all():
        numbers = np.rint(numbers * longest)
    if numbers is None or len(numbers) != size or (numbers != np.rint(numbers)).any():
        raise Misread(f"lengths in samples, as shares of the longest, or a mask from the left, of {size}, in {key!r}")
    if numbers.min() < 1 or numbers.max() > longest:
        raise Misread(f"lengths from 1 to {longest} in {key!r} (not {numbers.min():g} to {numbers.max():g})")
    return numbers.astype(np.int64)


def _rates(value: object, size: int, key: str | int) -> np.ndarray:
    rates = numbers_of(value)
    if rates is None or len(rates) not in (1, size) or rates.min() < 1 or (rates != np.rint(rates)).any():
        raise Misread(f"one sample rate in Hz, or {size}, in {key!r}")
    return np.broadcast_to(rates.astype(np.int64), (size,))


def _rest(columns: Mapping[str | int, object], keys: Mapping[str, str | int]) -> Iterable[str | int]:
    taken = set(keys.values())
    return [key for key in columns if key not in taken]
