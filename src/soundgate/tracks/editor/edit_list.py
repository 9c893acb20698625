"""The edit list: which samples of a raw recording an edit plays, in which order, and how."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator

from soundgate.audio.filters import HIGH_SHELF_HZ
from soundgate.runtime.config import Section
from soundgate.runtime.errors import FormatError
from soundgate.runtime.files import write_text

Played = Literal["KEEP", "LOOP", "FADE_IN", "FADE_OUT", "EFFECT", "TRANSITION"]
MAX_GAIN = 64.0
_SHAPED = ("FADE_IN", "FADE_OUT", "EFFECT")


class Tone(Section):
    """A three-band equaliser; corners as in `soundgate.audio.filters.equaliser_sections`.

    Args:
        low_db: gain of the low shelf.
        mid_db: gain of the peak.
        high_db: gain of the high shelf.
    """

    low_db: float = Field(default=0.0, ge=-24, le=24)
    mid_db: float = Field(default=0.0, ge=-24, le=24)
    high_db: float = Field(default=0.0, ge=-24, le=24)


class Segment(Section):
    """A span of the raw recording that is played.

    Args:
        label: what is done with it; what no segment plays is CUT.
        start: first sample.
        stop: one past the last sample.
        repeats: how often it is played in a row; at least 2 exactly for LOOP.
        gain: (position in the span 0..1, linear gain) points joined by straight lines, from 0 to 1; empty is 1.
            FADE_IN's never falls, FADE_OUT's never rises.
        tone: the equaliser of an EFFECT.
        partner: first sample of the equally long span that TRANSITION crossfades to.
    """

    label: Played
    start: int = Field(ge=0)
    stop: int = Field(ge=1)
    repeats: int = Field(default=1, ge=1, le=10_000)
    gain: tuple[tuple[float, float], ...] = ()
    tone: Tone | None = None
    partner: int | None = Field(default=None, ge=0)

    @property
    def length(self) -> int:
        """Samples of the span."""
        return self.stop - self.start

    @property
    def spans(self) -> list[tuple[int, int]]:
        """The spans of the raw recording that are heard: one, for a TRANSITION two."""
        own = [(self.start, self.stop)]
        return own if self.partner is None else [*own, (self.partner, self.partner + self.length)]

    @model_validator(mode="after")
    def _span_is_not_empty(self) -> Segment:
        if self.stop <= self.start:
            raise ValueError(f"stop {self.stop} is not after start {self.start}")
        return self

    @model_validator(mode="after")
    def _has_what_its_label_needs(self) -> Segment:
        if (self.repeats > 1) != (self.label == "LOOP"):
            raise ValueError(f"{self.label} with {self.repeats} repeats: LOOP has at least 2, all else 1")
        if (self.partner is not None) != (self.label == "TRANSITION"):
            raise ValueError(f"{self.label} with partner {self.partner}: TRANSITION has one, nothing else has")
        if self.tone is not None and self.label != "EFFECT":
            raise ValueError(f"{self.label} with a tone: only EFFECT has one")
        if self.gain and self.label not in _SHAPED:
            raise ValueError(f"{self.label} with a gain: only {', '.join(_SHAPED)} have one")
        if not self.gain and (self.label.startswith("FADE") or (self.label == "EFFECT" and self.tone is None)):
            raise ValueError(f"{self.label} without a gain{' and a tone' if self.label == 'EFFECT' else ''}")
        return self

    @model_validator(mode="after")
    def _gain_is_a_curve(self) -> Segment:
        if not self.gain:
            return self
        positions, gains = zip(*self.gain, strict=True)
        if positions[0] != 0 or positions[-1] != 1 or any(b <= a for a, b in pairwise(positions)):
            raise ValueError(f"gain positions {positions}: they rise from 0 to 1")
        if not all(0 <= gain <= MAX_GAIN for gain in gains):
            raise ValueError(f"gains {gains}: each lies in 0..{MAX_GAIN:g}")
        sign = {"FADE_IN": 1, "FADE_OUT": -1}.get(self.label, 0)
        if any(sign * (b - a) < 0 for a, b in pairwise(gains)):
            raise ValueError(f"{self.label} with gains {gains}: wrong direction")
        return self


class EditList(Section):
    """An edit of one raw recording; sample positions are exact at its rate.

    Args:
        sample_rate: of the raw recording, Hz.
        n_samples: of the raw recording, a channel.
        crossfade_s: length of the crossfade where two segments do not follow on from each other.
        segments: in the order in which they are played.
    """

    version: Literal[1] = 1
    sample_rate: int = Field(ge=1)
    n_samples: int = Field(ge=0)
    crossfade_s: float = Field(default=0.01, ge=0.005, le=0.02)
    segments: tuple[Segment, ...]

    @property
    def output_samples(self) -> int:
        """Samples of the edit, a channel: of all spans, as often as they are played."""
        return sum(segment.length * segment.repeats for segment in self.segments)

    @model_validator(mode="after")
    def _segments_lie_in_the_recording(self) -> EditList:
        for number, segment in enumerate(self.segments):
            if segment.tone is not None and self.sample_rate <= 2 * HIGH_SHELF_HZ:
                raise ValueError(f"segment {number}: a tone needs a rate above {2 * HIGH_SHELF_HZ:g} Hz")
            for start, stop in segment.spans:
                if stop > self.n_samples:
                    raise ValueError(f"segment {number}: {start}..{stop} leaves the {self.n_samples} samples")
        return self


def keep_all(n_samples: int, sample_rate: int) -> EditList:
    """Return the edit that changes nothing."""
    whole = (Segment(label="KEEP", start=0, stop=n_samples),) if n_samples else ()
    return EditList(sample_rate=sample_rate, n_samples=n_samples, segments=whole)


def write_edit_list(path: str | Path, edit: EditList) -> None:
    """Write an edit list as JSON, atomically."""
    write_text(path, edit.model_dump_json(indent=1, exclude_defaults=False) + "\n")


def read_edit_list(path: str | Path) -> EditList:
    """Read an edit list.

    Raises:
        FormatError: the file is missing, no JSON, or no valid edit list.
    """
    try:
        return EditList.model_validate_json(Path(path).read_bytes())
    except OSError as error:
        raise FormatError(path, expected="an edit list", found=error.strerror or str(error)) from error
    except ValidationError as error:
        raise FormatError(path, expected="an edit list", found=validation_reason(error)) from error


def validation_reason(error: ValidationError) -> str:
    """Return the first problem of a validation in one line, with where it is."""
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    return f"{where}: {first['msg']}" if where else first["msg"]
