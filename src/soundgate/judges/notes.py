"""Which notes sound: Basic Pitch, for any instrument and for chords."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from mir_eval import multipitch

from soundgate.judges.base import Card, Figure, Judge, Signals, Verdict
from soundgate.judges.onnx_models import open_session, shuffled
from soundgate.judges.packaged import Packaged

SAMPLE_RATE = 22_050
HOP = 256
FRAME_S = HOP / SAMPLE_RATE
LOWEST_MIDI, N_PITCHES = 21, 88
SOUNDING, ONSET = 0.3, 0.5  # the package's own thresholds
_SHORTEST_FRAMES = 11  # 128 ms, the package's own
_MODEL = Packaged(
    "basic-pitch",
    "basic_pitch/saved_models/icassp_2022/nmp.onnx",
    "2c3c1d144bfa61ad236e92e169c13535c880469a12a047d4e73451f2c059a0ec",
)
_WINDOW = 43_844
_EDGE = 15  # frames dropped at each end of a window
_KEPT = 172 - 2 * _EDGE
_INPUT = "serving_default_input_2:0"
_NOTE, _ONSET = "StatefulPartitionedCall:1", "StatefulPartitionedCall:2"


@dataclass(frozen=True)
class Activations:
    """How much each of the 88 keys of a piano sounds, and begins, every 11.6 ms: float32 [L, 88] in [0, 1]."""

    sounding: np.ndarray
    onset: np.ndarray


@dataclass(frozen=True)
class Note:
    """A note event: MIDI number, start and end in s, and its mean activation."""

    midi: int
    start_s: float
    end_s: float
    strength: float


class NotesJudge(Judge):
    """Name the notes of music.

    Differs: windows step by 142 whole frames, so that frames lie on one grid of 256 samples; the package steps by less
        and corrects times afterwards. Onsets are the network's own, none are inferred from levels.
    """

    name = "notes"
    sample_rate = SAMPLE_RATE
    min_rate = 16_000
    min_s = 0.25
    figures = (
        Figure("notes_per_s", "1/s", 0, np.inf, "neither", "note events"),
        Figure("polyphony", "", 0, N_PITCHES, "neither", "notes at once, mean over frames where any sounds"),
    )
    pair_figures = (
        Figure("note_f1", "", 0, 1, "higher", "agreement on the notes of each frame: F1 of precision and recall"),
        Figure("note_precision", "", 0, 1, "higher", "the degraded signal's notes that the reference has too"),
        Figure("note_recall", "", 0, 1, "higher", "the reference's notes that the degraded signal has too"),
    )
    card = Card(
        package="basic-pitch 0.4.0",
        licence="Apache-2.0",
        source="Bittner et al. 2022, A lightweight instrument-agnostic model for polyphonic note transcription",
        trained_on="notes of GuitarSet, iKala, MAESTRO, MedleyDB and Slakh: voices, guitars, pianos, synthesised bands",
        never_ask="speech, drums, noise; which instrument plays",
        serves=("transfer",),
    )

    def __init__(self, model: bytes) -> None:
        self.model = model
        self.session = open_session(model)

    def twin(self, seed: int) -> NotesJudge:
        """Return the judge with all weights shuffled, those of its constant-Q transform among them."""
        return NotesJudge(shuffled(self.model, seed, "nmp"))

    def activations(self, wav: Signals, sample_rate: int) -> list[Activations]:
        """Return each signal's activations; see `Judge.score` for arguments and errors."""
        return [self._activations(signal) for signal in self.signals("wav", wav, sample_rate)]

    def _score(self, wav: np.ndarray) -> Verdict:
        found = self._activations(wav)
        counts = (found.sounding >= SOUNDING).sum(axis=1)
        values = {"notes_per_s": len(note_events(found)) / (len(wav) / SAMPLE_RATE)}
        if not counts.any():
            return Verdict(values, "no note")
        return Verdict(values | {"polyphony": float(counts[counts > 0].mean())})

    def _compare(self, reference: np.ndarray, degraded: np.ndarray) -> Verdict:
        first, second = (self._activations(wav).sounding >= SOUNDING for wav in (reference, degraded))
        for what, found in (("reference", first), ("degraded", second)):
            if not found.any():
                return Verdict({}, f"{what}: no note")
        return Verdict(note_overlap(first, second))

    def _activations(self, wav: np.ndarray) -> Activations:
        n_frames = 1 + len(wav) // HOP
        n_windows = -(-n_frames // _KEPT)
        padded = np.pad(wav, (_EDGE * HOP, n_windows * _KEPT * HOP + _WINDOW - len(wav)))
        parts = []
        for window in range(n_windows):
            at = window * _KEPT * HOP
            given = {_INPUT: np.ascontiguousarray(padded[None, at : at + _WINDOW, None], np.float32)}
            parts.append([out[0, _EDGE:-_EDGE] for out in self.session.run([_NOTE, _ONSET], given)])
        sounding, onset = (np.concatenate(part)[:n_frames] for part in zip(*parts, strict=True))
        return Activations(sounding, onset)


def note_overlap(reference: np.ndarray, estimate: np.ndarray) -> dict[str, float]:
    """Hold the notes of each frame against those of a reference.

    Args:
        reference: bool [L, 88]: which keys of a piano sound, or are meant to.
        estimate: as many frames of another signal.

    Returns:
        ``note_f1``, ``note_precision`` and ``note_recall``; 0 where nothing agrees.

    Source: mir_eval's multipitch metrics (Bay et al. 2009).
    """
    times = np.arange(len(reference)) * FRAME_S
    sides = ([_frequencies(frame) for frame in frames] for frames in (reference, estimate))
    first, second = sides
    precision, recall, *_ = multipitch.metrics(times, first, times, second)
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return {"note_f1": float(f1), "note_precision": float(precision), "note_recall": float(recall)}


def note_events(found: Activations) -> list[Note]:
    """Return note events: runs of sounding frames of 128 ms or more, split where the same key begins again."""
    notes = []
    sounding, onset = found.sounding >= SOUNDING, found.onset >= ONSET
    begins = onset & ~np.vstack([np.zeros((1, N_PITCHES), bool), onset[:-1]])
    for key in np.flatnonzero(sounding.any(axis=0)):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], sounding[:, key].astype(np.int8), [0]])))
        for start, end in edges.reshape(-1, 2):
            inside = start + 1 + np.flatnonzero(begins[start + 1 : end, key])
            cuts = [start, *inside, end]
            for first, last in zip(cuts[:-1], cuts[1:], strict=True):
                if last - first >= _SHORTEST_FRAMES:
                    strength = float(found.sounding[first:last, key].mean())
                    notes.append(Note(int(LOWEST_MIDI + key), float(first * FRAME_S), float(last * FRAME_S), strength))
    return sorted(notes, key=lambda note: (note.start_s, note.midi))


def _frequencies(frame: np.ndarray) -> np.ndarray:
    return 440 * 2 ** ((LOWEST_MIDI + np.flatnonzero(frame) - 69) / 12)


def load() -> NotesJudge:
    """Load the judge; see `soundgate.judges.registry.load_judge`."""
    return NotesJudge(_MODEL.locate().read_bytes())
