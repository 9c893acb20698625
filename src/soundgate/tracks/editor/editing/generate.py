"""Sound made of the reconstruction model's frames, in place of what the renderer plays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import soxr

from soundgate.audio.programme import full_scale
from soundgate.runtime.console import track
from soundgate.tracks.editor.edit_list import EditList
from soundgate.tracks.editor.features import Features
from soundgate.tracks.editor.rendering import Piece, as_type, pieces_of

# Makes a wave float32 [(F - 1) * hop_length] of frames float32 [F, n_mels].
Voice = Callable[[np.ndarray], np.ndarray]
GENERATED = ("EFFECT", "TRANSITION")
FADE_S = 0.01
_CONTEXT_FRAMES = 16
_WINDOW_FRAMES, _SHARED_FRAMES = 2_048, 16
_BLOCK = 2**20
# A channel is at most this much louder than the mix: channels of opposite sign have none.
_MAX_CHANNEL_GAIN = 4.0


def frames_of_edit(predicted: np.ndarray, edit: EditList, features: Features) -> np.ndarray:
    """Return the frames of what an edit list plays, made of those on the raw recording's timeline.

    Between two frames the levels lie on a straight line; both sides of a transition add up in power.

    Args:
        predicted: float32 [F, M] in [0, 1], on the raw timeline.
        edit: of the recording.
        features: their scale.

    Returns:
        float32 [F', M], frame ``f`` centred on the same time of the output.
    """
    step = _step(edit, features)
    out = np.zeros((1 + int(edit.output_samples / step), predicted.shape[1]), np.float32)
    for piece in pieces_of(edit):
        first, last = (int(np.ceil(edge / step)) for edge in (piece.position, piece.stop))
        last = max(min(last, len(out)), first)
        offsets = np.arange(first, last) * step - piece.position
        heard = [_between(predicted, (start + offsets) / step) for start, _ in piece.segment.spans]
        out[first:last] = heard[0] if len(heard) == 1 else _added(heard, features)
    # The last frame may lie on the very end.
    if len(out) > 1 and len(out) - 1 >= edit.output_samples / step:
        out[-1] = out[-2]
    return out


def generate_pieces(out: np.ndarray, wav: np.ndarray, edit: EditList, predicted: np.ndarray, features: Features,
                    voice: Voice) -> int:  # fmt: skip
    """Replace the effects and transitions of a rendered edit by generated sound, in place.

    Each is crossfaded to what was rendered over 10 ms inside its own ends, so that nothing outside it changes; its
    channels have the levels, relative to their mean, that they have in the raw recording.

    Args:
        out: [C, T'], what `render` played.
        wav: [C, T], the raw recording.
        edit: of it.
        predicted: float32 [F, M] on the raw timeline.
        features: its scale.
        voice: makes sound of frames.

    Returns:
        How many pieces were generated.
    """
    frames, step = frames_of_edit(predicted, edit, features), _step(edit, features)
    pieces = [piece for piece in pieces_of(edit) if piece.segment.label in GENERATED]
    for piece in track(pieces, "generating"):
        first = max(int(piece.position / step) - _CONTEXT_FRAMES, 0)
        last = min(int(np.ceil(piece.stop / step)) + _CONTEXT_FRAMES, len(frames) - 1)
        if last <= first:
            continue
        model_wave = spoken(voice, frames[first : last + 1], features)
        wave = soxr.resample(model_wave, features.settings.sample_rate, edit.sample_rate, quality="HQ")
        begin = piece.position - round(first * step)
        wave = np.pad(wave, (0, max(begin + piece.segment.length - len(wave), 0)))[begin:][: piece.segment.length]
        _replace(out, wave * channel_gains(wav, piece.segment.spans), piece, round(FADE_S * edit.sample_rate))
    return len(pieces)


def generate_all(out: np.ndarray, wav: np.ndarray, edit: EditList, predicted: np.ndarray, features: Features,
                 voice: Voice) -> None:  # fmt: skip
    """Fill an output with the sound of generated frames alone; arguments as `generate_pieces`'."""
    wave = spoken(voice, frames_of_edit(predicted, edit, features), features)
    gains = channel_gains(wav, [(0, wav.shape[1])])
    stream = soxr.ResampleStream(features.settings.sample_rate, edit.sample_rate, 1, "float32", quality="HQ")
    position = 0
    out[:] = 0
    for first in range(0, len(wave), _BLOCK):
        block = stream.resample_chunk(wave[first : first + _BLOCK, None], last=first + _BLOCK >= len(wave))[:, 0]
        block = block[: out.shape[1] - position]
        out[:, position : position + len(block)] = as_type(_scaled(block * gains, out.dtype), out.dtype)
        position += len(block)


def spoken(voice: Voice, frames: np.ndarray, features: Features) -> np.ndarray:
    """Make sound of any number of frames, in windows that are crossfaded over what they share.

    Args:
        voice: makes float32 [(F - 1) * hop_length] of [F, M].
        frames: float32 [F, M].
        features: their scale.

    Returns:
        float32 [(F - 1) * hop_length].
    """
    hop = features.settings.hop_length
    out = np.zeros(max(len(frames) - 1, 0) * hop, np.float32)
    starts = range(0, max(len(frames) - 1 - _SHARED_FRAMES, 1), _WINDOW_FRAMES - _SHARED_FRAMES)
    for start in starts:
        wave = np.array(voice(frames[start : start + _WINDOW_FRAMES + 1]), np.float32)
        if start:
            angle = (np.arange(_SHARED_FRAMES * hop) + 0.5) / (_SHARED_FRAMES * hop) * np.pi / 2
            shared = slice(start * hop, start * hop + len(angle))
            wave[: len(angle)] = np.cos(angle) * out[shared] + np.sin(angle) * wave[: len(angle)]
        out[start * hop : start * hop + len(wave)] = wave
    return out


def channel_gains(wav: np.ndarray, spans: list[tuple[int, int]]) -> np.ndarray:
    """Return each channel's RMS over that of the mean of the channels, [C, 1], over spans of samples."""
    own, mean = np.zeros(len(wav)), 0.0
    for block in _blocks(wav, spans):
        own += np.square(block).sum(axis=1)
        mean += float(np.square(block.mean(axis=0)).sum())
    ratio = np.sqrt(own / mean) if mean > 0 else np.ones(len(wav))
    return np.minimum(ratio, _MAX_CHANNEL_GAIN)[:, None]


def _step(edit: EditList, features: Features) -> float:
    """Return the samples of the recording from frame to frame."""
    return features.settings.hop_length * edit.sample_rate / features.settings.sample_rate


def _between(frames: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return frames at fractional places, on straight lines between neighbours."""
    places = np.clip(places, 0, len(frames) - 1)
    before = np.minimum(places.astype(np.int64), max(len(frames) - 2, 0))
    share = (places - before).astype(np.float32)[:, None]
    return frames[before] * (1 - share) + frames[np.minimum(before + 1, len(frames) - 1)] * share


def _added(heard: list[np.ndarray], features: Features) -> np.ndarray:
    """Return the frames of two sounds heard at once; what is at the floor adds nothing."""
    power = sum(np.where(unit > 0, 10 ** (features.to_db(unit) / 10), 0) for unit in heard)
    return features.from_db(10 * np.log10(np.maximum(power, 1e-13))).astype(np.float32)


def _replace(out: np.ndarray, wave: np.ndarray, piece: Piece, fade: int) -> None:
    """Put a wave [C, t] at full scale 1 in the place of a piece, faded in and out over what is there."""
    length = piece.segment.length
    rise = np.minimum(np.arange(length), np.arange(length)[::-1]) + 0.5
    angle = np.clip(rise / max(min(fade, length // 2), 1), 0, 1) * np.pi / 2
    there = out[:, piece.position : piece.stop]
    mixed = np.cos(angle) * there + np.sin(angle) * _scaled(wave, out.dtype)
    out[:, piece.position : piece.stop] = as_type(mixed, out.dtype)


def _scaled(wave: np.ndarray, dtype: np.dtype) -> np.ndarray:
    return wave * 2.0**31 if dtype.kind == "i" else wave


def _blocks(wav: np.ndarray, spans: list[tuple[int, int]]) -> Iterator[np.ndarray]:
    for start, stop in spans:
        for first, last in pairwise([*range(start, stop, _BLOCK), stop]):
            yield np.asarray(full_scale(wav[:, first:last]), np.float64)
