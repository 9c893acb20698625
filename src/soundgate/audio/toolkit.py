"""Which degradations a clip gets: ranges from the configuration, draws from a keyed generator."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field, field_validator, model_validator

from soundgate.audio.channel import CODECS
from soundgate.audio.effects import COLOURS, EFFECTS, Effect
from soundgate.runtime.config import Section

MAINS_HZ = (50, 60)

Gain = Annotated[float, Field(ge=-60, le=60, allow_inf_nan=False)]
Ratio = Annotated[float, Field(ge=-60, le=120, allow_inf_nan=False)]
Depth = Annotated[float, Field(ge=0, le=60, allow_inf_nan=False)]
Frequency = Annotated[float, Field(ge=10, le=192_000, allow_inf_nan=False)]
Bits = Annotated[int, Field(ge=2, le=24)]
Count = Annotated[int, Field(ge=0, le=len(EFFECTS))]


# In the order in which a recording meets them: the room's noise, the microphone, the recorder, the network.
CHAIN = ("noise", "equaliser", "high_pass", "low_pass", "level", "hard_clip", "uneven_clip", "limit", "bit_crush",
         "narrow_band", "codec", "packet_loss", "gain")  # fmt: skip

Probability = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(gt=0, le=10)]
Share = Annotated[float, Field(ge=0, lt=1)]


class ChannelSettings(Section):
    """Effects by probabilities of their own, in the order of ``CHAIN``; ranges [low, high] as in `ToolkitSettings`.

    A clip can get none of them. Settings of the seed's effects are drawn as `ToolkitSettings` says.
    """

    probabilities: dict[str, Probability] = Field(description="of each effect; one that is not named never comes")
    colours: list[str] = Field(min_length=1, description="of the noise, equally likely")
    rates_hz: list[int] = Field(min_length=1, description="that narrow_band resamples to, equally likely")
    uneven_clip_db: tuple[Depth, Depth]
    level_reaction_s: tuple[Seconds, Seconds]
    level_most_db: tuple[Depth, Depth]
    limit_db: tuple[Depth, Depth]
    limit_release_s: tuple[Seconds, Seconds]
    kbps: dict[str, tuple[float, float]] = Field(min_length=1, description="by codec; codecs are equally likely")
    lost_share: tuple[Share, Share]
    lost_burst: tuple[Annotated[float, Field(ge=1)], Annotated[float, Field(ge=1)]]

    @field_validator("uneven_clip_db", "level_reaction_s", "level_most_db", "limit_db", "limit_release_s", "lost_share",
                     "lost_burst")  # fmt: skip
    @classmethod
    def _rises(cls, value: tuple[float, float]) -> tuple[float, float]:
        return _rising(value)

    @model_validator(mode="after")
    def _are_known(self) -> ChannelSettings:
        for name, given, known in (
            ("probabilities", self.probabilities, CHAIN),
            ("colours", self.colours, (*COLOURS, "wind")),
            ("kbps", self.kbps, CODECS),
        ):
            if unknown := sorted(set(given) - set(known)):
                raise ValueError(f"{name} of {', '.join(known)}, not {', '.join(unknown)}")
        for name, (low, high) in self.kbps.items():
            if not CODECS[name].least_kbps <= low <= high <= CODECS[name].kbps[0]:
                raise ValueError(f"kbps of {name} to rise from {CODECS[name].least_kbps} to {CODECS[name].kbps[0]}")
        return self


class ToolkitSettings(Section):
    """Ranges [low, high], both ends included, of everything that is drawn.

    ``n_effects`` counts the effects of a clip; ``clip_db`` is how far below the peak hard clipping sets in.
    """

    n_effects: tuple[Count, Count]
    snr_db: tuple[Ratio, Ratio]
    eq_gain_db: tuple[Gain, Gain]
    high_pass_hz: tuple[Frequency, Frequency]
    low_pass_hz: tuple[Frequency, Frequency]
    gain_db: tuple[Gain, Gain]
    bits: tuple[Bits, Bits]
    clip_db: tuple[Depth, Depth]
    draw: Literal["seed", "channel"] = "seed"
    channel: ChannelSettings | None = None

    @field_validator("*")
    @classmethod
    def _rises(cls, value: object) -> object:
        return _rising(value) if isinstance(value, tuple) else value

    @model_validator(mode="after")
    def _leaves_a_band(self) -> ToolkitSettings:
        if self.high_pass_hz[1] >= self.low_pass_hz[0]:
            raise ValueError("high_pass_hz to end below the start of low_pass_hz, so that some band passes both")
        if self.draw == "channel" and self.channel is None:
            raise ValueError("channel where draw is channel")
        return self


def _rising(value: tuple[float, float]) -> tuple[float, float]:
    if value[0] > value[1]:
        raise ValueError("[low, high] with low at most high")
    return value


def draw_effects(generator: np.random.Generator, settings: ToolkitSettings) -> list[Effect]:
    """Draw a clip's effects: how many, which (each at most once), in which order, and all their settings.

    Where ``settings.draw`` is ``"channel"`` each effect comes by its own probability, in the order of ``CHAIN``.

    Args:
        generator: the clip's own, from `soundgate.runtime.randomness.keyed_generator`.
        settings: the ranges; levels in dB are uniform, cutoffs uniform in octaves, bits and the count uniform
            over whole numbers, the noise's colour uniform over ``COLOURS``.

    Returns:
        The effects in the order to apply them.
    """
    if settings.draw == "channel":
        names = [name for name in CHAIN if generator.random() < settings.channel.probabilities.get(name, 0)]
        return [Effect(name, _draw(name, generator, settings)) for name in names]
    count = _whole(generator, settings.n_effects)
    names = generator.permutation(len(EFFECTS))[:count]
    return [Effect(EFFECTS[i], _draw(EFFECTS[i], generator, settings)) for i in names]


def _draw(name: str, generator: np.random.Generator, settings: ToolkitSettings) -> dict[str, float | int | str]:
    match name:
        case "noise":
            return _draw_noise(generator, settings)
        case "equaliser":
            return {key: _uniform(generator, settings.eq_gain_db) for key in ("low_db", "mid_db", "high_db")}
        case "high_pass":
            return {"cutoff_hz": _uniform_in_octaves(generator, settings.high_pass_hz)}
        case "low_pass":
            return {"cutoff_hz": _uniform_in_octaves(generator, settings.low_pass_hz)}
        case "gain":
            return {"gain_db": _uniform(generator, settings.gain_db)}
        case "bit_crush":
            return {"bits": _whole(generator, settings.bits)}
        case "hard_clip":
            return {"below_peak_db": _uniform(generator, settings.clip_db)}
    return _draw_of_channel(name, generator, settings.channel)


def _draw_of_channel(
    name: str, generator: np.random.Generator, settings: ChannelSettings
) -> dict[str, float | int | str]:
    match name:
        case "narrow_band":
            return {"rate_hz": settings.rates_hz[generator.integers(len(settings.rates_hz))]}
        case "uneven_clip":
            return {key: _uniform(generator, settings.uneven_clip_db) for key in ("above_db", "below_db")}
        case "level":
            reaction_s = _uniform_in_octaves(generator, settings.level_reaction_s)
            return {"reaction_s": reaction_s, "most_db": _uniform(generator, settings.level_most_db)}
        case "limit":
            release_s = _uniform_in_octaves(generator, settings.limit_release_s)
            return {"below_peak_db": _uniform(generator, settings.limit_db), "release_s": release_s}
        case "codec":
            codec = sorted(settings.kbps)[generator.integers(len(settings.kbps))]
            return {"codec": codec, "kbps": _uniform_in_octaves(generator, settings.kbps[codec])}
        case "packet_loss":
            share, burst = _uniform(generator, settings.lost_share), _uniform(generator, settings.lost_burst)
            return {"share": share, "burst": burst, "seed": int(generator.integers(2**53))}
    raise AssertionError(name)


def _draw_noise(generator: np.random.Generator, settings: ToolkitSettings) -> dict[str, float | int | str]:
    colours = COLOURS if settings.draw == "seed" else settings.channel.colours
    drawn = {
        "colour": colours[generator.integers(len(colours))],
        "snr_db": _uniform(generator, settings.snr_db),
        "seed": int(generator.integers(2**53)),  # what every JSON reader holds exactly
    }
    if drawn["colour"] == "hum":
        drawn["mains_hz"] = MAINS_HZ[generator.integers(len(MAINS_HZ))]
    return drawn


def _uniform(generator: np.random.Generator, limits: tuple[float, float]) -> float:
    return float(generator.uniform(*limits))


def _uniform_in_octaves(generator: np.random.Generator, limits: tuple[float, float]) -> float:
    low, high = limits
    return float(min(high, low * (high / low) ** generator.random()))


def _whole(generator: np.random.Generator, limits: tuple[int, int]) -> int:
    return int(generator.integers(limits[0], limits[1], endpoint=True))
