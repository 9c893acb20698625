"""The voice wished for: seconds of reference from files, folders, or a speaker of a built corpus."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir

import numpy as np

from soundgate.corpora.folder import audio_in
from soundgate.corpora.index import INDEX_NAME, read_index
from soundgate.runtime.console import logger
from soundgate.runtime.errors import AudioError, ConfigError
from soundgate.runtime.paths import path_from_text, path_to_text
from soundgate.tracks.voice.convert.channels import group_channels
from soundgate.tracks.voice.convert.pieces import cut_at_pauses, passages, step_powers
from soundgate.tracks.voice.convert.reading import Source, open_source
from soundgate.tracks.voice.convert.voicing import Voicing, hear_voice

# A voice is known from so many seconds at the most, and not from less that is voiced.
MOST_S, LEAST_VOICED_S = 120.0, 2.0


@dataclass(frozen=True)
class Target:
    """The voice wished for.

    Args:
        name: of the references, for people.
        paths: of their files.
        recordings: float32 [T] each, of one speaker.
        rate: of them, Hz.
        voicing: what was found of the voice.
    """

    name: str
    paths: list[Path]
    recordings: list[np.ndarray]
    rate: int
    voicing: Voicing

    @property
    def seconds(self) -> float:
        """Seconds of reference."""
        return sum(map(len, self.recordings)) / self.rate


def find_references(wished: Sequence[str | Path], profile: str) -> list[Path]:
    """Return the files that a voice is to be known from.

    Args:
        wished: files, folders (all audio in them, to any depth) or speakers of the profile's built corpus of speech;
            all of them are one voice.
        profile: of the corpus.

    Raises:
        ConfigError: there is neither such a path nor such a speaker.
        CorpusError: a folder holds no audio.
    """
    found = []
    for one in wished:
        path = Path(one)
        if path.is_dir():
            found += [path / inside for inside in audio_in(path, "recordings of the target").audio]
        elif path.exists() or path.is_symlink():
            found.append(path)
        else:
            found += _of_speaker(str(one), Path("data", profile, "speech"))
    return list(dict.fromkeys(found))


def open_target(wished: Sequence[str | Path], profile: str, rate: int, force: bool = False) -> Target:
    """Read the voice wished for, of its references at most two minutes.

    Args:
        wished: see `find_references`.
        profile: of the corpus that speakers are looked for in.
        rate: Hz to read at.
        force: whether what does not look like a voice is taken for one.

    Raises:
        SoundgateError: see `find_references`; no file can be read, they are too short, or do not look like a voice.
    """
    paths = find_references(wished, profile)
    recordings, refused, left_s = [], [], MOST_S
    for path in paths:
        try:
            with open_source(path, rate, Path(gettempdir())) as source:
                recordings += list(reference_passages(source, left_s))
        except AudioError as error:
            refused.append(error)
            logger.warning("%s: left out as reference: %s", path_to_text(path), error.found)
        left_s = MOST_S - sum(map(len, recordings)) / rate
        if left_s <= 0:
            break
    if not recordings:
        raise refused[0]
    name = ", ".join(path_to_text(one) for one in wished)
    target = Target(name, paths, recordings, rate, hear_voice(recordings, rate))
    _check(target, force)
    return target


def reference_passages(source: Source, most_s: float) -> Iterator[np.ndarray]:
    """Yield the passages of a recording that have sound, float32 [T] each; of its channels the loudest."""
    lead = group_channels(source.products)[0].lead
    read = source.reader(lead)
    powers = step_powers(read, len(source.samples), source.rate)
    pieces = cut_at_pauses(powers, len(source.samples), source.rate)
    for one in passages(pieces, powers, source.rate, most_s):
        yield read(*one)


def _check(target: Target, force: bool) -> None:
    voicing = target.voicing
    if voicing.voiced_s < LEAST_VOICED_S and not (force and voicing.voiced_s > 0):
        raise AudioError(
            target.name,
            expected=f"{LEAST_VOICED_S:g} s or more of voiced speech of the target",
            found=f"{voicing.voiced_s:.2f} s in {target.seconds:.2f} s of sound",
            remedy="Give longer recordings, or several by repeating --to.",
        )
    if voicing.doubt and not force:
        remedy = "Give recordings of one speaker without music, or take them all the same by --force."
        raise AudioError(
            target.name, expected="the voice of one speaker", found=f"no voice: {voicing.doubt}", remedy=remedy
        )


def _of_speaker(name: str, corpus: Path) -> list[Path]:
    built = (corpus / INDEX_NAME).is_file()
    index = read_index(corpus) if built else None
    speakers = sorted(index["speaker_id"].unique()) if built else []
    if name in speakers:
        return [path_from_text(path) for path in index.loc[index["speaker_id"] == name, "path"]]
    shown = ", ".join(speakers[:8]) + (", ..." if len(speakers) > 8 else "")
    there = f"nothing of that name; speakers of {corpus}: {shown}" if built else f"neither, and no corpus in {corpus}"
    raise ConfigError(
        f"--to {path_to_text(name)}", expected="a file, a folder, or a speaker of the profile's corpus", found=there
    )
