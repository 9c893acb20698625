"""Degradations of a clip, each a name with settings, applied in order with a report of what was done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from soundgate.audio.filters import DIGITAL_SILENCE, equaliser_sections, pass_sections, run_sections
from soundgate.audio.noise import BROADBAND_COLOURS, coloured_noise, mains_hum
from soundgate.audio.snr import mix_at_snr

EFFECTS = ("noise", "equaliser", "high_pass", "low_pass", "gain", "bit_crush", "hard_clip")
COLOURS = (*BROADBAND_COLOURS, "hum")


@dataclass(frozen=True)
class Effect:
    """One degradation with everything that was drawn for it; ``dataclasses.asdict`` goes through JSON and back.

    Args:
        name: one of ``EFFECTS``.
        settings: by name,
            ``noise``: ``colour`` (of ``COLOURS``), ``snr_db``, ``seed``, and for hum ``mains_hz``;
            ``equaliser``: ``low_db``, ``mid_db``, ``high_db``;
            ``high_pass``, ``low_pass``: ``cutoff_hz``;
            ``gain``: ``gain_db``;
            ``bit_crush``: ``bits``;
            ``hard_clip``: ``below_peak_db``, how far the threshold lies below the peak.
    """

    name: str
    settings: dict[str, float | int | str]


def apply_effects(
    wav: np.ndarray, sample_rate: int, effects: Sequence[Effect], valid_samples: int
) -> tuple[np.ndarray, list[dict]]:
    """Degrade a clip by effects in the given order.

    Args:
        wav: finite float32 [T], T >= 1; left as it is.
        sample_rate: in Hz.
        effects: what to apply; each works on the result of those before it.
        valid_samples: samples of the clip before padding, over whose active frames the noise's level counts.

    Returns:
        A new array, float32 [T], neither scaled nor clipped beyond what the effects do; and one report an effect:
        its ``name`` with ``requested_snr_db`` and ``achieved_snr_db`` (noise; None where the clip is silent and
        stays so), ``threshold`` (hard clip) or ``step`` (bit crush; None for a silent clip).

    Raises:
        ValueError: the clip is not float32 [T], ``valid_samples`` is not in 0..T, an unknown name or colour,
            or a frequency the sample rate cannot carry.
    """
    if wav.ndim != 1 or wav.dtype != np.float32 or len(wav) == 0:
        raise ValueError(f"wav: expected float32 [T] with T >= 1, found {wav.dtype} {list(wav.shape)}")
    if not 0 <= valid_samples <= len(wav):
        raise ValueError(f"valid_samples: expected 0 to {len(wav)}, found {valid_samples}")
    degraded, reports = wav, []
    for effect in effects:
        degraded, measured = _apply(degraded, sample_rate, effect, valid_samples)
        reports.append({"name": effect.name} | measured)
    return (wav.copy() if degraded is wav else degraded), reports


def _apply(wav: np.ndarray, sample_rate: int, effect: Effect, valid_samples: int) -> tuple[np.ndarray, dict]:
    settings = effect.settings
    match effect.name:
        case "noise":
            return _add_noise(wav, sample_rate, settings, valid_samples)
        case "equaliser":
            gains = (settings["low_db"], settings["mid_db"], settings["high_db"])
            return run_sections(equaliser_sections(*gains, sample_rate), wav), {}
        case "high_pass":
            return run_sections(pass_sections("high", settings["cutoff_hz"], sample_rate), wav), {}
        case "low_pass":
            return run_sections(pass_sections("low", settings["cutoff_hz"], sample_rate), wav), {}
        case "gain":
            return wav * np.float32(10 ** (settings["gain_db"] / 20)), {}
        case "bit_crush":
            return _bit_crush(wav, settings["bits"])
        case "hard_clip":
            threshold = np.float32(_peak(wav) * 10 ** (-settings["below_peak_db"] / 20))
            return np.clip(wav, -threshold, threshold), {"threshold": float(threshold)}
    raise ValueError(f"effect: expected one of {', '.join(EFFECTS)}, found {effect.name!r}")


def _add_noise(wav: np.ndarray, sample_rate: int, settings: dict, valid_samples: int) -> tuple[np.ndarray, dict]:
    colour, seed = settings["colour"], settings["seed"]
    if colour == "hum":
        noise = mains_hum(settings["mains_hz"], len(wav), sample_rate, seed)
    else:
        noise = coloured_noise(colour, len(wav), sample_rate, seed)
    mixture, achieved = mix_at_snr(wav, noise, settings["snr_db"], sample_rate, valid_samples)
    return mixture, {"requested_snr_db": settings["snr_db"], "achieved_snr_db": achieved}


def _bit_crush(wav: np.ndarray, bits: int) -> tuple[np.ndarray, dict]:
    """Round to 2^bits levels from -peak to one step below the peak, as two's complement has them."""
    peak, half = _peak(wav), 2 ** (bits - 1)
    if peak <= DIGITAL_SILENCE:
        return wav, {"step": None}
    step = np.float32(peak / half)
    crushed = wav / step
    np.rint(crushed, out=crushed)
    np.clip(crushed, -half, half - 1, out=crushed)
    crushed *= step
    return crushed, {"step": float(step)}


def _peak(wav: np.ndarray) -> float:
    return max(float(wav.max()), -float(wav.min()))
