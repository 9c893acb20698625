"""What a value in a batch can be: audio, labels of speakers, numbers; and what it looks like in an error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

_FULL_SCALE = 2.0**15
# Entries of a batch that an error describes.
_SHOWN = 12


class Audio(NamedTuple):
    """Waveforms of one batch.

    Args:
        wav: float32 [B, T]; what lies behind an utterance's own samples is padding.
        lengths: int64 [B], samples of each utterance.
        flat: it came as a single [T], without a dimension for the batch.
    """

    wav: Tensor
    lengths: np.ndarray
    flat: bool = False


def audio_of(value: object) -> Audio | None:
    """Return a value as audio; None where it cannot be audio.

    Audio is float of any precision or int16 (whose full scale is taken off): a tensor or array [B, T], [B, 1, T] or
    [T], or a list of such, one for each utterance and of any lengths.
    """
    if isinstance(value, np.ndarray) and value.dtype.kind == "O":
        value = list(value) if value.ndim == 1 else None
    if isinstance(value, (list, tuple)):
        return _audio_of_list(value)
    if isinstance(value, np.ndarray) and value.dtype.kind in "fi":
        value = torch.from_numpy(np.array(value, value.dtype.newbyteorder("=")))
    if not isinstance(value, Tensor) or not (value.is_floating_point() or value.dtype == torch.int16):
        return None
    flat = value.ndim == 1
    if value.ndim == 3 and value.shape[1] == 1:
        value = value[:, 0]
    value = value[None] if flat else value
    if value.ndim != 2 or not value.numel():
        return None
    wav = value.detach().float()
    wav = wav / _FULL_SCALE if value.dtype == torch.int16 else wav
    return Audio(wav, np.full(len(wav), wav.shape[1]), flat)


def _audio_of_list(values: list | tuple) -> Audio | None:
    if values and all(isinstance(value, float) for value in values):
        return audio_of(np.array(values, np.float32))
    parts = [audio_of(value) for value in values]
    if not parts or any(part is None or len(part.wav) != 1 for part in parts):
        return None
    rows = [part.wav[0] for part in parts]
    return Audio(pad_sequence(rows, batch_first=True), np.array([len(row) for row in rows]))


def labels_of(value: object) -> np.ndarray | None:
    """Return a value as labels of speakers, int64 or str [B]; None where it cannot be labels.

    Labels are integers or text: one (of a batch of one), a list, a tensor or an array [B] or [B, 1].
    """
    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, (list, tuple)):
        value = [own.item() if isinstance(own, np.ndarray) and own.size == 1 else own for own in map(_array, value)]
        if not value or not all(_is_label(own) for own in value):
            return None
        value = np.array(value if len({isinstance(own, str) for own in value}) == 1 else [str(own) for own in value])
    elif _is_label(value):
        value = np.array([value])
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "iuUO":
        return None
    value = value[:, 0] if value.ndim == 2 and value.shape[1] == 1 else np.atleast_1d(value)
    if value.ndim != 1 or (value.dtype.kind == "O" and not all(_is_label(own) for own in value)):
        return None
    return value.astype(np.int64) if value.dtype.kind in "iu" else value.astype(str)


def numbers_of(value: object) -> np.ndarray | None:
    """Return a value as finite numbers, float64 [n] (one number: [1]); None where it cannot be numbers."""
    if isinstance(value, (list, tuple)):
        parts = [numbers_of(own) for own in value]
        if not parts or any(part is None or len(part) != 1 for part in parts):
            return None
        return np.concatenate(parts)
    found = np.asarray(_array(value))
    if found.dtype.kind not in "iuf" or found.size == 0:
        return None
    found = found.astype(np.float64).reshape(-1) if found.ndim < 2 or found.shape[1:] == (1,) else None
    return found if found is not None and np.isfinite(found).all() else None


def described(value: object) -> str:
    """Return types and shapes of a batch in words, for an error."""
    if isinstance(value, (Tensor, np.ndarray)):
        return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
    columns = named_columns(value)
    if columns is not None:
        shown = [f"{name!r}: {described(own)}" for name, own in list(columns.items())[:_SHOWN]]
        more = [f"{len(columns) - _SHOWN} more"] if len(columns) > _SHOWN else []
        return f"{type(value).__name__} of {', '.join(shown + more) or 'nothing'}"
    if isinstance(value, (list, tuple)):
        kinds = list(dict.fromkeys(described(own) for own in value[:_SHOWN]))
        if len(value) <= _SHOWN and len(kinds) > 1:
            return f"{type(value).__name__} of {', '.join(described(own) for own in value)}"
        return f"{type(value).__name__} of {len(value)} ({', '.join(kinds) or 'nothing'})"
    return type(value).__name__


def named_columns(value: object) -> dict[str | int, object] | None:
    """Return the entries of a mapping, a named tuple, a dataclass or another object by name; None of what has none."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return value._asdict()
    if isinstance(value, (Tensor, np.ndarray, np.generic, list, tuple, str, bytes, int, float, type(None))):
        return None
    return dict(vars(value)) if hasattr(value, "__dict__") else None


def _array(value: object) -> object:
    return value.detach().cpu().numpy() if isinstance(value, Tensor) else value


def _is_label(value: object) -> bool:
    return isinstance(value, (str, int, np.integer)) and not isinstance(value, bool)
