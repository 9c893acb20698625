"""From a recording to its edit: beats, labels, edit list, sound."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from soundgate.audio.spooled import spooled
from soundgate.runtime.console import logger
from soundgate.runtime.errors import ConfigError
from soundgate.tracks.editor.beats import TRACKING_RATE
from soundgate.tracks.editor.deciding.choosing import choose, confident, label_beats, with_edges
from soundgate.tracks.editor.deciding.levels import frames_at_level
from soundgate.tracks.editor.deciding.rules import Cut, find_cuts
from soundgate.tracks.editor.deciding.target import TARGET_RULE, fit_to_length
from soundgate.tracks.editor.edit_list import EditList, Tone, keep_all
from soundgate.tracks.editor.editing.effects import fit_effect
from soundgate.tracks.editor.editing.generate import GENERATED, generate_all, generate_pieces
from soundgate.tracks.editor.editing.inputs import Recording, find_beats, read_beats
from soundgate.tracks.editor.editing.models import Models
from soundgate.tracks.editor.editing.own_labels import read_own_labels
from soundgate.tracks.editor.editing.settings import RenderSettings
from soundgate.tracks.editor.grid import Grid, beat_grid
from soundgate.tracks.editor.policy.predict import predict_labels
from soundgate.tracks.editor.reconstruct.model import reconstruct_recording
from soundgate.tracks.editor.rendering import render
from soundgate.tracks.editor.timeline import beat_spans, effect_runs, from_labels, labels_of
from soundgate.tracks.editor.vocabulary import Label

Mode = Literal["splice", "generate", "full"]
Method = Literal["rules", "policy"]
POLICY_RULE, UNSURE_RULE, OWN_RULE = "policy", "policy, not sure", "given"


class Deciding(NamedTuple):
    """Who decides what is done with a recording.

    Args:
        method: ``rules`` cut dead air, talk, count-ins and repeated takes; ``policy`` is the trained network.
        aggressiveness: 0 to 1: what is done is at least ``1 - aggressiveness`` sure.
        target_s: length of the edit in s, to one bar, made of whole bars after the rules have cut; None: any.
        keep_structure: whether a target length keeps the first and the last section and half of every other.
    """

    method: Method = "rules"
    aggressiveness: float = 0.5
    target_s: float | None = None
    keep_structure: bool = False

    @property
    def threshold(self) -> float:
        """How sure a decision must be."""
        return 1 - self.aggressiveness


@dataclass(frozen=True)
class Decision:
    """What is done with a recording.

    Args:
        grid: its beats.
        labels: int64 [N].
        probabilities: the policy's, or by the scores of the rules, float32 [N, 8]; None where neither was asked.
        edit: the edit list.
        raw: the frames, float32 [F, M] in [0, 1].
        predicted: what the reconstruction model makes of them, likewise; None where it was not needed.
        rules: which rule decided about each beat, empty where none did; None where nobody says.
    """

    grid: Grid
    labels: np.ndarray
    probabilities: np.ndarray | None
    edit: EditList
    raw: np.ndarray
    predicted: np.ndarray | None
    rules: tuple[str, ...] | None = None


def decide(
    recording: Recording,
    models: Models,
    settings: RenderSettings,
    mode: Mode = "splice",
    labels: Path | None = None,
    beats: Path | None = None,
    deciding: Deciding | None = None,
) -> Decision:
    """Decide what is done with a recording.

    Args:
        recording: to edit.
        models: read only where they are needed.
        settings: see `RenderSettings`.
        mode: how it will be played.
        labels: file of labels that stand in for a decision of our own, see `read_own_labels`.
        beats: file of beats that stand in for the tracker's, see `read_beats`.
        deciding: who decides, where there are no labels; None: see the defaults.

    Raises:
        SoundgateError: a file or model that is needed is missing or unfit, or nothing would be left.
    """
    features, rate, deciding = models.features, recording.audio.sample_rate, deciding or Deciding()
    raw = features(recording.mono)
    reason = _nothing_to_edit(recording, features.settings.n_fft)
    found = np.empty(0, np.int64) if reason else find_beats(recording, settings.tempo_bpm) if beats is None else None
    found = read_beats(beats, recording) if found is None else found
    by_rules = not reason and labels is None and deciding.method == "rules"
    cuts = _sure_cuts(recording, found, deciding.threshold) if by_rules else []
    given = beat_spans(with_edges(found, cuts, rate), recording.n_samples)
    step = features.settings.hop_length * rate / TRACKING_RATE
    grid = beat_grid(given, step, len(raw), round(settings.max_beat_s * rate))
    if reason:
        logger.warning("%s: everything is kept", reason)
        kept = np.full(len(grid.spans), Label.KEEP, np.int64)
        return Decision(grid, kept, None, keep_all(recording.n_samples, rate), raw, None)
    probabilities = None
    if labels is not None:
        decided, rules = read_own_labels(labels, grid, len(given), recording.n_samples, rate), None
    elif by_rules:
        decided, probabilities, rules = label_beats(grid.spans, cuts, rate)
        if deciding.target_s is not None:
            decided, rules = _at_length(recording, grid, decided, rules, deciding)
            # Nobody doubts what a length asks for.
            probabilities[np.array(rules) == TARGET_RULE] = np.nan
    else:
        decided, probabilities, rules = _by_policy(recording, models, grid, settings, deciding.threshold)
    decision = with_labels(recording, models, grid, raw, decided, mode)
    if not decision.edit.segments:
        subject = f"the {deciding.method}" if labels is None else labels
        raise ConfigError(subject, expected="a beat that is played", found="CUT alone; nothing was written")
    rules = (OWN_RULE,) * len(decision.labels) if rules is None else rules
    return Decision(grid, decision.labels, probabilities, decision.edit, raw, decision.predicted, rules)


def _sure_cuts(recording: Recording, beats: np.ndarray, threshold: float) -> list[Cut]:
    cuts = choose(find_cuts(recording.mono, beats * (TRACKING_RATE / recording.audio.sample_rate)), threshold)
    if not cuts:
        logger.info("No rule is sure enough (%.2f) to cut anything", threshold)
    return cuts


def _at_length(
    recording: Recording, grid: Grid, labels: np.ndarray, rules: tuple[str, ...], deciding: Deciding
) -> tuple[EditList, tuple[str, ...]]:
    """Fit what the rules keep to the target length; beats that are left out or played again name that rule."""
    kept, rate = labels != Label.CUT, recording.audio.sample_rate
    fitted = fit_to_length(recording.mono, grid.spans, kept, rate, deciding.target_s, deciding.keep_structure)
    changed = kept & (fitted.plays != 1)
    return fitted.edit, tuple(np.where(changed, TARGET_RULE, rules).tolist())


def _by_policy(
    recording: Recording, models: Models, grid: Grid, settings: RenderSettings, threshold: float
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Ask the policy, at the level that it was trained at; what it is not sure of is kept."""
    frames = frames_at_level(models.features, recording.mono, settings.policy_level_db)
    wanted, probabilities = predict_labels(models.policy, frames, grid.edges)
    decided = confident(wanted, probabilities, threshold)
    rules = np.where(decided == Label.KEEP, "", POLICY_RULE)
    return decided, probabilities, tuple(np.where(decided != wanted, UNSURE_RULE, rules).tolist())


def with_labels(
    recording: Recording, models: Models, grid: Grid, raw: np.ndarray, decided: EditList | np.ndarray, mode: Mode
) -> Decision:
    """Make the decision that labels, or a whole edit list, stand for.

    What EFFECT does is told from the reconstruction model, unless an edit list says it.

    Args:
        recording: to edit.
        models: read only where they are needed.
        grid: the beats.
        raw: the frames.
        decided: int64 [N], or the edit list.
        mode: how it will be played.
    """
    given = decided if isinstance(decided, EditList) else None
    labels = np.asarray(decided, np.int64) if given is None else labels_of(given, grid.spans)
    runs = [] if given is not None else effect_runs(labels)
    generated = mode == "full" or (mode == "generate" and np.isin(labels, [Label[name] for name in GENERATED]).any())
    predicted = reconstruct_recording(models.reconstruction, raw, grid.edges, labels) if runs or generated else None
    if given is not None:
        return Decision(grid, labels, None, given, raw, predicted)
    features, effects = models.features, {}
    for first, last in runs:
        inside = slice(grid.edges[first], grid.edges[last])
        levels = (features.to_db(unit[inside].astype(np.float64)) for unit in (raw, predicted))
        effects[first] = fit_effect(*levels, features.centres_hz, recording.audio.sample_rate)
    edit = from_labels(labels, grid.spans, recording.audio.sample_rate, Tone(), effects)
    return Decision(grid, labels, None, edit, raw, predicted)


def play(recording: Recording, decision: Decision, models: Models, mode: Mode, folder: Path) -> np.ndarray:
    """Play a decision.

    Args:
        recording: to edit.
        decision: of it.
        models: of generated sound.
        mode: ``splice`` plays the edit list; ``generate`` takes effects and transitions from the models; ``full``
            takes everything from there.
        folder: of the temporary file that holds the result.

    Returns:
        [C, T'] of the type of the recording's samples; what is kept has its very samples, but with ``full``.
    """
    wav, edit = recording.audio.samples, decision.edit
    out = spooled((len(wav), edit.output_samples), wav.dtype, folder)
    if mode == "full":
        logger.info("Everything is generated, at the quality of %d Hz", models.features.settings.sample_rate)
        generate_all(out, wav, edit, decision.predicted, models.features, models.voice)
        return out
    render(wav, edit, out)
    if mode == "generate" and decision.predicted is not None:
        generate_pieces(out, wav, edit, decision.predicted, models.features, models.voice)
    return out


def _nothing_to_edit(recording: Recording, n_fft: int) -> str:
    """Return why a recording cannot be edited; empty where it can."""
    if len(recording.mono) < n_fft:
        return f"{recording.n_samples} samples are shorter than one transform"
    return "Silence" if recording.silent else ""
