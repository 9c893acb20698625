"""Plays an edit list: splices spans of the raw recording and touches nothing but what the list says."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from soundgate.audio.filters import equaliser_sections
from soundgate.tracks.editor.crossfades import Part, circular_gains, correlation, linear_gains, mixed
from soundgate.tracks.editor.edit_list import EditList, Segment

# How long an equaliser runs before what it is wanted for, so that it does not start from rest there.
_SETTLING_S = 0.1
# What is computed is computed in parts of this length, however long a span is.
_BLOCK_SAMPLES = 2**20


@dataclass(frozen=True)
class Piece:
    """One playing of a segment.

    Attributes:
        segment: what is played.
        position: first sample in the output.
    """

    segment: Segment
    position: int

    @property
    def plain(self) -> bool:
        """Whether the samples of the span are played as they are."""
        segment = self.segment
        return not segment.gain and segment.tone is None and segment.partner is None

    @property
    def stop(self) -> int:
        """One past the last sample in the output."""
        return self.position + self.segment.length


@dataclass(frozen=True)
class Join:
    """A crossfade of two pieces around the output position where they meet.

    Attributes:
        left: the piece that ends.
        right: the piece that begins.
        half: samples on each side of the position; 0 leaves a bare splice.
    """

    left: Piece
    right: Piece
    half: int

    @property
    def position(self) -> int:
        """Where the pieces meet, in samples of the output."""
        return self.right.position


def pieces_of(edit: EditList) -> list[Piece]:
    """Return the playings of all segments in order, a loop as one for each repeat."""
    pieces, position = [], 0
    for segment in edit.segments:
        for _ in range(segment.repeats):
            pieces.append(Piece(segment, position))
            position += segment.length
    return pieces


def joins_of(edit: EditList) -> list[Join]:
    """Return where pieces that do not follow on from each other meet.

    A crossfade is at most as long as the shorter of its two pieces, so that no two of them overlap.
    """
    longest = round(edit.crossfade_s * edit.sample_rate / 2)
    return [
        Join(left, right, min(longest, left.segment.length // 2, right.segment.length // 2))
        for left, right in pairwise(pieces_of(edit))
        if not _follows_on(left.segment, right.segment)
    ]


def render(
    wav: np.ndarray, edit: EditList, out: np.ndarray | None = None, linear_joins: bool = False
) -> np.ndarray:  # fmt: skip
    """Play an edit list.

    Where a piece follows on from the one before it, and in every span that is kept or looped, the output has the
    very samples of the input; only joins, gains, tones and transitions are computed. Joins and transitions are
    crossfades of constant power that never pass full scale where neither side does: see `crossfades`.

    Args:
        wav: the raw recording [C, T], of any floating type, or integers at full scale of their type.
        edit: of that recording.
        out: where to play to, of the shape and type of what is returned; None makes it.
        linear_joins: whether joins are straight lines whatever they join, as in other editors.

    Returns:
        [C, `edit.output_samples`] of the type of ``wav``; integers are rounded and limited.

    Raises:
        ValueError: ``wav`` is not [C, T] with the samples the list was made for.
    """
    if wav.ndim != 2 or wav.shape[1] != edit.n_samples:
        raise ValueError(f"wav: expected [C, {edit.n_samples}], found {list(wav.shape)}")
    out = np.empty((len(wav), edit.output_samples), wav.dtype) if out is None else out
    player = _Player(wav, edit)
    for piece in pieces_of(edit):
        segment = piece.segment
        if piece.plain:
            out[:, piece.position : piece.stop] = wav[:, segment.start : segment.stop]
        else:
            for begin, end in _blocks(segment.length):
                played = as_type(player.played(segment, begin, end), wav.dtype)
                out[:, piece.position + begin : piece.position + end] = played
    for join in joins_of(edit):
        out[:, join.position - join.half : join.position + join.half] = as_type(
            player.crossfade(join, linear_joins), wav.dtype
        )
    return out


def untouched(edit: EditList) -> np.ndarray:
    """Return which samples of the output are copies of the input's.

    Returns:
        int64 [`edit.output_samples`]: the position in the raw recording, -1 where the output was computed.
    """
    origin = np.full(edit.output_samples, -1, np.int64)
    for piece in pieces_of(edit):
        if piece.plain:
            origin[piece.position : piece.stop] = np.arange(piece.segment.start, piece.segment.stop)
    for join in joins_of(edit):
        origin[join.position - join.half : join.position + join.half] = -1
    return origin


def _follows_on(left: Segment, right: Segment) -> bool:
    """Say whether playing ``right`` after ``left`` makes no step that the raw recording did not have."""
    tail = left.stop if left.partner is None else left.partner + left.length
    return tail == right.start and _end_gain(left) == _start_gain(right) and left.tone == right.tone


def _start_gain(segment: Segment) -> float:
    return segment.gain[0][1] if segment.gain else 1.0


def _end_gain(segment: Segment) -> float:
    return segment.gain[-1][1] if segment.gain else 1.0


@dataclass(frozen=True)
class _Player:
    """Computes what is no copy.

    Args:
        wav: the raw recording [C, T].
        edit: of it.
    """

    wav: np.ndarray
    edit: EditList
    _alike: dict[Segment, float] = field(default_factory=dict)

    @property
    def full_scale(self) -> float:
        """The highest magnitude of the recording's type."""
        return 1.0 if np.issubdtype(self.wav.dtype, np.floating) else float(np.iinfo(self.wav.dtype).max)

    def crossfade(self, join: Join, linear: bool = False) -> np.ndarray:
        """Return float64 [C, 2 half]: both pieces played on beyond their ends."""
        length = join.left.segment.length
        ending = self.played(join.left.segment, length - join.half, length + join.half)
        beginning = self.played(join.right.segment, -join.half, join.half)
        part = Part(ending, beginning, linear_gains(2 * join.half))
        return mixed(part, 1.0 if linear else correlation(lambda: [part], self.full_scale))

    def played(self, segment: Segment, begin: int, end: int) -> np.ndarray:
        """Return float64 [C, end - begin] of one playing; positions count from the segment's start and may leave it."""
        if segment.partner is not None:
            return mixed(self._sides(segment, begin, end), self._correlation(segment))
        lead = 0 if segment.tone is None else round(_SETTLING_S * self.edit.sample_rate)
        samples = self._source(segment.start + begin - lead, segment.start + end)
        if segment.tone is not None:
            # Imported here: it takes over a second to load, and few edits have a tone.
            from scipy.signal import sosfilt

            tone = segment.tone
            sections = equaliser_sections(tone.low_db, tone.mid_db, tone.high_db, self.edit.sample_rate)
            samples = sosfilt(sections, samples, axis=-1)[:, lead:]
        if segment.gain:
            position = (np.arange(begin, end) + 0.5) / segment.length
            samples = samples * np.interp(position, *zip(*segment.gain, strict=True))
        return samples

    def _sides(self, segment: Segment, begin: int, end: int) -> Part:
        """Return both sides of a transition."""
        first = self._source(segment.start + begin, segment.start + end)
        second = self._source(segment.partner + begin, segment.partner + end)
        return Part(first, second, circular_gains((np.arange(begin, end) + 0.5) / segment.length))

    def _correlation(self, segment: Segment) -> float:
        """Return what a transition is made for, over its whole length."""
        if segment not in self._alike:
            blocks = _blocks(segment.length)
            self._alike[segment] = correlation(
                lambda: (self._sides(segment, begin, end) for begin, end in blocks), self.full_scale
            )
        return self._alike[segment]

    def _source(self, begin: int, end: int) -> np.ndarray:
        """Return float64 [C, end - begin] of the raw recording, zeros where there is none."""
        n_samples = self.wav.shape[1]
        samples = np.zeros((len(self.wav), end - begin))
        first, last = min(max(begin, 0), n_samples), max(min(end, n_samples), 0)
        if last > first:
            samples[:, first - begin : last - begin] = self.wav[:, first:last]
        return samples


def _blocks(length: int) -> list[tuple[int, int]]:
    """Return the first and one past the last sample of the parts that a span is computed in."""
    return [(begin, min(begin + _BLOCK_SAMPLES, length)) for begin in range(0, length, _BLOCK_SAMPLES)]


def as_type(samples: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return samples in another type; integers are rounded and limited, floats not scaled."""
    if np.issubdtype(dtype, np.floating):
        return samples.astype(dtype)
    limits = np.iinfo(dtype)
    return np.clip(np.rint(samples), limits.min, limits.max).astype(dtype)
