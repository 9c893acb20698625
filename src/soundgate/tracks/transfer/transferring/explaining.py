"""What a transfer sounds like, in figures and in a picture."""

from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np
import torch

from soundgate.audio.mel import MelSettings, MelTransform
from soundgate.evaluation.listening.mel_picture import mel_picture
from soundgate.runtime.files import write_json
from soundgate.runtime.ledger import jsonable
from soundgate.runtime.paths import path_to_text
from soundgate.tracks.transfer.transferring.bands import CENTRES, Spectrum, band_distance_db, spectrum
from soundgate.tracks.transfer.transferring.recordings import BLOCK, Recording, mono_passage, read_floats
from soundgate.tracks.transfer.transferring.styles import Style

# The picture shows so much, from the middle on; of so much the chroma is compared.
_SHOWN_S, _CHROMA_S = 12.0, 60.0
_MOST_LETTERS = 24


def explain(style: Style, source: Recording, samples: np.ndarray, figures: dict, out: Path) -> dict:
    """Write ``<out>.json`` and ``<out>.png`` beside a result.

    Args:
        style: the style.
        source: the recording.
        samples: the result, [C, T].
        figures: so far.
        out: the audio file.

    Returns:
        The figures with ``bands`` (levels in dB of source, result and style in each third of an octave, less their
        median, and mean distances to the style before and after) ``chroma_similarity`` to the source, and
        ``chroma_similarity_apart``, the same to another moment of it.
    """
    before, after = spectrum(source.blocks(), source.rate), spectrum(_blocks(samples), source.rate)
    chosen_s = min(source.seconds, _CHROMA_S)
    start_s = (source.seconds - chosen_s) / 2
    wavs = [mono_passage(own, source.rate, start_s, chosen_s, MelSettings().sample_rate)
            for own in (source.audio.samples, samples)]  # fmt: skip
    figures = figures | {"bands": _bands(style, before, after), "chroma_similarity": chroma_similarity(*wavs)}
    # What two sounds of such music have in common whatever is played: half of the passage apart.
    figures["chroma_similarity_apart"] = chroma_similarity(wavs[0], np.roll(wavs[1], len(wavs[1]) // 2))
    _picture(style, source, samples, out)
    figures = jsonable(figures)
    write_json(out.with_name(out.name + ".json"), figures)
    return figures


def chroma_similarity(first: np.ndarray, second: np.ndarray) -> float:
    """Return the mean cosine of the chroma of two sounds, frame by frame, weighted by the first's energy.

    Args:
        first: float32 [T] at 22,050 Hz.
        second: likewise, at the same times.
    """
    options = {"sr": MelSettings().sample_rate, "n_fft": 4096, "hop_length": 2048, "norm": None}
    chroma = [librosa.feature.chroma_stft(y=wav, **options, tuning=0.0) for wav in (first, second)]
    norms = [np.linalg.norm(one, axis=0) for one in chroma]
    cosines = (chroma[0] * chroma[1]).sum(axis=0) / np.maximum(norms[0] * norms[1], 1e-12)
    return float(np.average(cosines, weights=np.maximum(norms[0], 1e-12)))


def _blocks(samples: np.ndarray):
    for first in range(0, samples.shape[1], BLOCK):
        yield read_floats(samples, first, first + BLOCK)


def _bands(style: Style, before: Spectrum, after: Spectrum) -> dict:
    levels = {"source_db": before.levels_db(), "result_db": after.levels_db(), "style_db": style.levels_db}
    rounded = {name: np.round(own - np.nanmedian(own), 2).tolist() for name, own in levels.items()}
    distances = {
        "distance_before_db": band_distance_db(levels["source_db"], style.levels_db),
        "distance_after_db": band_distance_db(levels["result_db"], style.levels_db),
    }
    return {"hz": np.round(CENTRES, 1).tolist()} | rounded | distances


def _short(name: str) -> str:
    """Return a name as it fits above a spectrogram."""
    text = path_to_text(name)
    return text if len(text) <= _MOST_LETTERS else f"{text[: _MOST_LETTERS - 1]}…"


def _picture(style: Style, source: Recording, samples: np.ndarray, out: Path) -> None:
    settings, exemplar = MelSettings(), style.recordings[0]
    start_s = max(0.0, (source.seconds - _SHOWN_S) / 2)
    passages = {
        f"source: {_short(source.path.name)}": (source.audio.samples, source.rate, start_s),
        "result": (samples, source.rate, start_s),
        f"style: {_short(Path(style.name).name)}": (
            exemplar.audio.samples, exemplar.rate, max(0.0, (exemplar.seconds - _SHOWN_S) / 2)
        ),
    }  # fmt: skip
    mels, transform = {}, MelTransform(settings)
    for name, (own, rate, first_s) in passages.items():
        wav = mono_passage(own, rate, first_s, _SHOWN_S, settings.sample_rate)
        wav = np.pad(wav, (0, max(0, settings.n_fft - len(wav))))
        mels[name] = transform(torch.from_numpy(wav[None]))[0].numpy()
    mel_picture(out.with_name(out.name + ".png"), mels, settings)
