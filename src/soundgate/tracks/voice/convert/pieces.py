"""A recording cut at its pauses, and its converted pieces joined so that no cut is heard."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from soundgate.tracks.voice.convert.reading import Reader

# Of a step of levels; over so many the quietest place is looked for.
STEP_S, _QUIET_STEPS = 0.01, 10
_SHORTEST_S, _LONGEST_S, _LAST_S = 8.0, 20.0, 1.0
# To either side of a piece so much is converted and dropped; half of the fade lies on either side of a cut.
_MARGIN_S, _FADE_S = 0.25, 0.02
_BLOCK_S = 20
# Pieces further below the loudest tell nothing of a voice.
_HEARD_DB = -25.0


class Piece(NamedTuple):
    """A part of a recording, from a sample to a sample."""

    start: int
    stop: int


def step_powers(read: Reader, n_samples: int, rate: int) -> np.ndarray:
    """Return the mean square of every 10 ms, float64 [n]; what is left at the end belongs to the last.

    Args:
        read: of the recording.
        n_samples: in all.
        rate: Hz.
    """
    step, block = round(STEP_S * rate), _BLOCK_S * rate
    powers = []
    for first in range(0, n_samples, block):
        wav = read(first, min(first + block, n_samples))
        starts = np.arange(0, max(len(wav) - step + 1, 1), step)
        powers.append(np.add.reduceat(np.square(wav, dtype=np.float64), starts) / step)
    return np.concatenate(powers) if powers else np.zeros(0)


def cut_at_pauses(powers: np.ndarray, n_samples: int, rate: int) -> list[Piece]:
    """Cut a recording into pieces of 8 to 20 s, each cut at the quietest 0.1 s there.

    Args:
        powers: from `step_powers`.
        n_samples: of the recording.
        rate: Hz.
    """
    step = round(STEP_S * rate)
    shortest, longest, last = (round(seconds / STEP_S) for seconds in (_SHORTEST_S, _LONGEST_S, _LAST_S))
    cuts = [0]
    while len(powers) - cuts[-1] > longest:
        stop = min(cuts[-1] + longest, len(powers) - last)
        window = powers[cuts[-1] + shortest : stop]
        smooth = np.convolve(window, np.ones(_QUIET_STEPS), "valid")
        cuts.append(cuts[-1] + shortest + int(smooth.argmin()) + _QUIET_STEPS // 2)
    edges = [*(cut * step for cut in cuts), n_samples]
    return [Piece(*pair) for pair in zip(edges, edges[1:], strict=False)]


def passages(pieces: Sequence[Piece], powers: np.ndarray, rate: int, most_s: float) -> list[Piece]:
    """Choose pieces in which there is sound, spread over the recording, of some seconds at the most in all.

    Args:
        pieces: of the recording.
        powers: from `step_powers`.
        rate: Hz.
        most_s: a single longer piece is cut to it.
    """
    step = round(STEP_S * rate)
    loud = np.array([powers[one.start // step : max(one.stop // step, one.start // step + 1)].mean() for one in pieces])
    heard = [one for one, power in zip(pieces, loud, strict=True) if power > loud.max() * 10 ** (_HEARD_DB / 10)]
    left, chosen = round(most_s * rate), []
    mean = sum(one.stop - one.start for one in heard) / max(len(heard), 1)
    count = min(len(heard), max(1, int(left // max(mean, 1))))
    for place in np.unique(np.linspace(0, len(heard) - 1, count).round().astype(int)) if heard else ():
        one = heard[place]
        chosen.append(Piece(one.start, min(one.stop, one.start + left)))
        left -= chosen[-1].stop - chosen[-1].start
        if left <= 0:
            break
    return chosen


def converted(
    pieces: Iterable[Piece],
    read: Reader,
    convert: Callable[[np.ndarray], np.ndarray],
    n_samples: int,
    rate: int,
) -> Iterator[np.ndarray]:
    """Yield a converted recording front to back, float32, [n_samples] in all; one piece is in memory at a time.

    Args:
        pieces: of the recording, in order, without gaps.
        read: of the recording.
        convert: makes of samples [t] as many others, or nearly so: what is missing at the end is silent.
        n_samples: of the recording.
        rate: Hz.
    """
    margin, half = round(_MARGIN_S * rate), round(_FADE_S / 2 * rate)
    rise = (np.arange(2 * half, dtype=np.float32) + 0.5) / (2 * half)
    before = None
    for piece in pieces:
        first, last = max(0, piece.start - margin), min(n_samples, piece.stop + margin)
        wav = read(first, last)
        made = _as_long(convert(wav), len(wav)) if wav.any() else np.zeros(len(wav), np.float32)
        ends = piece.stop == n_samples
        own = made[max(0, piece.start - half) - first : (piece.stop if ends else piece.stop + half) - first].copy()
        if before is not None:
            own[: 2 * half] = own[: 2 * half] * rise + before * (1 - rise)
        if ends:
            yield own
        else:
            yield own[: -2 * half]
            before = own[-2 * half :]


def _as_long(wav: np.ndarray, n_samples: int) -> np.ndarray:
    wav = np.asarray(wav[:n_samples], np.float32)
    return np.pad(wav, (0, n_samples - len(wav)))
