"""What a conversion sounds like, in figures of published judges and in a picture."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from soundgate.judges.base import Judge
from soundgate.judges.registry import load_judge
from soundgate.judges.speaker import cosine
from soundgate.runtime.files import write_json
from soundgate.runtime.ledger import jsonable
from soundgate.runtime.paths import path_to_text
from soundgate.tracks.voice.convert.conversion import Conversion, Converted
from soundgate.tracks.voice.convert.picture import Sound, conversion_picture
from soundgate.tracks.voice.convert.pieces import Piece
from soundgate.tracks.voice.convert.reading import Source, Spool
from soundgate.tracks.voice.convert.voicing import hear_voice

# Judges hear so much of a recording, the picture shows so much.
_JUDGED_S, _SHOWN_S = 60.0, 12.0

load = cache(load_judge)


def explain(conversion: Conversion, source: Source, made: list[Converted], figures: dict, out: Path) -> dict:
    """Write ``<out>.json`` and ``<out>.png`` beside a conversion.

    Args:
        conversion: what was done.
        source: the recording.
        made: its sounds, converted, the loudest first.
        figures: so far.
        out: the audio file.

    Returns:
        The figures with those of the judges: mean F0 of source, target and conversion in Hz, cosines of Resemblyzer's
        embeddings, DNSMOS (overall) of source and conversion; None where a judge cannot be asked.
    """
    references = conversion.target.recordings
    for one, entry in zip(made, figures["voices"], strict=True):
        wavs = {
            "source": _gathered(source.samples, one.group.lead, one.passages, source.rate),
            "out": one.gain * _gathered(one.samples, 0, one.passages, source.rate),
        }
        voicing = hear_voice([wavs["out"]], source.rate)
        entry["judged_s"] = len(wavs["out"]) / source.rate
        entry["f0_hz"]["out"] = voicing.f0_hz
        entry["similarity"] = _similarity(wavs["source"], wavs["out"], references, source.rate)
        entry["dnsmos"] = {
            name: _asked(load("quality"), source.rate, wav, lambda judge, own: judge.overall([own], source.rate)[0])
            for name, wav in wavs.items()
        }
    figures = jsonable(figures)
    shown = _shown(made[0].passages, source.rate)
    conversion_picture(
        out.with_name(out.name + ".png"),
        Sound(_part(source.samples, made[0].group.lead, shown), "source"),
        Sound(made[0].gain * _part(made[0].samples, 0, shown), conversion.choice.name),
        source.rate,
        conversion.target.voicing.f0_hz * 2 ** (conversion.options.semitones / 12),
        f"{path_to_text(source.path.name)} to {conversion.target.name}: from {shown.start / source.rate:.1f} s on",
        shown.start / source.rate,
    )
    write_json(out.with_name(out.name + ".json"), figures)
    return figures


def _similarity(source: np.ndarray, out: np.ndarray, references: list[np.ndarray], rate: int) -> dict:
    reference = np.concatenate(references)[: round(_JUDGED_S * rate)]
    source, out, reference = (
        _asked(load("speaker"), rate, wav, lambda judge, own: judge.embed([own], rate)[0])
        for wav in (source, out, reference)
    )

    def between(first: np.ndarray | None, second: np.ndarray | None) -> float | None:
        return None if first is None or second is None else float(cosine(first, second))

    return {
        "out_to_reference": between(out, reference),
        "out_to_source": between(out, source),
        "source_to_reference": between(source, reference),
    }


def _asked(judge: Judge, rate: int, wav: np.ndarray, question):
    """Return a judge's answer; None where the recording is too short or its rate too low for it."""
    fits = rate >= judge.min_rate and len(wav) >= judge.min_s * rate
    return question(judge, np.asarray(wav, np.float32)) if fits else None


def _gathered(spool: Spool, channel: int, passages: list[Piece], rate: int) -> np.ndarray:
    """Return passages one after another, a minute of them at the most."""
    wav = np.concatenate([_part(spool, channel, piece) for piece in passages])
    return wav[: round(_JUDGED_S * rate)]


def _shown(passages: list[Piece], rate: int) -> Piece:
    return Piece(passages[0].start, min(passages[0].stop, passages[0].start + round(_SHOWN_S * rate)))


def _part(spool: Spool, channel: int, piece: Piece) -> np.ndarray:
    return np.ascontiguousarray(spool.read(*piece)[:, channel])
