"""Files before judges: read from the front in bounded memory, each judge asked what it can answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from soundgate.audio.containers import ContainerError
from soundgate.audio.decoding import MAX_PEAK, Decoding, reasons
from soundgate.judges.base import Figure, Judge, Scores


@dataclass(frozen=True)
class Beginning:
    """The first seconds of a file.

    Attributes:
        wav: float32 [T], the mean of its channels.
        sample_rate: Hz.
        total_s: of the whole file.
        note: what is wrong with the file's header or end, and how much of it is here; empty where all is.
    """

    wav: np.ndarray
    sample_rate: int
    total_s: float
    note: str


@dataclass
class Judged:
    """What judges say of a file.

    Attributes:
        figures: by name, with what each means; None where a judge has none, and a note says why.
        notes: a line each: limits, silence, what was left out.
        text: what was heard.
    """

    figures: dict[str, tuple[Figure, float | None]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    text: str = ""

    def as_dict(self) -> dict[str, object]:
        """Return the judgement for JSON."""
        figures = {
            name: {"value": value, "unit": figure.unit, "better": figure.better}
            for name, (figure, value) in self.figures.items()
        }
        return {"figures": figures, "notes": self.notes, "text": self.text}


def read_beginning(path: str | Path, seconds: float) -> Beginning:
    """Decode a whole file, so that what is wrong with it is found, and keep its first seconds.

    Raises:
        AudioError: see `soundgate.audio.io.read_audio`; silence is not refused.
    """
    with reasons(path), Decoding.of(path) as decoding:
        rate, kept, total = decoding.sample_rate, [], 0
        wanted = round(seconds * rate)
        for block in decoding.blocks("float32"):
            peak = max(float(block.max(initial=0)), -float(block.min(initial=0)))
            if not np.isfinite(peak):
                raise ContainerError(f"non-finite: {np.sum(~np.isfinite(block))} of {block.size} samples of a block")
            if peak > MAX_PEAK:
                raise ContainerError(f"absurd header: samples reach {peak:g} times full scale")
            if total < wanted:
                kept.append(block[: wanted - total].mean(axis=1, dtype=np.float64).astype(np.float32))
            total += len(block)
        cut = f"judged by the first {seconds:g} s of {total / rate:.1f} s" if total > wanted else ""
        note = "; ".join(filter(None, [decoding.note, cut]))
        return Beginning(np.concatenate(kept), rate, total / rate, note)


def judge_file(beginning: Beginning, judges: Sequence[Judge], reference: Beginning | None) -> Judged:
    """Ask every judge what it can say of a file, and beside a reference too where there is one.

    A judge that cannot be asked (the file is too short, its rate too low) has a note that says why.
    """
    judged = Judged(notes=[beginning.note] if beginning.note else [])
    for judge in judges:
        if judge.figures:
            _ask(judged, judge, judge.figures, lambda own=judge: own.score(beginning.wav[None], beginning.sample_rate))
        if judge.pair_figures and reference is not None:
            _ask(judged, judge, judge.pair_figures, lambda own=judge: _compare(own, judged, beginning, reference))
    return judged


def _compare(judge: Judge, judged: Judged, beginning: Beginning, reference: Beginning) -> Scores:
    if beginning.sample_rate != reference.sample_rate:
        found = f"{reference.sample_rate} Hz and {beginning.sample_rate} Hz"
        raise ValueError(f"judge {judge.name}: expected a reference of the same sample rate; found {found}")
    pair = [reference.wav, beginning.wav]
    if judge.aligned and len(pair[0]) != len(pair[1]):
        shorter = min(map(len, pair))
        pair = [wav[:shorter] for wav in pair]
        judged.notes.append(
            f"{judge.name}: reference and file cut to the shorter one, {shorter / beginning.sample_rate:.2f} s"
        )
    return judge.compare(pair[:1], pair[1:], beginning.sample_rate)


def _ask(judged: Judged, judge: Judge, figures: Sequence[Figure], question) -> None:
    try:
        scores = question()
    except ValueError as error:
        judged.notes.append(str(error))
        return
    for figure in figures:
        value = float(scores.values[figure.name][0])
        judged.figures[figure.name] = figure, value if np.isfinite(value) else None
    judged.notes += [f"{judge.name}: {note}" for note in scores.notes if note]
    judged.text = judged.text or scores.texts[0]
