"""Final Cut Pro X's XML (also read by DaVinci Resolve): the edit as audio clips on two lanes, times to the sample."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from soundgate.runtime.errors import FormatError
from soundgate.runtime.files import write_text
from soundgate.runtime.paths import printable
from soundgate.tracks.editor.edit_list import EditList
from soundgate.tracks.editor.exports.clips import Clip, clips_of, edit_of, header_of
from soundgate.tracks.editor.exports.levels import Levels, levels_of, returned, within_span

_VERSION = "1.8"
_MAIN_LANE, _PARTNERS_LANE = "-1", "-2"
# What a sequence may say of its rate.
_RATES = (32_000, 44_100, 48_000, 88_200, 96_000, 176_400, 192_000)
_SILENT_DB = -96.0
_DAMAGE = (ElementTree.ParseError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError)


def write_fcpxml(path: str | Path, edit: EditList, media: Path) -> None:
    """Write an edit list as a project: audio clips under a gap as long as the edit.

    Times are fractions of the sample rate. Fades and levels are the clips' own volume; tones are notes alone.

    Args:
        path: ends in ``.fcpxml``.
        edit: an edit list.
        media: the raw recording.

    Source: Apple, FCPXML document type definition, version 1.8.
    """
    rate, name = edit.sample_rate, printable(media.name)
    root = ElementTree.Element("fcpxml", version=_VERSION)
    resources = ElementTree.SubElement(root, "resources")
    frames = {"frameDuration": "100/3000s", "width": "1920", "height": "1080"}
    ElementTree.SubElement(resources, "format", id="r1", name="FFVideoFormat1080p30", **frames)
    ElementTree.SubElement(
        resources, "asset", id="r2", name=name, src=media.absolute().as_uri(), start="0s",
        duration=_time(edit.n_samples, rate), hasAudio="1", audioSources="1", audioRate=str(rate),
    )  # fmt: skip
    event = ElementTree.SubElement(root, "event", name=name)
    project = ElementTree.SubElement(event, "project", name=name)
    length = _time(edit.output_samples, rate)
    times = {"duration": length, "tcStart": "0s", "tcFormat": "NDF"}
    times |= {"audioRate": f"{rate / 1000:g}k"} if rate in _RATES else {}
    sequence = ElementTree.SubElement(project, "sequence", format="r1", **times)
    ElementTree.SubElement(sequence, "note").text = json.dumps(header_of(edit))
    spine = ElementTree.SubElement(sequence, "spine")
    gap = ElementTree.SubElement(spine, "gap", name="Gap", offset="0s", start="0s", duration=length)
    for clip in clips_of(edit):
        gap.append(_element(clip, rate))
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    write_text(path, f'<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE fcpxml>\n{text}\n')


def read_fcpxml(path: str | Path) -> EditList:
    """Read a project that `write_fcpxml` wrote, its clips perhaps moved, trimmed, split, faded or removed since.

    Raises:
        FormatError: no such project, a clip is none of ours, or the clips make no edit list.
    """
    try:
        sequence = ElementTree.fromstring(Path(path).read_bytes()).find(".//project/sequence")
        header = json.loads(sequence.find("note").text)
        rate = int(header["sample_rate"])
        clips = [clip for element in sequence.iter("asset-clip") for clip in _clips(element, rate)]
    except (OSError, *_DAMAGE) as error:
        raise FormatError(path, expected="a project of ours", found=f"{type(error).__name__}: {error}") from error
    return edit_of(clips, header, path)


def _element(clip: Clip, rate: int) -> ElementTree.Element:
    levels = levels_of(clip)
    element = ElementTree.Element(
        "asset-clip", ref="r2", lane=_PARTNERS_LANE if clip.partner else _MAIN_LANE, offset=_time(clip.position, rate),
        name=clip.label, start=_time(clip.start, rate), duration=_time(clip.length, rate), audioRole="dialogue",
    )  # fmt: skip
    ElementTree.SubElement(element, "note").text = clip.note()
    if levels == Levels():
        return element
    volume = ElementTree.SubElement(element, "adjust-volume", amount=_decibels(levels.volume))
    if levels.fade_in or levels.fade_out or levels.curve:
        amount = ElementTree.SubElement(volume, "param", name="amount")
        for side, samples in (("fadeIn", levels.fade_in), ("fadeOut", levels.fade_out)):
            if samples:
                ElementTree.SubElement(amount, side, type="linear", duration=_time(samples, rate))
        if levels.curve:
            frames = ElementTree.SubElement(amount, "keyframeAnimation")
            for position, gain in levels.curve:
                time = _time(clip.start + Fraction(position).limit_denominator(10**6) * clip.length, rate)
                ElementTree.SubElement(frames, "keyframe", time=time, value=_decibels(gain))
    return element


def _clips(element: ElementTree.Element, rate: int) -> Iterator[Clip]:
    """Yield what a clip stands for."""
    position, start, length = (_samples(element.get(key, "0s"), rate) for key in ("offset", "start", "duration"))
    volume = element.find("adjust-volume")
    levels = Levels()
    if volume is not None:
        fades = (volume.find(f"param/{side}") for side in ("fadeIn", "fadeOut"))
        fade_in, fade_out = (0 if fade is None else _samples(fade.get("duration"), rate) for fade in fades)
        points = [
            (float(_exact(frame.get("time"), rate) - start) / length, _gain(frame.get("value")))
            for frame in volume.iterfind("param/keyframeAnimation/keyframe")
        ]
        levels = Levels(_gain(volume.get("amount", "0dB")), fade_in, fade_out, within_span(points))
    partner = element.get("lane") == _PARTNERS_LANE
    yield from returned(element.find("note").text, partner, (start, start + length), position, levels)


def _time(samples: int | Fraction, rate: int) -> str:
    """Return samples as seconds: a fraction, or whole."""
    return f"{Fraction(samples) / rate}s"


def _samples(time: str, rate: int) -> int:
    return round(_exact(time, rate))


def _exact(time: str, rate: int) -> Fraction:
    return Fraction(time.removesuffix("s")) * rate


def _decibels(gain: float) -> str:
    return f"{max(20 * np.log10(gain), _SILENT_DB) if gain > 0 else _SILENT_DB:.6f}dB"


def _gain(decibels: str) -> float:
    level = float(decibels.removesuffix("dB"))
    return float(10 ** (level / 20)) if level > _SILENT_DB else 0.0
