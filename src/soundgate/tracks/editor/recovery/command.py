"""`soundgate recover`: the edit list of a user's own pair, checked by a null test."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from soundgate.audio.io import Audio, read_audio, resample
from soundgate.runtime.config import load_section
from soundgate.runtime.console import logger
from soundgate.runtime.errors import AudioError
from soundgate.runtime.figures import label_text, save_figure
from soundgate.runtime.files import write_json
from soundgate.tracks.editor.beats import TRACKING_RATE, track_beats
from soundgate.tracks.editor.edit_list import EditList, write_edit_list
from soundgate.tracks.editor.exports.formats import check_exports, write_exports
from soundgate.tracks.editor.recovery.clock import on_raw_clock
from soundgate.tracks.editor.recovery.curves import with_curves
from soundgate.tracks.editor.recovery.features import HOP
from soundgate.tracks.editor.recovery.listing import edit_list_of
from soundgate.tracks.editor.recovery.nulling import Null, best_null
from soundgate.tracks.editor.recovery.recover import COHERENT, Recovered, recover
from soundgate.tracks.editor.recovery.settings import LabelsSettings
from soundgate.tracks.editor.recovery.wander import without_wander
from soundgate.tracks.editor.rendering import pieces_of

_SHORTEST_S = 0.5
# Mean cosine of an edit's frames and their sources' below which the two have nothing to do with each other.
_RELATED = 0.72
_COLUMNS = 1_600
# How much of the longest run tells the channels.
_LONGEST_TOLD_S = 30.0


@dataclass(frozen=True)
class Recovery:
    """What was recovered from a pair.

    Attributes:
        edit_list: in samples of the raw file.
        found: at the tracking rate.
        null: of the list, at the raw file's rate.
        channels: gains [C_edit, C_raw] by which the edit's channels are made of the raw recording's; None where no
            run tells them.
        likeness: mean cosine of the edit's frames and their sources'.
    """

    edit_list: EditList
    found: Recovered
    null: Null
    channels: np.ndarray | None
    likeness: float


def run_recover(raw_path: Path, edit_path: Path, out: Path, exports: tuple[str, ...] = ()) -> None:
    """Recover a pair of files; write the edit list, ``.recovered.json`` and ``.png`` beside it, and print a table.

    Args:
        raw_path: the raw recording.
        edit_path: what was made of it.
        out: the edit list.
        exports: names of formats to write it in too.

    Raises:
        AudioError: a file is unreadable, silent or too short, or the edit is of another recording; what was found is
            written all the same in the last case.
    """
    check_exports(exports, raw_path)
    raw, edit = _read(raw_path), _read(edit_path)
    recovery = recover_pair(raw, edit)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_edit_list(out, recovery.edit_list)
    write_exports(partial(_beside, out), recovery.edit_list, exports, raw_path)
    write_json(_beside(out, ".recovered.json"), report_of(recovery))
    _picture(_beside(out, ".png"), raw, recovery, f"{raw_path.name} to {edit_path.name}")
    _show(recovery)
    if recovery.likeness < _RELATED:
        raise AudioError(
            edit_path,
            expected=f"an edit of {raw_path}",
            found=f"frames that are {recovery.likeness:.2f} alike, a residual of {recovery.null.residual_db:.1f} dB",
            remedy="Give the recording that it was made from.",
        )


def run_recover_folders(raw: Path, edit: Path | None, out: Path, exports: tuple[str, ...] = ()) -> None:
    """Recover every pair of `pairs_of`; lists lie in the folder ``out`` as ``<id>.edit.json``, exports beside them.

    Raises:
        AudioError: there is no pair, or of any one it could not be recovered; the others were.
    """
    failed: list[AudioError] = []
    for name, raw_path, edit_path in pairs_of(raw, edit):
        try:
            run_recover(raw_path, edit_path, out / f"{name}.edit.json", exports)
        except AudioError as error:
            logger.error("%s", error)
            failed.append(error)
    if failed:
        raise failed[0]


def pairs_of(raw: Path, edit: Path | None) -> list[tuple[str, Path, Path]]:
    """Return name, raw recording and edit of every pair: two folders of equal names, or ``<id>_raw``, ``<id>_edit``.

    Raises:
        AudioError: there is none.
    """
    sides = ({p.stem: p for p in sorted(raw.iterdir()) if p.is_file()}, {})
    if edit is not None:
        sides = sides[0], {p.stem: p for p in sorted(edit.iterdir()) if p.is_file()}
    else:
        every = sides[0]
        sides = tuple({n.removesuffix(e): p for n, p in every.items() if n.endswith(e)} for e in ("_raw", "_edit"))
    names = [name for name in sides[0] if name in sides[1]]
    if not names:
        expected = "files of equal names in both folders" if edit is not None else "<id>_raw.* and <id>_edit.*"
        raise AudioError(raw, expected=expected, found="no whole pair")
    return [(name, sides[0][name], sides[1][name]) for name in names]


def recover_pair(raw: Audio, edit: Audio) -> Recovery:
    """Recover the edit of a pair, of any rates and numbers of channels."""
    settings = load_section("editor.labels", LabelsSettings)
    raw_mono, edit_mono = (_mono(audio) for audio in (raw, edit))
    both = (raw_mono, raw.sample_rate), (edit_mono, edit.sample_rate)
    small = [resample(mono[None], rate, TRACKING_RATE)[0] for mono, rate in both]
    beats = track_beats(small[0], TRACKING_RATE, settings.tempo_bpm)
    found = recover(*small, TRACKING_RATE, beats, settings.recovery)
    edit_list = edit_list_of(found, TRACKING_RATE, raw.sample_rate, len(raw_mono))
    by_raw_clock = resample(edit_mono[None], edit.sample_rate, raw.sample_rate)[0]
    by_raw_clock = on_raw_clock(by_raw_clock, found.clock.rate) * np.float32(found.clock.polarity)
    by_raw_clock = without_wander(by_raw_clock, found.clock.wander, raw.sample_rate)
    edit_list = with_curves(edit_list, raw_mono, by_raw_clock) if found.clock.coherence >= COHERENT else edit_list
    edit_list, null = best_null(raw_mono, by_raw_clock, edit_list)
    return Recovery(edit_list, found, null, _channels(raw, edit, found), _likeness(found))


def report_of(recovery: Recovery) -> dict:
    """Return what of a recovery no edit list says: clock, polarity, channels and the null test."""
    clock, null, rate = recovery.found.clock, recovery.null, recovery.edit_list.sample_rate
    pieces = [
        {
            "label": piece.segment.label, "edit_s": int(start) / rate, "raw_s": piece.segment.start / rate,
            "length_s": piece.segment.length / rate, "gain": float(gain), "residual_db": float(left),
        }
        for piece, start, gain, left in zip(
            pieces_of(recovery.edit_list), null.edges[:-1], null.gains, null.spans_db, strict=True
        )
    ]  # fmt: skip
    channels = recovery.channels
    return {
        "rate": clock.rate, "drift_ppm": (clock.rate - 1) * 1e6, "polarity": clock.polarity,
        "coherence": clock.coherence, "pitch_kept": clock.pitch_kept, "wander": clock.wander,
        "likeness": recovery.likeness,
        "channels": None if channels is None else channels.round(4).tolist(),
        "joins": "linear" if null.linear_joins else "constant power", "residual_db": null.residual_db, "pieces": pieces,
    }  # fmt: skip


def _read(path: Path) -> Audio:
    audio = read_audio(path)
    if audio.note:
        logger.warning("%s: %s", path, audio.note)
    if audio.wav.shape[1] < _SHORTEST_S * audio.sample_rate:
        length_s = audio.wav.shape[1] / audio.sample_rate
        raise AudioError(path, expected=f"at least {_SHORTEST_S:g} s", found=f"{length_s:.3f} s")
    return audio


def _mono(audio: Audio) -> np.ndarray:
    """Return the mean of the channels, or the first where they cancel each other."""
    mean = sum(audio.wav[1:], start=audio.wav[0]) / np.float32(len(audio.wav))
    return mean if mean.any() else audio.wav[0]


def _channels(raw: Audio, edit: Audio, found: Recovered) -> np.ndarray | None:
    """Fit the edit's channels by the raw recording's over the longest run, by least squares."""
    runs = [run for run in found.runs if run.start + run.lag >= 0]
    if not runs or found.clock.coherence < COHERENT or found.clock.rate != 1 or found.clock.wander:
        return None
    run = max(runs, key=lambda own: own.stop - own.start)
    places = (raw, run.start + run.lag), (edit, run.start)
    source, own = (_at_tracking_rate(audio, start, run.stop - run.start) for audio, start in places)
    length = min(source.shape[1], own.shape[1])
    return np.linalg.lstsq(source[:, :length].T, own[:, :length].T, rcond=1e-3)[0].T


def _at_tracking_rate(audio: Audio, start: float, length: int) -> np.ndarray:
    """Return at most half a minute of all channels, from a sample at the tracking rate on, [C, length]."""
    first = round(start * audio.sample_rate / TRACKING_RATE)
    length_s = min(length / TRACKING_RATE, _LONGEST_TOLD_S)
    return resample(audio.wav[:, first : first + round(length_s * audio.sample_rate)], audio.sample_rate, TRACKING_RATE)


def _likeness(found: Recovered) -> float:
    own, source = (side.shape for side in found.frames)
    alike = []
    for run in found.runs:
        here = np.arange(round(run.start / HOP), round(run.stop / HOP))
        there = here + round(run.lag / HOP)
        inside = (here < len(own)) & (there >= 0) & (there < len(source))
        alike.append((own[here[inside]] * source[there[inside]]).sum(axis=1))
    alike = np.concatenate(alike) if alike else np.zeros(0)
    return float(alike.mean()) if len(alike) else 0.0


def _beside(out: Path, ending: str) -> Path:
    return out.with_name(out.name.removesuffix(".json").removesuffix(".edit") + ending)


def _show(recovery: Recovery) -> None:
    """Print the null test of each piece, and what concerns the whole edit."""
    report = report_of(recovery)
    shown = Table("edit, s", "raw, s", "length, s", "label", "gain, dB", "residual, dB")
    for piece in report["pieces"]:
        gain = f"{20 * np.log10(max(piece['gain'], 1e-6)):+.1f}"
        times = (f"{piece[name]:.3f}" for name in ("edit_s", "raw_s", "length_s"))
        shown.add_row(*times, piece["label"], gain, f"{piece['residual_db']:.1f}")
    Console().print(shown)
    drift, polarity = report["drift_ppm"], "inverted" if report["polarity"] < 0 else "kept"
    logger.info(
        "Clock %+.1f ppm, polarity %s, coherence %.2f, residual %.1f dB",
        drift, polarity, report["coherence"], report["residual_db"],
    )  # fmt: skip


def _picture(path: Path, raw: Audio, recovery: Recovery, title: str) -> None:
    """Draw both waveforms with the spans that are played joined, and the residual of each piece."""
    figure = Figure((13, 7), layout="constrained")
    above, links, below, residual = figure.subplots(4, 1, height_ratios=(1.2, 1.5, 1.2, 1.2))
    rate, null = recovery.edit_list.sample_rate, recovery.null
    longest = max(raw.wav.shape[1], len(null.rendered)) / rate
    for axis, wav, name in ((above, _mono(raw), "raw"), (below, null.rendered, "rendered")):
        edges = np.linspace(0, len(wav), min(_COLUMNS, len(wav)) + 1).astype(int)[:-1]
        axis.fill_between(
            edges / rate, np.minimum.reduceat(wav, edges), np.maximum.reduceat(wav, edges), color="#30404f", step="mid"
        )  # fmt: skip
        axis.set_ylabel(name)
    for piece in pieces_of(recovery.edit_list):
        for start, stop in piece.segment.spans:
            ends = np.array([start, stop, piece.stop, piece.position]) / rate
            links.fill(ends, [1, 1, 0, 0], alpha=0.3, color="#0072b2", linewidth=0.5)
    links.set(ylim=(0, 1), yticks=[])
    residual.step(null.edges / rate, np.append(null.spans_db, null.spans_db[-1:]), where="post", color="#d55e00")
    residual.set(ylabel="residual, dB", xlabel="seconds", ylim=(-125, 5))
    for axis in (above, links, below, residual):
        axis.set_xlim(0, longest)
    figure.suptitle(label_text(f"{title}: {null.residual_db:.1f} dB left"), fontsize=12)
    save_figure(figure, path)
