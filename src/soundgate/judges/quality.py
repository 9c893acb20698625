"""How good speech sounds without a reference: DNSMOS, personalised DNSMOS and PLCMOS, as speechmos packages them."""

from __future__ import annotations

import numpy as np
from onnxruntime import InferenceSession
from speechmos import dnsmos, plcmos

from soundgate.judges.base import Card, Figure, Judge, Signals, Verdict, is_silent
from soundgate.judges.onnx_models import open_session, shuffled
from soundgate.judges.packaged import Packaged
from soundgate.runtime.randomness import keyed_generator

_FILES = {
    "dnsmos": Packaged(
        "speechmos",
        "speechmos/dnsmos_models/sig_bak_ovr.onnx",
        "269fbebdb513aa23cddfbb593542ecc540284a91849ac50516870e1ac78f6edd",
    ),
    "p808": Packaged(
        "speechmos",
        "speechmos/dnsmos_models/model_v8.onnx",
        "9246480c58567bc6affd4200938e77eef49468c8bc7ed3776d109c07456f6e91",
    ),
    "personal": Packaged(
        "speechmos",
        "speechmos/pdnsmos_models/sig_bak_ovr.onnx",
        "9e3a197449ca2177f0997afec3bd6b890117ce2f17b89d6eea7fa0d47272c81c",
    ),
    "plcmos": Packaged(
        "speechmos",
        "speechmos/plcmos_models/plcmos_v2.onnx",
        "c0ad3fc64ef9682b4749c0e96636b41c73b4b30bd123b9348feea06a96895286",
    ),
}
_WINDOW = 144_160  # 9.01 s
_RATERS, _RATER_DIM = 15, 64
_PARTS = {"overall": "ovrl_mos", "signal": "sig_mos", "background": "bak_mos"}


class _Dnsmos(dnsmos.DNSMOS):
    """The packaged model, on sessions of ours: its own would use all cores, and read its files by themselves.

    Without a model of P.808 that rating is nan, and takes no time.
    """

    def __init__(self, primary: InferenceSession, p808: InferenceSession | None = None) -> None:
        self.onnx_sess, self.p808_onnx_sess = primary, p808 or _NotAsked()

    def audio_melspec(self, audio: np.ndarray) -> np.ndarray:
        """Return what the model of P.808 hears."""
        return audio[None] if isinstance(self.p808_onnx_sess, _NotAsked) else super().audio_melspec(audio)


class _NotAsked:
    """A session that rates nothing."""

    def run(self, *_: object) -> list[np.ndarray]:
        """Return nan as the model of P.808 would its rating."""
        return [np.full((1, 1), np.nan)]


class _Plcmos(plcmos.PLCMOS):
    """The packaged front end; the raters it averages over are drawn once, not anew at every call."""

    def __init__(self, model: bytes) -> None:
        self.session = open_session(model)
        draws = keyed_generator(0, "judge-quality-raters").standard_normal((_RATERS, 1, _RATER_DIM))
        self.raters = draws.astype(np.float32)

    def mean_rating(self, wav: np.ndarray) -> float:
        """Return the mean rating of a signal [T] at 16 kHz."""
        spectra = self.stft_transform(wav).astype(np.float32)[None, None]
        given = [self.session.run(None, {"degraded_audio": spectra, "rater_embed": rater})[0] for rater in self.raters]
        return float(np.mean(given))


class QualityJudge(Judge):
    """Rate speech as listeners would, on the scale of mean opinion scores.

    Differs: a signal shorter than the 9.01 s that DNSMOS hears at once is repeated to just that; the package doubles it
        until it is longer, and takes the mean over windows that are nearly the same.
    """

    name = "quality"
    sample_rate = 16_000
    min_rate = 16_000
    min_s = 1.0
    figures = (
        *(
            Figure(f"{kind}_{part}", "MOS", 1, 5, "higher", f"{said}: {part}")
            for kind, said in (
                ("dnsmos", "rating by the scheme of ITU-T P.835"),
                ("personal_dnsmos", "the same where other voices count as noise"),
            )
            for part in _PARTS
        ),
        Figure("dnsmos_p808", "MOS", 1, 5, "higher", "rating by the scheme of ITU-T P.808"),
        Figure("plcmos", "MOS", 1, 5, "higher", "rating of speech whose lost packets were concealed"),
    )
    card = Card(
        package="speechmos 0.0.1.1",
        licence="MIT",
        source="Reddy et al. 2022 (DNSMOS P.835); Diener et al. 2023 (PLCMOS v2)",
        trained_on="ratings by listeners of noisy and of enhanced speech, and of speech with concealed packet loss",
        never_ask="music, singing; who speaks or what is said; anything above 8 kHz",
        serves=("voice", "rooms", "editor"),
    )

    def __init__(self, models: dict[str, bytes]) -> None:
        self.models = models
        primary, p808, personal = (open_session(models[name]) for name in ("dnsmos", "p808", "personal"))
        self.dnsmos, self.primary, self.personal = _Dnsmos(primary, p808), _Dnsmos(primary), _Dnsmos(personal)
        self.plcmos = _Plcmos(models["plcmos"])

    def twin(self, seed: int) -> QualityJudge:
        """Return the judge with the weights of all its models shuffled, its fixed Fourier transforms among them."""
        return QualityJudge({name: shuffled(model, seed, name) for name, model in self.models.items()})

    def primary_ratings(self, wav: Signals, sample_rate: int) -> dict[str, np.ndarray]:
        """Return ``dnsmos_overall``, ``dnsmos_signal`` and ``dnsmos_background`` alone, which takes less time.

        float64 [B] each, nan for silence; see `Judge.score` for arguments and errors.
        """
        signals = self.signals("wav", wav, sample_rate)
        silence = dict.fromkeys(_PARTS.values(), np.nan)
        found = [silence if is_silent(one) else self._rated(self.primary, _filled(one)) for one in signals]
        return {f"dnsmos_{part}": np.array([one[key] for one in found], np.float64) for part, key in _PARTS.items()}

    def overall(self, wav: Signals, sample_rate: int) -> np.ndarray:
        """Return ``dnsmos_overall`` alone, float64 [B]; see `primary_ratings`."""
        return self.primary_ratings(wav, sample_rate)["dnsmos_overall"]

    def _rated(self, model: _Dnsmos, filled: np.ndarray) -> dict[str, float]:
        return model(filled, self.sample_rate, is_personalized_MOS=model is self.personal)

    def _score(self, wav: np.ndarray) -> Verdict:
        clipped = np.clip(wav, -1, 1)
        filled = _filled(wav)
        plain, personal = self._rated(self.dnsmos, filled), self._rated(self.personal, filled)
        values = {f"dnsmos_{part}": plain[key] for part, key in _PARTS.items()}
        values |= {f"personal_dnsmos_{part}": personal[key] for part, key in _PARTS.items()}
        values |= {"dnsmos_p808": plain["p808_mos"], "plcmos": self.plcmos.mean_rating(clipped)}
        n_clipped = int(np.sum(clipped != wav))
        note = f"{n_clipped} samples beyond full scale were clipped" if n_clipped else ""
        return Verdict({name: float(value) for name, value in values.items()}, note)


def _filled(wav: np.ndarray) -> np.ndarray:
    """Return a signal [T] without what is beyond full scale, repeated to what DNSMOS hears at once."""
    return np.resize(np.clip(wav, -1, 1), max(len(wav), _WINDOW))


def load() -> QualityJudge:
    """Load the judge; see `soundgate.judges.registry.load_judge`."""
    return QualityJudge({name: file.locate().read_bytes() for name, file in _FILES.items()})
