"""One recording in another style: read, transferred block by block, levelled, written like the recording."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

import numpy as np

from soundgate.audio.spooled import spooled
from soundgate.own_files.running import check_output
from soundgate.runtime.console import logger, track
from soundgate.runtime.paths import path_to_text
from soundgate.tracks.transfer.transferring.levels import Levelled, match_loudness
from soundgate.tracks.transfer.transferring.methods import DEFAULT, Method, load_method, weights_digest
from soundgate.tracks.transfer.transferring.recordings import BLOCK, Recording, open_recording
from soundgate.tracks.transfer.transferring.styles import Style, open_style
from soundgate.tracks.transfer.transferring.writing import sample_format, write_result


@dataclass(frozen=True)
class Options:
    """How a recording is transferred.

    Args:
        path: ``eq``, ``knn``, ``codec`` or ``mel``.
        strength: 0 leaves the source as it is, 1 is the whole style.
        explain: whether a picture and a JSON file of figures are written beside the sound.
    """

    path: str = DEFAULT
    strength: float = 1.0
    explain: bool = False


@dataclass(frozen=True)
class Transfer:
    """A style and how it is transferred, ready for any number of recordings.

    Args:
        style: the style wished for.
        options: see `Options`.
        method: of ``options.path``.
        weights: what tells its models from others; empty where it has none.
    """

    style: Style
    options: Options
    method: Method
    weights: str = ""

    @cached_property
    def key(self) -> dict:
        """What decides what becomes of a recording, for JSON."""
        known = {"style": self.style.digest, "weights": self.weights, "version": version("soundgate")}
        return known | asdict(self.options)


def prepare(style: str | Path, profile: str, options: Options) -> Transfer:
    """Load the models that a path needs, and open a style.

    Args:
        style: an audio file, or a style of the profile's corpus.
        profile: whose corpus and models are looked at.
        options: see `Options`.

    Raises:
        SoundgateError: the style or a model is unfit.
    """
    method = load_method(options.path, profile)
    return Transfer(open_style(style, profile), options, method, weights_digest(options.path, profile))


def transfer_file(
    source: str | Path,
    out: str | Path,
    style: str | Path,
    path: str = DEFAULT,
    *,
    strength: float = 1.0,
    explain: bool = False,
    profile: str = "embedded",
) -> dict:
    """Transfer one recording; the same as ``soundgate transfer``.

    Args:
        source: the recording.
        out: audio file to write, in the sample format and at the rate of the recording.
        style: an audio file, or a style of the profile's corpus.
        path: see `Options`, as are the next.
        strength: 0 to 1.
        explain: whether a picture and figures are written beside ``out``.
        profile: whose corpus and models are looked at.

    Returns:
        What was found and done, see `transfer_with`.

    Raises:
        SoundgateError: an input, the style or the output is unfit; nothing was written then.
    """
    return transfer_with(prepare(style, profile, Options(path, strength, explain)), Path(source), Path(out))


def transfer_with(transfer: Transfer, path: Path, out: Path, block: int = BLOCK) -> dict:
    """Transfer one recording with a style that is ready.

    Args:
        transfer: the style and the options.
        path: the recording.
        out: audio file to write.
        block: samples that are computed at once.

    Returns:
        What was found and done, for JSON: path, style, seconds, loudness, ``real_time_factor``; with
        ``options.explain`` what `soundgate.tracks.transfer.transferring.explaining.explain` finds besides.

    Raises:
        SoundgateError: the recording or the output is unfit; nothing was written then.
    """
    started = time.perf_counter()
    check_output(path, out)
    source = open_recording(path, out.parent)
    if source.audio.note:
        logger.warning("%s: %s", path_to_text(path), source.audio.note)
    subtype = sample_format(source.audio, out)
    samples, levelled = _transferred(transfer, source, out.parent, block)
    write_result(out, samples, source.rate, subtype)
    took_s = time.perf_counter() - started
    figures = _figures(transfer, source, levelled) | {"took_s": took_s, "real_time_factor": took_s / source.seconds}
    if transfer.options.explain:
        # Imported here: PyTorch and librosa take seconds to load.
        from soundgate.tracks.transfer.transferring.explaining import explain

        figures = explain(transfer.style, source, samples, figures, out)
    _say(figures, out)
    return figures


def _transferred(transfer: Transfer, source: Recording, folder: Path, block: int) -> tuple[np.ndarray, Levelled | None]:
    """Return the result [C, T]; of strength 0 it is the source as it is, and has no levelling."""
    strength = transfer.options.strength
    if strength == 0:
        return source.audio.samples, None
    samples, filled = spooled(source.audio.samples.shape, np.dtype(np.float32), folder), 0
    made = transfer.method(source, transfer.style, strength, block)
    for part in track(made, path_to_text(source.path.name), -(-len(source) // block)):
        samples[:, filled : filled + len(part)] = part.T
        filled += len(part)
    return samples, match_loudness(samples, source.audio.samples, source.rate)


def _figures(transfer: Transfer, source: Recording, levelled: Levelled | None) -> dict:
    options, style = transfer.options, transfer.style
    return {
        "source": path_to_text(source.path),
        "style": style.name,
        "path": options.path,
        "strength": options.strength,
        "seconds": source.seconds,
        "style_s": style.seconds,
        "sample_rate": source.rate,
        "channels": source.channels,
        "level": None if levelled is None else levelled._asdict(),
    }


def _say(figures: dict, out: Path) -> None:
    level, said = figures["level"] or {"limited_db": 0.0, "short_db": 0.0}, ""
    if level["limited_db"] > 0.05:
        said += f"; peaks limited by up to {level['limited_db']:.1f} dB"
    if level["short_db"] > 0.1:
        said += f"; {level['short_db']:.1f} dB quieter than the source, so that nothing clips"
    logger.info(
        "%s: %.1f s in %.1f s (%.2f of real time) by %s%s",
        path_to_text(out), figures["seconds"], figures["took_s"], figures["real_time_factor"], figures["path"], said,
    )  # fmt: skip
