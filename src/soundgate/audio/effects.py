"""Degradations of a clip, each a name with settings, applied in order with a report of what was done."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from soundgate.audio.channel import level, limit, lose_packets, narrow_band, through_codec, uneven_clip
from soundgate.audio.filters import DIGITAL_SILENCE, equaliser_sections, pass_sections, run_sections
from soundgate.audio.noise import BROADBAND_COLOURS, coloured_noise, mains_hum, wind_noise
from soundgate.audio.snr import scale_at_snr, snr_between

# Of the seed, of which a clip gets some; and those of recorders and networks, which have probabilities of their own.
EFFECTS = ("noise", "equaliser", "high_pass", "low_pass", "gain", "bit_crush", "hard_clip")
CHANNEL_EFFECTS = ("narrow_band", "uneven_clip", "level", "limit", "codec", "packet_loss")
COLOURS = (*BROADBAND_COLOURS, "hum")
# What acts on a sum as on its parts.
LINEAR = ("equaliser", "high_pass", "low_pass", "gain", "narrow_band", "packet_loss")
SNR_TOLERANCE_DB = 0.02
SNR_TRIALS = 12


@dataclass(frozen=True)
class Effect:
    """One degradation with everything that was drawn for it; ``dataclasses.asdict`` goes through JSON and back.

    Args:
        name: one of ``EFFECTS`` or ``CHANNEL_EFFECTS``.
        settings: by name,
            ``noise``: ``colour`` (of ``COLOURS``, or ``wind``), ``snr_db``, ``seed``, and for hum ``mains_hz``;
            ``equaliser``: ``low_db``, ``mid_db``, ``high_db``;
            ``high_pass``, ``low_pass``: ``cutoff_hz``;
            ``gain``: ``gain_db``;
            ``bit_crush``: ``bits``;
            ``hard_clip``: ``below_peak_db``, how far the threshold lies below the peak;
            those of ``CHANNEL_EFFECTS``: see the functions of `soundgate.audio.channel`.
    """

    name: str
    settings: dict[str, float | int | str]


def apply_effects(
    wav: np.ndarray, sample_rate: int, effects: Sequence[Effect], valid_samples: int
) -> tuple[np.ndarray, list[dict]]:
    """Degrade a clip by effects in the given order; see `apply_to_stems` for arguments, reports and errors.

    Returns:
        A new array, float32 [T], neither scaled nor clipped beyond what the effects do; and one report an effect.
    """
    stems, reports = apply_to_stems(wav, sample_rate, effects, valid_samples)
    return stems[0], reports


def apply_to_stems(
    wav: np.ndarray, sample_rate: int, effects: Sequence[Effect], valid_samples: int
) -> tuple[np.ndarray, list[dict]]:
    """Degrade a clip, and beside it the same clip without noise, by the same decisions.

    Noise goes in at its place among the effects, at the level that gives the requested ratio in what comes out of
    all of them: what the degraded clip is, less what it is without noise, over the active frames of the latter. A
    codec after the noise adds errors of its own, to both: there the ratio is that of what goes into it.

    Args:
        wav: finite float32 [T], T >= 1; left as it is.
        sample_rate: in Hz.
        effects: what to apply; each works on the result of those before it; at most one is noise.
        valid_samples: samples of the clip before padding, over whose active frames the noise's level counts.

    Returns:
        New arrays, float32 [1, T], or [2, T] where noise went in: the degraded clip, then the one without noise; and
        one report an effect: its ``name`` with ``requested_snr_db`` and ``achieved_snr_db`` (noise; None where the
        clip is silent and stays so), ``threshold`` (hard clip) or ``step`` (bit crush; None for a silent clip).

    Raises:
        ValueError: the clip is not float32 [T], ``valid_samples`` is not in 0..T, an unknown name or colour, two
            noises, or a frequency the sample rate cannot carry.
    """
    if wav.ndim != 1 or wav.dtype != np.float32 or len(wav) == 0:
        raise ValueError(f"wav: expected float32 [T] with T >= 1, found {wav.dtype} {list(wav.shape)}")
    if not 0 <= valid_samples <= len(wav):
        raise ValueError(f"valid_samples: expected 0 to {len(wav)}, found {valid_samples}")
    noisy = [number for number, effect in enumerate(effects) if effect.name == "noise"]
    if len(noisy) > 1:
        raise ValueError(f"effects: expected at most one noise, found {len(noisy)}")
    place = noisy[0] if noisy else len(effects)
    stems, reports = _run(wav[None], sample_rate, effects[:place])
    if noisy:
        stems, later = _with_noise(stems[0], sample_rate, effects[place:], valid_samples)
        reports += later
    return (stems.copy() if np.may_share_memory(stems, wav) else stems), reports


def _run(stems: np.ndarray, sample_rate: int, effects: Sequence[Effect]) -> tuple[np.ndarray, list[dict]]:
    reports = []
    for effect in effects:
        stems, measured = _apply(stems, sample_rate, effect)
        reports.append({"name": effect.name} | measured)
    return stems, reports


def _with_noise(
    wav: np.ndarray, sample_rate: int, effects: Sequence[Effect], valid_samples: int
) -> tuple[np.ndarray, list[dict]]:
    """Run effects of which the first is noise; linear ones right after it need no trials of its level.

    Those after them are run until the ratio is as requested: the level that was tried last is corrected by how far
    the ratio was off, then by the slope between the last two trials.
    """
    noise, *later = effects
    requested = noise.settings["snr_db"]
    n_linear = next((i for i, effect in enumerate(later) if effect.name not in LINEAR), len(later))
    n_measured = next((i for i, effect in enumerate(later) if effect.name == "codec"), len(later))
    parts = np.stack([wav, _noise(noise.settings, len(wav), sample_rate)])
    parts, reports = _run(parts, sample_rate, later[:n_linear])
    scale = scale_at_snr(parts[0], parts[1], requested, sample_rate, valid_samples)
    trials: list[tuple[float, float]] = []
    while True:
        mixed = parts[:1] if scale is None else np.stack([parts[0] + np.float32(scale) * parts[1], parts[0]])
        stems, last = _run(mixed, sample_rate, later[n_linear:n_measured])
        achieved = None if scale is None else snr_between(stems[0], stems[1], sample_rate, valid_samples)
        if achieved is None or abs(achieved - requested) <= SNR_TOLERANCE_DB or len(trials) == SNR_TRIALS:
            break
        trials.append((20 * math.log10(scale), achieved))
        scale = 10 ** (_next_level_db(trials, requested) / 20)
    stems, coded = _run(stems, sample_rate, later[n_measured:])
    first = {"name": "noise", "requested_snr_db": requested, "achieved_snr_db": achieved}
    return stems, [first, *reports, *last, *coded]


def _next_level_db(trials: list[tuple[float, float]], requested: float) -> float:
    """Return the level to try next; a slope between two trials counts within a half and twice the usual -1."""
    level, achieved = trials[-1]
    slope = -1.0
    if len(trials) > 1 and level != trials[-2][0]:
        slope = min(max((achieved - trials[-2][1]) / (level - trials[-2][0]), -2.0), -0.5)
    return level + (requested - achieved) / slope


def _noise(settings: dict, samples: int, sample_rate: int) -> np.ndarray:
    if settings["colour"] == "hum":
        return mains_hum(settings["mains_hz"], samples, sample_rate, settings["seed"])
    if settings["colour"] == "wind":
        return wind_noise(samples, sample_rate, settings["seed"])
    return coloured_noise(settings["colour"], samples, sample_rate, settings["seed"])


def _apply(stems: np.ndarray, sample_rate: int, effect: Effect) -> tuple[np.ndarray, dict]:
    """Apply one effect to stems [k, T]; what it decides by the signal, it decides by the first."""
    settings = effect.settings
    match effect.name:
        case "equaliser":
            gains = (settings["low_db"], settings["mid_db"], settings["high_db"])
            return run_sections(equaliser_sections(*gains, sample_rate), stems), {}
        case "high_pass":
            return run_sections(pass_sections("high", settings["cutoff_hz"], sample_rate), stems), {}
        case "low_pass":
            return run_sections(pass_sections("low", settings["cutoff_hz"], sample_rate), stems), {}
        case "gain":
            return stems * np.float32(10 ** (settings["gain_db"] / 20)), {}
        case "bit_crush":
            return _bit_crush(stems, settings["bits"])
        case "hard_clip":
            threshold = np.float32(_peak(stems[0]) * 10 ** (-settings["below_peak_db"] / 20))
            return np.clip(stems, -threshold, threshold), {"threshold": float(threshold)}
        case "narrow_band":
            return narrow_band(stems, sample_rate, settings["rate_hz"]), {}
        case "uneven_clip":
            return uneven_clip(stems, settings["above_db"], settings["below_db"])
        case "level":
            return level(stems, sample_rate, settings["reaction_s"], settings["most_db"])
        case "limit":
            return limit(stems, sample_rate, settings["below_peak_db"], settings["release_s"])
        case "codec":
            return through_codec(stems, sample_rate, settings["codec"], settings["kbps"])
        case "packet_loss":
            return lose_packets(stems, sample_rate, settings["share"], settings["burst"], settings["seed"])
    known = ", ".join((*EFFECTS, *CHANNEL_EFFECTS))
    raise ValueError(f"effect: expected one of {known}, found {effect.name!r}")


def _bit_crush(stems: np.ndarray, bits: int) -> tuple[np.ndarray, dict]:
    """Round to 2^bits levels from -peak to one step below the peak, as two's complement has them."""
    peak, half = _peak(stems[0]), 2 ** (bits - 1)
    if peak <= DIGITAL_SILENCE:
        return stems, {"step": None}
    step = np.float32(peak / half)
    crushed = stems / step
    np.rint(crushed, out=crushed)
    np.clip(crushed, -half, half - 1, out=crushed)
    crushed *= step
    return crushed, {"step": float(step)}


def _peak(wav: np.ndarray) -> float:
    return max(float(wav.max()), -float(wav.min()))
