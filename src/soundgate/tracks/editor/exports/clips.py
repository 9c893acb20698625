"""What other editors show of an edit list: clips with a place in the source and one in the output."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from pydantic import ValidationError

from soundgate.runtime.errors import FormatError
from soundgate.tracks.editor.edit_list import EditList, Segment, validation_reason


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
    """

    number: int
    label: str
    partner: bool
    start: int
    stop: int
    position: int
    shape: dict


def clips_of(edit: EditList) -> list[Clip]:
    """Return the clips of an edit list, in order of segment and repeat; a transition's partner after its own."""
    clips, position = [], 0
    for number, segment in enumerate(edit.segments):
        shape = segment.model_dump(mode="json", include={"gain", "tone"}, exclude_defaults=True)
        for _ in range(segment.repeats):
            for partner, (start, stop) in enumerate(segment.spans):
                clips.append(Clip(number, segment.label, bool(partner), start, stop, position, shape))
            position += segment.length
    return clips


def edit_of(clips: Iterable[Clip], header: dict, subject: object) -> EditList:
    """Make an edit list of clips, whose places in the output give the order.

    Args:
        clips: in any order.
        header: ``sample_rate``, ``n_samples``, ``crossfade_s``.
        subject: what errors name: the file.

    Raises:
        FormatError: the clips of a segment contradict each other, or make no valid edit list.
    """
    ordered = sorted(clips, key=lambda clip: (clip.position, clip.partner))
    segments = []
    try:
        for number, own in groupby(ordered, key=lambda clip: clip.number):
            own = list(own)
            first, partners = own[0], [clip for clip in own if clip.partner]
            alike = {(clip.label, clip.start, clip.stop) for clip in own if not clip.partner}
            if len(alike) != 1 or len(partners) > 1:
                found = f"{len(alike)} spans, {len(partners)} partners"
                raise FormatError(subject, expected=f"equal repeats of segment {number}", found=found)
            partner = partners[0].start if partners else None
            if partners and partners[0].stop - partners[0].start != first.stop - first.start:
                raise FormatError(subject, expected=f"equally long spans of segment {number}", found="others")
            segments.append(
                Segment(label=first.label, start=first.start, stop=first.stop, repeats=len(own) - len(partners),
                        partner=partner, **first.shape)
            )  # fmt: skip
        return EditList(segments=tuple(segments), **header)
    except (ValidationError, TypeError) as error:
        found = validation_reason(error) if isinstance(error, ValidationError) else str(error)
        raise FormatError(subject, expected="an edit list", found=found) from error


def header_of(edit: EditList) -> dict:
    """Return what an edit list says beside its segments."""
    return edit.model_dump(include={"sample_rate", "n_samples", "crossfade_s"})
