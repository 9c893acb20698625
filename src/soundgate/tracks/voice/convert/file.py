"""One recording said in another voice: read, converted piece by piece, written like the recording."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from soundgate.own_files.running import check_output
from soundgate.runtime.console import logger, track
from soundgate.runtime.errors import AudioError
from soundgate.runtime.paths import path_to_text
from soundgate.tracks.voice.baselines.contract import UnknownVoiceError
from soundgate.tracks.voice.convert.channels import Group, group_channels
from soundgate.tracks.voice.convert.conversion import Conversion, Converted, Options, prepare
from soundgate.tracks.voice.convert.methods import AUTO
from soundgate.tracks.voice.convert.pieces import STEP_S, converted, cut_at_pauses, passages, step_powers
from soundgate.tracks.voice.convert.reading import Source, Spool, open_source
from soundgate.tracks.voice.convert.voicing import hear_voice
from soundgate.tracks.voice.convert.writing import Written, band_power, sample_format, write_converted

# A speaker's own voice is known from so many seconds at the most, spread over the recording.
_OWN_S = 120.0
# What comes out is as loud as what goes in, within these limits of the gain.
_GAINS = (0.1, 10.0)


def convert_file(
    source: str | Path,
    out: str | Path,
    to: Sequence[str | Path],
    method: str = AUTO,
    *,
    semitones: float = 0.0,
    formant: float = 1.0,
    explain: bool = False,
    force: bool = False,
    profile: str = "embedded",
    models: Path | None = None,
) -> dict:
    """Convert one recording; the same as ``soundgate convert``. The arguments are those of `prepare` and `Options`.

    Args:
        source: the recording.
        out: audio file to write, in the sample format and at the rate of the recording.
        to: references of the target.
        method: ``auto``, ``gan``, ``knn`` or ``world``.
        semitones: beyond the target's pitch.
        formant: factor beyond the target's formants; not with ``gan``.
        explain: whether a picture and a JSON file are written beside ``out``.
        force: whether what does not look like a voice is converted all the same.
        profile: whose audit, converter and corpus are looked at.
        models: folder of a converter instead of the profile's.

    Returns:
        What was found and done, see `convert_with`.

    Raises:
        SoundgateError: an input, the model or the output is unfit; nothing was written then.
    """
    options = Options(semitones, formant, explain, force)
    return convert_with(prepare(to, method, profile, models, options), Path(source), Path(out))


def convert_with(conversion: Conversion, path: Path, out: Path) -> dict:
    """Convert one recording with a method that is ready.

    Args:
        conversion: from `prepare`.
        path: the recording.
        out: audio file to write.

    Returns:
        What was found and done, for JSON: method, seconds, rates, ``bandwidth_hz``, levels, ``real_time_factor``, and
        one entry for each sound in ``voices``, with the judges' figures where ``options.explain`` is set.

    Raises:
        SoundgateError: the recording or the output is unfit; nothing was written then.
    """
    started, worked = time.perf_counter(), time.process_time()
    check_output(path, out)
    with ExitStack() as stack:
        source = stack.enter_context(open_source(path, conversion.method.sample_rate, out.parent))
        if source.note:
            logger.warning("%s: %s", path_to_text(path), source.note)
        subtype = sample_format(source, out)
        made = _convert_groups(conversion, source, out.parent, stack)
        written = write_converted(out, source, [(one.samples, _channel_gains(one, source)) for one in made], subtype)
        took_s, processor_s = time.perf_counter() - started, time.process_time() - worked
        figures = _figures(conversion, source, made, written) | {
            "took_s": took_s,
            "processor_s": processor_s,
            "real_time_factor": took_s / source.seconds,
        }
        if conversion.options.explain:
            # Imported here: the judges take seconds to load.
            from soundgate.tracks.voice.convert.explaining import explain

            figures = explain(conversion, source, made, figures, out)
    _say(figures, out)
    return figures


def _convert_groups(conversion: Conversion, source: Source, folder: Path, stack: ExitStack) -> list[Converted]:
    """Convert every sound that is a voice; the others stay silent.

    Raises:
        AudioError: none is a voice.
    """
    made, doubts = [], {}
    for group in group_channels(source.products):
        spool = stack.enter_context(Spool(folder, 1))
        own = _convert_group(conversion, source, group, spool)
        if isinstance(own, Converted):
            made.append(own)
        else:
            doubts[", ".join(str(channel + 1) for channel in sorted(group.gains))] = own
    if not made:
        channels = next(iter(doubts))
        where = f"channel {channels}: " if source.samples.channels > 1 else ""
        raise AudioError(
            path_to_text(source.path), expected="speech of one voice", found=f"no voice: {where}{doubts[channels]}",
            remedy="" if doubts[channels].startswith("nothing") else "If it is one, convert it by --force.",
        )  # fmt: skip
    for channels, doubt in doubts.items():
        text = "%s: channel %s does not look like a voice (%s): silent in the conversion; --force converts it"
        logger.warning(text, path_to_text(source.path), channels, doubt)
    return made


def _convert_group(conversion: Conversion, source: Source, group: Group, spool: Spool) -> Converted | str:
    """Convert one sound into a spool; return why it is no voice where it is none."""
    method, options, rate, n_samples = conversion.method, conversion.options, source.rate, len(source.samples)
    read = source.reader(group.lead)
    powers = step_powers(read, n_samples, rate)
    pieces = cut_at_pauses(powers, n_samples, rate)
    chosen = passages(pieces, powers, rate, _OWN_S)
    recordings = [read(*piece) for piece in chosen]
    voicing = hear_voice(recordings, rate)
    if voicing.doubt and not (options.force and voicing.voiced_s > 0):
        return voicing.doubt
    try:
        own = method.enrol(recordings)
    except UnknownVoiceError as error:
        return f"nothing to go by: {str(error).rstrip('.')}"

    def convert(wav: np.ndarray) -> np.ndarray:
        return method.convert(wav, own, conversion.voice, semitones=options.semitones, formant=options.formant)

    for block in converted(track(pieces, path_to_text(source.path.name)), read, convert, n_samples, rate):
        spool.append(block)
    wanted, found = float(powers.sum()) * round(STEP_S * rate) / n_samples, band_power(spool, rate, source.sample_rate)
    gain = float(np.clip(np.sqrt(wanted / found), *_GAINS)) if found > 0 else 1.0
    return Converted(group, voicing, chosen, spool, gain)


def _channel_gains(made: Converted, source: Source) -> np.ndarray:
    gains = np.zeros(source.samples.channels)
    for channel, gain in made.group.gains.items():
        gains[channel] = made.gain * gain
    return gains


def _figures(conversion: Conversion, source: Source, made: list[Converted], written: Written) -> dict:
    options, target = conversion.options, conversion.target
    return {
        "source": path_to_text(source.path),
        "target": target.name,
        "method": conversion.choice.name,
        "why": conversion.choice.why,
        "semitones": options.semitones,
        "formant": options.formant,
        "seconds": source.seconds,
        "reference_s": target.seconds,
        "sample_rate": source.sample_rate,
        "working_rate": source.rate,
        "bandwidth_hz": min(source.rate, source.sample_rate) / 2,
        "channels": source.samples.channels,
        "clipped_in_source": source.clipped,
        "peak": written.peak,
        "scaled_db": written.scaled_db,
        "voices": [
            {
                "channels": sorted(channel + 1 for channel in one.group.gains),
                "voiced_share": one.voicing.share,
                "f0_change_semitones": one.voicing.change,
                "f0_hz": {"source": one.voicing.f0_hz, "target": target.voicing.f0_hz},
                "gain_db": 20 * float(np.log10(one.gain)),
            }
            for one in made
        ],
    }


def _say(figures: dict, out: Path) -> None:
    logger.info(
        "%s: %.1f s in %.1f s (%.2f of real time; %.1f s of the processor) by %s; %d Hz, of which sound up to %d Hz%s",
        path_to_text(out), figures["seconds"], figures["took_s"], figures["real_time_factor"],
        figures["processor_s"], figures["method"],
        figures["sample_rate"], figures["bandwidth_hz"],
        f"; {-figures['scaled_db']:.1f} dB quieter, so that nothing clips" if figures["scaled_db"] < 0 else "",
    )  # fmt: skip
