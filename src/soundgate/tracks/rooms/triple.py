"""One triple: a dry voice in its target room, and the same voice badly recorded in another."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.fft import irfft, rfft

from soundgate.audio.effects import Effect, apply_to_stems

LEVEL_DBFS = -6.0  # Peak of a source whose recording level was not varied.


@dataclass(frozen=True)
class Triple:
    """What training sees, beside the target room's embedding.

    Attributes:
        source: float32 ``[T]``, the messy wet voice; its peak lies at `LEVEL_DBFS`, moved by the effect ``gain``.
        target: float32 ``[T]``, the voice in the target room, peak 1.
        source_gain: factor that brought the source to its level.
        target_gain: likewise, of the target.
        wet_gain: factor that brought the reverberated voice to the dry one's energy before mixing.
        effects: one report for each degradation, in the order applied; that of ``gain`` has ``level_dbfs``, the
            source's peak.
    """

    source: np.ndarray
    target: np.ndarray
    source_gain: float
    target_gain: float
    wet_gain: float
    effects: list[dict]


class Renderer:
    """Renders triples, with the spectra of the impulse responses kept between them.

    Args:
        ir: gives an impulse response by its id: float32 ``[n]``, direct path at sample ``look_back``.
        look_back: samples before the direct path in every response; they are cut from every result, so that
            source, target and dry voice start together.
        samples: T, of a clip.
        sample_rate: Hz.
        cache_bytes: of spectra kept.
    """

    def __init__(
        self, ir: Callable[[str], np.ndarray], *, look_back: int, samples: int, sample_rate: int,
        cache_bytes: int = 2**28,
    ) -> None:  # fmt: skip
        self.samples, self.look_back, self.sample_rate = samples, look_back, sample_rate
        self._ir = ir
        self._spectra: OrderedDict[tuple[str, int], np.ndarray] = OrderedDict()
        self._n_kept = max(2, cache_bytes // (4 * transform_length(2 * samples)))

    def render(
        self, dry: np.ndarray, valid_samples: int, bad_ir: str, target_ir: str, wet: float, effects: Sequence[Effect]
    ) -> Triple:
        """Render one triple.

        source = effects((1 - wet) · dry + wet · g · dry ∗ bad), with g such that dry and g · dry ∗ bad have the
        same energy; target = dry ∗ target; both cut to the clip, the source brought to its level (see `Triple`), the
        target to peak 1.

        Args:
            dry: float32 ``[T]``.
            valid_samples: how many of them are voice, the others padding.
            bad_ir, target_ir: ids.
            wet: in [0, 1].
            effects: degradations of the source, in order.
        """
        stems, reports, wet_gain, spectrum, n_fft = self._source(dry, valid_samples, bad_ir, target_ir, wet, effects)
        spectrum *= self.spectrum(target_ir, n_fft)
        level_dbfs = source_level_dbfs(effects)
        source, source_gain = _peak_at(stems[0], 10 ** (level_dbfs / 20))
        target, target_gain = _peak_at(self._clip(spectrum, n_fft), 1.0)
        levelled = [r | ({"level_dbfs": level_dbfs} if r["name"] == "gain" else {}) for r in reports]
        return Triple(source, target, source_gain, target_gain, wet_gain, levelled)

    def without_noise(
        self, dry: np.ndarray, valid_samples: int, bad_ir: str, target_ir: str, wet: float, effects: Sequence[Effect]
    ) -> np.ndarray:
        """Return what the source of `render` would be, divided by its gain, without noise, float32 ``[T]``.

        What the effects decide by the noisy signal (where clipping sets in, the steps of the bit crush) is kept.
        """
        return self._source(dry, valid_samples, bad_ir, target_ir, wet, effects)[0][-1]

    def _source(
        self, dry: np.ndarray, valid_samples: int, bad_ir: str, target_ir: str, wet: float, effects: Sequence[Effect]
    ) -> tuple[np.ndarray, list[dict], float, np.ndarray, int]:
        """Return the source's stems and reports, the wet voice's gain, the dry voice's spectrum, and its length."""
        n_fft = self.n_fft(valid_samples, bad_ir, target_ir)
        spectrum = rfft(dry, n_fft)
        reverberated = spectrum * self.spectrum(bad_ir, n_fft)
        energy = _energy(reverberated)
        wet_gain = float(np.sqrt(_energy(spectrum) / energy)) if energy > 0 else 1.0
        reverberated *= np.float32(wet * wet_gain)
        if wet < 1:
            reverberated += np.float32(1 - wet) * (spectrum * _delay(self.look_back, n_fft))
        clip = self._clip(reverberated, n_fft)
        stems, reports = apply_to_stems(clip, self.sample_rate, effects, valid_samples)
        return stems, reports, wet_gain, spectrum, n_fft

    def n_fft(self, valid_samples: int, *irs: str) -> int:
        """Return a length at which nothing wraps round, so that energies are those of the whole convolutions."""
        longest = max(len(self._ir(ir)) for ir in irs)
        return transform_length(max(valid_samples + longest - 1, self.samples + self.look_back))

    def spectrum(self, ir: str, n_fft: int) -> np.ndarray:
        """Return the spectrum of an impulse response, complex64 ``[n_fft / 2 + 1]``."""
        key = ir, n_fft
        if key in self._spectra:
            self._spectra.move_to_end(key)
        else:
            self._spectra[key] = rfft(np.asarray(self._ir(ir), np.float32), n_fft)
            if len(self._spectra) > self._n_kept:
                self._spectra.popitem(last=False)
        return self._spectra[key]

    def _clip(self, spectrum: np.ndarray, n_fft: int) -> np.ndarray:
        return irfft(spectrum, n_fft, overwrite_x=True)[self.look_back : self.look_back + self.samples]


def transform_length(samples: int) -> int:
    """Return the shortest length of at least ``samples`` that is a power of two times 1, 3, 5, 9 or 15.

    Transforms of such lengths take less time than those of shorter ones with larger odd factors.
    """
    return min(odd << max(-(-samples // odd) - 1, 0).bit_length() for odd in (1, 3, 5, 9, 15))


@lru_cache(maxsize=8)
def _delay(look_back: int, n_fft: int) -> np.ndarray:
    """Return the spectrum of a unit impulse at sample ``look_back``, complex64 ``[n_fft / 2 + 1]``."""
    turns = (look_back * np.arange(n_fft // 2 + 1, dtype=np.int64)) % n_fft
    return np.exp(-2j * np.pi * turns / n_fft).astype(np.complex64)


def _energy(spectrum: np.ndarray) -> float:
    """Return the energy of a real signal from half its spectrum, up to the length of the transform."""
    flat = spectrum.view(np.float32)
    edges = flat[:2] @ flat[:2] + flat[-2:] @ flat[-2:]
    return float(2 * (flat @ flat) - edges)


def source_level_dbfs(effects: Sequence[Effect]) -> float:
    """Return where the peak of a source lies: at `LEVEL_DBFS` plus the gains drawn, at most at full scale."""
    return min(0.0, LEVEL_DBFS + sum(effect.settings["gain_db"] for effect in effects if effect.name == "gain"))


def _peak_at(wav: np.ndarray, level: float) -> tuple[np.ndarray, float]:
    peak = max(float(wav.max()), -float(wav.min()))
    if not peak > 0:  # Silence, or NaN: quality control says which.
        return wav, 1.0
    return wav * np.float32(level / peak), level / peak
