"""What other editors show of an edit list: clips with a place in the source and one in the output."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from pydantic import ValidationError

from soundgate.runtime.errors import FormatError
from soundgate.tracks.editor.edit_list import EditList, Segment, validation_reason
from soundgate.tracks.editor.rendering import joins_of

MAIN, PARTNERS = "edit", "transitions"


@dataclass(frozen=True)
class Clip:
    """One playing of a span of the raw recording.

    Args:
        number: of its segment; the repeats of a loop and both spans of a transition share one.
        label: of its segment.
        partner: whether it is what a transition goes to.
        start: first sample in the raw recording.
        stop: one past its last.
        position: first sample in the output.
        shape: the segment's ``gain`` and ``tone``, as JSON values, where it has them.
        joined: samples on each side of its begin over which it is crossfaded with the clip before it.
    """

    number: int
    label: str
    partner: bool
    start: int
    stop: int
    position: int
    shape: dict
    joined: int = 0

    @property
    def length(self) -> int:
        """Samples of the span."""
        return self.stop - self.start

    def note(self) -> str:
        """Return what other editors have no property for, as JSON in one line of ASCII."""
        span = {"start": self.start, "stop": self.stop}
        return json.dumps({"number": self.number, "label": self.label, **span, "shape": self.shape})


def clips_of(edit: EditList) -> list[Clip]:
    """Return the clips of an edit list, in order of segment and repeat; a transition's partner after its own."""
    joined = {join.position: join.half for join in joins_of(edit)}
    clips, position = [], 0
    for number, segment in enumerate(edit.segments):
        shape = segment.model_dump(mode="json", include={"gain", "tone"}, exclude_defaults=True)
        for _ in range(segment.repeats):
            for partner, (start, stop) in enumerate(segment.spans):
                half = 0 if partner else joined.get(position, 0)
                clips.append(Clip(number, segment.label, bool(partner), start, stop, position, shape, half))
            position += segment.length
    return clips


def edit_of(clips: Iterable[Clip], header: dict, subject: object) -> EditList:
    """Make an edit list of clips, whose places in the output give the order.

    Equal playings of a loop in a row are one; a single one, and a part of one, is kept. Gaps between clips are closed.

    Args:
        clips: in any order.
        header: ``sample_rate``, ``n_samples``, ``crossfade_s``.
        subject: what errors name: the file.

    Raises:
        FormatError: a transition has not two equally long sides, or the clips make no valid edit list.
    """
    ordered = sorted(clips, key=lambda clip: (clip.position, clip.partner))
    partners = [clip for clip in ordered if clip.partner]
    segments = []
    try:
        for first, repeats in _played(clip for clip in ordered if not clip.partner):
            label, partner = "KEEP" if first.label == "LOOP" and repeats == 1 else first.label, None
            if label == "TRANSITION":
                partner = _other_side(first, ordered, partners, subject).start
            segments.append(
                Segment(
                    label=label, start=first.start, stop=first.stop, repeats=repeats, partner=partner, **first.shape
                )
            )
        if lone := {clip.number for clip in partners} - {clip.number for clip in ordered if not clip.partner}:
            raise FormatError(subject, expected=f"both sides of transition {min(lone)}", found="only what it goes to")
        return EditList(segments=tuple(segments), **header)
    except (ValidationError, TypeError) as error:
        found = validation_reason(error) if isinstance(error, ValidationError) else str(error)
        raise FormatError(subject, expected="an edit list", found=found) from error


def header_of(edit: EditList) -> dict:
    """Return what an edit list says beside its segments."""
    return edit.model_dump(include={"sample_rate", "n_samples", "crossfade_s"})


def _played(clips: Iterable[Clip]) -> Iterable[tuple[Clip, int]]:
    """Yield clips with how often each is played in a row; only loops are played more than once."""

    def key(clip: Clip) -> tuple:
        return clip.number, clip.label, clip.start, clip.stop

    for (_, label, *_), same in groupby(clips, key):
        own = list(same)
        if label == "LOOP":
            yield own[0], len(own)
        else:
            yield from ((clip, 1) for clip in own)


def _other_side(clip: Clip, clips: list[Clip], partners: list[Clip], subject: object) -> Clip:
    sides = [other for other in partners if other.number == clip.number]
    own = [other for other in clips if other.number == clip.number and not other.partner]
    if len(sides) != 1 or len(own) != 1 or sides[0].length != clip.length:
        found = f"{[side.length for side in own]} and {[side.length for side in sides]} samples"
        expected = f"two equally long sides of transition {clip.number}, in one part"
        raise FormatError(subject, expected=expected, found=found)
    return sides[0]
