"""Draws how a finished song becomes a raw recording, and so the edit that makes it a song again."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from pydantic import Field

from soundgate.runtime.config import Section
from soundgate.tracks.editor.edit_list import Tone

BEATS_PER_BAR = 4
MIN_BARS = 7
_TAKE_GAIN_DB = 1.5


class DrawSettings(Section):
    """What is done to a song.

    Args:
        raw_s: about how long the raw recordings are, s.
        ratio: limits of how many times longer than the edit they are.
        reordered: share of the pairs with two passages exchanged.
        dead_air: share of what is added that is dead air; the rest is takes that are repeated.
        take_noise_db: limits of a repeated take's own noise, relative to the song's RMS.
        effect_db: limits of the size of what an effect mends: a wrong level, or a band of a wrong tone.
    """

    raw_s: float = Field(ge=10, le=3_600)
    ratio: tuple[float, float]
    reordered: float = Field(ge=0, le=1)
    dead_air: float = Field(ge=0, le=1)
    take_noise_db: tuple[float, float]
    effect_db: tuple[float, float]


class Part(NamedTuple):
    """Bars of the song that stand together in the raw recording.

    Args:
        label: what the edit does with them; CUT for what was added.
        bars: numbers of the song's bars in order; None for dead air.
        n_bars: how many.
        repeats: of a LOOP.
        gain_db: what the edit's EFFECT adds, and the raw recording lacks.
        tone: likewise.
        take_db: level of the part's own noise; None without.
    """

    label: str
    bars: tuple[int, ...] | None
    n_bars: int
    repeats: int = 1
    gain_db: float = 0.0
    tone: Tone | None = None
    take_db: float | None = None


class Plan(NamedTuple):
    """A raw recording.

    Args:
        parts: in the order of the raw recording.
        order: positions in ``parts`` of what the edit plays, in the order of the edit. A TRANSITION's part has
            twice as many bars as are heard: the first half fades into the second.
    """

    parts: list[Part]
    order: list[int]


def draw_plan(n_bars: int, ratio: float, settings: DrawSettings, generator: np.random.Generator) -> Plan:
    """Draw a plan.

    Args:
        n_bars: of the song, all used; at least ``MIN_BARS``.
        ratio: how many times longer than the edit the raw recording is, to half a bar or what one addition makes.
        settings: see `DrawSettings`.
        generator: of the draws.

    Returns:
        The plan. The song begins with a FADE_IN and ends with a FADE_OUT; there are at least one LOOP, EFFECT and
        TRANSITION.
    """
    played = _draw_played(n_bars, settings, generator)
    heard = sum(_heard_bars(part) for part in played)
    slots: list[list[Part]] = [[] for _ in played]
    missing = ratio * heard - n_bars
    while missing > 0.5:
        slot = int(generator.integers(len(played)))
        added = _draw_added(played[slot], missing, settings, generator)
        slots[slot].append(added)
        missing -= added.n_bars
    order = _raw_order(played, settings, generator)
    parts, position = [], {}
    for number in order:
        position[number] = len(parts)
        parts += [played[number], *slots[number]]
    return Plan(parts, [position[number] for number in range(len(played))])


def _draw_played(n_bars: int, settings: DrawSettings, generator: np.random.Generator) -> list[Part]:
    """Return what the edit plays: every bar of the song once, in blocks whose order is drawn."""
    sizes = [("LOOP", 1), ("EFFECT", 1), ("TRANSITION", 2)]
    inner = n_bars - 2
    while sum(size for _, size in sizes) < inner:
        label = str(generator.choice(["KEEP", "LOOP", "EFFECT", "TRANSITION"], p=[0.76, 0.1, 0.08, 0.06]))
        size = {"LOOP": 1, "TRANSITION": 2}.get(label, 1 + int(generator.integers(2)))
        room = inner - sum(size for _, size in sizes)
        sizes.append((label, size) if size <= room else ("KEEP", room))
    blocks = [("FADE_IN", 1), *(sizes[i] for i in generator.permutation(len(sizes))), ("FADE_OUT", 1)]
    parts, bar = [], 0
    for label, size in blocks:
        parts.append(_shaped(Part(label, tuple(range(bar, bar + size)), size), settings, generator))
        bar += size
    return parts


def _shaped(part: Part, settings: DrawSettings, generator: np.random.Generator) -> Part:
    if part.label == "LOOP":
        return part._replace(repeats=int(generator.integers(2, 5)))
    if part.label != "EFFECT":
        return part
    gain_db, tone = draw_effect(settings.effect_db, generator)
    return part._replace(gain_db=gain_db, tone=tone)


def draw_effect(limits_db: tuple[float, float], generator: np.random.Generator) -> tuple[float, Tone | None]:
    """Draw what an EFFECT does: a gain in dB, a tone, or both; what it does not is 0 or None.

    Args:
        limits_db: of the size of the gain, and of each band's that the tone changes.
        generator: of the draws.
    """
    level, *bands = generator.uniform(*limits_db, 4) * generator.choice([-1, 1], 4)
    kind = generator.choice(["level", "tone", "both"], p=[0.4, 0.3, 0.3])
    # Highs alone would be heard by nobody where a style has none.
    used = np.array([(True, False), (False, True), (True, True)][generator.integers(3)] + (generator.random() < 0.5,))
    low, mid, high = np.round(bands, 2) * used
    tone = None if kind == "level" else Tone(low_db=low, mid_db=mid, high_db=high)
    return 0.0 if kind == "tone" else round(float(level), 2), tone


def _draw_added(part: Part, missing: float, settings: DrawSettings, generator: np.random.Generator) -> Part:
    """Return what is added behind a part: dead air, or its last bar or all of it once more, with the same faults."""
    if generator.random() < settings.dead_air:
        n_bars = int(generator.integers(1, 1 + max(1, min(4, round(missing)))))
        return Part("CUT", None, n_bars)
    take_db = float(generator.uniform(*settings.take_noise_db))
    bars = part.bars if part.n_bars <= max(1, round(missing)) and generator.random() < 0.7 else part.bars[-1:]
    gain_db = part.gain_db + float(generator.uniform(-_TAKE_GAIN_DB, _TAKE_GAIN_DB))
    return Part("CUT", bars, len(bars), gain_db=gain_db, tone=part.tone, take_db=take_db)


def _raw_order(played: list[Part], settings: DrawSettings, generator: np.random.Generator) -> list[int]:
    """Return the order of the parts in the raw recording, two inner neighbours perhaps exchanged."""
    order = list(range(len(played)))
    if generator.random() < settings.reordered:
        first = int(generator.integers(1, len(played) - 2))
        order[first], order[first + 1] = order[first + 1], order[first]
    return order


def _heard_bars(part: Part) -> int:
    return part.n_bars // 2 if part.label == "TRANSITION" else part.n_bars * part.repeats
