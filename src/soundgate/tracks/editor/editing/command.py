"""`soundgate edit`: the trained pipeline on a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from soundgate.pipeline.gates import default_profile
from soundgate.runtime.config import load_section
from soundgate.runtime.console import logger
from soundgate.runtime.errors import AudioError
from soundgate.tracks.editor.beats import TRACKING_RATE
from soundgate.tracks.editor.editing.inputs import Recording, mono_mix, open_recording
from soundgate.tracks.editor.editing.models import Models
from soundgate.tracks.editor.editing.output import (
    Outputs,
    check_output,
    check_size,
    explanation,
    normalise,
    show_explanation,
    write_lists,
    write_sound,
)
from soundgate.tracks.editor.editing.picture import edit_picture
from soundgate.tracks.editor.editing.pipeline import Deciding, Decision, Mode, decide, play
from soundgate.tracks.editor.editing.settings import RenderSettings
from soundgate.tracks.editor.exports.formats import check_exports, write_exports
from soundgate.tracks.editor.features import FeatureSettings


@dataclass(frozen=True)
class EditOptions:
    """What the user asks for.

    Args:
        source: file to edit.
        out: file to write.
        labels: of the user's own.
        beats: of the user's own.
        mode: see `play`.
        loudness_lufs: to scale to; None scales nothing.
        models: folder of the models; None: those of the profile.
        exports: names of formats to write the edit list in too.
        explain: whether to say what is done with each beat.
        deciding: who decides, where there are no labels.
    """

    source: Path
    out: Path
    labels: Path | None
    beats: Path | None
    mode: Mode
    loudness_lufs: float | None
    models: Path | None
    exports: tuple[str, ...]
    explain: bool
    deciding: Deciding


def run_edit(options: EditOptions) -> None:
    """Edit a file and write everything beside the result.

    Raises:
        SoundgateError: an input, a model or the output is unfit; nothing was written then.
    """
    settings = load_section("editor.render", RenderSettings)
    folder = options.models or Path("data", default_profile(), "editor")
    features = load_section("editor.cache.features", FeatureSettings)
    models = Models.below(folder, features, settings.griffin_lim_iterations)
    scratch = _folder_of(options.out)
    recording = open_recording(options.source, scratch)
    if recording.audio.note:
        logger.warning("%s: %s", options.source, recording.audio.note)
    subtype = check_output(options.source, options.out, recording)
    check_exports(options.exports, options.source)
    rate = recording.audio.sample_rate
    length_s = recording.n_samples / rate
    logger.info("%s: %.1f s, %d channels, %d Hz", options.source, length_s, len(recording.audio.samples), rate)
    decision = decide(recording, models, settings, options.mode, options.labels, options.beats, options.deciding)
    check_size(options.out, recording.audio, decision.edit, subtype)
    sound = play(recording, decision, models, options.mode, scratch)
    if options.loudness_lufs is not None:
        normalise(sound, rate, options.loudness_lufs)
    _write(options, recording, decision, models, sound, subtype)
    logger.info("%s: %.1f s of %.1f s", options.out, sound.shape[1] / rate, length_s)


def _write(options: EditOptions, recording: Recording, decision: Decision, models: Models, sound, subtype: str) -> None:
    outputs, rate = Outputs(options.out), recording.audio.sample_rate
    table = explanation(decision)
    after = models.features(mono_mix(sound, rate, options.out.parent))
    edit_picture(
        outputs.beside(".png"),
        recording.mono,
        picture_times(decision, rate),
        decision.labels,
        None if decision.probabilities is None else table["probability"].to_numpy(),
        (decision.raw, after),
        models.features,
        f"{options.source.name}: {len(recording.mono) / TRACKING_RATE:.1f} s to {sound.shape[1] / rate:.1f} s",
    )
    write_lists(outputs, decision, table if options.explain else None)
    write_exports(outputs.beside, decision.edit, options.exports, options.source)
    write_sound(options.out, sound, rate, subtype)
    if options.explain:
        show_explanation(table)


def picture_times(decision: Decision, sample_rate: int):
    """Return where beats begin and the last one ends, in seconds."""
    spans = decision.grid.spans
    return [*(spans[:, 0] / sample_rate), spans[-1, 1] / sample_rate]


def _folder_of(out: Path) -> Path:
    """Return the folder to write to, made if missing.

    Raises:
        AudioError: its path names a file.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise AudioError(out, expected="a folder to write to", found=f"{error.filename} is a file") from error
    return out.parent
